#!/usr/bin/env python3
"""What clients see of a server for which the kernel seals. usage: traffic.py PIPIT-SERVER

Its server gives connections to the kernel at once, and changes keys every 1000 records."""

import os
import select
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import support  # noqa: E402  pylint: disable=wrong-import-position
from support import TlsTest, client_context, connect, ping, read_info, read_line  # noqa: E402

QUIET = '{"verbose": false}'


def counters():
    with open("/proc/net/tls_stat", encoding="ascii") as file:
        return {name: int(value) for name, value in (line.split() for line in file)}


def read_exactly(sock, count):
    got = bytearray()
    while len(got) < count:
        more = sock.recv(min(65536, count - len(got)))
        assert more, f"the end after {len(got)} of {count}"
        got += more
    return bytes(got)


def read_msg(sock):
    line = read_line(sock)
    while line == b"PING\r\n":
        line = read_line(sock)
    assert line.startswith(b"MSG "), line
    size = int(line.split()[-1])
    return read_exactly(sock, size + 2)[:-2]


class Traffic(TlsTest):
    def begin(self, tls=""):
        """A server, for a slow machine; what it has tried of the kernel does not count."""
        server = self.server(f"timeout: 60\n{tls}")
        self.before = counters()
        return server

    def since(self, name):
        return counters()[name] - self.before[name]

    def test_messages_of_all_sizes(self):
        server = self.begin()
        for _ in range(3):
            with connect(server, client_context(self.folder))[0] as sock:
                self.assertEqual(ping(sock, QUIET), "PONG")
                sock.sendall(b"SUB a 1\r\n")
                for size in (0, 1, 16, 16383, 16384, 16385, 100000, 1000000):
                    body = os.urandom(size)
                    sock.sendall(b"PUB a %d\r\n%s\r\n" % (size, body))
                    self.assertEqual(read_msg(sock), body)
        self.assertEqual(self.since("TlsTxSw"), 3)
        with connect(server, client_context(self.folder))[0] as sock:
            self.assertEqual(ping(sock, QUIET), "PONG")
            self.assertEqual([conn["tls_version"] for conn in server.connz()], ["1.3"])

    def test_switched_off(self):
        server = self.begin("ktls: false")
        with connect(server, client_context(self.folder))[0] as sock:
            self.assertEqual(ping(sock, QUIET), "PONG")
            sock.sendall(b"SUB a 1\r\nPUB a 5\r\nhello\r\n")
            self.assertEqual(read_msg(sock), b"hello")
        self.assertEqual(self.since("TlsTxSw"), 0)

    def test_keys_change_as_it_goes(self):
        server = self.begin()
        with connect(server, client_context(self.folder))[0] as sock:
            self.assertEqual(ping(sock, QUIET), "PONG")
            sock.sendall(b"SUB a 1\r\n")
            for number in range(5000):
                sock.sendall(b"PUB a 5\r\n%05d\r\n" % number)
                self.assertEqual(read_msg(sock), b"%05d" % number)
        self.assertGreaterEqual(self.since("TlsTxRekeyOk"), 5)

    def test_keys_change_when_the_client_asks(self):
        server = self.begin("handshake_first: true")
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", "ca.pem"],
            cwd=self.folder.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.stdin.close)

        def until(text):
            while text not in (line := client.stdout.readline()):
                self.assertTrue(line, f"ended before {text}")

        def say(line):
            client.stdin.write(line)
            client.stdin.flush()

        say(b"CONNECT " + QUIET.encode() + b"\r\nSUB a 1\r\nPING\r\n")
        until(b"PONG")
        for turn in range(20):
            say(b"K\n")
            until(b"KEYUPDATE")
            say(b"PUB a 8\r\nturn %03d\r\nPING\r\n" % turn)
            until(b"turn %03d" % turn)
            until(b"PONG")
        client.terminate()
        client.wait(support.DEADLINE_S)
        self.assertGreaterEqual(self.since("TlsTxRekeyOk"), 19)  # one may come before the kernel

    def test_a_slow_client_gets_all_and_the_end(self):
        count, size = 300, 20000
        server = self.begin()
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        raw.settimeout(support.DEADLINE_S)
        raw.connect(("127.0.0.1", server.port))
        read_info(raw)
        slow = client_context(self.folder).wrap_socket(raw, server_hostname="localhost",
                                                       suppress_ragged_eofs=False)
        self.addCleanup(slow.close)
        self.assertEqual(ping(slow, QUIET), "PONG")
        slow.sendall(b"SUB a 1\r\nPING\r\n")
        self.assertEqual(read_line(slow), b"PONG\r\n")
        with connect(server, client_context(self.folder))[0] as sender:
            for number in range(count):
                sender.sendall(b"PUB a %d\r\n%s\r\n" % (size, b"%05d" % number * (size // 5)))
            self.assertEqual(ping(sender, QUIET), "PONG")
        slow.sendall(b"NONSENSE\r\n")  # for which the server says why, and ends
        for number in range(count):
            self.assertEqual(read_msg(slow), b"%05d" % number * (size // 5))
        self.assertTrue(read_line(slow).startswith(b"-ERR "))
        self.assertEqual(slow.recv(100), b"")  # close_notify: without one this fails

    def test_both_ways_at_once(self):
        body, count = os.urandom(100000), 100
        server = self.begin()
        with connect(server, client_context(self.folder))[0] as sock:
            self.assertEqual(ping(sock, QUIET), "PONG")
            sock.sendall(b"SUB a 1\r\n")
            sock.setblocking(False)
            out = memoryview(b"PUB a %d\r\n%s\r\n" % (len(body), body) * count)
            wanted = b"MSG a 1 %d\r\n%s\r\n" % (len(body), body) * count
            got = bytearray()
            while len(got) < len(wanted):
                ready = select.select([sock], [sock] if out else [], [], support.DEADLINE_S)
                self.assertTrue(ready[0] or ready[1])
                try:
                    if out:
                        out = out[sock.send(out[:50000]):]
                except ssl.SSLWantWriteError:
                    pass
                try:
                    while more := sock.recv(65536):
                        got += more.replace(b"PING\r\n", b"")
                except ssl.SSLWantReadError:
                    pass
            self.assertEqual(got, wanted)
            sock.setblocking(True)


if __name__ == "__main__":
    support.main()
