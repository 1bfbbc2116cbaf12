"""What accounts of tokens import from each other, beside nats-server."""

import time
import unittest

from tenants import Key, Operator, both, eventually, let_it_look_again, main

FULL = "{ type: full, dir: '@DIR@/jwt' }"


class Shares(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        o = self.o = Operator()
        self.importer, self.reader = Key("A"), Key("U")
        self.exports = [{"name": "s", "subject": "s.>", "type": "stream", "token_req": True},
                        {"name": "open", "subject": "open.>", "type": "stream"},
                        {"name": "q", "subject": "q.*", "type": "service", "token_req": True},
                        {"name": "mine", "subject": "mine.*", "type": "stream",
                         "account_token_position": 2}]
        context = both(o.configuration(FULL, preload={
            o.account: o.account_token({"exports": self.exports})}))
        self.servers = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def activation(self, subject, kind="stream", by=None, about=None, **claims):
        return (by or self.o.account).token("activation", about or self.importer,
                                            nats={"subject": subject, "kind": kind}, **claims)

    def importing(self, *imports):
        return self.o.account_token({"imports": [
            {"name": "i", "account": str(self.o.account), "type": "stream", **one}
            for one in imports]}, key=self.importer)

    def update(self, server, token):
        with server.show(self.o.system_user_token, self.o.system_user) as client:
            return client.request("$SYS.REQ.CLAIMS.UPDATE", token).json()

    def heard(self, server, subjects, wait=()):
        """Of the messages on these subjects, what the importer hears."""
        o = self.o
        with server.show(o.user_token(by=self.importer, key=self.reader), self.reader) as reader, \
                server.show(o.user_token(), o.user) as writer:
            reader.subscribe(">")
            reader.flush()
            for subject in subjects:
                writer.publish(subject, subject)
            writer.flush()
            waited = [reader.wait_subject(subject).subject for subject in wait]
            reader.flush()
            return sorted(waited + [message.subject for message in
                                    reader.taken(lambda m: not m.subject.startswith("_"))])

    def test_a_cycle_of_tokens(self):
        """Two accounts import from each other what each has from the other: no file has said so, and
        no update is refused for it. A message is heard, and does not go round."""
        o = self.o
        exports = [{"name": "c", "subject": "c.>", "type": "stream"},
                   {"name": "r", "subject": "r", "type": "service"}]
        ours = self.servers[0]
        for key, other in ((o.account, self.importer), (self.importer, o.account)):
            self.update(ours, o.account_token({"exports": exports, "imports": [
                {**export, "account": str(other)} for export in exports]}, key=key))
        with ours.show(o.user_token(by=self.importer, key=self.reader), self.reader) as reader, \
                ours.show(o.user_token(), o.user) as writer:
            for client in (reader, writer):
                client.subscribe("c.>")
                client.flush()
            for n in range(100):
                writer.publish(f"c.{n}", "x")
            writer.flush()
            reader.wait_subject("c.99")
            for client in (reader, writer):
                client.flush()
                heard = [m.subject for m in client.taken() if m.subject.startswith("c.")]
                self.assertLessEqual(len(heard), 200)
                self.assertGreaterEqual(len(heard), 99)  # one was waited for
            reply = writer.ask("r")
            writer.flush()
            self.assertLessEqual(len(writer.taken(lambda m: m.subject == reply)), 1)

    def test_activations(self):
        rows = (
            ("open", {"subject": "open.a"}),
            ("private, none shown", {"subject": "s.a"}),
            ("private, shown", {"subject": "s.a", "token": self.activation("s.>")}),
            ("of the very subject", {"subject": "s.a", "token": self.activation("s.a")}),
            ("locally renamed", {"subject": "s.*", "local_subject": "t.$1",
                                 "token": self.activation("s.>")}),
            ("by prefix", {"subject": "s.a", "to": "pre", "token": self.activation("s.>")}),
            ("expired", {"subject": "s.a",
                         "token": self.activation("s.>", exp=int(time.time()) - 5)}),
            ("own token", {"subject": f"mine.{self.importer}"}),
            ("another's token", {"subject": f"mine.{Key('A')}"}),
        )
        for name, one in rows:
            with self.subTest(name):
                said = []
                token = self.importing(one)
                for server in self.servers:
                    reply = self.update(server, token)
                    let_it_look_again(server)
                    try:
                        heard = self.heard(server, ["open.a", "s.a", "s.b", one["subject"]])
                    except Exception as error:  # pylint: disable=broad-except
                        heard = str(error)
                    said.append(("data" in reply, heard))
                self.assertEqual(*said)

    def test_activations_that_make_no_sense(self):
        other = Key("A")
        for name, one in (
                ("of another subject", {"subject": "s.a", "token": self.activation("s.b")}),
                ("for another account", {"subject": "s.a",
                                         "token": self.activation("s.>", about=other)}),
                ("of another kind", {"subject": "s.a", "token": self.activation("s.>", "service")}),
                ("by another account", {"subject": "s.a", "token": self.activation("s.>", by=other)}),
                ("no token at all", {"subject": "s.a", "token": "nonsense"}),
                ("a user's", {"subject": "s.a", "token": self.o.user_token()})):
            with self.subTest(name):
                said = ["error" in self.update(server, self.importing(one))
                        for server in self.servers]
                self.assertEqual(said, [True, True])

    def test_an_activation_ends(self):
        """Here alone: nats-server 2.15.1 has been seen to go on for a while."""
        server = self.servers[0]
        self.update(server, self.importing(
            {"subject": "s.a", "token": self.activation("s.>", exp=int(time.time()) + 6)}))
        self.assertEqual(self.heard(server, ["s.a"], ["s.a"]), ["s.a"])
        eventually(lambda: not self.heard(server, ["s.a"]), "the import ends", 60)

    def test_an_activation_is_revoked(self):
        o = self.o
        said = []
        token = self.importing({"subject": "s.a", "token": self.activation("s.>")})
        for server in self.servers:
            self.update(server, token)
            before = self.heard(server, ["s.a"], ["s.a"])
            let_it_look_again(server)
            exports = [{**self.exports[0], "revocations": {"*": int(time.time()) + 60}}]
            self.update(server, o.account_token({"exports": exports}))
            said.append((before, self.heard(server, ["s.a"])))
        self.assertEqual(*said)
        self.assertEqual(said[0], (["s.a"], []))

    def test_the_export_goes(self):
        o = self.o
        said = []
        for server in self.servers:
            self.update(server, self.importing({"subject": "open.a"}))
            before = self.heard(server, ["open.a"], ["open.a"])
            let_it_look_again(server)
            self.update(server, o.account_token({}))
            said.append((before, self.heard(server, ["open.a"])))
        self.assertEqual(*said)
        self.assertEqual(said[0], (["open.a"], []))

    def test_services(self):
        o = self.o
        said = []
        for server in self.servers:
            self.update(server, self.importing(
                {"subject": "q.a", "type": "service", "local_subject": "ask",
                 "token": self.activation("q.*", "service")}))
            with server.show(o.user_token(), o.user) as service, \
                    server.show(o.user_token(by=self.importer, key=self.reader),
                                self.reader) as asker:
                service.subscribe("q.*")
                service.flush()
                reply = asker.ask("ask", "x")
                question = service.wait_subject("q.a")
                service.publish(question.reply, "y")
                said.append(asker.wait_subject(reply).payload)
        self.assertEqual(said, [b"y", b"y"])


if __name__ == "__main__":
    main()
