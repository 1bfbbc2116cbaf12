#!/usr/bin/env python3
"""Topics as subjects: messages and requests between clients of the bus and of NATS.

    test_bridge.py    PIPIT_SERVER names the server
"""

import gzip
import json
import os
import pathlib
import sys
import tempfile
import time

import unittest
import urllib.request

from bus import Bus, Refused, T2Server, frame, payload

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from client import Client  # noqa: E402

PIPIT = os.environ.get("PIPIT_SERVER", "build/pipit-server")
MAX_PAYLOAD = 300000


class Bridge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = T2Server(PIPIT, f"--max_payload={MAX_PAYLOAD}", "-m", "-1",
                              folder=cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.folder.cleanup()
        assert status == 0, "\n".join(cls.server.lines)

    def setUp(self):
        self.bus = self.open_bus()
        self.nats = self.open_nats()

    def open_bus(self):
        bus = self.server.bus()
        self.addCleanup(bus.part)
        return bus

    def open_nats(self):
        nats = Client(self.server.port)
        self.addCleanup(nats.close)
        return nats

    def subscribe(self, subject, queue=None):
        sid = self.nats.subscribe(subject, queue)
        self.nats.flush()
        return sid

    # --- messages -----------------------------------------------------------------------------

    def test_to_nats(self):
        self.subscribe("t2.>")
        for data in (b"", b"hi", bytes(range(256)) * 100, b"\r\nPING\r\n", b"a" * MAX_PAYLOAD):
            self.assertEqual(self.bus.publish("room/lobby_1/7", data), 0)  # clients of the bus
            message = self.nats.wait_subject("t2.room.lobby_1.7")
            self.assertEqual((message.payload, message.header, message.reply), (data, b"", None))

    def test_to_nats_decompressed(self):
        self.subscribe("t2.zip")
        data = b"much of the same " * 5000
        self.bus.publish("zip", gzip.compress(data), compressed=True)
        self.assertEqual(self.nats.wait_subject("t2.zip").payload, data)

    def test_what_cannot_be_carried_stays(self):
        before = self.undeliverable()
        other = self.open_bus()
        other.subscribe("bad")
        self.subscribe("t2.bad")
        bomb = gzip.compress(b"\0" * (50 << 20))
        for data, compressed in ((b"not gzip", True), (bomb, True), (gzip.compress(b"x")[:-9], True),
                                 (b"", True), (b"a" * (MAX_PAYLOAD + 1), False)):
            self.assertEqual(self.bus.publish("bad", data, compressed), 1)
            content = other.wait(lambda k, c, _: k == "Pub")["content"]["Pub"]
            self.assertEqual(content["payload"], payload(data, compressed))
        self.bus.publish("bad", b"good")
        self.assertEqual(self.nats.wait_subject("t2.bad").payload, b"good")
        self.assertEqual(self.undeliverable(), before + 5)

    def test_wildcards_stay_on_the_bus(self):
        self.subscribe("t2.>")
        self.bus.publish("a/*", b"1")
        self.bus.publish("**", b"2")
        self.bus.publish("a/b", b"3")
        self.assertEqual(self.nats.wait(lambda m: True).payload, b"3")

    def test_from_nats(self):
        exact, wild = self.open_bus(), self.open_bus()
        exact.subscribe("from/nats")
        wild.subscribe("from/**")
        for data in (b"", b"hi", bytes(range(256)) * 1000, b"\x17\x18\x19"):
            self.nats.publish("t2.from.nats", data)
            for bus in (exact, wild):
                content = bus.wait(lambda k, c, _: k == "Pub")["content"]["Pub"]
                self.assertEqual(content, {"topic": "from/nats", "payload": payload(data)})
        self.nats.publish("t2.from.nats", b"body", headers={"A": "b"})
        self.assertEqual(exact.published()[1], b"body")

    def test_subjects_that_are_no_topics(self):
        before = self.undeliverable()
        self.bus.subscribe("**")
        for subject in ("t2.Upper", "t2.a-b", "t2.a*", "t2.**", "t2.ä"):
            self.nats.publish(subject, b"lost")
        self.nats.publish("t2.fine", b"found")
        self.assertEqual(self.bus.published(), ("fine", b"found"))
        self.assertEqual(self.undeliverable(), before + 5)

    def test_nothing_comes_back(self):
        self.bus.subscribe("**")
        self.assertEqual(self.bus.publish("echo", b"1"), 1)
        self.assertEqual(self.bus.published(), ("echo", b"1"))
        self.subscribe("t2.echo")
        self.nats.publish("t2.echo", b"2")
        self.assertEqual(self.bus.published(), ("echo", b"2"))
        self.assertEqual(self.nats.wait_subject("t2.echo").payload, b"2")
        self.nats.flush()
        self.assertEqual(self.bus.settle(), [])
        self.assertEqual(self.nats.taken(), [])

    def test_order_from_nats(self):
        self.bus.subscribe("order")
        for i in range(2000):
            self.nats.publish("t2.order", str(i))
        self.assertEqual([self.bus.published()[1] for _ in range(2000)],
                         [b"%d" % i for i in range(2000)])

    # --- requests -----------------------------------------------------------------------------

    def test_nats_asks(self):
        self.bus.serve("time/now")
        reply = self.nats.ask("t2rr.time.now", b"?")
        request, topic, data = self.bus.asked()
        self.assertEqual((topic, data), ("time/now", b"?"))
        self.bus.respond(request, b"noon")
        self.assertEqual(self.nats.wait_subject(reply).payload, b"noon")
        with self.assertRaises(Refused):
            self.bus.respond(request, b"again")

    def test_nats_asks_where_nobody_serves(self):
        self.assertEqual(self.nats.request("t2rr.nobody", b"?").status, "503")
        self.bus.serve("gone")
        self.bus.unserve("gone")
        self.assertEqual(self.nats.request("t2rr.gone", b"?").status, "503")
        self.bus.subscribe("heard")
        self.assertEqual(self.nats.request("t2.unheard", b"?").status, "503")

    def test_compressed_answer(self):
        self.bus.serve("zip")
        reply = self.nats.ask("t2rr.zip", b"")
        request = self.bus.asked()[0]
        data = b"answer " * 2000
        self.bus.call({"Rsp": {"req_id": request, "status": "Ok",
                               "payload": payload(gzip.compress(data), True)}})
        self.assertEqual(self.nats.wait_subject(reply).payload, data)

    def test_bus_asks_nats(self):
        self.subscribe("t2rr.calc.*", "workers")
        for data in (b"", b"2+2", bytes(range(256)) * 100):
            number = self.bus.ask("calc/sum", data)
            message = self.nats.wait_subject("t2rr.calc.sum")
            self.assertEqual(message.payload, data)
            self.nats.publish(message.reply, b"four" + data)
            self.nats.publish(message.reply, b"five")  # one answer is enough
            self.assertEqual(self.bus.answered(number), ("Ok", b"four" + data))
        self.nats.flush()
        self.assertEqual(self.bus.settle(), [])

    def test_ack_comes_before_the_answer_of_nats(self):
        self.subscribe("t2rr.quick")
        for _ in range(200):
            self.bus.post({"Req": {"topic": "quick", "payload": payload(b"")}})
            self.nats.publish(self.nats.wait_subject("t2rr.quick").reply, b"")
            self.assertIn("Ack", self.bus.read()["content"])
            self.assertIn("Rsp", self.bus.read()["content"])

    def test_the_bus_comes_first(self):
        """Who serves on the bus is asked alone by its clients."""
        owner = self.open_bus()
        owner.serve("both")
        self.subscribe("t2rr.both")
        number = self.bus.ask("both", b"?")
        owner.respond(owner.asked()[0], b"bus")
        self.assertEqual(self.bus.answered(number), ("Ok", b"bus"))
        self.nats.flush()
        self.assertEqual(self.nats.taken(), [])

    def test_nobody_forges_an_answer(self):
        self.subscribe("t2rr.secret")
        number = self.bus.ask("secret")
        reply = self.nats.wait_subject("t2rr.secret").reply
        mallory = self.open_nats()
        for wrong in (reply[:-1] + ("0" if reply[-1] != "0" else "1"), reply[:-16] + "0" * 16,
                      reply + "0", reply[:-1], reply[:-24] + "z" * 24):
            mallory.publish(wrong, b"forged")
        mallory.flush()
        self.nats.publish(reply, b"true")
        self.assertEqual(self.bus.answered(number), ("Ok", b"true"))

    # --- monitoring ---------------------------------------------------------------------------

    def http(self, path):

        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.http_port}{path}",
                                    timeout=60) as answer:
            return answer.read().decode()

    def undeliverable(self):

        return json.loads(self.http("/varz"))["t2"]["undeliverable"]

    def test_monitoring(self):

        self.bus.subscribe("a/b")
        self.bus.serve("c")
        t2 = json.loads(self.http("/varz"))["t2"]
        self.assertGreaterEqual(t2["clients"], 1)
        self.assertGreaterEqual(t2["subscriptions"], 1)
        self.assertEqual(t2["claims"], 1)
        connections = json.loads(self.http("/connz"))["connections"]
        self.assertIn("t2", [c["type"] for c in connections])
        self.assertIn("pipit_t2_claims 1", self.http("/metrics"))

    def ways_given(self):
        lines = self.http("/metrics").splitlines()
        return sum(int(line.split()[-1]) for line in lines
                   if line.startswith("pipit_loop_ways_given_total{"))

    def test_who_says_much_at_once_is_given_way(self):
        before = self.ways_given()
        for _ in range(20):
            self.bus.publish("one/by/one")
        self.assertEqual(self.ways_given(), before)
        many = b"".join(frame({"id": number, "content": "KeepAlive"}) for number in range(32))
        deadline = time.monotonic() + 60
        while self.ways_given() == before:  # not if others have had the processor for long
            self.assertLess(time.monotonic(), deadline)
            self.bus.send_raw(many)
            for number in range(32):
                self.bus.ack(number)

    def test_closed_connections_are_shown(self):
        with Bus(self.server.t2) as gone:
            gone.subscribe("gone/by")
            port = gone.socket.getsockname()[1]
        deadline = time.monotonic() + 60
        while True:
            closed = json.loads(self.http("/connz?state=closed&subs=1"))["connections"]
            found = [c for c in closed if c["type"] == "t2" and c["port"] == port]
            if found:
                break
            self.assertLess(time.monotonic(), deadline, closed)
        self.assertEqual(found[0]["reason"], "Client Closed")
        self.assertEqual(found[0]["subscriptions"], 1)


