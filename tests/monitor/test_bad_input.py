#!/usr/bin/env python3
"""What does not belong on a port: requests that are malformed, too large, too slow or too many, other
protocols, and questions about features that are off. Each gets its answer, clients are served all the
while, and nothing stays behind."""

import contextlib
import itertools
import math
import os
import re
import select
import socket
import tempfile
import time
import unittest

from world import DEADLINE_S, PIPIT, Client, Server, both, eventually, main

SANITIZED = bool(os.environ.get("PIPIT_SANITIZED"))
CHUNK_BYTES = 16384  # of output, as loops keep them in their pools
HOST = b"Host: x\r\n"
END = b"Connection: close\r\n\r\n"
CHUNKED = b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(160)


def get(target, *lines, method=b"GET", version=b"HTTP/1.1", host=HOST):
    return method + b" " + target + b" " + version + b"\r\n" + host + b"".join(
        line + b"\r\n" for line in lines) + END


def post(*lines, body=b""):
    return get(b"/healthz", *lines, method=b"POST") + body


# What is sent, and the statuses that are answered. Nothing is answered to who leaves too early.
HEADS = (
    # the request line
    (b"", ()), (b"\r\n\r\n", ()), (b"GET", ()), (b"GET /varz HTTP/1.1\r\nHost: x\r\n", ()),
    (b"GET\r\n\r\n", (400,)), (b"GET /varz\r\n\r\n", (400,)),
    (b"GET  HTTP/1.1\r\n\r\n", (400,)), (b"GET /varz HTTP/1\r\n\r\n", (400,)),
    (b" GET /varz HTTP/1.1\r\n\r\n", (400,)), (b"HTTP/1.1 200 OK\r\n\r\n", (400,)),
    (get(b"/varz", version=b"HTTP/1.1.1"), (400,)), (get(b"/varz", version=b"FTP/1.1"), (400,)),
    (get(b"/varz", version=b"HTTP/0.9"), (400,)), (get(b"/varz", version=b"HTTP/2.0"), (505,)),
    (get(b"/varz", version=b"HTTP/9.9"), (505,)), (get(b"/healthz", version=b"HTTP/1.0"), (200,)),
    (get(b"varz"), (400,)), (get(b"/va\0rz"), (400,)), (get(b"/va\trz"), (400,)),
    (get(b"/%zz"), (400,)), (get(b"/%"), (400,)), (get(b"/%4"), (400,)), (get(b"http://"), (400,)),
    (get(b"/varz%00"), (404,)), (get(b"/va\xffrz"), (404,)), (get(b"/../../etc/passwd"), (404,)),
    (get(b"/%2e%2e/etc/passwd"), (404,)), (get(b"http://h/healthz"), (200,)),
    (get(b"/healthz?" + b"x" * 8000), (200,)), (get(b"/" + b"x" * 9000), (414,)),
    (b"GET /" + b"x" * 1000000, (414,)), (b" " * 10000, (400,)), (b"\r\n" * 100000, (431,)),
    (b"\0" * 5000, (400,)), (b"\xff" * 5000, (400,)), (b"A" * 1000000, (400,)),
    # methods
    (get(b"/healthz", method=b"get"), (400,)), (get(b"/healthz", method=b"BREW"), (400,)),
    (get(b"/healthz", method=b"G\0T"), (400,)), (get(b"h:80", method=b"CONNECT"), (400,)),
    (get(b"*", method=b"OPTIONS"), (404,)), (get(b"*", method=b"PRI", version=b"HTTP/2.0"), (400,)),
    *((get(b"/healthz", method=m), (200,)) for m in (b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PURGE",
                                                     b"PROPFIND", b"OPTIONS", b"HEAD")),
    # headers
    (get(b"/varz", host=b""), (400,)), (get(b"/varz", HOST.strip()), (400,)),
    (get(b"/varz", b"no colon"), (400,)), (get(b"/varz", b": no name"), (400,)),
    (get(b"/varz", b"A b: c"), (400,)), (get(b"/varz", b"A : c"), (400,)),
    (get(b"/varz", b"A\0: c"), (400,)), (get(b"/varz", b"A: \0"), (400,)),
    (get(b"/varz", b"A: \x01"), (400,)), (get(b"/varz", b"A: b\rc"), (400,)),
    (get(b"/varz", host=b" A: b\r\n"), (400,)), (get(b"/varz", b"Expect: magic"), (417,)),
    (get(b"/varz", *[b"A: b"] * 200), (431,)), (get(b"/varz", b"A: " + b"x" * 1000000), (431,)),
    (get(b"/varz", b"A" * 1000000), (431,)), (get(b"/healthz", b"A: " + b"x" * 30000), (200,)),
    # bodies
    *((post(b"Content-Length: " + n, body=b"x"), (400,)) for n in (
        b"x", b"-1", b"+1", b"1, 1", b"1 2", b"", b"0x1", b"99999999999999999999999")),
    (post(b"Content-Length: 1", b"Content-Length: 2", body=b"xx"), (400,)),
    (post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), (400,)),
    (post(b"Transfer-Encoding: gzip", body=b"xx"), (400,)),
    (post(b"Transfer-Encoding: chunked, gzip", body=b"xx"), (400,)),
    (post(b"Content-Length: 99999999999", body=b"x"), (413,)),
    (post(b"Content-Length: 5", body=b"hell"), ()),
    (post(b"Content-Length: 5", body=b"hello"), (200,)),
    (CHUNKED + b"zz\r\n", (400,)), (CHUNKED + b"F" * 17 + b"\r\n", (400,)),
    (CHUNKED + b"5\r\nxx\r\n0\r\n\r\n", (400,)), (CHUNKED + b"FFFFFFFF\r\nxx", ()),
    (CHUNKED + b"FFFFFFFF\r\n" + b"x" * 100000, (413,)), (CHUNKED + b"1\r\nx\r\n" * 100000, (413,)),
    (CHUNKED + b"1;" + b"x" * 3000000, (431,)), (CHUNKED + b"0\r\n" + b"A: b\r\n" * 100000, (431,)),
    # several
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n", (200, 400)),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"\0" + get(b"/varz"), (200, 200, 400)),
    (get(b"/healthz") + get(b"/varz"), (200,)),
    # other protocols
    (b'CONNECT {"verbose":false}\r\nPING\r\n', (400,)), (b"PUB a 1\r\nx\r\n", (400,)),
    (b"PING\r\n", (400,)), (TLS_HELLO, (400,)),
    (bytes.fromhex("802e0100020015000000101003") * 4, (400,)),
    (b"SSH-2.0-OpenSSH_9\r\n", (400,)), (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + get(b"/varz"), (400,)),
    (b"\r\n\r\n\0\r\nQUIT\n!\x11" + bytes(14), (400,)),
    (get(b"/healthz", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), (200,)),
)

