#!/usr/bin/env python3
"""The nats command, unmodified: what it does with a server by its system account."""

import json
import queue
import subprocess
import threading
import time
import unittest

from servers import NAME, Pipit, main, tool

DEADLINE_S = 60


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = Pipit()
        cls.server = cls.context.__enter__()
        cls.others = [cls.server.client(user, name=f"client of {user}") for user in ("a", "b")]

    @classmethod
    def tearDownClass(cls):
        for client in cls.others:
            client.close()
        cls.context.__exit__(None, None, None)

    def command(self, user, *words):
        return [tool("nats"), "-s", f"nats://127.0.0.1:{self.server.port}", "--user", user,
                "--password", user, "--timeout", "30s", *words]

    def nats(self, *words, user="sys", status=0):
        result = subprocess.run(self.command(user, *words), capture_output=True, text=True,
                                timeout=DEADLINE_S, check=False)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def test_list(self):
        text = self.nats("server", "list")
        self.assertIn(NAME, text)
        rows = json.loads(self.nats("server", "list", "--json"))
        self.assertEqual([row["server"]["id"] for row in rows], [self.server.id])

    def test_info(self):
        for which in (NAME, self.server.id):
            text = self.nats("server", "info", which)
            self.assertIn(self.server.id, text)
            self.assertRegex(text, r"Max Payload: 1\.0 MiB")

    def test_ping(self):
        self.assertIn(NAME, self.nats("server", "ping", "1"))

    def test_report_connections(self):
        text = self.nats("server", "report", "connections")
        for user in ("a", "b"):
            self.assertIn(f"client of {user}", text)
        text = self.nats("server", "report", "connections", "--account", "B")
        self.assertIn("client of b", text)
        self.assertNotIn("client of a", text)
        text = self.nats("account", "report", "connections", user="b")
        self.assertIn("client of b", text)
        self.assertNotIn("client of a", text)

    def test_report_accounts(self):
        text = self.nats("server", "report", "accounts")
        for account in ("A", "B", "SYS"):
            self.assertRegex(text, rf"│ {account} +│")

    def test_check(self):
        self.assertIn("OK", self.nats("server", "check", "connection"))
        self.assertIn("OK", self.nats("server", "check", "server", "--name", NAME))

    def test_request(self):
        for what in ("variables", "connections", "subscriptions", "routes", "gateways",
                     "leafnodes", "accounts", "jetstream"):
            with self.subTest(what=what):
                data = json.loads(self.nats("server", "request", what))
                self.assertEqual(data["server"]["id"], self.server.id)
                self.assertIn("data", data)

    def test_report_jetstream(self):
        self.assertIn(NAME, self.nats("server", "report", "jetstream"))

    def test_account_info(self):
        text = self.nats("account", "info", user="a")
        self.assertRegex(text, r"User: a\s+Account: A")

    def test_not_with_an_ordinary_user(self):
        self.nats("server", "list", user="a", status=1)

    def test_events(self):
        lines = queue.Queue()
        process = subprocess.Popen(self.command("sys", "events", "--all"), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def read():
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        seen = ""
        end = time.monotonic() + DEADLINE_S
        try:
            while not ("Client Connection" in seen and "Client Disconnection" in seen):
                self.server.client("b", name="told of").close()
                line = lines.get(timeout=max(0.1, end - time.monotonic()))
                self.assertIsNotNone(line, seen)
                seen += line
        finally:
            process.kill()
            process.wait()
            reader.join(DEADLINE_S)
            process.stdout.close()


if __name__ == "__main__":
    main()
