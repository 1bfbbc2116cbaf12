#!/usr/bin/env python3
"""Tools that read the pages of nats-server, unmodified: nats-top and prometheus-nats-exporter."""

import re
import socket
import subprocess
import unittest
import urllib.request

from world import DEADLINE_S, PIPIT, Server, both, eventually, main, tool

# What the exporter makes of numbers that only one of the servers has.
ONLY_THEIRS = re.compile(r"gnatsd_(varz_feature_flags|varz_http_req_stats|accountz_|.*js_)")
ONLY_OURS = re.compile(r"gnatsd_varz_http_req_stats")


def traffic(server):
    listening = server.client(name="listening", lang="c", version="1.0")
    listening.send(b"SUB a 1\r\n").ping()
    talking = server.client(name="talking")
    talking.send(b"PUB a 3\r\nabc\r\n" * 100).ping()
    return listening, talking


class Top(unittest.TestCase):
    def test_batch(self):
        top = tool("nats-top")
        with Server(PIPIT) as server:
            clients = traffic(server)
            page = subprocess.run([top, "-s", "127.0.0.1", "-m", str(server.http_port), "-b", "-r", "1",
                                   "-d", "1", "-u"], capture_output=True, text=True, check=True,
                                  timeout=DEADLINE_S).stdout
            for text in ("Connections Polled: 2", "listening", "talking"):
                self.assertIn(text, page)
            for client in clients:
                client.close()


class Exporter(unittest.TestCase):
    def names(self, exporter, server):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [exporter, "-addr", "127.0.0.1", "-port", str(port), "-varz", "-connz", "-connz_detailed",
             "-subz", "-routez", "-gatewayz", "-leafz", "-accstatz", "-accountz", "-healthz",
             f"http://127.0.0.1:{server.http_port}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def scrape():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                            timeout=DEADLINE_S) as response:
                    return response.read().decode()
            except OSError:
                return ""

        try:
            page = eventually(lambda: [p for p in [scrape()] if "gnatsd_varz_in_msgs" in p],
                              "the exporter")[0]
        finally:
            process.terminate()
            process.wait(DEADLINE_S)
        return set(re.findall(r"^# TYPE (gnatsd_\w+)", page, re.M))

    def test_the_same_metrics(self):
        exporter = tool("prometheus-nats-exporter")
        with both() as (ours, theirs):
            clients = traffic(ours) + traffic(theirs)
            here, there = self.names(exporter, ours), self.names(exporter, theirs)
            self.assertEqual({n for n in there - here if not ONLY_THEIRS.match(n)}, set())
            self.assertEqual({n for n in here - there if not ONLY_OURS.match(n)}, set())
            for client in clients:
                client.close()


if __name__ == "__main__":
    main()
