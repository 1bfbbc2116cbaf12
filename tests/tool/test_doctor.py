#!/usr/bin/env python3
"""pipit doctor: files that are right and wrong, and servers that are well and not."""

import json
import os
import signal
import socket
import unittest

from monitored import CONFIG, Client, MonitoredTest
from tool import PIPIT, Server, ToolTest, bad_characters, on_both


class File(ToolTest):
    def findings(self, text, status=1):
        path = self.home / "server.conf"
        path.write_text(text)
        told = json.loads(self.tool("doctor", "--offline", "-c", str(path), "--json",
                                    status=status))
        for level in ("fine", "note", "warning", "bad"):
            self.assertEqual(told[level], sum(f["level"] == level for f in told["findings"]))
        return [(f["level"], f["topic"], f["text"]) for f in told["findings"]]

    def find(self, text, level, topic, words):
        found = self.findings(text, int(level in ("bad", "warning")))
        self.assertTrue(any(f[:2] == (level, topic) and words in f[2] for f in found),
                        f"no {level} {topic} {words} in {found}")

    def test_good(self):
        found = self.findings("port: 4222", status=0)
        self.assertEqual([f[:2] for f in found], [("fine", "configuration")])

    def test_wrong(self):
        self.find("port: 4222\nmax_payload: lots", "bad", "configuration", ":2:")
        self.find("accounts {", "bad", "configuration", "server.conf")
        self.find("surely_unknown: 1", "bad", "configuration", "surely_unknown")
        self.tool("doctor", "--offline", "-c", str(self.home / "none"), status=1)
        self.tool("doctor", "--offline", status=2)

    def test_risks(self):
        self.find("authorization { user: a, password: b }", "warning", "passwords", "1 password")
        self.find("authorization { token: abc }", "warning", "passwords", "1 password")
        self.find('accounts { A: { users: [{user: a, password: b}, {user: c, password: d}] } }',
                  "warning", "passwords", "2 passwords")
        hashed = self.tool("auth", "password", "-p", "x", "-c", "4").strip()
        self.findings('authorization { user: a, password: "%s" }' % hashed, status=0)
        self.find("http: 0.0.0.0:8222", "warning", "monitoring", "0.0.0.0")
        self.findings("http: 127.0.0.1:8222", status=0)
        self.find("websocket { port: 8080, no_tls: true }", "warning", "websocket", "without TLS")
        self.find("max_payload: 1MB, max_pending: 1MB", "warning", "limits", "no room")
        self.find("max_payload: 16MB", "note", "limits", "16777216")
        self.find("trace: true", "note", "log", "trace is on")

    def test_secrets_are_not_shown(self):
        (self.home / "server.conf").write_text("authorization { user: a, password: s3cr3t }")
        shown = self.tool("doctor", "--offline", "-c", str(self.home / "server.conf"), status=1)
        self.assertNotIn("s3cr3t", shown)

    def test_hostile(self):
        (self.home / "server.conf").write_bytes(b"\x1b[2J\x07unknown: 1\n\x9b: 2\n")
        shown = self.tool("doctor", "--offline", "-c", str(self.home / "server.conf"), status=1)
        self.assertEqual(bad_characters(shown), set(), shown)


