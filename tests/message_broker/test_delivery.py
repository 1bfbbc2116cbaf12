#!/usr/bin/env python3
"""What subscribers get, when, how often and in which order; limits and reload; what is shown.

usage: test_delivery.py [TEST...]
"""
import json
import sys
import threading
import time

from broker import (ACK, BEGINNING, CURRENT, NACK, SUBSCRIBED, UNSUBSCRIBED, Broker, at, error,
                    run, subscription, until, unsubscription)

QUICK = "ack_delay: 100ms, ack_timeout: 100ms"
SLOW = "ack_delay: 2s, ack_timeout: 2s"  # something else comes before a message does again


def mean_gap(pub, sub, answer, count):
    """Of the deliveries of one message. From before it is published, for a client that is held up learns late
    when the first one came."""
    began = time.monotonic()
    pub.publish("a", b"x")
    for _ in range(count):
        sub.next(answer)
    return (time.monotonic() - began) / (count - 1)


def test_always_refused_comes_five_times():
    """Each after the delay; within a second when nothing else is slow."""
    with Broker(QUICK) as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a"])
        assert mean_gap(pub, sub, NACK, 5) > 0.09
        until(lambda: server.state()["dropped"] == 1, "the drop")
        sub.expect_nothing()
        with server.client() as late:  # it stays for others
            late.subscribe(["a"], BEGINNING)
            assert late.next() == ("a", b"x")


def test_never_answered_comes_five_times():
    """Each after timeout and delay."""
    with Broker(QUICK) as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a"])
        assert mean_gap(pub, sub, None, 5) > 0.19
        until(lambda: server.state()["dropped"] == 1, "the drop")
        assert server.state()["timeouts"] == 5
        sub.expect_nothing()
        pub.publish("a", b"y")
        assert sub.next() == ("a", b"y")


def test_many_at_once_come_again():
    """Nobody answers: they are all late at about the same time, and each comes as often as it may."""
    many = 300
    with Broker("ack_timeout: 100ms, ack_delay: 100ms, max_deliver: 3") as server, \
            server.publisher() as pub:
        subs = [server.client().subscribe(["a"]) for _ in range(many)]
        pub.publish("a", b"x")
        for _ in range(3):
            assert all(sub.next(None) == ("a", b"x") for sub in subs)
        until(lambda: server.state()["dropped"] == many, "the drops")
        assert server.state()["timeouts"] == 3 * many and server.state()["in_flight"] == 0
        for sub in subs:
            sub.expect_nothing()
            sub.close()


def test_max_deliver_is_a_key():
    with Broker(f"{QUICK}, ack_delay: 1ms, max_deliver: 2") as server:
        with server.client() as sub, server.publisher() as pub:
            sub.subscribe(["a"])
            pub.publish("a", b"x", b"y")
            got = [sub.next(NACK)[1] for _ in range(4)]
            assert sorted(got) == [b"x", b"x", b"y", b"y"], got
            until(lambda: server.state()["dropped"] == 2, "two drops")


def test_as_patient_as_can_be():
    longest = '"9223372036s"'
    with Broker(f"ack_timeout: {longest}, ack_delay: {longest}, frame_timeout: {longest}") as server:
        with server.client() as sub, server.publisher() as pub:
            sub.subscribe(["a"])
            pub.publish("a", b"one", b"two")
            assert sub.next(NACK) == ("a", b"one")
            assert sub.next(None) == ("a", b"two")
            sub.subscribe(["b"])
            assert server.state()["in_flight"] == 1
            assert server.state()["timeouts"] == 0


def test_others_go_on_while_one_waits():
    with Broker("ack_delay: 5s, ack_timeout: 30s") as server, server.client() as sub, \
            server.publisher() as pub:
        sub.subscribe(["a"])
        pub.publish("a", b"1", b"2", b"3")
        got = [sub.next(NACK)[1]] + [sub.next()[1] for _ in range(3)]
        assert got == [b"1", b"2", b"3", b"1"], got


def test_one_in_flight_of_all_topics():
    """And topics take turns."""
    with Broker("ack_timeout: 30s") as server, server.client() as sub, server.publisher() as pub:
        with server.client() as other:
            other.subscribe(["a", "b"])
            for topic in ("a", "b", "a", "b"):
                pub.publish(topic, topic.encode())
            assert sorted(other.next()[0] for _ in range(4)) == ["a", "a", "b", "b"]
        sub.subscribe(["a", "b"], BEGINNING)
        got = []
        for _ in range(4):
            got.append(sub.next(None)[0])
            # Nothing comes before the answer but what it asks for itself.
            sub.expect_nothing()
            sub.send(ACK)
        assert got == ["a", "b", "a", "b"], got


