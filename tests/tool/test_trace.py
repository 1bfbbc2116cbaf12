#!/usr/bin/env python3
"""pipit trace: what a message passes, and who gets it, on either server."""

import json
import re
import unittest

import monitored
from monitored import NAMES, MonitoredTest
from tool import bad_characters, on_both

monitored.CONFIG = """
server_name: "%s"
http: "127.0.0.1:-1"
accounts {
  SYS: { users: [{user: sys, password: s}] }
  APP: {
    users: [{user: app, password: a},
            {user: deaf, password: d, permissions: {subscribe: {deny: "new.secret"}}},
            {user: few, password: f, permissions: {publish: "few"}}]
    mappings: { "old.*": "new.$1" }
    exports: [{stream: "new.>"}]
  }
  B: { users: [{user: bob, password: b}]
       imports: [{stream: {account: APP, subject: "new.>"}, prefix: "from", allow_trace: true}] }
}
system_account: SYS
"""


class Trace(MonitoredTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.environ["NATS_URL"] = cls.app

    def other(self, user, password, **connect):
        client = monitored.Client(self.server.port, user=user, **{"pass": password}, **connect)
        self.addCleanup(client.close)
        return client

    def test_way(self):
        self.client(name="one").send("SUB new.> 1\r\n")
        self.client(name="two").send("SUB new.x q 2\r\n")
        self.other("bob", "b", name="bob").send("SUB from.> 1\r\n")
        shown = self.tool("trace", "old.x", "hello")
        for text in (r"Server demo \(2\.15\.", r' in +from client \d+ "pipit trace", account APP, on '
                     r"old\.x\n", r" mapped +to new\.x\n", r" export +to from\.new\.x, account B\n",
                     r' out +to client \d+ "one", subscription new\.>\n',
                     r'"two", subscription new\.x, queue q\n', r'"bob", account B, subscription ',
                     r"Would be delivered to 3\.\n"):
            self.assertRegex(shown, text)

    def test_delivery(self):
        one = self.client(name="one")
        one.send("SUB a 1\r\n")
        self.tool("trace", "a", "only traced")
        told = json.loads(self.tool("trace", "a", "really", "--deliver", "--json", "-H", "x: y",
                                    "--reply", "r"))
        self.assertEqual((told["subject"], told["delivered"], told["reached"]), ("a", True, 1))
        self.assertEqual(told["reports"][0]["request"]["header"]["x"], ["y"])
        self.assertTrue(one.file.readline().startswith(b"MSG a 1 r "))
        self.assertIn(b"really", one.file.readline())

    def test_reasons(self):
        self.other("deaf", "d", name="deaf").send("SUB new.> 1\r\n")
        shown = self.tool("trace", "new.secret")
        self.assertRegex(shown, r'"deaf".*: Not delivered because subscription denies')
        self.assertIn("Nobody hears it.", shown)
        self.assertIn("Nobody hears it.", self.tool("trace", "nobody"))

    def test_not_allowed(self):
        few = self.app.replace("app:a", "few:f")
        self.tool("trace", "few", "-s", few, "--timeout", "2s", status=1)
        self.assertIn("Permissions Violation", self.said)

    def test_bad(self):
        self.tool("trace", status=2)
        self.tool("trace", "a b", status=2)
        self.tool("trace", "a.*", status=2)
        self.tool("trace", "a", "-H", "x", status=2)
        self.tool("trace", "a", "-H", "x y: z", status=2)
        self.assertIn("cannot be a header", self.said)
        self.tool("trace", "a", "-s", "nats://127.0.0.1:1", status=4)

    def test_hostile(self):
        for name in NAMES:
            client = self.client(name=name)
            client.send("SUB hostile 1\r\n")
            shown = self.tool("trace", "hostile")
            self.assertEqual(bad_characters(shown), set(), shown)
            self.assertRegex(shown, "Would be delivered to [1-9]")
            client.close()


on_both(Trace, globals())
del MonitoredTest, Trace

if __name__ == "__main__":
    unittest.main()
