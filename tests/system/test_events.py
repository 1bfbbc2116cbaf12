#!/usr/bin/env python3
"""What is told unasked in the system account, beside nats-server."""

import socket
import unittest

from servers import Beside, Pipit, Reference, main
from shape import differences

SAME = ("type", "acc", "name", "user", "lang", "ver", "name_tag", "kind", "client_type", "reason",
        "conns", "leafnodes", "total_conns", "slow_consumers", "host")
ONLY_THEIRS = ("server.feature_flags", "server.ver")
ADVISORY = ("type", "id", "timestamp", "server")

class Events(Beside):
    def setUp(self):
        self.listeners = []
        for server in (self.ours, self.theirs):
            listener = server.client("sys")
            listener.subscribe("$SYS.ACCOUNT.>")
            listener.subscribe("$SYS.SERVER.*.CLIENT.AUTH.ERR")
            listener.subscribe("$SYS.SERVER.ACCOUNT.*.CONNS")
            listener.flush()
            self.listeners.append(listener)
            self.begin(server, listener)

    @staticmethod
    def begin(server, listener):
        """What is told of those who came before the test has been told when more is told of one."""
        server.client("sys", name="mark").close()
        listener.wait(lambda m: m.subject == "$SYS.ACCOUNT.SYS.DISCONNECT"
                      and m.json()["client"].get("name") == "mark", what="that the mark has gone")
        listener.taken()

    def tearDown(self):
        for listener in self.listeners:
            listener.close()

    def servers(self):
        return zip((self.ours, self.theirs), self.listeners)

    def compare(self, subject, same=SAME, only_theirs=(), wanted=lambda event: True):
        def is_it(message, server):
            return message.subject == subject.format(id=server.id) and wanted(message.json())

        ours, theirs = (listener.wait(lambda m: is_it(m, server), what=subject).json()
                        for server, listener in self.servers())
        self.assertEqual(list(ours), list(theirs), subject)
        server_ver = [e["server"].pop("ver") for e in (ours, theirs)]
        self.assertEqual([v.split(".")[:2] for v in server_ver], [["2", "15"]] * 2)
        found = differences(ours, theirs, same, ONLY_THEIRS + only_theirs)
        self.assertEqual(found, [], subject)
        if "id" in ours:
            self.assertRegex(ours["id"], r"^[0-9A-Za-z]{22}$")
        return ours

    def compare_conns(self, subject, count):
        """It is told again now and then, and late, so that another number may come before."""
        self.compare(subject, wanted=lambda event: event["conns"] == count)

    def test_a_client_comes_and_goes(self):
        clients = [server.client("b", name='n<a>&"', lang="c", version="9")
                   for server, _ in self.servers()]
        event = self.compare("$SYS.ACCOUNT.B.CONNECT")
        self.assertEqual(tuple(event), ADVISORY + ("client",))
        for subject in ("$SYS.ACCOUNT.B.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.B.CONNS"):
            self.compare_conns(subject, 2)
        for listener in self.listeners:
            listener.taken()  # what was told before
        for client in clients:
            client.publish("b.1", "abcd")
            client.subscribe("b.2")
            client.publish("b.2", "efg")
            client.flush()
            client.close()
        event = self.compare("$SYS.ACCOUNT.B.DISCONNECT", SAME + ("msgs", "bytes"))
        self.assertEqual(event["sent"], {"msgs": 2, "bytes": 7})
        self.assertEqual(event["received"], {"msgs": 1, "bytes": 3})
        self.assertGreater(event["client"]["rtt"], 0)
        for subject in ("$SYS.ACCOUNT.B.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.B.CONNS"):
            self.compare_conns(subject, 1)

    def test_wrong_password(self):
        for server, _ in self.servers():
            with socket.create_connection(("127.0.0.1", server.port)) as peer:
                peer.sendall(b'CONNECT {"user":"a","pass":"wrong","name":"n"}\r\nPING\r\n')
                while peer.recv(4096):
                    pass
        # Theirs guesses the distance from the answer to INFO; ours only of who may come in.
        allowed = ("client.rtt",)
        event = self.compare("$SYS.SERVER.{id}.CLIENT.AUTH.ERR", only_theirs=allowed)
        self.assertEqual(event["reason"], "Authentication Failure")
        self.assertEqual(event["client"]["user"], "a")
        self.assertNotIn("wrong", str(event))
        self.compare("$SYS.ACCOUNT.$G.DISCONNECT", only_theirs=allowed)

    def test_no_connect_at_all(self):
        for server, listener in self.servers():
            peer = socket.create_connection(("127.0.0.1", server.port))
            while b"INFO" not in peer.recv(4096):
                pass
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
            peer.close()
        self.compare("$SYS.ACCOUNT.$G.DISCONNECT", same=("type", "acc", "kind"))

    def test_reasons(self):
        for what, reason in ((b"BOGUS\r\n", "Protocol Violation"),
                             (b"PUB x 2000000\r\n", "Maximum Message Payload Exceeded"),
                             (b"SUB " + b"s" * 5000 + b" 1\r\n", "Maximum Control Line Exceeded")):
            for server, _ in self.servers():
                client = server.client("b")
                client.send(what)
                client.wait_closed()
            self.assertEqual(self.compare("$SYS.ACCOUNT.B.DISCONNECT")["reason"], reason)

    def test_no_event_without_connect_but_with_authentication(self):
        for server, listener in self.servers():
            with server.client("a2"):
                pass
            listener.wait_subject("$SYS.ACCOUNT.A.DISCONNECT")
            told = listener.taken(lambda m: "$G" in m.subject)
            self.assertEqual([m.subject for m in told], [])

    def test_connections_that_churn(self):
        """Many changes, few events, the last word always."""
        for _ in range(200):
            self.ours.client("b").close()
        listener = self.listeners[0]
        for _ in range(200):  # each client is told of
            listener.wait_subject("$SYS.ACCOUNT.B.CONNECT")
            listener.wait_subject("$SYS.ACCOUNT.B.DISCONNECT")
        told = 0
        conns = None
        while conns != 1:
            message = listener.wait_subject("$SYS.ACCOUNT.B.SERVER.CONNS")
            conns = message.json()["conns"]
            told += 1
        self.assertLess(told, 100)

    def test_nobody_else_hears(self):
        for server, listener in self.servers():
            server.a.subscribe("$SYS.>")
            server.a.subscribe(">")
            server.a.flush()
            server.client("a2").close()
            listener.wait_subject("$SYS.ACCOUNT.A.DISCONNECT")
            server.a.flush()
            self.assertEqual([m.subject for m in server.a.taken()], [], server.kind)