def test_requests_while_a_message_is_in_flight():
    with Broker("ack_timeout: 30s") as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a"])
        pub.publish("a", b"1", b"2")
        sub.next(None)
        sub.send(subscription(["b"])).expect(SUBSCRIBED)
        sub.send(ACK)
        assert sub.next(None) == ("a", b"2")
        sub.send(unsubscription(["a"])).expect(UNSUBSCRIBED)
        pub.publish("b", b"3")
        until(lambda: server.state()["published"] == 3, "all")
        sub.expect_nothing()  # the answer is still awaited, though its subscription has gone
        sub.send(NACK)
        assert sub.next() == ("b", b"3")
        sub.expect_nothing()


def test_no_answer_to_a_subscription_that_has_gone():
    with Broker(SLOW) as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a", "b"])
        pub.publish("a", b"1")
        sub.next(None)
        sub.send(unsubscription(["a"])).expect(UNSUBSCRIBED)
        pub.publish("b", b"2")
        assert sub.next() == ("b", b"2")  # after the timeout
        sub.expect_nothing()


def test_unsubscribing_ends_what_waits():
    with Broker(SLOW) as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a"])
        pub.publish("a", b"1")
        sub.next(NACK)
        sub.send(unsubscription(["a"])).expect(UNSUBSCRIBED)
        until(lambda: server.state()["outstanding"] == 0, "nothing to wait")
        sub.subscribe(["a"])
        pub.publish("a", b"2")
        assert sub.next() == ("a", b"2")


def test_subscribing_again_begins_anew():
    with Broker("ack_timeout: 30s") as server, server.client() as sub, server.publisher() as pub:
        pub.publish("a", *[b"%d" % i for i in range(6)])
        until(lambda: server.state()["published"] == 6, "all")
        sub.subscribe(["a"], BEGINNING)
        assert [sub.next()[1] for _ in range(3)] == [b"0", b"1", b"2"]
        assert sub.next(None)[1] == b"3"
        sub.send(subscription(["a"], at(4))).expect(SUBSCRIBED)
        sub.send(ACK)  # to the old one's
        assert [sub.next()[1] for _ in range(2)] == [b"4", b"5"]
        sub.expect_nothing()
        assert server.state()["subscriptions"] == 1


def test_positions():
    cases = [(BEGINNING, 0), (at(0), 0), (at(3), 3), (at(9), 9), (at(10), 10), (at(65535), 10),
             (CURRENT, 10)]
    for store in ("memory", "file"):
        with Broker(f"store: {store}") as server, server.publisher() as pub:
            pub.publish("a", *[b"%d" % i for i in range(10)])
            until(lambda: server.state()["published"] == 10, "all")
            subs = [(server.client().subscribe(["a"], start), first) for start, first in cases]
            empty = server.client().subscribe(["new"], at(3))
            pub.publish("a", b"10")
            pub.publish("new", b"first")
            for sub, first in subs:
                got = [sub.next()[1] for _ in range(first, 11)]
                assert got == [b"%d" % i for i in range(first, 11)], (first, got)
                sub.expect_nothing()
            assert empty.next() == ("new", b"first")


def collect(sub, last, into):
    while not into or into[-1] != last:
        into.append(sub.next()[1])


def test_replay_while_publishing_runs():
    """From the beginning, from n and from now: each message once, in order."""
    total, before = 4000, 1000
    for store in ("memory", "file"):
        with Broker(f"store: {store}") as server, server.publisher() as pub:
            pub.publish("a", *[b"%d" % i for i in range(before)])
            until(lambda: server.state()["published"] == before, "the first")
            go_on, all_there = threading.Event(), threading.Event()

            def publish():
                for i in range(before, total):
                    pub.publish("a", b"%d" % i)
                    if i == before + 100:
                        go_on.set()
                    if i == total - 1000:  # and those who want what comes now are there
                        all_there.wait(60)

            thread = threading.Thread(target=publish)
            thread.start()
            assert go_on.wait(60)
            subs, threads = [], []
            for start in (BEGINNING, at(500), CURRENT):
                got = []
                sub = server.client().subscribe(["a"], start)
                threads.append(threading.Thread(target=collect, args=(sub, b"%d" % (total - 1), got)))
                threads[-1].start()
                subs.append((sub, got))
            all_there.set()
            for one in [thread, *threads]:
                one.join(120)
                assert not one.is_alive()
            for (sub, got), first in zip(subs, (0, 500, None)):
                first = int(got[0]) if first is None else first
                assert got == [b"%d" % i for i in range(first, total)], (first, got[:3], len(got))
                sub.expect_nothing()


