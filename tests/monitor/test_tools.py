#!/usr/bin/env python3
"""Tools that read the pages of nats-server, unmodified: nats-top and prometheus-nats-exporter, in the
versions that scripts/peers/tools pins. What they show of pipit-server is compared with what they show
of nats-server after the same traffic."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest
import urllib.request

from world import DEADLINE_S, PIPIT, Server, both, eventually, main, tool

MESSAGES = 100


def traffic(server):
    listening = server.client(name="listening", lang="c", version="1.0")
    listening.send(b"SUB a 1\r\nSUB b.* 2\r\n").ping()
    talking = server.client(name="talking", lang="py", version="2.0")
    talking.send(b"PUB a 3\r\nabc\r\n" * MESSAGES).ping()
    return listening, talking


def number_of(text, pattern):
    return float(re.search(pattern, text, re.M)[1])


class Top(unittest.TestCase):
    """nats-top prints one snapshot, or draws on a terminal; this version can do no more."""

    @classmethod
    def setUpClass(cls):
        cls.top = tool("nats-top")

    def snapshot(self, server, *flags):
        command = [self.top, "-s", "127.0.0.1", "-m", str(server.http_port), "-b", "-o", "-", *flags]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True, timeout=DEADLINE_S).stdout

    @staticmethod
    def plain(page):
        """The page without what differs from run to run."""
        page = re.sub(r"version[ ,]\S+ ?\S*\(uptime: \w+\)", "VERSION", page)
        page = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC", "TIME", page)
        page = re.sub(r"ID:( +)\w{56}\b", r"ID:\1KEY", page)
        page = re.sub(r"(CPU:[ ,]+)[\d.]+%", r"\1N%", page)
        page = re.sub(r"(Memory:[ ,]+)[\d.]+[KMG]", r"\1N", page)
        page = page.replace("b.*, a", "a, b.*")  # in no order there
        page = re.sub(r"\b127\.0\.0\.1:\d+( +|,)\d+", r"HOST\1CID", page)
        return re.sub(r"\b\d+s\b", "Ns", re.sub(r" +", " ", page))

    def test_a_snapshot_is_that_of_nats_server(self):
        with both() as (ours, theirs):
            clients = traffic(ours) + traffic(theirs)
            for flags in ((), ("-u",), ("-sort", "msgs_to", "-n", "1"), ("-l", ",")):
                here, there = self.snapshot(ours, *flags), self.snapshot(theirs, *flags)
                self.assertEqual(self.plain(here), self.plain(there), flags)
                self.assertRegex(here, rf"In:[ ,]+Msgs:[ ,]+{MESSAGES}[ ,]+Bytes:[ ,]+{3 * MESSAGES}\b")
            page = self.snapshot(ours, "-u")
            self.assertRegex(page, r" listening +2 .* c +1\.0 .* a, b\.\*")
            self.assertRegex(page, r" talking +0 .* py +2\.0 ")
            for client in clients:
                client.close()

    def draw(self, server):
        """Run it on a terminal until it has drawn the clients; returns what it drew."""
        child, screen = pty.fork()
        if child == 0:
            os.environ["TERM"] = "xterm"
            os.execv(self.top, [self.top, "-s", "127.0.0.1", "-m", str(server.http_port), "-b"])
        drawn, typed, end = b"", False, time.monotonic() + DEADLINE_S
        try:
            fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
            while True:
                left = end - time.monotonic()
                if left <= 0 or not select.select([screen], [], [], left)[0]:
                    raise AssertionError(f"not in {DEADLINE_S} s: clients on the screen: {drawn!r}")
                try:
                    drawn += os.read(screen, 65536)
                except OSError:  # its end closed: it has left
                    break
                if b"listening" in drawn and b"talking" in drawn and not typed:
                    typed = True
                    os.write(screen, b"q")
            return drawn
        finally:
            if not typed:
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(screen)

    def test_on_a_terminal(self):
        with Server(PIPIT) as server:
            clients = traffic(server)
            drawn = self.draw(server)
            self.assertIn(b"watched", drawn)  # the name of the server
            self.assertIn(str(3 * MESSAGES).encode(), drawn)
            for client in clients:
                client.close()


def listening_port(process):
    """The TCP port that a process listens on; 0: none yet."""
    sockets = set()
    for fd in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{process.pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    with open(f"/proc/{process.pid}/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            field = line.split()
            if field[3] == "0A" and f"socket:[{field[9]}]" in sockets:
                return int(field[1].split(":")[1], 16)
    return 0


class Exporter(unittest.TestCase):
    PAGES = ("-varz", "-connz", "-connz_detailed", "-subz", "-routez", "-gatewayz", "-leafz")

    def scrape(self, server, *flags, url_end=""):
        """What a Prometheus would get."""
        process = subprocess.Popen(
            [tool("prometheus-nats-exporter"), "-addr", "127.0.0.1", "-port", "0", *flags,
             f"http://127.0.0.1:{server.http_port}{url_end}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            port = eventually(lambda: process.poll() is not None or listening_port(process),
                              "the exporter listens")
            if process.poll() is not None:
                raise AssertionError("the exporter ended: " + process.stderr.read())
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                        timeout=DEADLINE_S) as response:
                return response.read().decode()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    @staticmethod
    def series(page):
        """Names of metrics and of their labels."""
        found = set()
        for name, labels in re.findall(r"^(gnatsd_\w+)(?:\{(.*)\})? ", page, re.M):
            found.add((name, *sorted(re.findall(r'(\w+)="', labels))))
        return found

    def test_the_same_metrics(self):
        with both() as (ours, theirs):
            clients = traffic(ours) + traffic(theirs)
            here = self.series(self.scrape(ours, *self.PAGES))
            there = self.series(self.scrape(theirs, *self.PAGES))
            self.assertEqual(here, there)
            self.assertEqual({"varz", "connz", "subsz", "routez", "leafz"},  # gatewayz: has no gateway
                             {name.split("_")[1] for name, *_ in here})
            for client in clients:
                client.close()

    def test_the_same_numbers(self):
        with both() as (ours, theirs):
            clients = traffic(ours) + traffic(theirs)
            pages = [self.scrape(server, *self.PAGES) for server in (ours, theirs)]
            for wanted, pattern in (
                    (MESSAGES, r"^gnatsd_varz_in_msgs\S* (.+)"),
                    (3 * MESSAGES, r"^gnatsd_varz_in_bytes\S* (.+)"),
                    (MESSAGES, r"^gnatsd_varz_out_msgs\S* (.+)"),
                    (2, r"^gnatsd_varz_connections\S* (.+)"),
                    (2, r"^gnatsd_connz_num_connections\S* (.+)"),
                    (2, r'^gnatsd_connz_subscriptions\{[^}]*name="listening"[^}]*\} (.+)'),
                    (MESSAGES, r'^gnatsd_connz_out_msgs\{[^}]*name="listening"[^}]*\} (.+)'),
                    (MESSAGES, r'^gnatsd_connz_in_msgs\{[^}]*name="talking"[^}]*\} (.+)')):
                self.assertEqual([number_of(page, pattern) for page in pages], [wanted] * 2, pattern)
            for client in clients:
                client.close()

    def test_health(self):
        with both() as servers:
            for server in servers:
                page = self.scrape(server, "-healthz", url_end="/")  # it only adds "healthz" to it
                self.assertEqual(number_of(page, r"^gnatsd_healthz_status\S* (.+)"), 0)

    def test_it_learns_who_the_server_is(self):
        with Server(PIPIT) as server:
            page = self.scrape(server, "-varz", "-use_internal_server_name")
            self.assertIn('server_id="watched"', page)
            page = self.scrape(server, "-varz", "-use_internal_server_id")
            self.assertIn(f'server_id="{server.json("/varz")["server_id"]}"', page)

    def test_streams_that_are_not_there(self):
        with both() as (ours, theirs):
            pages = [self.series(self.scrape(server, "-jsz", "all")) for server in (ours, theirs)]
            self.assertEqual(pages[0], pages[1])


if __name__ == "__main__":
    main()
