"""What happens to those who are in when tokens change or end, beside nats-server."""

import threading
import time
import unittest

from tenants import Key, Operator, each, errors_of, eventually, let_it_look_again, main

SOON_S = 6  # until something ends; by then a busy machine has used it
FULL = "{ type: full, dir: '@DIR@/jwt', allow_delete: true }"


class Live(unittest.TestCase):
    maxDiff = None
    resolver = FULL

    def setUp(self):
        o = self.o = Operator()
        self.signing, self.scoped = Key("A"), Key("A")
        self.nats = {"signing_keys": [str(self.signing), self.scope(["a.>"])],
                     "default_permissions": {"pub": {"allow": ["d.>"]},
                                             "sub": {"allow": ["d.>", "e.>", "_INBOX.>"]}}}
        self.text = o.configuration(self.resolver, preload={o.account: o.account_token(self.nats)})
        context = each(self.text)
        self.servers = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def alike(self, told, *message):
        """What each server has told."""
        for one in told[1:]:
            self.assertEqual(told[0], one, *message)

    def scope(self, allow):
        return {"kind": "user_scope", "key": str(self.scoped), "role": "r",
                "template": {"pub": {"allow": allow}, "subs": -1}}

    def update(self, server, token, subject=None):
        o = self.o
        with server.show(o.system_user_token, o.system_user) as client:
            reply = client.request(subject or f"$SYS.REQ.ACCOUNT.{o.account}.CLAIMS.UPDATE", token)
            return reply.json()

    def after(self, nats, *users):
        """What each of the users is told when the account becomes this, on each server. One of
        them has to go."""
        told = []
        for server in self.servers:
            clients = [server.show(token, key) for token, key in users]
            let_it_look_again(server)
            reply = self.update(server, self.o.account_token(nats))
            self.assertEqual(reply["data"]["code"], 200)
            eventually(lambda: any([client.gone() for client in clients]), "the end of one")
            told.append([("goes" if client.gone() else "stays", client.errors)
                         for client in clients])
            for client in clients:
                client.close()
        self.alike(told)
        return told[0]

    def test_revocation(self):
        o = self.o
        other = Key("U")
        said = self.after({**self.nats, "revocations": {str(o.user): int(time.time()) + 60}},
                          (o.user_token(), o.user), (o.user_token(key=other), other))
        self.assertEqual(said, [("goes", ["User Authentication Revoked"]), ("stays", [])])
        for server in self.servers:
            self.assertIn("Authorization Violation", server.verdict(o.user_token(), o.user))

    def test_all_revoked(self):
        o = self.o
        said = self.after({**self.nats, "revocations": {"*": int(time.time()) + 60}},
                          (o.user_token(), o.user))
        self.assertEqual(said, [("goes", ["User Authentication Revoked"])])

    def test_no_more_bearers(self):
        o = self.o
        limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1,
                  "wildcards": True}
        said = self.after({**self.nats, "limits": {**limits, "disallow_bearer": True}},
                          (o.user_token({"bearer_token": True}), None), (o.user_token(), o.user))
        self.assertEqual(said, [("goes", ["Authorization Violation"]), ("stays", [])])

    def test_signing_key_goes(self):
        o = self.o
        named = {"issuer_account": str(o.account)}
        said = self.after({**self.nats, "signing_keys": [self.scope(["a.>"])]},
                          (o.user_token(named, by=self.signing), o.user),
                          (o.user_token(named, by=self.scoped, kind="scoped"), o.user),
                          (o.user_token(), o.user))
        self.assertEqual(said, [("goes", []), ("stays", []), ("stays", [])])

    def test_scope_changes(self):
        o = self.o
        named = {"issuer_account": str(o.account)}
        said = self.after({**self.nats, "signing_keys": [str(self.signing), self.scope(["b.>"])]},
                          (o.user_token(named, by=self.signing), o.user),
                          (o.user_token(named, by=self.scoped, kind="scoped"), o.user))
        self.assertEqual(said, [("stays", []), ("goes", [])])

    def test_default_permissions_change(self):
        o = self.o
        changed = {**self.nats, "default_permissions": {"pub": {"allow": ["x.>"]},
                                                        "sub": {"allow": ["d.>", "_INBOX.>"]}}}
        told = []
        for server in self.servers:
            with server.show(o.user_token(), o.user) as client:
                client.subscribe("d.a")
                client.subscribe("e.a")
                client.publish("d.a", "1")
                client.flush()
                let_it_look_again(server)
                self.update(server, o.account_token(changed))
                eventually(lambda: client.flush() or client.errors, "a violation")
                client.publish("d.a", "2")
                client.publish("x.a", "3")
                client.flush()
                told.append(client.errors)
        self.alike(told)

    def test_lower_limits(self):
        """Who has more than is allowed now goes; of connections as many as are too many."""
        o = self.o
        limits = {"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
                  "payload": -1, "wildcards": True}
        for lower, stay in (({"subs": 3}, 2), ({"conn": 2}, 2), ({"conn": 9}, 4), ({"subs": 6}, 4)):
            left = []
            for server in self.servers:
                self.update(server, o.account_token({**self.nats, "limits": limits}))
                clients = [server.show(o.user_token(), o.user) for _ in range(4)]
                for i, client in enumerate(clients):
                    for n in range(1 if i < 2 else 4):  # beside the inbox
                        client.subscribe(f"d.{n}")
                    client.flush()
                let_it_look_again(server)
                self.update(server, o.account_token({**self.nats, "limits": {**limits, **lower}}))
                eventually(lambda: sum(not client.gone() for client in clients) <= stay, lower)
                left.append([client.errors if client.gone() else "stays" for client in clients])
                let_it_look_again(server)
                for client in clients:
                    client.close()
                self.update(server, o.account_token({**self.nats, "limits": limits}))
            if "subs" in lower:
                self.alike(left, lower)
            for outcomes in left:
                self.assertEqual(outcomes.count("stays"), stay, lower)
            self.alike([sorted(map(str, outcomes)) for outcomes in left])

    def test_deletion(self):
        o = self.o
        told = []
        for server in self.servers:
            client = server.show(o.user_token(), o.user)
            with server.show(o.system_user_token, o.system_user) as system:
                request = o.key.token("generic", o.key, nats={"accounts": [str(o.account)]})
                reply = system.request("$SYS.REQ.CLAIMS.DELETE", request).json()
                told.append((reply["data"], errors_of(client)))
            client.close()
            self.assertIn("Authorization Violation", server.verdict(o.user_token(), o.user))
        self.alike(told)
        self.assertEqual(told[0][1], ["Account Authentication Expired"])

    def test_deletion_while_it_reloads(self):
        """Who is trusted, and which account is the system's, changes under whoever is asked."""
        o, server = self.o, self.servers[0]
        token = o.key.token("generic", o.key, nats={"accounts": [str(o.system_key)]})
        with server.show(o.system_user_token, o.system_user) as system:
            ends, refused = threading.Event(), []

            def ask():
                while not ends.is_set():
                    reply = system.request("$SYS.REQ.CLAIMS.DELETE", token).json()
                    refused.append(reply["error"]["description"])

            asking = threading.Thread(target=ask)
            asking.start()
            try:
                for n in range(30):
                    server.reload(self.text.replace("@DIR@", server.folder.name) +
                                  f"\nping_max: {n + 2}\n")
            finally:
                ends.set()
                asking.join()
        self.assertIn("not allowed to delete system account", refused[0])
        self.assertEqual(len(set(refused)), 1)

    def test_deletion_is_for_operators(self):
        o = self.o
        stranger = Key("O")
        told = []
        for server in self.servers:
            said = []
            with server.show(o.system_user_token, o.system_user) as system:
                for key, about, accounts in (
                        (stranger, stranger, [str(o.account)]), (o.key, stranger, [str(o.account)]),
                        (o.key, o.key, [str(o.system_key)]), (o.account, o.account,
                                                              [str(o.account)])):
                    token = key.token("generic", about, nats={"accounts": accounts})
                    reply = system.request("$SYS.REQ.CLAIMS.DELETE", token).json()
                    said.append(reply["error"]["description"].rpartition(" - ")[2])
                reply = system.request("$SYS.REQ.CLAIMS.DELETE", "nonsense").json()
                said.append("error" in reply)
            told.append(said)
            self.assertEqual(server.verdict(o.user_token(), o.user), "in")
        self.alike(told)

    def over_soon(self, clients, error):
        self.assertEqual([errors_of(client) for client in clients], [[error]] * len(clients))
        for client in clients:
            client.close()

    def test_a_user_expires(self):
        o = self.o
        self.over_soon([server.show(o.user_token(exp=int(time.time()) + SOON_S), o.user)
                        for server in self.servers], "User Authentication Expired")

    def test_the_time_of_the_day_ends(self):
        o = self.o
        end = time.strftime("%H:%M:%S", time.gmtime(time.time() + SOON_S))
        start = time.strftime("%H:%M:%S", time.gmtime(time.time() - 3600))
        token = o.user_token({"times": [{"start": start, "end": end}], "times_location": "UTC"})
        self.over_soon([server.show(token, o.user) for server in self.servers],
                       "User Authentication Expired")

    def test_an_account_expires(self):
        o = self.o
        account, clients = Key("A"), []
        token = o.account_token(key=account, exp=int(time.time()) + SOON_S)
        for server in self.servers:
            self.update(server, token, "$SYS.REQ.CLAIMS.UPDATE")
            clients.append(server.show(o.user_token(by=account), o.user))
        self.over_soon(clients, "Account Authentication Expired")
        for server in self.servers:
            self.assertIn("Authorization Violation",
                          server.verdict(o.user_token(by=account), o.user))

    def test_updates_that_are_refused(self):
        o = self.o
        told = []
        export = {"exports": [{"subject": "a.>", "type": "service"},
                              {"subject": "a.b", "type": "service"}]}
        for server in self.servers:
            said = []
            with server.show(o.system_user_token, o.system_user) as system:
                own = f"$SYS.REQ.ACCOUNT.{o.account}.CLAIMS.UPDATE"
                for subject, token in (
                        ("$SYS.REQ.CLAIMS.UPDATE", "nonsense"),
                        ("$SYS.REQ.CLAIMS.UPDATE", o.user_token()),
                        ("$SYS.REQ.CLAIMS.UPDATE", o.account_token(export)),
                        (f"$SYS.REQ.ACCOUNT.{o.system_key}.CLAIMS.UPDATE", o.account_token()),
                        (own, o.account_token(self.nats))):
                    reply = system.request(subject, token).json()
                    body = reply.get("error") or reply["data"]
                    said.append((body["account"], body["code"],
                                 (body.get("description") or body["message"]).partition(" - ")[0]))
            told.append(said)
        self.alike(told)

    def test_list_and_lookup(self):
        o = self.o
        fresh = Key("A")
        token = o.account_token(key=fresh)
        told = []
        for server in self.servers:
            self.update(server, token, "$SYS.REQ.CLAIMS.UPDATE")
            with server.show(o.system_user_token, o.system_user) as system:
                listed = system.request("$SYS.REQ.CLAIMS.LIST").json()["data"]
                looked = system.request(f"$SYS.REQ.ACCOUNT.{fresh}.CLAIMS.LOOKUP").payload.decode()
                none = system.request(f"$SYS.REQ.ACCOUNT.{Key('A')}.CLAIMS.LOOKUP").payload
                reply = system.ask("$SYS.REQ.CLAIMS.PACK", b"0" * 32)
                packed = []
                while True:
                    message = system.wait_subject(reply)
                    if not message.payload:
                        break
                    packed.append(message.payload.decode())
            told.append((sorted(listed), looked, none, sorted(packed)))
            self.assertEqual(server.verdict(o.user_token(by=fresh), o.user), "in")
        self.alike(told)
        self.assertEqual(told[0][1], token)
        self.assertEqual(len(told[0][3]), 3)


if __name__ == "__main__":
    main()