def test_large_messages_and_names():
    name = "n" * 60000
    data = bytes(range(256)) * 4096
    with Broker("", "max_payload: 2MB") as server, server.client() as sub:
        with server.publisher() as pub:
            sub.subscribe(["a", name])
            pub.publish("a", data)
            assert sub.next() == ("a", data)
            pub.publish(name, data, b"x")
            assert sub.next() == (name, data)
            assert sub.next() == (name, b"x")


def test_names_are_any_text():
    names = ["", "a b", "a.b", "*", ">", "%", "é", "../../x", "/", "A", "a", "a\x00b", "\x7f"]
    with Broker() as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(names)
        for i, name in enumerate(names):
            pub.publish(name, b"%d" % i)
        got = sorted((sub.next() for _ in names), key=lambda pair: int(pair[1]))
        assert got == [(name, b"%d" % i) for i, name in enumerate(names)], got


def test_several_subscribers_do_not_wait_for_each_other():
    with Broker("ack_timeout: 30s") as server, server.client() as slow, server.client() as quick:
        with server.publisher() as pub:
            slow.subscribe(["a"])
            quick.subscribe(["a"])
            pub.publish("a", *[b"%d" % i for i in range(100)])
            assert [quick.next()[1] for _ in range(100)] == [b"%d" % i for i in range(100)]
            assert slow.next(None)[1] == b"0"
            slow.send(ACK)
            assert slow.next()[1] == b"1"


def test_limits_of_a_topic():
    with Broker("max_messages: 3") as server, server.client() as sub, server.publisher() as pub:
        pub.publish("a", *[b"%d" % i for i in range(10)])
        until(lambda: server.state()["published"] == 10, "all")
        sub.subscribe(["a"], BEGINNING)
        assert [sub.next()[1] for _ in range(3)] == [b"7", b"8", b"9"]
        sub.subscribe(["a"], at(8))  # numbers go on counting
        assert [sub.next()[1] for _ in range(2)] == [b"8", b"9"]
        sub.expect_nothing()


def test_a_message_that_has_gone_does_not_come_again():
    with Broker("ack_delay: 5s, max_messages: 1") as server, server.client() as sub:
        with server.publisher() as pub:
            sub.subscribe(["a"])
            pub.publish("a", b"1")
            sub.next(NACK)
            pub.publish("a", b"2")
            assert sub.next() == ("a", b"2")
            until(lambda: server.state()["outstanding"] == 0, "nothing to wait")
            sub.expect_nothing()


def test_old_messages_go():
    with Broker("max_age: 100ms") as server, server.publisher() as pub:
        pub.publish("a", b"1")
        until(lambda: server.state()["published"] == 1, "it")

        def is_gone():
            with server.client() as sub:
                sub.subscribe(["a"], BEGINNING)
                # A message would come before the answer to what is asked after it.
                sub.send(ACK + unsubscription([]))
                return sub.read(2) == UNSUBSCRIBED

        until(is_gone, "its end")


def test_limits_of_clients_and_topics():
    keys = "max_topics: 2, max_subscriptions: 2, max_clients: 3"
    with Broker(keys) as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a", "b"])
        sub.send(subscription(["a", "b", "c"])).expect(error("too many topics"))
        pub.publish("c", b"x").expect(error("failed to send message to subscribers"))
        pub.publish("a", b"x")  # the connection is as before
        assert sub.next() == ("a", b"x")
        sub.send(unsubscription(["a"])).expect(UNSUBSCRIBED)
        sub.send(subscription(["d"])).expect(error("too many topics"))
        with server.client():
            until(lambda: server.state()["clients"] == 3, "three")
            fourth = server.client()
            assert fourth.socket.recv(1) == b""
        assert server.state()["clients_refused"] == 1


