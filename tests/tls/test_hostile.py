#!/usr/bin/env python3
"""Bytes that are no TLS, and TLS that asks for too much. usage: test_hostile.py PIPIT-SERVER"""

import os
import random
import socket
import ssl
import subprocess

import support
from support import DEADLINE_S, TlsTest, client_context, connect, ping, read_info, rest

FIRST = [b"CONNECT {}\r\nPING\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x80\x2e\x01\0\x02",
         b"\x15\x03\x01\0\x02\x02\x28", b"\x16\x03\x01\xff\xff" + b"a" * 70000,
         b"\x16\x03\x01\0\x05\x01\0\xff\xff\xff", b"\x16CONNECT {}\r\n", b"\x17\x03\x03\0\x01a"]


class Hostile(TlsTest):
    def test_first_bytes(self):
        for tls in ("", "handshake_first: true", 'handshake_first: "5s"'):
            server = self.server(tls)
            for first in FIRST:
                with self.subTest(tls=tls, first=first[:20]):
                    sock = server.dial()
                    if not tls:
                        read_info(sock)
                    try:
                        sock.sendall(first)
                        sock.shutdown(1)
                    except OSError:
                        pass
                    self.assertNotIn(b"PONG", rest(sock))
            reasons = {entry["reason"] for entry in server.connz(query="?state=closed")}
            self.assertEqual(reasons, {"TLS Handshake Failure"})
            sock, _ = connect(server, client_context(self.folder), first="true" in tls or "5s" in tls)
            self.assertEqual(ping(sock), "PONG")

    def test_what_stands_before_the_handshake_is_not_heard(self):
        """Plain bytes that come together with a handshake are not taken for what TLS protects."""
        server = self.server()
        sock = server.dial()
        read_info(sock)
        sock.sendall(b"SUB > 1\r\n")
        try:
            client_context(self.folder).wrap_socket(sock, server_hostname="localhost")
            self.fail("there was a handshake")
        except OSError:
            pass

    def test_damaged_records(self):
        dice = random.Random(7)
        server = self.server()
        for _ in range(50):
            sock, _ = connect(server, client_context(self.folder))
            self.assertEqual(ping(sock), "PONG")
            bare = sock.detach()
            os.write(bare, b"\x17\x03\x03\0\x40" + dice.randbytes(64))
            os.close(bare)
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(ping(sock), "PONG")

    def test_a_bad_record_is_answered(self):
        """By an alert, whatever stands behind the record and is never read."""
        server = self.server()
        alerts = {ssl.TLSVersion.TLSv1_2: b"\x15\x03\x03\0\x1a",
                  ssl.TLSVersion.TLSv1_3: b"\x17\x03\x03\0\x13"}
        for version, head in alerts.items():
            for more in (0, 10, 5000, 300000):
                with self.subTest(version=version, more=more):
                    context = client_context(self.folder, maximum_version=version)
                    sock, _ = connect(server, context)
                    self.assertEqual(ping(sock), "PONG")
                    with socket.socket(fileno=sock.detach()) as bare:
                        bare.settimeout(DEADLINE_S)
                        try:
                            bare.sendall(b"\x17\x03\x03\0\x40" + b"?" * (64 + more))
                        except OSError:
                            pass # it has closed meanwhile
                        said = rest(bare)
                    self.assertEqual((said[:5], len(said)), (head, 5 + head[-1]))

    def test_renegotiation(self):
        server = self.server()
        first = self.server("handshake_first: true")
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{first.port}",
                               "-tls1_2", "-CAfile", self.folder.file("ca.pem")],
                              input=b"R\n", capture_output=True, timeout=support.DEADLINE_S)
        self.assertIn(b"RENEGOTIATING", said.stderr)
        self.assertIn(b"error", said.stderr)
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(ping(sock), "PONG")


if __name__ == "__main__":
    support.main()