class Running(MonitoredTest):
    def findings(self, *arguments, status=1):
        told = json.loads(self.tool("doctor", "--json", "--interval", "50ms", *arguments,
                                    status=status))
        return [(f["level"], f["topic"], f["text"]) for f in told["findings"]]

    def find(self, found, level, topic, words):
        self.assertTrue(any(f[:2] == (level, topic) and words in f[2] for f in found),
                        f"no {level} {topic} {words} in {found}")

    def test_by_requests_and_http(self):
        for way in ((), ("--monitor", self.monitor)):
            found = self.findings("-c", self.flags[1], *way)
            self.find(found, "fine", "server", "demo, version 2.15.")
            self.find(found, "fine", "limits", "connections: ")
            self.find(found, "fine", "slow", "nobody lags behind")
            self.find(found, "warning", "passwords", "3 passwords")
            self.find(found, "fine", "reload", "the file is what was loaded")
        self.tool("doctor", "-s", self.app, status=3)
        self.tool("doctor", "-s", "nats://127.0.0.1:1", status=4)

    def test_another_file(self):
        path = self.home / "other.conf"
        path.write_text(CONFIG % "other" + "max_payload: 4096\n")
        found = self.findings("-c", str(path), "-m", self.monitor)
        self.find(found, "warning", "reload", "is not what was loaded")
        self.find(found, "note", "max_payload", "the file says 4096, the server runs with 1048576")
        self.find(found, "note", "server_name", "the file says other, the server runs with demo")

    def test_closed(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as wrong:
            wrong.sendall(b'CONNECT {"user":"app","pass":"no","name":"\\u001b[2Jburglar"}\r\n')
            while wrong.recv(4096):
                pass
        found = self.findings("-m", self.monitor, status=0)
        self.find(found, "note", "closed", "Authentication Failure")
        shown = self.tool("doctor", "-m", self.monitor, "--interval", "1ms")
        self.assertEqual(bad_characters(shown), set(), shown)
        self.assertIn("burglar", shown)

    def test_slow(self):
        """One that does not read, and has more waiting than sockets hold."""
        slow = self.client(name="\u202eslow one")
        slow.send("SUB much 1\r\n")
        source = self.client()
        for _ in range(24):
            source.send("PUB much 1000000\r\n" + "x" * 1000000 + "\r\n")
        found = self.findings("-m", self.monitor)
        self.find(found, "warning", "slow", "it takes nothing")
        self.find(found, "warning", "slow", "account APP")
        shown = self.tool("doctor", "--interval", "1ms", status=1)
        self.assertEqual(bad_characters(shown), set(), shown)


class Reload(ToolTest):
    """What /reloadz of pipit-server tells."""

    def server(self, text):
        path = self.home / "server.conf"
        path.write_text(text)
        server = Server(PIPIT, "-c", str(path))
        self.addCleanup(server.stop)
        line = next(line for line in server.lines if "http monitor" in line)
        return path, server, "http://127.0.0.1:" + line.rsplit(":", 1)[1]

    def test_reload(self):
        path, server, monitor = self.server('http: "127.0.0.1:-1"\nmax_payload: 1000\n')
        text = self.tool("doctor", "-m", monitor, "-c", str(path))
        self.assertIn("the file is what was loaded", text)
        path.write_text('http: "127.0.0.1:-1"\nmax_payload: 2000\n')
        text = self.tool("doctor", "-m", monitor, "-c", str(path), status=1)
        self.assertIn("the file is not what was loaded", text)
        os.kill(server.pid, signal.SIGHUP)
        server.await_line("Reloaded server configuration")
        text = self.tool("doctor", "-m", monitor, "-c", str(path))
        self.assertIn("took effect", text)
        self.assertRegex(text, r"max_payload from 1000 to 2000: applied")
        path.write_text('http: "127.0.0.1:-1"\nmax_payload: 2000\nserver_name: x\n')
        os.kill(server.pid, signal.SIGHUP)
        server.await_line("Failed to reload")
        text = self.tool("doctor", "-m", monitor, "-c", str(path), status=1)
        self.assertRegex(text, r"bad .*the last one, at .*, was refused")
        self.assertRegex(text, r"server_name .*: needs restart")

    def test_limits(self):
        _, server, monitor = self.server('http: "127.0.0.1:-1"\nmax_connections: 10\n')
        for number, level, status in ((5, "fine", 0), (8, "warning", 1), (10, "bad", 1)):
            clients = [Client(server.port) for _ in range(number)]
            told = json.loads(self.tool("doctor", "-m", monitor, "--json", status=status))
            self.assertIn((level, f"connections: {number} of 10"),
                          [(f["level"], f["text"]) for f in told["findings"]])
            for client in clients:
                client.close()
            while json.loads(self.tool("server", "info", "-m", monitor, "--json"))["connections"]:
                pass


on_both(Running, globals())
del MonitoredTest, Running

if __name__ == "__main__":
    unittest.main()
