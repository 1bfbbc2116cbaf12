#!/usr/bin/env python3
"""The page at /ui as HTTP: to whom it is shown, and how. tests/page looks at it with a browser."""

import base64
import gzip
import http.client
import os
import re
import subprocess
import sys
import tempfile
import unittest

from world import DEADLINE_S, PIPIT, Server, main

FILES = ("/ui", "/ui/page.css", "/ui/page.js", "/ui/console_client.js")
GZIP = {"Accept-Encoding": "gzip, br"}
BYTES_MAX = 150 * 1024


class Configured:
    """A server with these lines of configuration."""

    def __init__(self, text, *flags):
        self.text, self.flags = text, flags

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.file.write(self.text)
        self.file.flush()
        self.server = Server(PIPIT, "-c", self.file.name, *self.flags)
        return self.server.__enter__()

    def __exit__(self, *exception):
        self.server.__exit__(*exception)
        self.file.close()


class Page(unittest.TestCase):
    def test_files(self):
        with Server(PIPIT) as server:
            total = 0
            for path in FILES:
                response = server.get(path, GZIP)
                self.assertEqual(response.status, 200, path)
                self.assertEqual(response.headers["Content-Encoding"], "gzip")
                self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
                self.assertNotIn("Access-Control-Allow-Origin", response.headers)
                policy = response.headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", policy)
                self.assertIn("connect-src 'self';", policy)  # no listener for WebSocket
                total += len(response.body)
                self.assertIn(b"pipit" if path == "/ui" else b"", gzip.decompress(response.body))
            self.assertLessEqual(total, BYTES_MAX)
            self.assertEqual(server.get("/ui", GZIP, "HEAD").body, b"")

    def test_other_paths(self):
        with Server(PIPIT) as server:
            for path in ("/ui/page.html", "/ui/..", "/ui/../varz", "/ui//page.js", "/ui/page.js/", "/UI"):
                self.assertEqual(server.get(path, GZIP).status, 404, path)
            moved = server.get("/ui/", GZIP)
            self.assertEqual((moved.status, moved.headers["Location"]), (308, "../ui"))

    def test_below_a_base_path(self):
        with Server(PIPIT, "--http_base_path", "/nats/one") as server:
            self.assertEqual(server.get("/nats/one/ui", GZIP).status, 200)
            self.assertEqual(server.get("/nats/one/ui/page.js", GZIP).status, 200)
            self.assertEqual(server.get("/ui", GZIP).status, 404)

    def test_without_gzip(self):
        with Server(PIPIT) as server:
            for accepted in ({}, {"Accept-Encoding": "identity"}):
                self.assertEqual(server.get("/ui", accepted).status, 406)

    def test_behind_the_same_password(self):
        with Configured("http_user: u, http_password: p") as server:
            self.assertEqual(server.get("/ui", GZIP).status, 401)
            right = {"Authorization": "Basic " + base64.b64encode(b"u:p").decode(), **GZIP}
            self.assertEqual(server.get("/ui", right).status, 200)

    def test_for_nobody(self):
        with Configured("http_ui: none") as server:
            for path in FILES:
                self.assertEqual(server.get(path, GZIP).status, 403, path)
            self.assertEqual(server.get("/varz").status, 200)

    def test_the_console_may_reach_the_listener_for_websocket(self):
        with Configured("websocket { host: 127.0.0.1, port: -1, no_tls: true }") as server:
            port = server.json("/varz")["websocket"]["port"]
            for host, wanted in (("broker.example:8222", "broker.example"), ("[::1]:8222", "[::1]"),
                                 ("broker.example", "broker.example")):
                policy = server.get("/ui", {"Host": host, **GZIP}).headers["Content-Security-Policy"]
                self.assertIn(f"connect-src 'self' ws://{wanted}:{port} wss://{wanted}:{port};", policy)
            for host in ("x; script-src *", "x y", "*", "[::1; script-src *]", "[::1", "a,b", "h" * 300, "x'"):
                policy = server.get("/ui", {"Host": host, **GZIP}).headers.get("Content-Security-Policy",
                                                                              "connect-src 'self';")
                self.assertIn("connect-src 'self';", policy, host)
                self.assertEqual(policy.count("script-src"), "script-src" in policy, host)

    def test_only_on_this_machine_unless_allowed(self):
        """In a network of its own, by an address that is not of the loopback."""
        if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
            self.skipTest("no network namespaces here")
        result = subprocess.run(["unshare", "-rn", sys.executable, __file__, "--elsewhere"], text=True,
                                capture_output=True, timeout=4 * DEADLINE_S, check=False, env=os.environ)
        self.assertEqual(re.findall(r"^(\w+) (\d+)$", result.stdout, re.M),
                         [("local", "403"), ("all", "200"), ("none", "403")], result.stderr)


def elsewhere():
    address = "10.9.8.7"
    for words in ("link set lo up", f"addr add {address}/32 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    for word in ("local", "all", "none"):
        with Configured(f"http_ui: {word}", "-a", address) as server:
            connection = http.client.HTTPConnection(address, server.http_port, timeout=DEADLINE_S)
            connection.request("GET", "/ui", headers=GZIP)
            print(word, connection.getresponse().status, flush=True)
            connection.close()


if __name__ == "__main__":
    if "--elsewhere" in sys.argv:
        elsewhere()
    else:
        main()
