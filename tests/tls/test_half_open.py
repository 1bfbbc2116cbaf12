#!/usr/bin/env python3
"""Ten thousand clients that begin with TLS and do not go on. usage: test_half_open.py PIPIT-SERVER"""

import resource
import socket
import ssl

import support
from support import TlsTest, client_context, connect, ping

COUNT = 10000


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
    def hold(self, server, said):
        sockets = []
        for _ in range(COUNT):
            sock = socket.create_connection(("127.0.0.1", server.port), support.DEADLINE_S)
            if said:
                sock.sendall(said)
            sockets.append(sock)
        other, _ = connect(server, client_context(self.folder), first=True)  # is served meanwhile
        self.assertEqual(ping(other), "PONG")
        other.close()
        return sockets

    def test_memory_is_bounded(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if most < COUNT + 100:
            self.skipTest("too few descriptors")
        for said, kib_each in ((b"", 3), (b"\x16\x03\x01", 8), (hello(self.folder), 12)):
            with self.subTest(bytes=len(said)):
                server = self.server("handshake_first: true, timeout: 60")
                before = server.rss_kib()
                sockets = self.hold(server, said)
                grown = server.rss_kib() - before
                print(f"{COUNT} that say {len(said)} bytes: {grown} KiB")
                self.assertLess(grown, COUNT * kib_each)
                for sock in sockets:
                    sock.close()


if __name__ == "__main__":
    support.main()
