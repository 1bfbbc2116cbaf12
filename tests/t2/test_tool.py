#!/usr/bin/env python3
"""`pipit t2`, which is built on pipit/bus.h, against a bus.

    test_tool.py    PIPIT_SERVER and PIPIT_TOOL name the programs; T2_TOOL_BUS, if set, the address of
                    a bus of the original server that is used instead of pipit's
"""

import contextlib
import gzip
import os
import signal
import subprocess
import tempfile
import unittest

from bus import Bus, T2Server

PIPIT = os.environ.get("PIPIT_SERVER", "build/pipit-server")
TOOL = os.environ.get("PIPIT_TOOL", "build/pipit")
ORIGINAL = os.environ.get("T2_TOOL_BUS")
WAIT_S = 60


class Tool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.environ = {**os.environ, "HOME": cls.folder.name}
        cls.server = T2Server(PIPIT, folder=cls.folder.name)
        cls.unix = f"unix:{cls.server.unix}"
        cls.tcp = "tcp:{}:{}".format(*cls.server.t2)
        if ORIGINAL:
            cls.unix = cls.tcp = ORIGINAL

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.folder.cleanup()
        assert status == 0, "\n".join(cls.server.lines)

    def bus(self):
        bus = Bus(self.unix.removeprefix("unix:"))
        self.addCleanup(bus.part)
        return bus

    def run_tool(self, *arguments, status=0):
        done = subprocess.run([TOOL, "t2", *arguments], env=self.environ, capture_output=True,
                              text=True, timeout=WAIT_S, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout.rstrip("\n")

    @contextlib.contextmanager
    def listening(self, *arguments, probe):
        """The tool, that has subscribed: a probe has reached it."""
        with subprocess.Popen([TOOL, "t2", *arguments], env=self.environ, stdout=subprocess.PIPE,
                              text=True) as process:
            try:
                bus = self.bus()
                while bus.publish(*probe) == 0:
                    self.assertIsNone(process.poll())
                process.stdout.readline()
                yield process.stdout
            finally:
                process.kill()

    def test_pub(self):
        bus = self.bus()
        bus.subscribe("**")
        for topic, value, data in (
                ("string/a", "Hi", b"\x62Hi"), ("string/a", "x" * 30, b"\x78\x1e" + b"x" * 30),
                ("string/b", "x" * 300, b"\x79\x01\x2c" + b"x" * 300), ("string/c", "", b"\x60"),
                ("f32/a", "1.5", b"\xf9\x3e\x00"), ("f32/a", "-2", b"\xf9\xc0\x00"),
                ("f32/a", "0.1", b"\xfa\x3d\xcc\xcc\xcd"), ("f32/a", "1e20",
                                                            b"\xfa\x60\xad\x78\xec"),
                ("f32/a", "0", b"\xf9\x00\x00")):
            self.assertEqual(self.run_tool("pub", topic, value, self.tcp), "")
            self.assertEqual(bus.published(), (topic, data))

    def test_pub_refuses(self):
        self.assertEqual(self.run_tool("pub", "other/a", "x", self.tcp), "Unknown protocol")
        self.assertIn("must be a valid f32", self.run_tool("pub", "f32/a", "x", self.tcp))

    @unittest.skipIf(ORIGINAL, "the original's texts are known")
    def test_pub_to_no_topic(self):
        self.assertEqual(self.run_tool("pub", "string/A", "x", self.tcp),
                         "Request failed: Invalid topic string: Invalid topic string: string/A")

    def test_sub(self):
        bus = self.bus()
        with self.listening("sub", "**", self.unix, probe=("raw", b"")) as out:
            for topic, data, shown in (
                    ("string/lobby/alice", b"\x65hello", "hello"), ("f32/price", b"\xf9\x3e\x00",
                                                                    "1.5"),
                    ("f32/p", b"\xfa\x3d\xcc\xcc\xcd", "0.1"), ("f32/p", b"\xf9\x00\x00", "0"),
                    ("f32/p", b"\xfa\x60\xad\x78\xec", "100000000000000000000"),
                    ("f32/p", b"\xfb\xbf\xf0" + b"\0" * 6, "-1"),
                    ("f32/p", b"\xfa\x38\xd1\xb7\x17", "0.0001"), ("raw/x", b"\x00\xff", "0x00ff")):
                bus.publish(topic, data)
                self.assertEqual(out.readline(), f"{topic}: {shown}\n")
            text = b"\x79\x3a\x98" + b"z" * 15000
            bus.publish("string/long", gzip.compress(text), compressed=True)
            self.assertEqual(out.readline(), "string/long: " + "z" * 15000 + "\n")

    def test_ls(self):
        bus = self.bus()
        with self.listening("ls", "l/*", self.unix, probe=("l/probe", b"")) as out:
            for topic in ("l/a", "l/b", "l/a", "l/c"):
                bus.publish(topic, b"")
            self.assertEqual([out.readline().strip() for _ in range(3)], ["l/a", "l/b", "l/c"])

    def test_names(self):
        file = os.path.join(self.folder.name, ".t2")
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)
        self.assertIn("No default address", self.run_tool("pub", "string/a", "x"))
        self.assertEqual(self.run_tool("pub", "string/a", "x", "name:lost"),
                         "Name is not registered: lost")
        self.run_tool("register", "one", "tcp:127.0.0.1:1")
        self.run_tool("register", "two", self.unix)
        self.run_tool("register", "three", "name:two", "--default")
        with open(file, encoding="utf-8") as names:
            self.assertEqual(names.read(),
                             f"three {self.unix}\none tcp:127.0.0.1:1\ntwo {self.unix}\n")
        self.assertEqual(self.run_tool("pub", "string/a", "x"), "")
        self.run_tool("unregister", "three")
        self.run_tool("register", "one", self.unix)
        with open(file, encoding="utf-8") as names:
            self.assertEqual(names.read(), f"two {self.unix}\none {self.unix}\n")
        self.assertEqual(self.run_tool("pub", "string/a", "x", "name:one"), "")
        self.run_tool("register", "Bad", self.unix, status=2)
        self.run_tool("register", "bad", "udp:x", status=2)

    def test_nobody_there(self):
        self.assertNotEqual(self.run_tool("pub", "string/a", "x", "unix:/nowhere/at/all"), "")

    @unittest.skipIf(ORIGINAL, "it is pipit's server that is started")
    def test_serve(self):
        path = f"{self.folder.name}/served.sock"
        with subprocess.Popen([TOOL, "t2", "serve", f"unix:{path}", "tcp:127.0.0.1:0"],
                              env=self.environ, stdout=subprocess.PIPE, text=True) as process:
            while "Server is ready" not in (line := process.stdout.readline()):
                self.assertTrue(line)
            with Bus(path) as a, Bus(path) as b:
                b.subscribe("x")
                self.assertEqual(a.publish("x", b"1"), 1)
                self.assertEqual(b.published(), ("x", b"1"))
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            self.assertEqual(process.wait(WAIT_S), 0)

    def test_usage(self):
        for arguments in ((), ("nonsense",), ("sub",), ("pub", "a"), ("serve",),
                          ("sub", "a", "nowhere"), ("unregister",)):
            self.run_tool(*arguments, status=2)
        self.assertIn("usage", self.run_tool("--help"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
