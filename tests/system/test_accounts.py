#!/usr/bin/env python3
"""$SYS.REQ.ACCOUNT, $SYS.REQ.USER.INFO and $SYS.DEBUG.SUBSCRIBERS, beside nats-server."""

import json

from servers import Beside, main
from shape import differences

SILENCE_S = 0.5
SAME = ("acc", "name", "conns", "leafnodes", "total_conns", "slow_consumers",
        "account_name", "is_system", "client_connections", "code", "description", "user",
        "account", "allow", "deny", "num_connections", "total", "lang", "type")
# Their own subscriptions and imports are listed there.
ONLY_THEIRS = ("server.feature_flags", "data.imports", "data.exports", "data.responses",
               "data.subscriptions_list")


class Accounts(Beside):
    def ask(self, user, subject, body=b"", **options):
        return [getattr(server, user).request(subject, body, **options)
                for server in (self.ours, self.theirs)]

    def compare(self, subject, body=b"", user="sys", same=SAME, only_theirs=ONLY_THEIRS):
        ours, theirs = (m.json() for m in self.ask(user, subject, body))
        self.assertEqual(list(ours), list(theirs), (subject, body))
        self.assertEqual(differences(ours, theirs, same, only_theirs), [], (user, subject, body))
        return ours

    def assert_silent(self, user, subject, body=b""):
        """Neither answers; what is asked afterwards is answered."""
        for server in (self.ours, self.theirs):
            client = getattr(server, user)
            reply = client.ask(subject, body)
            with self.assertRaises(TimeoutError, msg=(server.kind, subject, body)):
                client.wait_subject(reply, SILENCE_S)

    def test_of_any_account(self):
        for account in ("A", "B", "SYS", "$G"):
            for part in ("SUBSZ", "CONNZ", "LEAFZ", "JSZ", "INFO"):
                with self.subTest(account=account, part=part):
                    same = SAME
                    if part == "SUBSZ":  # theirs lists its own too
                        same = ("offset", "limit")
                    if account == "SYS" and part == "CONNZ":
                        same = ("num_connections", "total")
                    self.compare(f"$SYS.REQ.ACCOUNT.{account}.{part}", same=same)

    def test_of_an_unknown_account(self):
        for part in ("SUBSZ", "CONNZ", "LEAFZ", "JSZ", "INFO"):
            with self.subTest(part=part):
                self.compare(f"$SYS.REQ.ACCOUNT.NOPE.{part}")
        for part in ("STATZ", "CONNS"):
            self.assert_silent("sys", f"$SYS.REQ.ACCOUNT.NOPE.{part}")

    def test_the_subject_names_the_account_and_not_the_body(self):
        for part, body in (("CONNZ", {"acc": "B"}), ("STATZ", {"accounts": ["B"]}),
                           ("LEAFZ", {"account": "B"})):
            self.compare(f"$SYS.REQ.ACCOUNT.A.{part}", json.dumps(body))
        self.assert_silent("sys", "$SYS.REQ.ACCOUNT.A.CONNS", '{"acc":"B"}')

    def test_statistics(self):
        self.compare("$SYS.REQ.ACCOUNT.B.STATZ")
        self.compare("$SYS.REQ.ACCOUNT.B.CONNS")
        self.compare("$SYS.REQ.ACCOUNT.B.CONNS", '{"acc":"B"}')
        self.assert_silent("sys", "$SYS.REQ.ACCOUNT.$G.STATZ")
        self.assert_silent("sys", "$SYS.REQ.ACCOUNT.$G.CONNS")
        self.compare("$SYS.REQ.ACCOUNT.$G.STATZ", '{"include_unused":true}')
        for body in ("", '{"include_unused":true}', '{"accounts":["A","NOPE"]}'):
            answers = [m.json()["data"] for m in self.ask("sys", "$SYS.REQ.ACCOUNT.PING.STATZ", body)]
            self.assertEqual(*(sorted(a["acc"] for a in answer["account_statz"])
                               for answer in answers))
            self.assertEqual(*(list(answer) for answer in answers))

    def test_own_account_only(self):
        for user, account in (("a", "A"), ("b", "B")):
            for subject in ("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ"):
                for body in ({}, {"acc": "SYS"}, {"acc": ""}, {"auth": True}, {"account": "B"}):
                    with self.subTest(user=user, subject=subject, body=body):
                        page = self.compare(subject, json.dumps(body), user,
                                            same=("num_connections", "total", "name", "account"))
                        self.assertEqual([c["name"] for c in page["data"]["connections"]],
                                         [f"client of {user}"])
            for body in ({}, {"accounts": ["SYS", "A", "B"]}, {"include_unused": True}):
                page = self.compare("$SYS.REQ.ACCOUNT.PING.STATZ", json.dumps(body), user,
                                    same=("acc", "conns"))
                self.assertEqual([a["acc"] for a in page["data"]["account_statz"]], [account])

    def test_closed_connections_of_the_own_account_only(self):
        for server in (self.ours, self.theirs):
            for user in ("b", "a2"):
                with server.client(user, name=f"gone of {user}"):
                    pass
            names = set()
            while "gone of a2" not in names:
                page = server.a.request("$SYS.REQ.ACCOUNT.PING.CONNZ", '{"state":1}').json()
                names = {c.get("name") for c in page["data"]["connections"]}
            self.assertNotIn("gone of b", names)

    def test_traffic_counts_clients_and_not_the_server(self):
        for server in (self.ours, self.theirs):
            with server.client("a2") as client:
                before = client.request("$SYS.REQ.ACCOUNT.PING.STATZ").json()
                after = client.request("$SYS.REQ.ACCOUNT.PING.STATZ").json()
                before, after = (m["data"]["account_statz"][0] for m in (before, after))
                # One request came in meanwhile, and one answer, the first, went out. (The first
                # request may be counted when its turn ends, after its answer was made.)
                self.assertIn(after["received"]["msgs"] - before["received"]["msgs"], (1, 2))
                self.assertEqual(after["sent"]["msgs"] - before["sent"]["msgs"], 1)

    def test_user(self):
        for user in ("sys", "a", "b"):
            self.compare("$SYS.REQ.USER.INFO", user=user)
        for body in (b"{bad", b"[]"):
            self.compare("$SYS.REQ.USER.INFO", body, user="a")
        for account in ("A", "SYS", "NOWHERE"):
            for body in (b"", b"{bad"):
                page = self.compare(f"$SYS.REQ.USER.{account}.INFO", body,
                                    same=("user", "account"))
                self.assertEqual(page["data"], {"user": "", "account": ""})
            for user in ("a", "b"):
                self.assertEqual(getattr(self.ours, user).request(
                    f"$SYS.REQ.USER.{account}.INFO").status, "503")
        for server in (self.ours, self.theirs):
            with server.client("a2") as client:
                data = client.request("$SYS.REQ.USER.INFO").json()["data"]
            self.assertEqual(data, {"user": "a2", "account": "A", "account_name": "A"})

    def test_subscribers(self):
        for server in (self.ours, self.theirs):
            with server.client("sys") as client:
                for subject, queue in (("foo.*", None), ("foo.bar", "q"), ("foo.bar", "q2"),
                                       ("other", None)):
                    client.subscribe(subject, queue)
                client.flush()
                for body, count in (("foo.bar", 3), ("foo.bar q", 1), ("foo.>", 3), ("foo.> q", 1),
                                    ("foo.*", 3), ("nobody", 0), ("", 0), ("a b c", 0),
                                    ("..", 0), ("other", 1)):
                    answer = server.sys.request("$SYS.DEBUG.SUBSCRIBERS", body)
                    self.assertEqual(answer.payload.decode(), str(count), (server.kind, body))


if __name__ == "__main__":
    main()
