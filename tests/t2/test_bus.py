#!/usr/bin/env python3
"""What clients of a T2 Bus may rely on: sections 3 to 7 of the protocol, on two loops.

    test_bus.py    PIPIT_SERVER names the server
"""

import contextlib
import os
import tempfile
import time
import unittest

from bus import Bus, Refused, T2Server, frame, payload

PIPIT = os.environ.get("PIPIT_SERVER", "build/pipit-server")


class WithServer(unittest.TestCase):
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = T2Server(PIPIT, *cls.FLAGS, folder=cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.folder.cleanup()
        assert status == 0, "\n".join(cls.server.lines)

    def bus(self, by_unix=False):
        bus = self.server.bus(by_unix)
        self.addCleanup(bus.part)
        return bus

    def refused(self, error, what, *args):
        with self.assertRaises(Refused) as caught:
            what(*args)
        self.assertEqual(caught.exception.args[0], error)


class Publishing(WithServer):
    def test_one_to_one(self):
        a, b = self.bus(), self.bus(by_unix=True)
        b.subscribe("hello/alice")
        self.assertEqual(a.publish("hello/alice", b"\x62Hi"), 1)
        self.assertEqual(b.published(), ("hello/alice", b"\x62Hi"))
        self.assertEqual(a.publish("hello/bob"), 0)
        self.assertEqual(a.publish("hello", b""), 0)

    def test_subscriptions_are_a_set(self):
        a, b = self.bus(), self.bus()
        for topic in ("x/y", "x/y", "x/*", "**", "x/**"):
            b.subscribe(topic)
        self.assertEqual(a.publish("x/y", b"1"), 1)
        self.assertEqual(b.published(), ("x/y", b"1"))
        self.assertEqual(b.settle(), [])
        b.unsubscribe("x/y")
        b.unsubscribe("x/y")
        b.unsubscribe("never/was")
        for topic in ("x/*", "**", "x/**"):
            b.unsubscribe(topic)
        self.assertEqual(a.publish("x/y", b"2"), 0)

    def test_wildcards_on_both_sides(self):
        a = self.bus()
        heard = {topic: self.bus() for topic in ("w/a", "w/a/b", "w/*", "w/**", "w/**/b")}
        for topic, bus in heard.items():
            bus.subscribe(topic)
        for topic, hearers in (("w/a", "w/a w/* w/**"), ("w/a/b", "w/a/b w/**"),
                               ("w/x/b", "w/** w/**/b"), ("w/*", "w/a w/* w/**"),
                               ("w/**", "w/a w/a/b w/* w/** w/**/b"), ("w/*/b", "w/a/b w/**/b")):
            if topic == "w/a/b":
                hearers += " w/**/b"
            count = a.publish(topic, topic.encode())
            for name, bus in heard.items():
                expected = ["Pub"] if name in hearers.split() else []
                self.assertEqual(bus.settle(), expected, (topic, name))
            self.assertEqual(count, len(hearers.split()), topic)

    def test_own_publish_comes_before_its_ack(self):
        a = self.bus()
        a.subscribe("self")
        number = a.post({"Pub": {"topic": "self", "payload": payload(b"me")}})
        first, second = a.read(), a.read()
        self.assertEqual(first["content"]["Pub"]["payload"], payload(b"me"))
        self.assertEqual(second["content"]["Ack"],
                         {"msg_id": number, "err": None, "num_recipients": 1})

    def test_order_of_one_publisher(self):
        a, b, c = self.bus(), self.bus(), self.bus(by_unix=True)
        b.subscribe("order/**")
        c.subscribe("order/*")
        for i in range(2000):
            a.post({"Pub": {"topic": f"order/{i % 7}", "payload": payload(b"%d" % i)}})
        for bus in (b, c):
            self.assertEqual([bus.published()[1] for _ in range(2000)],
                             [b"%d" % i for i in range(2000)])

    def test_subscribed_when_acked(self):
        """On whatever loops the two are: a publish after the Ack is heard."""
        buses = [self.bus() for _ in range(4)]
        for i in range(100):
            hearer, publisher = buses[i % 4], buses[(i + 1 + i // 4 % 3) % 4]
            hearer.subscribe(f"now/{i}")
            self.assertEqual(publisher.publish(f"now/{i}", b""), 1)
            hearer.unsubscribe(f"now/{i}")
            self.assertEqual(publisher.publish(f"now/{i}", b""), 0)

    def test_large_and_compressed_payloads_pass_untouched(self):
        a, b = self.bus(), self.bus()
        b.subscribe("large")
        for data in (bytes(range(256)) * 40, b"\x00" * 1000000, b"\xff" * 500000,
                     b"%not gzip" * 100):
            for compressed in (False, True):
                self.assertEqual(a.publish("large", data, compressed), 1)
                content = b.wait(lambda k, c, _: k == "Pub")["content"]["Pub"]
                self.assertEqual(content["payload"], payload(data, compressed))

    def test_a_hundred_clients(self):
        buses = [self.bus(by_unix=i % 2 == 1) for i in range(100)]
        for bus in buses:
            bus.subscribe("all/of/us")
        for i, bus in enumerate(buses):
            self.assertEqual(bus.publish("all/of/us", b"%d" % i), 100)
        for bus in buses:
            self.assertEqual(sorted(int(bus.published()[1]) for _ in range(100)), list(range(100)))
            self.assertEqual(bus.settle(), [])

    def test_bus_kill_is_a_topic_like_others(self):
        a, b = self.bus(), self.bus()
        b.subscribe("bus/kill")
        self.assertEqual(a.publish("bus/kill"), 1)
        self.assertEqual(a.publish("**"), 1)
        self.assertEqual(a.publish("bus/*"), 1)
        self.assertEqual([b.published()[0] for _ in range(3)], ["bus/kill", "**", "bus/*"])

    def test_who_has_gone_is_not_counted(self):
        a, b, c = self.bus(), self.bus(), self.bus()
        b.subscribe("leave")
        c.subscribe("leave")
        self.assertEqual(a.publish("leave"), 2)
        b.leave()
        self.assertEqual(a.publish("leave"), 1)

    def test_invalid_topics(self):
        a = self.bus()
        for topic in ("", "/", "a/", "A", "a b", "a*", "***", "ä", "a" * 2000):
            told = f"Invalid topic string: {topic[:1024]}"
            for what in (a.subscribe, a.unsubscribe, a.publish, a.serve, a.unserve, a.ask):
                self.refused({"InvalidTopicString": told}, what, topic)
        self.assertEqual(a.publish("fine"), 0)

    def test_topics_are_cut_between_characters(self):
        a = self.bus()
        self.refused({"InvalidTopicString": "Invalid topic string: a" + "ä" * 511}, a.subscribe,
                     "a" + "ä" * 600)

    def test_every_message_is_acked(self):
        a = self.bus()
        for content in ("KeepAlive", {"Sub": {"topic": "t"}}, {"Unsub": {"topic": "t"}},
                        {"Srv": {"topic": "t"}}, {"Unsrv": {"topic": "t"}}):
            number = a.post(content)
            self.assertEqual(a.read()["content"]["Ack"],
                             {"msg_id": number, "err": None, "num_recipients": None})

    def test_stop_is_not_permitted(self):
        a = self.bus()
        self.refused({"InternalError": "stop not permitted"}, a.call, "Stop")
        self.assertEqual(a.publish("t"), 0)


class Serving(WithServer):
    def test_request_and_response(self):
        for by_unix in (False, True):
            owner, asker = self.bus(), self.bus(by_unix)
            owner.serve("hello")
            number = asker.ask("hello", b"\x65Alice")
            request, topic, data = owner.asked()
            self.assertEqual((topic, data), ("hello", b"\x65Alice"))
            owner.respond(request, b"Hello")
            self.assertEqual(asker.answered(number), ("Ok", b"Hello"))
            owner.leave()

    def test_claims_are_exclusive(self):
        a, b = self.bus(), self.bus()
        a.serve("mine")
        a.serve("mine")
        self.refused("TopicAlreadyClaimed", b.serve, "mine")
        b.serve("mine/too")
        b.unserve("mine")  # without effect
        self.refused("TopicAlreadyClaimed", b.serve, "mine")
        a.unserve("mine")
        b.serve("mine")
        a.leave()
        b.unserve("mine")
        self.bus().serve("mine")

    def test_claims_end_with_their_owner(self):
        a, b = self.bus(), self.bus()
        a.serve("brief")
        a.leave()
        b.serve("brief")

    def test_wildcards_cannot_be_claimed(self):
        a = self.bus()
        for topic in ("*", "a/**", "a/*/b"):
            self.refused("ClaimWildcardNotSupported", a.serve, topic)
            self.refused("ClaimWildcardNotSupported", a.unserve, topic)
            self.refused({"ServiceNotFound": topic}, a.ask, topic)

    def test_nobody_serves(self):
        a = self.bus()
        a.subscribe("heard/only")  # another namespace
        self.refused({"ServiceNotFound": "heard/only"}, a.ask, "heard/only")

    def test_the_same_topic_heard_and_served(self):
        a, b = self.bus(), self.bus()
        a.serve("both")
        b.subscribe("both")
        self.assertEqual(a.publish("both", b"p"), 1)
        number = b.ask("both", b"r")
        self.assertEqual(b.published(), ("both", b"p"))
        a.respond(a.asked()[0], b"answer")
        self.assertEqual(b.answered(number), ("Ok", b"answer"))

    def test_asking_oneself(self):
        a = self.bus()
        a.serve("me")
        number = a.post({"Req": {"topic": "me", "payload": payload(b"?")}})
        first, second = a.read(), a.read()
        self.assertIn("Req", first["content"])
        self.assertEqual(second["content"]["Ack"]["msg_id"], number)
        a.respond(first["id"], b"!")
        self.assertEqual(a.answered(number), ("Ok", b"!"))

    def test_many_requests_answered_in_any_order(self):
        owner = self.bus()
        askers = [self.bus() for _ in range(5)]
        owner.serve("many")
        numbers = [(asker, asker.ask("many", b"%d" % i))
                   for i, asker in enumerate(askers * 40)]
        requests = [owner.asked() for _ in numbers]
        for request, _, data in reversed(requests):
            owner.respond(request, b"to " + data)
        for i, (asker, number) in enumerate(numbers):
            self.assertEqual(asker.answered(number), ("Ok", b"to %d" % i))

    def test_ack_comes_before_the_response(self):
        """Whatever loops the two are on, and however quick the owner is."""
        for _ in range(3):
            owner, asker = self.bus(), self.bus()
            owner.serve("quick")
            for _ in range(300):
                number = asker.post({"Req": {"topic": "quick", "payload": payload(b"")}})
                owner.respond(owner.asked()[0])
                first, second = asker.read()["content"], asker.read()["content"]
                self.assertEqual(first["Ack"]["msg_id"], number)
                self.assertEqual(second["Rsp"]["req_id"], number)
            owner.unserve("quick")

    def test_what_is_acked_has_gone(self):
        """Also where a request's Ack goes before the end of the turn."""
        many = self.bus()
        for i in range(900):  # a publish takes long, and so does the turn
            many.subscribe(f"long/{i}/turn")
        publisher, next_one, hearer, owner = (self.bus() for _ in range(4))
        hearer.subscribe("acked")
        owner.serve("elsewhere")
        for i in range(100):
            pubs = [{"Pub": {"topic": topic, "payload": payload(b"first")}}
                    for topic in ["acked"] + ["long/*/none"] * 60]
            request = {"Req": {"topic": "elsewhere", "payload": payload(b"")}}
            numbers = publisher.post_all([pubs[0], request, *pubs[1:]])
            publisher.ack(numbers[0])
            next_one.post({"Pub": {"topic": "acked", "payload": payload(b"second")}})
            self.assertEqual([hearer.published()[1] for _ in range(2)], [b"first", b"second"], i)
            publisher.ack(numbers[-1])

    def test_status_passes(self):
        owner, asker = self.bus(), self.bus()
        owner.serve("late")
        number = asker.ask("late")
        owner.respond(owner.asked()[0], b"sorry", status="Timeout")
        self.assertEqual(asker.answered(number), ("Timeout", b"sorry"))

    def test_responses_that_nobody_awaits(self):
        owner, asker, other = self.bus(), self.bus(), self.bus()
        owner.serve("once")
        self.refused("InvalidRequestId", owner.respond, 4000000000)
        number = asker.ask("once")
        request = owner.asked()[0]
        self.refused("InvalidRequestId", other.respond, request)  # it stays pending
        owner.respond(request, b"1")
        self.refused("InvalidRequestId", owner.respond, request)
        self.assertEqual(asker.answered(number), ("Ok", b"1"))
        self.assertEqual(asker.settle(), [])
        asker.ask("once")
        request = owner.asked()[0]
        asker.leave()
        self.refused("InvalidRequestId", owner.respond, request)

    def test_owner_leaves(self):
        owner, asker = self.bus(), self.bus()
        owner.serve("leaving")
        numbers = [asker.ask("leaving") for _ in range(10)]
        owner.close()
        for number in numbers:
            self.assertEqual(asker.answered(number), ("Timeout", b""))

    def test_large_request_and_response(self):
        owner, asker = self.bus(), self.bus()
        owner.serve("large")
        data = bytes(range(256)) * 2000
        number = asker.ask("large", data)
        request, _, got = owner.asked()
        self.assertEqual(got, data)
        owner.respond(request, data[::-1])
        self.assertEqual(asker.answered(number), ("Ok", data[::-1]))


class Times(unittest.TestCase):
    """With times so short that a test can wait for them."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.config = os.path.join(cls.folder.name, "server.conf")
        cls.write("")
        cls.server = T2Server(PIPIT, "-c", cls.config, folder=cls.folder.name, listen=False)

    @classmethod
    def write(cls, more):
        with open(cls.config, "w", encoding="utf-8") as file:
            file.write('t2 { listen: ["tcp:127.0.0.1:0"]\n' + more + "}\n")

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.folder.cleanup()
        assert status == 0, "\n".join(cls.server.lines)

    def reload(self, more):
        self.write(more)
        self.server.signal("HUP")
        self.server.await_line("Reloaded server configuration")

    def test_request_timeout(self):
        self.reload("request_timeout: 300ms")
        with self.server.bus() as owner, self.server.bus() as asker:
            owner.serve("slow")
            began = time.monotonic()
            number = asker.ask("slow")
            request = owner.asked()[0]
            self.assertEqual(asker.answered(number), ("Timeout", b""))
            self.assertGreater(time.monotonic() - began, 0.25)
            with self.assertRaises(Refused):
                owner.respond(request)
            # An answered request does nothing when its time comes.
            while True:
                number = asker.ask("slow")
                with contextlib.suppress(Refused):  # a loaded machine was not quick
                    owner.respond(owner.asked()[0], b"quick")
                answer = asker.answered(number)
                if answer != ("Timeout", b""):
                    break
            self.assertEqual(answer, ("Ok", b"quick"))
            number = asker.ask("slow")
            self.assertEqual(asker.answered(number), ("Timeout", b""))
            self.assertEqual(asker.settle(), [])

    def test_silence(self):
        self.reload("keep_alive: 8s")
        with self.server.bus() as alive:
            for _ in range(2):  # it outlives what one is given that came after it
                with self.server.bus() as silent:
                    while silent.quiet(within_s=0.1):
                        alive.call("KeepAlive")
                    silent.wait_closed()
                    self.assertEqual(silent.messages, [])
            alive.call("KeepAlive")

    def test_half_a_message_is_silence_too(self):
        self.reload("keep_alive: 3s")
        with self.server.bus() as bus:
            raw = frame({"id": 1, "content": "KeepAlive"})
            bus.send_raw(raw[:10])
            bus.wait_closed()

    def test_limits(self):
        self.reload("max_subscriptions: 3, max_requests: 2, max_frame: 4096")
        with self.server.bus() as a, self.server.bus() as b:
            for i in range(3):
                a.subscribe(f"s/{i}")
                a.subscribe(f"s/{i}")
                a.serve(f"s/{i}")
            for what in (a.subscribe, a.serve):
                with self.assertRaises(Refused) as caught:
                    what("one/more")
                self.assertEqual(caught.exception.args[0],
                                 {"InternalError": "too many subscriptions"})
            a.unsubscribe("s/0")
            a.subscribe("one/more")
            numbers = [b.ask("s/1"), b.ask("s/2")]
            with self.assertRaises(Refused):
                b.ask("s/1")
            for _ in numbers:
                a.respond(a.asked()[0])
            b.ask("s/1")
            b.send_raw(frame({"id": 1, "content": {"Pub": {"topic": "t",
                                                           "payload": payload(b"a" * 4096)}}}))
            b.wait_closed()

    def test_client_limit(self):
        self.reload("max_clients: 2")
        with self.server.bus() as a, self.server.bus() as b:
            a.call("KeepAlive")
            b.call("KeepAlive")
            with self.server.bus() as c:
                c.wait_closed()
            a.call("KeepAlive")

    def test_listening_is_not_reloaded(self):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write('t2 { listen: ["tcp:127.0.0.1:1"] }\n')
        self.server.signal("HUP")
        self.server.await_line("t2.listen")


class Stopping(unittest.TestCase):
    def test_stop_ends_the_bus_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "server.conf")
            with open(config, "w", encoding="utf-8") as file:
                file.write(f't2 {{ listen: ["tcp:127.0.0.1:0", "unix:{folder}/t2.sock"]\n'
                           "allow_stop: true }\n")
            server = T2Server(PIPIT, "-c", config, listen=False)
            self.addCleanup(server.__exit__)
            a, b = server.bus(), Bus(f"{folder}/t2.sock")
            b.subscribe("t")
            number = a.post("Stop")
            self.assertEqual(a.read()["content"]["Ack"]["msg_id"], number)
            a.wait_closed()
            b.wait_closed()
            with self.assertRaises(OSError):
                server.bus()
            self.assertFalse(os.path.exists(f"{folder}/t2.sock"))
            client = server.connect()
            client.send(b"PING\r\n")
            self.assertEqual(client.line(), b"PONG\r\n")
            client.sock.close()
            self.assertEqual(server.stop(), 0)


class Sockets(unittest.TestCase):
    def test_a_file_that_is_no_socket_stays(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/file"
            with open(path, "w", encoding="utf-8") as file:
                file.write("precious")
            server = T2Server(PIPIT, f"--t2=unix:{path}", listen=False, wait=None)
            self.assertNotEqual(server.wait(), 0)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), "precious")

    def test_a_socket_that_is_served_stays(self):
        with tempfile.TemporaryDirectory() as folder:
            first = T2Server(PIPIT, folder=folder)
            second = T2Server(PIPIT, f"--t2=unix:{first.unix}", listen=False, wait=None)
            self.assertNotEqual(second.wait(), 0)
            with first.bus(by_unix=True) as bus:
                bus.call("KeepAlive")
            first.signal("KILL")
            first.wait()
            third = T2Server(PIPIT, folder=folder)  # in the place of one that nobody serves
            with third.bus(by_unix=True) as bus:
                bus.call("KeepAlive")
            self.assertEqual(third.stop(), 0)
            self.assertFalse(os.path.exists(third.unix))

    def test_bad_addresses(self):
        for address in ("127.0.0.1:1", "tcp:", "tcp:127.0.0.1", "tcp:h:99999", "unix:", "udp:h:1",
                        "tls:127.0.0.1:1", ""):
            server = T2Server(PIPIT, f"--t2={address}", listen=False, wait=None)
            self.assertNotEqual(server.wait(), 0, address)


if __name__ == "__main__":
    unittest.main(verbosity=1)