class Accounts(unittest.TestCase):
    """The bus stands in the account that the configuration names."""

    def test_account(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "server.conf")
            with open(config, "w", encoding="utf-8") as file:
                file.write('accounts { A { users: [{user: a, password: a}] }\n'
                           'B { users: [{user: b, password: b}] } }\n'
                           't2 { listen: "tcp:127.0.0.1:0", account: B }\n')
            server = T2Server(PIPIT, "-c", config, listen=False)
            self.addCleanup(server.__exit__)
            a, b = Client(server.port, "a", "a"), Client(server.port, "b", "b")
            bus = Bus(server.t2)
            a.subscribe("t2.>")
            b.subscribe("t2.>")
            a.flush()
            b.flush()
            bus.publish("x", b"1")
            self.assertEqual(b.wait_subject("t2.x").payload, b"1")
            a.flush()
            self.assertEqual(a.taken(), [])
            server.signal("HUP")
            server.await_line("Reloaded server configuration")
            bus.publish("x", b"2")
            self.assertEqual(b.wait_subject("t2.x").payload, b"2")
            for client in (a, b, bus):
                client.close()
            self.assertEqual(server.stop(), 0)

    def test_no_such_account(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "server.conf")
            with open(config, "w", encoding="utf-8") as file:
                file.write('t2 { listen: "tcp:127.0.0.1:0", account: NOBODY }\n')
            server = T2Server(PIPIT, "-c", config, listen=False, wait=None)
            self.assertNotEqual(server.wait(), 0)
            self.assertIn("there is no account", "\n".join(server.lines))


if __name__ == "__main__":

    unittest.main(verbosity=1)
