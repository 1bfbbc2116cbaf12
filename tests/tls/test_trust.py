#!/usr/bin/env python3
"""Whom a listener trusts is its own business: no other listener's authorities, no ticket of a time
when others were trusted, lets anybody in. usage: test_trust.py PIPIT_SERVER"""

import socket
import ssl
import unittest

import support
from support import TlsTest, client_context, connect, ping, read_info


class Trust(TlsTest):
    def setUp(self):
        super().setUp()
        self.folder.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", "other-ca.key", "-out", "other-ca.pem", "-days", "30",
                        "-subj", "/CN=another authority")
        self.folder.sign("client", "/CN=client")

    def two(self):
        """A server whose WebSocket clients are vouched for by others than its clients."""
        server = self.server("ca_file: ca.pem, verify: true", """
            websocket { host: 127.0.0.1, port: -1, tls {
              cert_file: server.pem, key_file: server.key, ca_file: other-ca.pem, verify: true } }""")
        server.websocket = server.find(r"websocket clients on wss://127\.0\.0\.1:(\d+)")
        self.assertTrue(server.websocket, server.lines)
        return server

    def upgrade(self, server, context, session=None):
        """What the WebSocket listener answers, "" for nothing."""
        try:
            sock = socket.create_connection(("127.0.0.1", server.websocket), support.DEADLINE_S)
            sock.settimeout(support.DEADLINE_S)
            sock = context.wrap_socket(sock, server_hostname="localhost", session=session)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            return sock.recv(12).decode()
        except (ssl.SSLError, ConnectionError):
            return ""

    def contexts(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            yield client_context(self.folder, "client", maximum_version=version)

    def test_authorities_are_the_listeners_own(self):
        server = self.two()
        for context in self.contexts():
            sock, _ = connect(server, context)
            self.assertEqual(ping(sock), "PONG")
            self.assertEqual(self.upgrade(server, context), "")

    def test_the_right_authority_lets_in(self):
        """That the other listener answers at all."""
        server = self.two()
        for name in ("key", "pem"):
            with open(self.folder.file(f"other-ca.{name}"), encoding="ascii") as file:
                self.folder.write(f"kept.{name}", file.read())
        self.folder.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", "web.key", "-out", "web.csr", "-subj", "/CN=web")
        self.folder.run("x509", "-req", "-in", "web.csr", "-CA", "kept.pem", "-CAkey", "kept.key",
                        "-CAcreateserial", "-days", "30", "-out", "web.pem")
        self.assertEqual(self.upgrade(server, client_context(self.folder, "web")), "HTTP/1.1 101")

    def test_a_ticket_of_another_listener(self):
        server = self.two()
        for context in self.contexts():
            sock, _ = connect(server, context)
            self.assertEqual(ping(sock), "PONG")  # tickets of 1.3 have come by then
            self.assertEqual(self.upgrade(server, context, sock.session), "")

    def resume(self, server, context, session):
        bare = server.dial()
        read_info(bare)
        again = context.wrap_socket(bare, server_hostname="localhost", session=session)
        again.sendall(b"CONNECT {}\r\nPING\r\n")
        if not again.recv(1):
            raise ConnectionError
        return again.session_reused

    def test_a_ticket_of_another_time(self):
        server = self.server("ca_file: ca.pem, verify: true")
        for context in self.contexts():
            self.assertTrue(server.reload(self.text("ca_file: ca.pem, verify: true")))
            sock, _ = connect(server, context)
            self.assertEqual(ping(sock), "PONG")
            self.assertTrue(self.resume(server, context, sock.session))
            self.assertTrue(server.reload(self.text("ca_file: other-ca.pem, verify: true")))
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.resume(server, context, sock.session)


if __name__ == "__main__":
    support.main()
