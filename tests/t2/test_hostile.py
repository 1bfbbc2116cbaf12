#!/usr/bin/env python3
"""Peers that do not play by the rules: they end their own connection at most.

    test_hostile.py    PIPIT_SERVER names the server
"""

import os
import pathlib
import random
import resource
import struct
import tempfile
import unittest

from bus import Closed, T2Server, encode, frame, payload

PIPIT = os.environ.get("PIPIT_SERVER", "build/pipit-server")


def length(size):
    return struct.pack(">I", size)


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = T2Server(PIPIT, "--max_pending=1MB", folder=cls.folder.name)
        cls.witness = [cls.server.bus(), cls.server.bus(by_unix=True)]
        cls.witness[0].subscribe("witness")

    @classmethod
    def tearDownClass(cls):
        for bus in cls.witness:
            bus.close()
        status = cls.server.stop()
        cls.folder.cleanup()
        assert status == 0, "\n".join(cls.server.lines)

    def tearDown(self):
        """Others are served as before."""
        self.assertEqual(self.witness[1].publish("witness", b"1"), 1)
        self.assertEqual(self.witness[0].published(), ("witness", b"1"))

    def ends(self, raw):
        """Sent by somebody new, that ends the connection without a word."""
        with self.server.bus() as bus:
            try:
                bus.send_raw(raw)
                bus.wait_closed()
            except ConnectionError:
                pass  # it was closed before all was sent
            self.assertEqual(bus.messages, [], raw[:64])

    def test_what_does_not_decode(self):
        for raw in (b"\x00", b"\xff", b"\x82\x01\x02", b"hello", encode({"id": 1}),
                    encode({"id": 1, "content": "Nonsense"}), encode({"id": 1, "content": None}),
                    encode({"id": 1 << 40, "content": "KeepAlive"}),
                    encode({"id": 1, "content": {"Sub": {"topic": b"a"}}}),
                    encode({"id": 1, "content": {"Pub": {"topic": "a"}}}),
                    encode({"id": 1, "content": {"Ack": {"msg_id": 1, "err": None,
                                                         "num_recipients": None}}}),
                    b"\xbf" * 100, b"\x5f" * 100, b"\x9b" + b"\xff" * 8, b"\xbb" + b"\x7f" * 8,
                    b"\x7b" + b"\xff" * 8 + b"a", b"\xc0" * 1000):
            self.ends(length(len(raw)) + raw)

    def test_lengths_that_lie(self):
        good = encode({"id": 1, "content": "KeepAlive"})
        for size in (0, 1, len(good) - 1, (1 << 20) + 1, 1 << 24, (1 << 32) - 1):
            self.ends(length(size) + good)
        with self.server.bus() as bus:  # too long: what is behind the item does not matter
            bus.send_raw(length(len(good) + 3) + good + b"\xff\xff\xff")
            self.assertEqual(bus.read()["content"]["Ack"]["msg_id"], 1)

    def test_nesting(self):
        for depth, survives in ((60, True), (70, False), (100000, False), (1000000, False)):
            raw = b"\xa3\x61x" + b"\x81" * depth + b"\x00\x62id\x01\x67content\x69KeepAlive"
            if survives:
                with self.server.bus() as bus:
                    bus.send_raw(length(len(raw)) + raw)
                    self.assertEqual(bus.read()["content"]["Ack"]["msg_id"], 1)
            else:
                self.ends(length(len(raw)) + raw)

    def test_cut_at_every_byte(self):
        raw = frame({"id": 7, "content": {"Pub": {"topic": "cut", "payload": payload(b"12345")}}})
        for i in range(1, len(raw)):
            with self.server.bus() as whole, self.server.bus() as cut:
                whole.send_raw(raw[:i])
                cut.send_raw(raw[:i])
                cut.leave()  # nothing is said about a half
                self.assertEqual(cut.messages, [])
                whole.send_raw(raw[i:])
                self.assertEqual(whole.read()["content"]["Ack"]["msg_id"], 7)

    def test_mutations(self):
        seed = int(os.environ.get("PIPIT_SEED") or random.randrange(1 << 32))
        print(f"PIPIT_SEED={seed}")
        chance = random.Random(seed)
        samples = [frame({"id": 1, "content": {"Pub": {"topic": "m/x", "payload": payload(b"12")}}}),
                   frame({"id": 1, "content": {"Sub": {"topic": "m/**"}}}),
                   frame({"id": 1, "content": {"Srv": {"topic": "m"}}}),
                   frame({"id": 1, "content": {"Req": {"topic": "m", "payload": payload(b"")}}}),
                   frame({"id": 1, "content": {"Rsp": {"req_id": 0, "status": "Ok",
                                                       "payload": payload(b"")}}})]
        for _ in range(400):
            raw = bytearray(b"".join(chance.choices(samples, k=3)))
            for _ in range(chance.randrange(1, 4)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            with self.server.bus() as bus:
                try:
                    bus.send_raw(raw)
                    bus.leave()
                except (Closed, ConnectionError):
                    pass

    def test_what_came_before_is_answered(self):
        with self.server.bus() as bus:
            bus.send_raw(frame({"id": 5, "content": "KeepAlive"}) + length(1) + b"\x00")
            bus.wait_closed()
            self.assertEqual([m["content"]["Ack"]["msg_id"] for m in bus.messages], [5])

    def test_who_never_reads(self):
        """Closed when too much waits for it, while others get all."""
        with self.server.bus() as deaf, self.server.bus() as hears, self.server.bus() as says:
            deaf.subscribe("flood")
            hears.subscribe("flood")
            data = b"x" * 100000
            counts = []
            while len(counts) < 400 and (not counts or counts[-1] == 2):
                counts.append(says.publish("flood", data))
                self.assertEqual(len(hears.published()[1]), len(data))
            self.assertEqual(counts[-1], 1, "the deaf one is still there")
            try:
                deaf.wait_closed()
            except ConnectionError:
                pass

    def test_acks_that_nobody_reads(self):
        """Who asks and does not listen is closed, too."""
        with self.server.bus() as bus:
            raw = frame({"id": 1, "content": "KeepAlive"}) * 5000
            bus.socket.settimeout(60)
            with self.assertRaises((ConnectionError, Closed)):
                while True:
                    bus.send_raw(raw)

    def test_costly_publishes(self):
        """A match that would take too long is refused, and others are served meanwhile."""
        with self.server.bus() as bus:
            for i in range(20000):
                bus.post({"Sub": {"topic": f"c/{i}/d"}})
            bus.settle()
            number = bus.post({"Pub": {"topic": "/".join(["**"] * 40), "payload": payload(b"")}})
            ack = bus.wait(lambda k, c, _: k == "Ack" and c["msg_id"] == number)
            self.assertEqual(ack["content"]["Ack"]["err"],
                             {"InternalError": "too many subscriptions"})


class Silent(unittest.TestCase):
    """Ten thousand of whom half have said the beginning of something, and nobody reads."""

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.count = min(10000, (hard - 200) // 2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def resident(self, server):
        """In bytes."""
        text = pathlib.Path(f"/proc/{server.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGESIZE")

    def instrumented(self, server):
        """A sanitizer takes memory of its own for each allocation."""
        return "san" in pathlib.Path(f"/proc/{server.pid}/maps").read_text(encoding="ascii")

    def test_many_silent_clients(self):
        with T2Server(PIPIT) as server:
            first, second = server.bus(), server.bus()
            first.subscribe("witness")
            before = self.resident(server)
            crowd = [server.bus() for _ in range(self.count)]
            self.assertEqual(second.publish("witness", b"1"), 1)
            come = self.resident(server)
            for bus in crowd[::2]:
                bus.send_raw(length(1024 * 1024) + b"\xa2\x62id")
            for i in range(100):
                self.assertEqual(second.publish("witness", bytes([i]) * 1000), 1)
            first.published()
            said = self.resident(server)
            if not self.instrumented(server):
                self.assertLess((come - before) / self.count, 4096, "bytes of one that is silent")
                self.assertLess((said - come) / self.count, 4096, "and of half a frame")
            for bus in crowd:
                bus.close()
            for bus in (first, second):
                bus.call("KeepAlive")
                bus.close()
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
