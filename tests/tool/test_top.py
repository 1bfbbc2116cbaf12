#!/usr/bin/env python3
"""pipit top: batches, and the live view in a terminal that is typed at and read back."""

import json
import signal
import unittest

from monitored import NAMES, Client, MonitoredTest
from tmux import Terminal
from tool import Server, bad_characters, on_both

from ports import quiet_port  # noqa: I001 (tool says where)


class Batch(MonitoredTest):
    def looks(self, *arguments, **more):
        shown = self.tool("top", "--json", "--interval", "100ms", *arguments, **more)
        return [json.loads(line) for line in shown.splitlines()]

    def names(self, *arguments):
        return [c.get("name") for c in self.looks("--count", "1", *arguments)[0]["connections"]]

    def test_json(self):
        self.client(name="one")
        for way in ((), ("--monitor", self.monitor)):
            first, second = self.looks("--count", "2", *way)
            self.assertEqual((first["rates"], first["server"]["server_name"]), ({}, "demo"))
            self.assertIn("in_msgs_per_s", second["rates"])
            self.assertEqual(first["total"], len(first["connections"]))
            one = next(c for c in second["connections"] if c.get("name") == "one")
            self.assertEqual(one["out_msgs_per_s"], 0)

    def test_orders(self):
        few, many = self.client(name="few"), self.client(name="many")
        few.send("SUB a 1\r\nPUB x 0\r\n\r\n")
        many.send("SUB b 1\r\nSUB c 2\r\nSUB d 3\r\n" + "PUB a 2\r\nhi\r\n" * 5)
        for way in ((), ("--monitor", self.monitor)):
            for key, first in (("subs", "many"), ("msgs_to", "few"), ("msgs_from", "many"),
                               ("bytes_from", "many"), ("bytes_to", "few"), ("cid", "few")):
                names = [n for n in self.names("--sort", key, *way) if n in ("few", "many")]
                self.assertEqual(names[0], first, key)
                names = [n for n in self.names("--sort", key, "--reverse", *way)
                         if n in ("few", "many")]
                self.assertEqual(names[-1], first, key)
            for key in ("start", "pending", "last", "idle", "uptime", "rtt", "rate"):
                self.assertIn("few", self.names("--sort", key, *way))
            self.assertEqual(len(self.names("--number", "1", *way)), 1)
        self.tool("top", "--sort", "colour", status=2)
        self.tool("top", "--sort", "stop", status=2)

    def test_rate(self):
        """Who is busy comes first, whatever was before."""
        self.client(name="before").send("PUB a 0\r\n\r\n" * 5000)
        busy = self.client(name="busy")
        running = self.start("top", "--json", "--interval", "100ms", "--sort", "rate", "-n", "1",
                             "-m", self.monitor)
        seen = None
        while seen != "busy":
            busy.send("PUB a 0\r\n\r\n" * 10)
            if running.out:
                seen = json.loads(running.out[-1])["connections"][0].get("name")
        self.assertEqual(running.interrupt(), 0)

    def test_text(self):
        self.client(name="one").send("SUB own.subject 1\r\n")
        shown = self.tool("top", "--batch", "--count", "2", "--interval", "100ms", "-u")
        self.assertEqual(shown.count("demo, "), 2)
        self.assertRegex(shown, r"(?m)^ *\d+ +127\.0\.0\.1:\d+ +one +1 .* own\.subject *$")

    def test_closed(self):
        self.client(name="gone").close()
        while "gone" not in self.names("--closed", "--sort", "stop"):
            pass
        self.assertIn("Client Closed", self.tool("top", "--closed", "--batch", "--count", "1"))

    def test_hostile(self):
        for name in NAMES:
            self.client(name=name, lang=name[:100])
        for way in ((), ("--monitor", self.monitor)):
            shown = self.tool("top", "-b", "--count", "1", *way)
            self.assertEqual(bad_characters(shown), set(), shown)

    def test_no_server(self):
        self.tool("top", "-b", "-s", "nats://127.0.0.1:1", status=4)
        self.tool("top", "-b", "-m", "127.0.0.1:1", status=4)
        self.tool("top", "-b", "-s", self.app, status=3)
        self.assertIn("system account", self.said)


