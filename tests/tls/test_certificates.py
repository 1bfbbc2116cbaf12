#!/usr/bin/env python3
"""Certificates of clients: demanded, pinned, mapped to users. usage: test_certificates.py PIPIT-SERVER"""

import ssl

import support
from support import TlsTest, client_context, connect, ping, read_line

USERS = """authorization { users [
  { user: "bob@example.org" }, { user: "device.example" }, { user: "spiffe://x/y" },
  { user: "CN=foo,OU=dev,O=acme", permissions: { publish: a, subscribe: b } } ] }
"""


class Certificates(TlsTest):
    def refused(self, server, context):
        try:
            sock, _ = connect(server, context)
            sock.sendall(b"CONNECT {}\r\nPING\r\n")
            return read_line(sock)  # TLS 1.3 tells only now
        except (ssl.SSLError, ConnectionError):
            return b""

    def test_verify(self):
        self.folder.sign("client", "/CN=client")
        self.folder.sign("late", "/CN=late", days="-1")
        server = self.server("ca_file: ca.pem, verify: true")
        sock, info = connect(server, client_context(self.folder, "client"))
        self.assertTrue(info["tls_verify"])
        self.assertEqual(ping(sock), "PONG")
        self.assertNotIn(b"PONG", self.refused(server, client_context(self.folder)))
        self.assertNotIn(b"PONG", self.refused(server, client_context(self.folder, "late")))
        self.folder.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", "self.key", "-out", "self.pem", "-subj", "/CN=client")
        self.assertNotIn(b"PONG", self.refused(server, client_context(self.folder, "self")))
        reasons = {entry["reason"] for entry in server.connz(query="?state=closed")}
        self.assertIn("TLS Handshake Failure", reasons)

    def test_pinned(self):
        self.folder.sign("client", "/CN=client")
        self.folder.sign("other", "/CN=other")
        server = self.server("ca_file: ca.pem, verify: true, "
                             f"pinned_certs: [\"{self.folder.pin('client')}\"]")
        sock, _ = connect(server, client_context(self.folder, "client"))
        self.assertEqual(ping(sock), "PONG")
        self.assertNotIn(b"PONG", self.refused(server, client_context(self.folder, "other")))

    def test_mapped(self):
        self.folder.sign("mail", "/CN=x", "email:bob@example.org")
        self.folder.sign("dns", "/CN=x", "DNS:no.example,DNS:device.example")
        self.folder.sign("uri", "/CN=x", "URI:spiffe://x/y")
        self.folder.sign("subject", "/O=acme/OU=dev/CN=foo")
        self.folder.sign("nobody", "/CN=bob@example.org")
        server = self.server("ca_file: ca.pem, verify_and_map: true", USERS)
        for name in ("mail", "dns", "uri", "subject"):
            with self.subTest(name):
                sock, _ = connect(server, client_context(self.folder, name))
                self.assertEqual(ping(sock), "PONG")
        sock.sendall(b"PUB c 0\r\n\r\n")  # with the permissions of the user
        self.assertIn(b"Permissions Violation", read_line(sock))
        for options in ("{}", '{"user":"bob@example.org"}'):
            sock, _ = connect(server, client_context(self.folder, "nobody"))
            self.assertIn("Authorization Violation", ping(sock, options))


if __name__ == "__main__":
    support.main()
