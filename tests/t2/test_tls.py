#!/usr/bin/env python3
"""The T2 Bus over TLS: who is let in, new certificates, handshakes that stall.

    test_tls.py     PIPIT_SERVER names the server
"""

import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import unittest

from bus import Bus, Closed, T2Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tls"))
from support import Folder  # noqa: E402

PIPIT = os.environ.get("PIPIT_SERVER", "build/pipit-server")
TOOL = os.environ.get("PIPIT_TOOL", "build/pipit")
WAIT_S = 60
TEXT = """
t2 {{
  listen: ["tls:127.0.0.1:0", "tcp:127.0.0.1:0"]
  tls {{
    cert_file: "{folder}/{name}.pem", key_file: "{folder}/{name}.key"
    ca_file: "{folder}/ca.pem", verify: {verify}, timeout: {timeout}
  }}
}}
"""


class SecureBus(Bus):
    def __init__(self, address, context):
        super().__init__(address)
        self.plain = self.socket
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


class Tls(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.close)
        self.folder.sign("client", "/CN=client")

    def start(self, timeout=20):
        self.configure("server", timeout=timeout)
        server = T2Server(PIPIT, "-c", self.folder.file("server.conf"), listen=False)
        self.addCleanup(server.__exit__)
        for line in server.lines:
            if "Listening for T2 clients on tls:" in line:
                self.address = "127.0.0.1", int(line.rsplit(":", 1)[1])
        return server

    def configure(self, name, verify="true", timeout=20):
        self.folder.write("server.conf", TEXT.format(folder=self.folder.path, name=name,
                                                     verify=verify, timeout=timeout))

    def context(self, own="client"):
        context = ssl.create_default_context(cafile=self.folder.file("ca.pem"))
        if own:
            context.load_cert_chain(self.folder.file(f"{own}.pem"), self.folder.file(f"{own}.key"))
        return context

    def bus(self, own="client"):
        bus = SecureBus(self.address, self.context(own))
        self.addCleanup(bus.close)
        return bus

    def assert_refused(self, own):
        """With TLS 1.3 a client learns of it when it reads."""
        with self.assertRaises((ssl.SSLError, Closed, OSError)):
            self.bus(own).call("KeepAlive")

    def test_both_sides_show_certificates(self):
        server = self.start()
        self.folder.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", "stranger.key", "-out", "stranger.pem", "-days", "30",
                        "-subj", "/CN=stranger")
        a, b, plain = self.bus(), self.bus(), server.bus()
        self.addCleanup(plain.close)
        a.subscribe("x/*")
        plain.subscribe("x/y")
        data = bytes(i * i % 251 for i in range(100000))
        self.assertEqual(b.publish("x/y", data), 2)
        for bus in (a, plain):
            self.assertEqual(bus.published(), ("x/y", data))
        self.assert_refused(None)
        self.assert_refused("stranger")
        self.assertEqual(b.publish("x/y", b"still"), 2)
        self.assertEqual(server.stop(), 0)

    def test_clients_must_be_asked(self):
        self.configure("server", verify="false")
        server = T2Server(PIPIT, "-c", self.folder.file("server.conf"), listen=False, wait=None)
        self.assertNotEqual(server.wait(), 0)
        self.assertIn("must show a certificate", server.lines[-1])

    def test_new_certificate(self):
        server = self.start()
        first = self.bus()
        self.folder.sign("second", "/CN=second", "DNS:localhost,IP:127.0.0.1")
        self.configure("second")
        server.signal("HUP")
        server.await_line("Reloaded server configuration")
        subject = self.bus().socket.getpeercert()["subject"]
        self.assertEqual(subject, ((("commonName", "second"),),))
        first.call("KeepAlive")  # who was there before stays
        self.assertEqual(server.stop(), 0)

    def test_a_handshake_that_stalls_stops_nobody(self):
        server = self.start(timeout=60)
        with socket.create_connection(self.address, 60) as stalled:
            stalled.sendall(b"\x16\x03\x01\x02")  # the beginning of a record
            with self.bus() as bus:
                bus.call("KeepAlive")
        self.configure("server", timeout=2)
        server.signal("HUP")
        server.await_line("Reloaded server configuration")
        with socket.create_connection(self.address, 60) as stalled:
            stalled.sendall(b"\x16\x03\x01\x02")
            self.assertEqual(stalled.recv(1), b"")  # after tls.timeout
        with socket.create_connection(self.address, 60) as mistaken:
            mistaken.sendall(b"\x00\x00\x00\x10" + bytes(16))  # T2 in clear
            try:
                while mistaken.recv(100):  # an alert maybe
                    pass
            except ConnectionError:
                pass
        self.assertEqual(server.stop(), 0)

    def certificates(self, own="client"):
        return ["--ca", self.folder.file("ca.pem"), f"--cert={self.folder.file(own + '.pem')}",
                "--key", self.folder.file(f"{own}.key")]

    def run_tool(self, *arguments, status=0):
        done = subprocess.run([TOOL, "t2", *arguments], capture_output=True, text=True,
                              timeout=WAIT_S, check=False, env={**os.environ,
                                                                "HOME": self.folder.path})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout.rstrip("\n")

    def test_tool(self):
        server = self.start()
        bus = self.bus()
        bus.subscribe("**")
        address = "tls:localhost:{}".format(self.address[1])
        self.assertEqual(self.run_tool("pub", "string/a", "Hi", address, *self.certificates()), "")
        self.assertEqual(bus.published(), ("string/a", b"\x62Hi"))
        self.assertNotEqual(self.run_tool("pub", "string/a", "Hi", address, "--ca",
                                          self.folder.file("ca.pem")), "")  # it shows none
        self.assertIn("failed", self.run_tool("pub", "string/a", "Hi", address))  # whom to trust?
        self.assertNotEqual(self.run_tool("pub", "string/a", "Hi", address, "--tls-name=other",
                                          *self.certificates()), "")
        self.run_tool("register", "safe", address)
        self.assertEqual(self.run_tool("pub", "string/b", "Ho", *self.certificates()), "")
        self.assertEqual(bus.published(), ("string/b", b"\x62Ho"))
        self.run_tool("pub", "string/a", "x", address, "--cert", "alone", status=2)
        self.assertEqual(server.stop(), 0)

    def test_tool_serves(self):
        self.assertIn("--ca", self.run_tool("serve", "tls:127.0.0.1:0"))
        self.assertIn("quotes", self.run_tool("serve", "tls:127.0.0.1:0", "--ca=a\"b",
                                              *self.certificates()[2:]))
        with subprocess.Popen([TOOL, "t2", "serve", "tls:127.0.0.1:0", *self.certificates("server")],
                              stdout=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stdout:
                    if "Listening for T2 clients on tls:" in line:
                        self.address = "127.0.0.1", int(line.rsplit(":", 1)[1])
                    if "Server is ready" in line:
                        break
                bus = self.bus()
                bus.subscribe("string/*")
                self.assertEqual(self.run_tool("pub", "string/a", "Hi",
                                               f"tls:127.0.0.1:{self.address[1]}",
                                               *self.certificates()), "")
                self.assertEqual(bus.published(), ("string/a", b"\x62Hi"))
                self.assert_refused(None)
                process.send_signal(signal.SIGTERM)
                process.stdout.read()
                self.assertEqual(process.wait(WAIT_S), 0)
            finally:
                process.kill()


if __name__ == "__main__":
    unittest.main(verbosity=1)