PATHS = ("/", "/varz", "/connz", "/routez", "/gatewayz", "/leafz", "/subsz", "/subscriptionsz",
         "/accountz", "/accstatz", "/jsz", "/healthz", "/ipqueuesz", "/raftz", "/stacksz", "/debug/vars",
         "/metrics", "/reloadz")


def connect(address):
    peer = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    peer.settimeout(DEADLINE_S)
    peer.connect(address)
    return peer


def exchange(address, *pieces):
    """Send piece by piece, shut, and return all that comes back."""
    with connect(address) as peer:
        answer = b""
        with contextlib.suppress(OSError):  # refused before it was all sent
            if peer.family != socket.AF_UNIX:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                peer.sendall(piece)
            peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while got := peer.recv(65536):
                answer += got
        return answer


def statuses(answer):
    return tuple(int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer))


class Watched(unittest.TestCase):
    """A server with a client that must be served all the while, and an eye on what it holds."""

    FLAGS = ("--max_closed_clients", "0")  # else each that leaves is remembered

    def setUp(self):
        with contextlib.ExitStack() as ends:
            self.server = ends.enter_context(Server(PIPIT, *self.FLAGS))
            self.http = ("127.0.0.1", self.server.http_port)
            self.nats = ("127.0.0.1", self.server.port)
            self.witness = Client(self.server.port)
            ends.callback(self.witness.close)
            self.witness.send(b"SUB witness 1\r\n").ping()
            self.addCleanup(ends.pop_all().close)

    def check_witness(self):
        self.witness.send(b"PUB witness 2\r\nhi\r\n")
        self.witness.until(b"MSG witness 1 2\r\nhi\r\n")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    def held(self):
        """Descriptors, pieces of memory but for those in pools, which may fill up to their limits,
        and resident MiB. Sanitizers keep what is given back."""
        descriptors = self.descriptors()  # before the question itself takes one
        page = self.server.get("/metrics").text

        def number(name):
            return float(re.search(rf"^{name} (\S+)", page, re.M)[1])

        pooled = number('pipit_part_memory_bytes{part="output_pools"}') / CHUNK_BYTES
        return (descriptors, number("pipit_allocated_objects") - pooled,
                0 if SANITIZED else number("pipit_resident_memory_bytes") / 2**20)

    def check_nothing_left(self, before, pieces_more=4):
        """Return what is held when all of it has been given back; a few pieces may be under way,
        those of this very question among them."""
        eventually(lambda: self.descriptors() <= before[0], "descriptors given back")

        def settled():
            now = self.held()
            return now[1] <= before[1] + pieces_more and now
        try:
            return eventually(settled, "memory given back")
        except AssertionError:
            self.fail(f"held before: {before}, now: {self.held()}")

    def check_nothing_grows(self, scenario):
        """Go through it twice: what is kept for the next time is the same after both. Or four times:
        a pool of small pieces may fill later, which are more than their bytes tell."""
        before = self.held()
        scenario()
        last = self.check_nothing_left(before, pieces_more=math.inf)
        for more in (True, True, False):
            scenario()
            try:
                return before, self.check_nothing_left(last)
            except AssertionError:
                if not more:
                    raise
            last = self.held()


