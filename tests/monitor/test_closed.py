#!/usr/bin/env python3
"""Connections that have closed: why, how many are remembered, in what order. Reasons as nats-server
has them for the same ends."""

import contextlib
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from world import PIPIT, Server, eventually, main, tool

# Limits that make ends quick to reach, in the words of either server; one who logs in at once is to
# be in time on a busy machine too.
FLAGS = ("--max_payload", "100", "--max_control_line", "512", "--max_connections", "3",
         "--ping_max", "1", "--auth_timeout", "2s", "--user", "u", "--pass", "p")
CONFIG = """
max_payload: 100
max_control_line: 512
max_connections: 3
ping_interval: "%s"
ping_max: 1
authorization { user: u, password: p, timeout: 2 }
"""


@contextlib.contextmanager
def configured(ping_interval):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(CONFIG % ping_interval)
        file.flush()
        with Server(PIPIT, *FLAGS, "--ping_interval", ping_interval) as ours, \
                Server(tool("nats-server"), "-c", file.name) as theirs:
            yield ours, theirs


def closed(server, count):
    return eventually(lambda: [page["connections"] for page in
                               [server.json("/connz?state=closed&sort=cid")]
                               if page["total"] == count], f"{count} closed connections")[0]


def known(server):
    return server.client(user="u", **{"pass": "p"})


def end_in_many_ways(server):
    """Each returns when that connection has ended, so that their order is known."""
    known(server).send(b"PUB a 101\r\n").gone()
    known(server).send(b"SUB " + b"x" * 600 + b" 1\r\n").gone()
    known(server).send(b"NONSENSE\r\n").gone()
    with contextlib.suppress(ConnectionError):
        server.client(user="u", **{"pass": "wrong"})
    server.client(handshake=False).gone()  # says nothing until its time is over
    stale = known(server)  # answers no ping
    stale.gone()
    with contextlib.suppress(ConnectionError):
        server.client(user="u", protocol=9, **{"pass": "p"})
    with contextlib.suppress(ConnectionError):
        server.client(user="u", headers=False, no_responders=True, **{"pass": "p"})


class Reasons(unittest.TestCase):
    def test_as_nats_server_gives_them(self):
        with configured("2s") as both, ThreadPoolExecutor(len(both)) as threads:
            list(threads.map(end_in_many_ways, both))
            reasons = [[c["reason"] for c in closed(server, 8)] for server in both]
            self.assertEqual(*reasons)
            self.assertEqual(len(set(reasons[0])), 8)

    def test_too_many_connections(self):
        with configured("1h") as both:  # they answer no ping
            for server in both:
                clients = [known(server) for _ in range(3)]
                with contextlib.suppress(ConnectionError):
                    server.client(user="u", **{"pass": "p"})
                eventually(lambda s=server: "Maximum Connections Exceeded" in [
                    c["reason"] for c in s.json("/connz?state=closed")["connections"]],
                           "one too many")
                for client in clients:
                    client.close()

    def test_slow_consumer(self):
        with Server(PIPIT, "--max_pending", "1MB") as server:
            slow = server.client(name="slow")
            slow.send(b"SUB flood 1\r\n").ping()
            fast = server.client()
            message = b"PUB flood 65536\r\n" + b"x" * 65536 + b"\r\n"

            def flooded():
                fast.send(message * 16).ping()
                return server.json("/connz?state=closed")["connections"]

            connection = eventually(flooded, "a slow consumer")[0]
            self.assertEqual(connection["name"], "slow")
            self.assertEqual(connection["reason"], "Slow Consumer (Pending Bytes)")
            self.assertGreater(connection["pending_bytes"], 0)
            self.assertEqual(server.json("/varz")["slow_consumers"], 1)
            self.assertEqual(server.json("/varz")["slow_consumer_stats"]["clients"], 1)
            sender = server.json("/connz")["connections"][0]
            self.assertEqual(sender.get("stalls", 0), server.json("/varz")["stalled_clients"])
            slow.close()


class Ring(unittest.TestCase):
    def test_the_oldest_go_first(self):
        with Server(PIPIT, "--max_closed_clients", "3") as server:
            for i in range(8):
                server.client(name=f"c{i}").send(b"garbage\r\n").gone()
                page = eventually(lambda n=i: [p for p in [server.json("/connz?state=closed")]
                                               if p["connections"] and
                                               p["connections"][-1]["name"] == f"c{n}"], "closed")[0]
                self.assertEqual(page["total"], min(i + 1, 3))
            self.assertEqual([c["name"] for c in page["connections"]], ["c5", "c6", "c7"])
            self.assertEqual(server.json("/varz")["total_connections"], 8)
            newest = server.json("/connz?state=closed&sort=stop&limit=1")["connections"][0]
            self.assertEqual(newest["name"], "c7")

    def test_none_is_kept_if_none_is_to_be(self):
        with Server(PIPIT, "--max_closed_clients", "0") as server:
            server.client().send(b"garbage\r\n").gone()
            self.assertEqual(server.json("/connz?state=closed")["total"], 0)

    def test_very_many(self):
        with Server(PIPIT) as server:
            for _ in range(40):
                clients = [server.client(handshake=False) for _ in range(300)]
                for client in clients:
                    client.close()
            eventually(lambda: server.json("/varz")["connections"] == 0, "all closed")
            page = server.json("/connz?state=closed&limit=20000")
            self.assertEqual(page["total"], 10000)
            self.assertEqual(page["connections"][-1]["cid"], 12000)
            self.assertEqual({c["reason"] for c in page["connections"]}, {"Client Closed"})


if __name__ == "__main__":
    main()