class Statistics(Beside):
    def test_come_by_themselves(self):
        messages = []
        for server in (self.ours, self.theirs):
            server.sys.subscribe("$SYS.SERVER.*.STATSZ")
            server.sys.flush()
            messages.append(server.sys.wait_subject(f"$SYS.SERVER.{server.id}.STATSZ").json())
        ours, theirs = messages
        self.assertEqual(list(ours), list(theirs))
        found = differences(ours["statsz"], theirs["statsz"],
                            ("connections", "active_accounts", "active_servers", "cores"),
                            ("gomemlimit",))
        self.assertEqual(found, [])

class Ends(unittest.TestCase):
    def watch(self, kind, what, act):
        with kind() as server, server.client("sys") as listener:
            listener.subscribe("$SYS.SERVER.*.*")
            listener.flush()
            act(server)
            told = listener.wait_subject(f"$SYS.SERVER.{server.id}.{what}").json()
            if what == "LAMEDUCK":
                server.kill()  # which would take its time
            return told

    def test_lame_duck_and_shutdown(self):
        for what, act in (("LAMEDUCK", lambda s: s.lame_duck()), ("SHUTDOWN", lambda s: s.stop())):
            ours, theirs = (self.watch(kind, what, act) for kind in (Pipit, Reference))
            found = differences(ours, theirs, ("name", "host", "jetstream", "flags"),
                                ("feature_flags",))
            self.assertEqual(found, [], what)

    def test_only_one_of_many_hears(self):
        """A server with clients of every kind ends, and no other event is told on the way."""
        with Pipit() as server:
            clients = [server.client(user) for user in ("a", "a2", "b")]
            with server.client("sys") as listener:
                listener.subscribe("$SYS.>")
                listener.flush()
                server.stop()
                listener.wait_subject(f"$SYS.SERVER.{server.id}.SHUTDOWN")
                told = listener.taken(lambda m: m.subject.endswith("DISCONNECT"))
                self.assertEqual(told, [])
            for client in clients:
                client.close()

if __name__ == "__main__":
    main()
