#!/usr/bin/env python3
"""Ordinary users who want to know, and to do, more than they may; floods of requests."""

import re
import time
import unittest

from servers import Pipit, main

# Every subject that there is below $SYS, and some that are close.
PARTS = ("IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ",
         "HEALTHZ", "PROFILEZ", "EXPVARZ", "IPQUEUESZ", "RAFTZ", "RELOAD", "KICK", "LDM", "INFO",
         "STATZ", "CONNS", "NOPE")
OWN = {"$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ",
       "$SYS.REQ.ACCOUNT.PING.STATZ"}
BODIES = (b"", b"{}", b'{"acc":"B"}', b'{"account":"B"}', b'{"accounts":["B","SYS"]}',
          b'{"acc":"","auth":true,"subscriptions":true,"state":2}',
          b'{"include_unused":true,"accounts":[]}', b'{"cid":1}', b'{"user":"b"}',
          b'{"acc":"B","filter_subject":"secret.>","subscriptions_detail":true}')


class Curious(unittest.TestCase):
    """A user of A, while there are others in B and in the system account."""

    @classmethod
    def setUpClass(cls):
        cls.context = Pipit("--threads", "2")
        cls.server = cls.context.__enter__()
        cls.secret = cls.server.client("b", name="secret name")
        cls.secret.subscribe("secret.subject")
        cls.secret.flush()
        cls.server.client("b", name="secret that left").close()
        cls.system = cls.server.client("sys", name="secret system")
        cls.system.subscribe("$SYS.ACCOUNT.>")
        cls.system.flush()

    @classmethod
    def tearDownClass(cls):
        cls.secret.close()
        cls.system.close()
        cls.context.__exit__(None, None, None)

    def subjects(self):
        ids = ("PING", self.server.id, "A", "B", "SYS", "$G", "*", ">")
        found = ["$SYS.REQ.SERVER.PING", "$SYS.DEBUG.SUBSCRIBERS", "$SYS.REQ.USER.INFO",
                 "$SYS.REQ.USER.B.INFO", "$SYS.REQ.USER.A.INFO", "$SYS.REQ.USER.SYS.INFO",
                 "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.ACCOUNT.NSUBS"]
        for kind in ("SERVER", "ACCOUNT"):
            found += [f"$SYS.REQ.{kind}.{where}.{part}" for where in ids for part in PARTS]
        return found

    def test_every_subject(self):
        with self.server.client("a", name="curious") as client:
            for subject in self.subjects():
                for body in BODIES:
                    with self.subTest(subject=subject, body=body):
                        answer = client.request(subject, body)
                        if subject not in OWN:
                            self.assertEqual(answer.status, "503")
                            continue
                        self.assertNotRegex(answer.payload.decode(), r"secret|\"B\"|\"SYS\"|\"sys\"")

    def test_hears_nothing(self):
        with self.server.client("a2") as client:
            for subject in (">", "$SYS.>", "*.*.>", "$SYS.SERVER.>", "$SYS.ACCOUNT.>",
                            "$SYS.REQ.>", f"$SYS.SERVER.{self.server.id}.STATSZ"):
                client.subscribe(subject)
            client.flush()
            self.server.client("b").close()
            self.system.wait_subject("$SYS.ACCOUNT.B.DISCONNECT")
            self.system.request("$SYS.REQ.SERVER.PING.CONNZ")
            self.system.publish("$SYS.REQ.SERVER.PING.STATSZ")
            self.system.flush()
            client.flush()
            self.assertEqual([m.subject for m in client.taken()], [])

    def test_says_nothing_to_the_system_account(self):
        with self.server.client("a2") as client:
            for subject in ("$SYS.ACCOUNT.B.DISCONNECT", "$SYS.SERVER.X.STATSZ",
                            f"$SYS.SERVER.{self.server.id}.SHUTDOWN"):
                client.publish(subject, "forged")
            client.flush()
        self.system.flush()
        self.assertEqual([m for m in self.system.taken() if m.payload == b"forged"], [])

    def test_answers_go_to_the_own_account(self):
        """A reply subject of the system account's is one of the own account's."""
        self.system.subscribe("_INBOX.taken")
        self.system.flush()
        with self.server.client("a2") as client:
            client.subscribe("_INBOX.taken")
            client.publish("$SYS.REQ.USER.INFO", reply="_INBOX.taken")
            client.wait_subject("_INBOX.taken")
            for reply in ("$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.ACCOUNT.A.x"):
                client.publish("$SYS.REQ.USER.INFO", reply=reply)
            client.request("$SYS.REQ.USER.INFO")
        self.system.flush()
        self.assertEqual([m.payload for m in self.system.taken()
                          if m.subject == "_INBOX.taken"], [])


