#!/usr/bin/env python3
"""New certificates while clients are connected. usage: test_reload.py PIPIT-SERVER"""

import os
import socket
import ssl
import threading

import support
from support import TlsTest, client_context, connect, ping, read_info, read_line, rest


def serial(sock):
    return sock.getpeercert()["serialNumber"]


class Reload(TlsTest):
    def test_certificates_of_new_connections(self):
        server = self.server()
        context = client_context(self.folder)
        old, _ = connect(server, context)
        self.assertEqual(ping(old), "PONG")
        self.folder.sign("next", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
        for name in ("pem", "key"):
            os.replace(self.folder.file(f"next.{name}"), self.folder.file(f"server.{name}"))
        self.assertTrue(server.reload())
        new, _ = connect(server, context)
        self.assertEqual(ping(new), "PONG")
        self.assertNotEqual(serial(old), serial(new))
        old.sendall(b"PING\r\n")
        line = read_line(old)
        while line.startswith(b"INFO"):
            line = read_line(old)
        self.assertEqual(line, b"PONG\r\n")

    def test_what_cannot_be_read_changes_nothing(self):
        server = self.server()
        self.folder.write("server.key", "nothing")
        before = len(server.lines)
        server.process.send_signal(1)
        self.assertTrue(server.wait_line("Failed to reload", before))
        sock, _ = connect(server, client_context(self.folder))
        self.assertEqual(ping(sock), "PONG")

    def test_on_and_off(self):
        server = self.server()
        secure, _ = connect(server, client_context(self.folder))
        self.assertEqual(ping(secure), "PONG")
        self.assertTrue(server.reload("http: 127.0.0.1:-1\n"))
        plain = server.dial()
        self.assertNotIn("tls_required", read_info(plain))
        self.assertEqual(ping(plain), "PONG")
        self.assertTrue(server.reload(self.text("ca_file: ca.pem, verify: true")))
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            sock, _ = connect(server, client_context(self.folder))
            sock.sendall(b"PING\r\n")
            if not sock.recv(1):
                raise ConnectionError

    def pinned(self, *names):
        pins = ", ".join(f'"{self.folder.pin(name)}"' for name in names)
        return f"ca_file: ca.pem, verify: true, pinned_certs: [{pins}]"

    def test_pinned_keys_of_who_is_there(self):
        for name in ("one", "two", "three"):
            self.folder.sign(name, f"/CN={name}")
        wss = "websocket {{ port: -1, host: 127.0.0.1, tls {{ cert_file: server.pem, key_file: server.key, {} }} }}"
        server = self.server(self.pinned("one", "two", "three"), wss.format(self.pinned("three")))
        peers = {}
        for name in ("one", "two", "three"):
            peers[name], _ = connect(server, client_context(self.folder, name))
            self.assertEqual(ping(peers[name]), "PONG")
        port = server.find(r"websocket clients on wss://127\.0\.0\.1:(\d+)")
        web = client_context(self.folder, "three").wrap_socket(
            socket.create_connection(("127.0.0.1", port), support.DEADLINE_S),
            server_hostname="localhost")
        web.sendall(b"GET / HTTP/1.1\r\n")  # the handshake has ended
        under_way = server.dial()
        read_info(under_way)
        self.assertTrue(server.reload(self.text(self.pinned("one"),
                                                    wss.format(self.pinned("two")))))
        self.assertEqual(ping(peers["one"]), "PONG")
        for name in ("two", "three"):
            self.assertNotIn(b"PONG", rest(peers[name]))
        self.assertEqual(rest(web), b"")
        reasons = [conn["reason"] for conn in server.connz(query="?state=closed")]
        self.assertEqual(reasons, ["TLS Handshake Failure"] * len(reasons))
        self.assertGreaterEqual(len(reasons), 2)
        with self.assertRaises((ssl.SSLError, ConnectionError)):  # began under the old settings
            sock = client_context(self.folder, "two").wrap_socket(under_way,
                                                                  server_hostname="localhost")
            sock.sendall(b"PING\r\n")
            if not sock.recv(1):
                raise ConnectionError
        for tls in ("ca_file: ca.pem, verify: true", ""):  # nothing is pinned
            self.assertTrue(server.reload(self.text(tls, wss.format(""))))
            self.assertEqual(ping(peers["one"]), "PONG")

    def test_under_traffic(self):
        server = self.server()
        context = client_context(self.folder)
        stop = threading.Event()
        failures = []

        def go_on():
            try:
                while not stop.is_set():
                    sock, _ = connect(server, context)
                    for _ in range(20):
                        if ping(sock) != "PONG":
                            raise RuntimeError("no PONG")
                    sock.close()
            except Exception as error:  # told below
                failures.append(error)

        threads = [threading.Thread(target=go_on) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(10):
            self.assertTrue(server.reload(self.text(f"timeout: {20 + i % 2}")))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    support.main()