def test_nobody_is_let_in():
    """With max_clients: 0. Who is there stays."""
    with Broker() as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a"])
        server.reload("max_clients: 0")
        with server.client() as other:
            assert other.socket.recv(1) == b""
        pub.publish("a", b"x")
        assert sub.next() == ("a", b"x")


def test_reload():
    with Broker("ack_timeout: 30s, max_messages: 100") as server, server.client() as sub:
        with server.publisher() as pub:
            pub.publish("a", *[b"%d" % i for i in range(10)])
            until(lambda: server.state()["published"] == 10, "all")
            server.reload("ack_timeout: 30s, ack_delay: 1ms, max_messages: 2, max_deliver: 2")
            sub.subscribe(["a"], BEGINNING)
            got = [sub.next(NACK)[1] for _ in range(4)]
            assert sorted(got) == [b"8", b"8", b"9", b"9"], got


def test_what_cannot_change_says_so():
    with Broker() as server:
        server.write("store: memory")
        server.server.signal("HUP")
        server.server.await_line("store")


def test_shown():
    with Broker("ack_delay: 60s") as server, server.client() as sub, server.publisher() as pub:
        sub.subscribe(["a", "b"])
        pub.publish("a", b"1", b"2")
        sub.next()
        sub.next(NACK)
        until(lambda: server.state()["nacks"] == 1, "the nack")
        state = server.state()
        expected = {"topics": 2, "clients": 2, "subscriptions": 2, "published": 2, "deliveries": 2,
                    "acks": 1, "in_flight": 0, "outstanding": 1}
        assert {key: state[key] for key in expected} == expected, state
        conns = [conn for conn in json.loads(server.get("/connz"))["connections"]
                 if conn.get("type") == "message_broker"]
        assert len(conns) == 2, server.get("/connz")
        assert sorted(conn["subscriptions"] for conn in conns) == [0, 2], conns
        assert max(conn["in_msgs"] for conn in conns) == 2
        sub.close()
        pub.close()

        def closed():
            return [conn for conn in json.loads(server.get("/connz?state=closed"))["connections"]
                    if conn.get("type") == "message_broker"]
        until(lambda: len(closed()) == 2, "them among those closed")
        assert {conn["reason"] for conn in closed()} == {"Client Closed"}, closed()
        assert sorted(conn["subscriptions"] for conn in closed()) == [0, 2], closed()
        metrics = server.get("/metrics")
        for line in ("pipit_message_broker_topics 2", "pipit_message_broker_nacks_total 1"):
            assert line in metrics, line


def test_shutdown_is_no_reset():
    """Clients of the original come back after an end, and give up after a reset."""
    with Broker() as server:
        subs = [server.client().subscribe(["a"]) for _ in range(8)]
        pub = server.publisher()
        pub.publish("a", b"x")
        for sub in subs:
            sub.next(None)
            sub.send(ACK + subscription(["b"])[:3])  # some of it may not have been read
        server.stop()
        assert all(sub.ended() for sub in subs)


def test_sockets_are_told():
    with Broker("", "ports_file_dir: \"/tmp\"") as server:
        path = f"/tmp/pipit-server_{server.server.pid}.ports"
        until(lambda: read(path), "the ports file")
        assert json.loads(read(path))["message_broker"] == [f"tcp://127.0.0.1:{server.port}"]


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def test_many_topics_at_once():
    """All of one request are opened; those who ask meanwhile wait their turn."""
    names = [f"topic {i}" for i in range(60)]
    with Broker() as server:
        subs = [server.client().send(subscription(names[i:])) for i in range(0, 60, 10)]
        for sub in subs:
            sub.expect(SUBSCRIBED)
        assert server.state()["subscriptions"] == sum(range(10, 61, 10))
        with server.publisher() as pub:
            pub.publish(names[-1], b"x")
            for sub in subs:
                assert sub.next() == (names[-1], b"x")


def test_gone_while_a_topic_is_opened():
    with Broker() as server:
        for i in range(50):
            server.client().send(subscription([f"t{i}"])).close()
            server.publisher().publish(f"u{i}", b"x").close()
        until(lambda: server.state()["clients"] == 0, "all to go")
        until(lambda: server.state()["published"] == 50, "what was published")


if __name__ == "__main__":
    sys.exit(run([value for name, value in sorted(globals().items()) if name.startswith("test_")]))
