#!/usr/bin/env python3
"""Ten thousand clients that begin with TLS and do not go on. usage: test_half_open.py PIPIT-SERVER"""

import os
import resource
import socket
import ssl

import support
from support import TlsTest, client_context, ping, read_info

PATIENCE_S = 200  # for one who comes behind ten thousand, on a machine that does much else
COUNT = 2000 if "PIPIT_SANITIZED" in os.environ else 10000


def hello(folder):
    """A whole ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(folder).wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class HalfOpen(TlsTest):
    def hold(self, server, said, sockets):
        for _ in range(COUNT):
            sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)
            if said:
                sock.sendall(said)
            sockets.append(sock)
        other = server.dial()
        other.settimeout(PATIENCE_S)
        other = client_context(self.folder).wrap_socket(other, server_hostname="localhost")
        read_info(other)  # it is served meanwhile
        self.assertEqual(ping(other), "PONG")
        other.close()

    def test_memory_is_bounded(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if most < COUNT + 100:
            self.skipTest("too few descriptors")
        for said, most_kib in ((b"", 24000), (b"\x16\x03\x01", 24000),
                               (b"\x16\x03\x01\x40\0" + b"a" * 16000, 48000),
                               (hello(self.folder), 96000)):
            with self.subTest(bytes=len(said)):
                server = self.server("handshake_first: true, timeout: 1000")
                before = server.rss_kib()
                sockets = []
                try:
                    self.hold(server, said, sockets)
                    grown = server.rss_kib() - before
                finally:
                    for sock in sockets:
                        sock.close()
                print(f"{COUNT} that say {len(said)} bytes: {grown} KiB")
                if "PIPIT_SANITIZED" not in os.environ:  # whose memory is another matter
                    self.assertLess(grown, most_kib)


if __name__ == "__main__":
    support.main()