class Http(Watched):
    def test_each_gets_its_answer(self):
        for data, wanted in HEADS:
            self.assertEqual(statuses(exchange(self.http, data)), wanted, data[:80])
            if len(data) < 400:
                bytewise = [data[i:i + 1] for i in range(len(data))]
                self.assertEqual(statuses(exchange(self.http, *bytewise)), wanted, data[:80])
            self.check_witness()

        def again():
            for data, _ in HEADS * 5:  # so that one piece left by any of them is seen
                exchange(self.http, data)

        before, after = self.check_nothing_grows(again)
        self.assertLess(after[2], before[2] + 16)  # MiB

    def test_what_a_refusal_says(self):
        for data, text in ((get(b"/va\0rz"), b"400 Bad Request"),
                           (get(b"/" + b"x" * 9000), b"414 URI Too Long"),
                           (get(b"/", version=b"HTTP/2.0"), b"505 HTTP Version Not Supported"),
                           (TLS_HELLO, b"400 Bad Request")):
            head, _, body = exchange(self.http, data).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 " + text + b"\r\n"), head)
            self.assertEqual(body, text)
            self.assertIn(b"\r\nConnection: close", head)
            self.assertIn(b"\r\nContent-Type: text/plain; charset=utf-8", head)
            self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head)

    def test_slow_heads_and_bodies(self):
        """A byte now and then is no request, however long it goes on."""
        descriptors = self.descriptors()
        slow = {connect(self.http): text for text in (
            b"GET /varz HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 10000,
            b"POST /varz HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"y" * 10000,
            CHUNKED + b"1\r\nx\r\n" * 10000, b"\r\n" * 5000)}
        answers = {peer: b"" for peer in slow}
        sent = dict.fromkeys(slow, 0)
        end = time.monotonic() + DEADLINE_S
        waiting = set(slow)
        while waiting and time.monotonic() < end:
            for peer in waiting:
                with contextlib.suppress(ConnectionError):
                    peer.send(slow[peer][sent[peer]:sent[peer] + 1])
                sent[peer] += 1
            for peer in select.select(waiting, [], [], 0.05)[0]:
                with contextlib.suppress(ConnectionError):
                    answers[peer] += peer.recv(4096)
                waiting.discard(peer)
            self.check_witness()
        self.assertEqual({slow[p]: statuses(a) for p, a in answers.items()},
                         dict.fromkeys(slow.values(), (408,)))
        for peer in slow:
            peer.close()
        eventually(lambda: self.descriptors() <= descriptors, "closed")

    def test_silent_ones_do_not_keep_others_out_for_long(self):
        def be_silent():
            with contextlib.ExitStack() as ends:
                for _ in range(700):  # far more than there may be
                    ends.enter_context(connect(self.http))
                self.check_witness()
                eventually(lambda: statuses(exchange(self.http, get(b"/healthz"))) == (200,),
                           "an answer")
                self.check_witness()

        self.check_nothing_grows(be_silent)

    def ask_until_full(self, peers):
        """All of them send requests until nothing more is taken from any."""
        request = b"GET /varz HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        while ready := select.select([], peers, [], 0.5)[1]:
            for peer in ready:
                with contextlib.suppress(BlockingIOError):
                    peer.send(request)

    def test_those_who_ask_and_never_listen(self):
        before = self.held()

        def be_deaf():
            with contextlib.ExitStack() as ends:
                peers = [ends.enter_context(connect(self.http)) for _ in range(50)]
                for peer in peers:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    peer.setblocking(False)
                self.ask_until_full(peers)
                self.check_witness()
                self.assertEqual(self.server.get("/healthz").status, 200)
                self.assertLess(self.held()[2], before[2] + 64)  # MiB

        self.check_nothing_grows(be_deaf)