class Floods(unittest.TestCase):
    def resident(self, server):
        with open(f"/proc/{server.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) * 1024

    def is_sanitized(self, server):
        with open(f"/proc/{server.process.pid}/maps", encoding="utf-8") as file:
            return bool(re.search(r"lib[at]san", file.read()))

    def flood(self, server, user, subject, body, count=6000):
        """Requests without a pause, answers read afterwards; how many of each kind there were."""
        with server.client(user) as client:
            data = b"".join(b"PUB %s %s.%d %d\r\n%s\r\n" % (
                subject.encode(), client._inbox.encode(), n, len(body), body)
                for n in range(count))
            client.socket.settimeout(60)
            start = 0
            while start < len(data):
                client.send(data[start:start + 65536])
                start += 65536
            client.flush(60)
            kinds = {"503": 0, "error": 0, "data": 0}
            deadline = time.monotonic() + 60
            while sum(kinds.values()) < count and time.monotonic() < deadline:
                for message in client.taken():
                    if message.status == "503":
                        kinds["503"] += 1
                    else:
                        kinds["error" if b'"error"' in message.payload else "data"] += 1
                if sum(kinds.values()) < count:
                    client.flush(60)
            return kinds

    def test_every_request_is_answered_somehow(self):
        with Pipit("--threads", "2") as server:
            self.flood(server, "a", "$SYS.REQ.USER.INFO", b"", 2000)
            before = self.resident(server)
            for user, subject, body in (
                    ("a", "$SYS.REQ.USER.INFO", b""),
                    ("a", "$SYS.REQ.SERVER.PING.CONNZ", b'{"auth":true}'),
                    ("b", "$SYS.REQ.ACCOUNT.PING.STATZ", b"x" * 1000),
                    ("sys", "$SYS.REQ.SERVER.PING.VARZ", b""),
                    ("sys", "$SYS.REQ.SERVER.PING.CONNZ", b"{" * 3000),
            ):
                with self.subTest(subject=subject):
                    kinds = self.flood(server, user, subject, body)
                    self.assertEqual(sum(kinds.values()), 6000, kinds)
            if not self.is_sanitized(server):  # sanitizers keep what was freed
                self.assertLess(self.resident(server) - before, 64 << 20)
            with server.client("sys") as client:
                self.assertIn("statsz", client.request("$SYS.REQ.SERVER.PING").json())

    def test_an_ordinary_account_does_not_shut_out_the_system(self):
        with Pipit("--threads", "2") as server, server.client("sys") as system, \
                server.client("a") as client:
            lines = b"PUB $SYS.REQ.SERVER.PING.CONNZ _INBOX.x 0\r\n\r\n" * 500
            for _ in range(50):
                client.send(lines)
                self.assertIn("data", system.request("$SYS.REQ.SERVER.PING.VARZ").json())

    def test_a_listener_that_does_not_read(self):
        with Pipit("--max_pending", "1048576") as server:
            deaf = server.client("sys")
            deaf.subscribe("$SYS.>")
            deaf.flush()
            for _ in range(3000):
                server.client("b", name="n" * 200).close()
            with server.client("sys") as system:
                self.assertIn("statsz", system.request("$SYS.REQ.SERVER.PING").json())
            deaf.close()


if __name__ == "__main__":
    main()
