#!/usr/bin/env python3
"""Receivers that do not read, behind TLS and WebSocket, and are not closed for it: they miss whole
messages, in the way that --slow_consumer says. usage: test_slow.py PIPIT-SERVER"""

import os
import re
import socket
import sys

import support
from support import TlsTest, client_context, ping, read_info

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../websocket"))
from peer import frame, head  # noqa: E402  pylint: disable=wrong-import-position

COUNT, BYTES = 400, 65536  # more than sockets and max_pending hold


class Stream:
    """What comes by a connection, from the bytes of its protocol on."""

    def __init__(self, sock, framed):
        self.sock, self.framed, self.raw, self.got = sock, framed, b"", b""
        if framed:
            sock.sendall(head())
            while b"\r\n\r\n" not in self.raw:
                self.raw += self.receive()
            answer, _, self.raw = self.raw.partition(b"\r\n\r\n")
            assert b" 101 " in answer, answer

    def receive(self):
        more = self.sock.recv(65536)
        assert more, "the server has closed"
        return more

    def send(self, data):
        self.sock.sendall(frame(data) if self.framed else data)

    def _unframe(self):
        """The payload of the next frame; None: it is not whole."""
        if len(self.raw) < 2:
            return None
        at, size = 2, self.raw[1]
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self.raw[2:at], "big")
        if len(self.raw) < at + size:
            return None
        payload, self.raw = self.raw[at:at + size], self.raw[at + size:]
        return payload

    def more(self):
        if not self.framed:
            self.got += self.receive()
            return
        while (payload := self._unframe()) is None:
            self.raw += self.receive()
        self.got += payload

    def line(self):
        while b"\r\n" not in self.got:
            self.more()
        line, _, self.got = self.got.partition(b"\r\n")
        return line

    def bytes(self, count):
        while len(self.got) < count + 2:
            self.more()
        body, end, self.got = self.got[:count], self.got[count:count + 2], self.got[count + 2:]
        assert end == b"\r\n", end
        return body

    def until_pong(self):
        """Numbers of the messages that came, each as it was sent."""
        numbers = []
        while (line := self.line()) != b"PONG":
            if not line.startswith(b"MSG "):
                assert re.match(rb"INFO|\+OK|PING", line), line
                continue
            body = self.bytes(int(line.split()[-1]))
            number = int(body[:8])
            assert body == content(number), f"message {number} is damaged"
            numbers.append(number)
        return numbers


def content(number):
    return b"%08d" % number + bytes([number & 255]) * (BYTES - 8)


class Slow(TlsTest):
    def slow(self, server, way):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.settimeout(support.DEADLINE_S)
        port = server.port if way == "tls" else server.find(r"wss?://127\.0\.0\.1:(\d+)")
        sock.connect(("127.0.0.1", port))
        self.addCleanup(sock.close)
        if way == "tls":
            read_info(sock)
        if way != "ws":
            sock = client_context(self.folder).wrap_socket(sock, server_hostname="localhost")
            self.addCleanup(sock.close)
        return Stream(sock, way != "tls")

    def miss(self, way, policy):
        tls = "cert_file: server.pem, key_file: server.key"
        inner = "no_tls: true" if way == "ws" else f"tls {{ {tls} }}"
        server = self.server_with(
            f"http: 127.0.0.1:-1\nallow_non_tls: true\ntls {{ {tls} }}\nmax_pending: 262144\n"
            f"max_payload: 65536\nwebsocket {{ host: 127.0.0.1, port: -1, {inner} }}\n",
            f"--slow_consumer={policy}")
        slow = self.slow(server, way)
        slow.send(b"CONNECT {}\r\nSUB miss.* 1\r\nPING\r\n")
        self.assertEqual(slow.until_pong(), [])
        with server.dial() as publisher:
            read_info(publisher)
            for number in range(COUNT):
                publisher.sendall(b"PUB miss.a %d\r\n%s\r\n" % (BYTES, content(number)))
            self.assertEqual(ping(publisher), "PONG")
        slow.send(b"PING\r\n")
        numbers = slow.until_pong()
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertLess(len(numbers), COUNT)
        self.assertGreater(len(numbers), 0)
        dropped = [conn.get("dropped", 0) for conn in server.connz() if conn["in_msgs"] == 0]
        self.assertEqual(dropped, [COUNT - len(numbers)])
        if policy == "drop_new":  # the first are kept
            self.assertEqual(numbers, list(range(len(numbers))))
        else:  # the last one is
            self.assertEqual(numbers[-1], COUNT - 1)

    def test_they_miss_whole_messages(self):
        for way in ("tls", "wss", "ws"):
            for policy in ("drop_new", "drop_old", "conflate"):
                with self.subTest(f"{way}, {policy}"):
                    self.miss(way, policy)


if __name__ == "__main__":
    support.main()