class Nats(Watched):
    """The port for clients takes nothing else."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pipit-bad-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "s")
        self.FLAGS = (*Watched.FLAGS, "--unix", path, "-DV")
        super().setUp()
        self.addresses = (self.nats, path)

    def ask(self):
        for address, path, method in itertools.product(
                self.addresses, PATHS, (b"GET", b"POST", b"HEAD", b"OPTIONS")):
            answer = exchange(address, get(path.encode(), method=method))
            info, _, rest = answer.partition(b"\r\n")
            self.assertTrue(info.startswith(b"INFO {"), answer)
            self.assertEqual(rest, b"-ERR 'Unknown Protocol Operation'\r\n", (path, method))
        self.check_witness()

    def test_http(self):
        self.check_nothing_grows(self.ask)

    def speak(self):
        for address, data in itertools.product(self.addresses, (
                TLS_HELLO, b"SSH-2.0-OpenSSH_9\r\n", b"EHLO x\r\n", b"\0" * 5000, b"\xff" * 5000,
                b"*1\r\n$4\r\nPING\r\n", b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
                bytes.fromhex("0d0a0d0a000d0a515549540a2111000c") + bytes(12))):
            answer = exchange(address, data)
            self.assertTrue(answer.endswith(b"-ERR 'Unknown Protocol Operation'\r\n"),
                            (data[:20], answer))
            bytewise = exchange(address, *[data[i:i + 1] for i in range(min(len(data), 100))])
            self.assertTrue(bytewise.startswith(b"INFO {"), bytewise)
        self.check_witness()

    def test_others(self):
        self.check_nothing_grows(self.speak)
        log = "".join(self.server.log)
        self.assertRegex(log, r"^[^\x00-\x08\x0b-\x1f\x7f]*$")


class Off(unittest.TestCase):
    """Questions about what is off are answered as nats-server answers them."""

    QUESTIONS = PATHS[:-2] + (
        "/jsz?accounts=1&streams=1&consumers=1&config=1&raft=1&leader-only=1", "/jsz?acc=none",
        "/jsz?limit=x", "/jsz?accounts=x", "/healthz?js-enabled-only=1", "/healthz?js-enabled-only=x",
        "/healthz?js-server-only=1", "/healthz?js-meta-only=1&details=1", "/healthz?account=A&stream=s",
        "/healthz?stream=s", "/healthz?account=A&stream=s&consumer=c&details=1", "/raftz?acc=$SYS",
        "/raftz?group=x", "/raftz?acc=none&group=x", "/leafz?subs=1&acc=none", "/leafz?subs=x",
        "/gatewayz?gw_name=x&accs=1&acc_name=y", "/gatewayz?accs=x", "/gatewayz?subs=detail",
        "/routez?subs=1", "/routez?subs=detail", "/routez?subs=x", "/accountz?acc=none",
        "/accountz?acc=$G", "/accstatz?unused=x", "/accstatz?unused=1", "/ipqueuesz?all=x",
        "/connz?mqtt_client=x", "/connz?state=x", "/connz?acc=none", "/connz?cid=99", "/subsz?acc=none",
        "/subsz?test=a..b", "/none", "/jsz/x", "/leafnodez", "/profilez", "/debug/pprof/heap")

    def told(self, server, question):
        response = server.get(question)
        kind = response.headers.get("Content-Type")
        if response.status == 200 and response.text.startswith("{"):
            return response.status, kind, sorted(set(response.json) - {"feature_flags"})
        if response.status == 200:
            return response.status
        return response.status, kind, response.text

    def test_every_path(self):
        with both() as (ours, theirs):
            for question in self.QUESTIONS:
                self.assertEqual(self.told(ours, question), self.told(theirs, question), question)

    def test_without_the_port(self):
        with Server(PIPIT) as watched:
            pass
        self.assertRaises(OSError, connect, ("127.0.0.1", watched.http_port))
        with Server(PIPIT, "-m", "0") as server:
            self.assertIsNone(server.http_port)
            server.client().close()


if __name__ == "__main__":
    main()
