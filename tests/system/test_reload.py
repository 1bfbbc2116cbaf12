#!/usr/bin/env python3
"""The accounts of a running server change: services come and go with them."""

import json
import threading
import unittest

from client import Closed
from servers import Pipit, Reference, configuration, main
from shape import differences


class Reload(unittest.TestCase):
    def setUp(self):
        self.context = Pipit("--threads", "3")
        self.server = self.context.__enter__()

    def tearDown(self):
        self.context.__exit__(None, None, None)

    def test_an_account_that_goes_and_comes(self):
        with self.server.client("sys") as system:
            system.subscribe("$SYS.ACCOUNT.B.>")
            system.flush()
            for _ in range(5):
                with self.server.client("b") as client:
                    client.request("$SYS.REQ.USER.INFO")
                    self.server.reload(configuration(without="B"))
                    client.wait_closed()
                system.wait_subject("$SYS.ACCOUNT.B.DISCONNECT")
                answer = system.request("$SYS.REQ.ACCOUNT.B.INFO").json()
                self.assertEqual(answer["error"]["code"], 500)
                # Nobody is left there: now it can go for good.
                self.server.reload(configuration(without="B", more="max_payload: 2000"))
                self.server.reload(configuration())
                self.assertNotIn("error", system.request("$SYS.REQ.ACCOUNT.B.INFO").json())

    def test_clients_that_stay(self):
        with self.server.client("sys") as system, self.server.client("a") as client:
            for more in ("", "max_payload: 3000", "ping_interval: 7"):
                self.server.reload(configuration(more=more))
                self.assertEqual(client.request("$SYS.REQ.USER.INFO").json()["data"]["user"], "a")
                self.assertIn("statsz", system.request("$SYS.REQ.SERVER.PING").json())

    def test_asked_for_by_message(self):
        """The answer comes when it has been done, and says what was wrong."""
        more = "max_payload: 1234"
        answers = []
        with Reference() as theirs:
            for server in (self.server, theirs):
                with server.client("sys") as system:
                    subject = f"$SYS.REQ.SERVER.{server.id}.RELOAD"
                    server.write(configuration(more=more))
                    done = system.request(subject).json()
                    page = system.request("$SYS.REQ.SERVER.PING.VARZ").json()
                    self.assertEqual(page["data"]["max_payload"], 1234, server.kind)
                    server.write("accounts { A: { users: nonsense } }\n")
                    refused = system.request(subject).json()
                    self.assertEqual(refused["error"]["code"], 500)
                    self.assertNotIn("data", refused)
                    answers.append([done, refused])
        found = differences(*answers, ("code",), ("[].server.feature_flags",))
        self.assertEqual(found, [])

    def test_under_load(self):
        ends = threading.Event()

        def load(user):
            while not ends.is_set():
                try:
                    with self.server.client(user) as client:
                        for _ in range(20):
                            for subject in ("$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ"):
                                client.ask(subject)
                        client.flush()
                except (Closed, OSError):
                    pass

        threads = [threading.Thread(target=load, args=(user,), daemon=True)
                   for user in ("a", "b", "sys")]
        for thread in threads:
            thread.start()
        try:
            with self.server.client("a2") as client:
                for n in range(30):
                    self.server.reload(configuration(without="B" if n % 3 == 1 else "",
                                                     more=f"ping_max: {n + 2}"))
                data = client.request("$SYS.REQ.USER.INFO").json()["data"]
                self.assertEqual(data["user"], "a2")
        finally:
            ends.set()
            for thread in threads:
                thread.join()


class WithoutSystemAccount(unittest.TestCase):
    def test_nothing_is_told(self):
        server = Pipit()
        server.write(configuration(system=None))
        server.first_user = None  # nobody to ask for the server's id
        with server, server.client("a") as client, server.client("sys") as other:
            client.subscribe("$SYS.>")
            other.subscribe("$SYS.>")
            client.flush()
            other.flush()
            for subject in ("$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING.CONNZ",
                            "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.SERVER.PING"):
                reply = client.ask(subject, json.dumps({}))
                client.flush()
                told = client.taken()
                self.assertEqual([m.subject for m in told if m.subject == reply], [], subject)
            server.client("a2").close()
            other.flush()
            self.assertEqual([m.subject for m in other.taken()], [])


if __name__ == "__main__":
    main()
