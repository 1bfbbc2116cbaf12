#!/usr/bin/env python3
"""The handshakes of pipit-bench are whole, and who does not resume sessions is given no ticket.

usage: test_handshake.py PATH_OF_PIPIT_BENCH PATH_OF_PIPIT_SERVER"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "tls"))
import support
from support import DEADLINE_S, Folder, PEER, Server

BENCH = ""


class Handshakes(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.close)

    def serve(self, certificate, program=None, more=""):
        server = Server(self.folder, f'tls {{ cert_file: "{certificate}.pem"\n'
                        f'key_file: "{certificate}.key"\n{more} }}\n', program=program)
        self.addCleanup(server.stop)
        return server

    def call(self, server, *options):
        """What pipit-bench says of 30 handshakes by three threads."""
        run = subprocess.run([BENCH, "handshake", "--tls", "--json", "--pubs", "3", "--msgs", "30",
                              "--server", f"127.0.0.1:{server.port}", *options],
                             capture_output=True, text=True, timeout=3 * DEADLINE_S, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def sign_rsa(self):
        self.folder.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key",
                        "-out", "rsa.pem", "-days", "30", "-subj", "/CN=localhost")
        return "rsa"

    def test_keys_of_both_kinds(self):
        for certificate in ("server", self.sign_rsa()):
            with self.subTest(certificate):
                self.assertEqual(self.call(self.serve(certificate))["handshakes"], 30)

    def test_a_ticket_for_who_can_use_it(self):
        server = self.serve("server")
        self.assertEqual(self.call(server)["tickets"], 0)
        self.assertEqual(self.call(server, "--tickets")["tickets"], 30)

    @unittest.skipUnless(os.access(PEER, os.X_OK), "no nats-server")
    def test_the_peer_does_so_too(self):
        server = self.serve("server", PEER)
        self.assertEqual(self.call(server)["tickets"], 0)
        self.assertEqual(self.call(server, "--tickets")["tickets"], 30)

    def test_a_server_that_refuses(self):
        server = self.serve("server", more='ca_file: "ca.pem"\nverify: true\n')
        run = subprocess.run([BENCH, "handshake", "--tls", "--msgs", "1", "--server",
                              f"127.0.0.1:{server.port}"], capture_output=True, text=True,
                             timeout=DEADLINE_S, check=False)
        self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    BENCH, support.SERVER = map(os.path.abspath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1])