class Live(MonitoredTest):
    def terminal(self, *arguments, **more):
        terminal = Terminal(self.folder.name, self.environ, "top", *arguments, **more)
        self.addCleanup(terminal.close)
        return terminal

    def test_keys(self):
        few, many = self.client(name="few"), self.client(name="many")
        few.send("SUB few.subject 1\r\n")
        many.send("SUB b 1\r\nSUB c 2\r\n")
        for way in ((), ("--monitor", self.monitor)):
            t = self.terminal("-d", "100ms", *way)
            shown = t.wait(r"of \d+ connections, by cid")
            self.assertLess(shown.index(" few "), shown.index(" many "))
            t.type("o")
            t.wait("Sort by:")
            t.type("subs", "Enter")
            shown = t.wait(r"by subs")
            self.assertLess(shown.index(" many "), shown.index(" few "))
            t.type("r")
            shown = t.wait(r"by subs, reversed")
            self.assertLess(shown.index(" few "), shown.index(" many "))
            t.type("r", ">")
            t.wait(r"by pending\s")
            t.type("<", "<")
            t.wait(r"by start\s")
            t.type("s")
            t.wait(r"few\.subject")
            t.type("n")
            t.wait("How many")
            t.type("1", "Enter")
            t.wait("1 of [2-9] connections")
            t.type("n")
            t.wait("How many")
            t.type("lots", "Enter")
            t.wait("From 1 to 100000")
            t.type("o")
            t.wait("Sort by:")
            t.type("colour", "Enter")
            t.wait("no such order")
            t.type("?")
            t.wait("Any key goes back")
            t.type("x")
            t.wait("by start")
            t.type("p")
            t.wait("Paused")
            t.type("p")
            t.type("q")
            t.wait("ended with 0")
            t.close()

    def test_closed(self):
        self.client(name="gone").close()
        t = self.terminal("-d", "100ms", "-m", self.monitor)
        t.wait("by cid")
        t.type("c")
        t.wait("gone(.|\n)*Client Closed")
        t.type("c")
        t.wait("by cid")
        t.type("C-c")
        t.wait("ended with 0")

    def test_narrow_and_resized(self):
        for _ in range(40):
            self.client(name="w" * 60)
        t = self.terminal("-d", "100ms", size=(20, 5))
        t.wait("demo")
        t.resize(170, 20)
        t.wait(r"RTT")
        first = t.wait(r"\n +1 |\n +\d+ 127").splitlines()[7]
        t.type("End")
        t.wait(r"by cid")
        while t.screen().splitlines()[7] == first:
            pass
        t.type("Home")
        t.wait(first.split()[1])
        t.resize(3, 2)
        t.resize(90, 10)
        t.wait("CID")
        t.type("q")
        t.wait("ended with 0")

    def test_hostile(self):
        clients = [self.client(name=name, lang=name[:100]) for name in NAMES]
        t = self.terminal("-d", "100ms", "-s", self.environ["NATS_URL"])
        t.wait(f"of {len(clients) + 1} connections")
        t.wait(r"\\x1b\[2J")
        t.wait(r"\\u\{202e\}")
        t.type("q")
        t.wait("ended with 0")

    def test_ends_when_told(self):
        running = self.start("top", "-b", "-d", "1h")
        running.await_line("CID")
        running.process.send_signal(signal.SIGTERM)
        self.assertEqual(running.wait(), 0)


class Restart(MonitoredTest):
    """A server that goes and comes back on the same ports."""

    @classmethod
    def setUpClass(cls):
        cls.port, cls.http = quiet_port(), quiet_port()
        super().setUpClass()

    @classmethod
    def serve(cls):
        cls.server = Server(cls.program, *cls.flags, "-m", str(cls.http),
                            address=("-a", "127.0.0.1", "-p", str(cls.port)))

    def test_restart(self):
        terminals = []
        for n, way in enumerate((("-m", self.monitor), ())):
            folder = self.home / str(n)
            folder.mkdir()
            terminals.append(Terminal(str(folder), self.environ, "top", "-d", "100ms", "--timeout",
                                      "2s", *way))
            self.addCleanup(terminals[-1].close)
            terminals[-1].wait("by cid")
        self.server.stop()
        for terminal in terminals:
            terminal.wait("does not answer")
        self.serve()
        Client(self.port, user="app", **{"pass": "a"}, name="after").close()
        for terminal in terminals:
            terminal.wait(r"up \d+")
            while "does not answer" in terminal.screen():
                pass
            terminal.type("q")
            terminal.wait("ended with 0")


on_both(Batch, globals())
on_both(Live, globals())
on_both(Restart, globals())
del MonitoredTest, Batch, Live, Restart

if __name__ == "__main__":
    unittest.main()
