#!/usr/bin/env python3
"""What the tls block says, and what clients then meet. usage: test_settings.py PIPIT-SERVER"""

import contextlib
import select
import ssl
import time

import support
from support import TlsTest, client_context, connect, ping, read_info, read_line, rest


class Settings(TlsTest):
    def test_classic(self):
        server = self.server()
        sock, info = connect(server, client_context(self.folder))
        self.assertTrue(info["tls_required"])
        self.assertNotIn("tls_available", info)
        self.assertEqual(ping(sock, '{"tls_required":false}'), "PONG")
        entry = server.connz()[0]
        self.assertEqual(entry["tls_version"], "1.3")
        self.assertEqual(entry["tls_cipher_suite"], "TLS_AES_128_GCM_SHA256")
        self.assertNotIn("tls_first", entry)
        self.assertTrue(any("TLS required for client connections" in line for line in server.lines))

    def test_first(self):
        server = self.server("handshake_first: true", "allow_non_tls: true")
        sock, info = connect(server, client_context(self.folder), first=True)
        self.assertTrue(info["tls_required"])
        self.assertEqual(ping(sock), "PONG")
        self.assertTrue(server.connz()[0]["tls_first"])
        bare = server.dial()
        bare.sendall(b"CONNECT {}\r\nPING\r\n")
        self.assertEqual(rest(bare), b"")

    def test_first_or_not(self):
        server = self.server('handshake_first: "2s"')
        sock, info = connect(server, client_context(self.folder), first=True)
        self.assertEqual(ping(sock), "PONG")
        began = time.monotonic()
        sock, info = connect(server, client_context(self.folder))
        self.assertGreater(time.monotonic() - began, 1.9)
        self.assertTrue(info["tls_required"])
        self.assertEqual(ping(sock), "PONG")

    def test_optional(self):
        server = self.server("timeout: 20", "allow_non_tls: true")
        sock, info = connect(server, client_context(self.folder))
        self.assertTrue(info["tls_available"])
        self.assertNotIn("tls_required", info)
        self.assertEqual(ping(sock), "PONG")
        plain = server.dial()
        read_info(plain)
        self.assertEqual(ping(plain), "PONG")
        server = self.server("timeout: 0.3", "allow_non_tls: true")
        silent = server.dial()  # is served as plain when the time is over
        read_info(silent)
        self.assertEqual(ping(silent), "PONG")

    def test_proxy_header_comes_first(self):
        header = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 4222\r\n"
        for first in (False, True):
            with self.subTest(first=first):
                server = self.server(f"handshake_first: {str(first).lower()}",
                                     "proxy_protocol: true")
                sock = server.dial()
                if not first:
                    read_info(sock)
                sock.sendall(header)
                sock = client_context(self.folder).wrap_socket(sock, server_hostname="localhost")
                if first:
                    read_info(sock)
                self.assertEqual(ping(sock), "PONG")
                self.assertEqual(server.connz()[0]["ip"], "192.0.2.7")

    def test_versions(self):
        server = self.server('min_version: "1.3"')
        with self.assertRaises(ssl.SSLError):
            connect(server, client_context(self.folder,
                                           maximum_version=ssl.TLSVersion.TLSv1_2))
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(sock.version(), "TLSv1.3")
        server = self.server()
        sock, _ = connect(server, client_context(self.folder,
                                                 maximum_version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual(ping(sock), "PONG")
        self.assertEqual(server.connz()[0]["tls_version"], "1.2")

    def test_ciphers(self):
        server = self.server("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
                             "TLS_CHACHA20_POLY1305_SHA256]")
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(sock.cipher()[0], "TLS_CHACHA20_POLY1305_SHA256")
        sock, _ = connect(server, client_context(self.folder,
                                                 maximum_version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual(sock.cipher()[0], "ECDHE-ECDSA-AES256-GCM-SHA384")
        with self.assertRaises(ssl.SSLError):
            context = client_context(self.folder, maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
            connect(server, context)

    def test_ciphers_of_file_hold_with_flags(self):
        server = self.server("cipher_suites: [TLS_CHACHA20_POLY1305_SHA256]", "", "--tlscert",
                             "server.pem", "--tlskey", "server.key")
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(sock.cipher()[0], "TLS_CHACHA20_POLY1305_SHA256")

    def test_flags(self):
        server = self.server("", "", "--tls=false")
        sock = server.dial()
        self.assertNotIn("tls_required", read_info(sock))
        self.assertEqual(ping(sock), "PONG")

    def meet(self, server):
        """What clients of each kind meet, and what the server says of it."""
        met = {}
        for name, context in {
                "client": client_context(self.folder, "client"),
                "stranger": client_context(self.folder, "stranger"),
                "nobody": client_context(self.folder)}.items():
            try:
                sock, info = connect(server, context)
                with sock:
                    met[name] = (info["tls_required"], info.get("tls_verify"), ping(sock),
                                 sock.version(), sock.cipher()[0])
            except (ssl.SSLError, ConnectionError):
                met[name] = "refused"
            met[name] = "refused" if met[name][2] == "" else met[name]
        with server.dial() as plain:
            met["plain"] = bool(read_info(plain)["tls_required"])
            with contextlib.suppress(ConnectionError):
                plain.sendall(b"CONNECT {}\r\nPING\r\n")
            self.assertEqual(rest(plain), b"")
        varz = server.varz()
        return met, {key: varz.get(key) for key in
                     ("tls_required", "tls_verify", "tls_timeout", "tls_ocsp_peer_verify",
                      "auth_required")}

    def test_the_same_from_file_and_flags(self):
        self.folder.sign("client", "/CN=client")
        self.folder.sign("alien", "/CN=alien")
        self.folder.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", "evil.key", "-out", "evil.pem", "-subj", "/CN=authority")
        self.folder.sign("stranger", "/CN=client", ca="evil")
        pair = "cert_file: server.pem, key_file: server.key"
        flags = ("--tlscert", "server.pem", "--tlskey", "server.key")
        http = "http: 127.0.0.1:-1\n"
        cases = {
            "certificate": (http, flags, f"tls {{ {pair} }}"),
            "--tls with a certificate": (http, ("--tls", *flags), f"tls {{ {pair} }}"),
            "authority": (http, (*flags, "--tlscacert", "ca.pem"),
                          f"tls {{ {pair}, ca_file: ca.pem }}"),
            "verify": (http, (*flags, "--tlscacert", "ca.pem", "--tlsverify"),
                       f"tls {{ {pair}, ca_file: ca.pem, verify: true }}"),
            "verify over a file's authority": (
                http + f"tls {{ {pair}, ca_file: ca.pem }}\n", ("--tlsverify",),
                f"tls {{ {pair}, ca_file: ca.pem, verify: true }}"),
            "another certificate than the file's": (
                http + "tls { cert_file: alien.pem, key_file: alien.key, ca_file: ca.pem, "
                "verify: true }\n", flags, f"tls {{ {pair}, ca_file: ca.pem, verify: true }}"),
            "another authority than the file's": (
                http + f"tls {{ {pair}, ca_file: evil.pem, verify: true }}\n",
                ("--tlscacert", "ca.pem"), f"tls {{ {pair}, ca_file: ca.pem, verify: true }}"),
        }
        for name, (base, flags_of, text) in cases.items():
            with self.subTest(name):
                by_flags = self.server_with(base, *flags_of)
                one = self.meet(by_flags)
                by_file = self.server_with(http + text)
                two = self.meet(by_file)
                self.assertEqual(one, two)
                self.assertEqual(one[0]["client"][2], "PONG")
                verifies = "verify" in text
                self.assertEqual(one[0]["stranger"] == "refused", verifies)
                self.assertEqual(one[0]["nobody"] == "refused", verifies)
                self.assertTrue(one[0]["plain"])

    def test_timeout(self):
        server = self.server("timeout: 0.2")
        sock = server.dial()
        read_info(sock)
        self.assertEqual(rest(sock), b"")
        entry = server.connz(query="?state=closed")[0]
        self.assertEqual(entry["reason"], "TLS Handshake Failure")

    def test_rate_limit(self):
        server = self.server("connection_rate_limit: 3")
        waiting = [server.dial() for _ in range(8)]
        for sock in waiting:
            read_info(sock)
        refused = 0
        while refused < 2:
            told = select.select(waiting, [], [], support.DEADLINE_S)[0]
            self.assertTrue(told, f"{refused} refused")
            for sock in told:
                self.assertIn(b"throttling", read_line(sock))
                waiting.remove(sock)
                refused += 1
        for sock in waiting:
            sock.close()

    def test_monitoring(self):
        server = support.Server(self.folder, self.text(rest="").replace("http:", "https:"))
        self.addCleanup(self.check_stop, server)
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(ping(sock), "PONG")
        context = client_context(self.folder)
        self.assertEqual(len(server.connz(context)), 1)
        with self.assertRaises(OSError):
            server.connz()  # plain HTTP

    def test_resumption(self):
        server = self.server()
        context = client_context(self.folder, maximum_version=ssl.TLSVersion.TLSv1_2)
        sock, _ = connect(server, context)
        session = sock.session
        sock.unwrap()
        bare = server.dial()
        read_info(bare)
        again = context.wrap_socket(bare, server_hostname="localhost", session=session)
        self.assertTrue(again.session_reused)
        self.assertEqual(ping(again), "PONG")

    def test_names(self):
        self.folder.sign("other", "/CN=other.example", "DNS:other.example")
        server = support.Server(self.folder, "http: 127.0.0.1:-1\ntls { certs: [\n"
                                "{ cert_file: server.pem, key_file: server.key },\n"
                                "{ cert_file: other.pem, key_file: other.key } ] }\n")
        self.addCleanup(self.check_stop, server)
        for name in ("localhost", "other.example"):
            sock, _ = connect(server, client_context(self.folder), name=name)
            self.assertEqual(ping(sock), "PONG")


if __name__ == "__main__":
    support.main()
