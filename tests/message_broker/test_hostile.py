#!/usr/bin/env python3
"""Peers that lie, stop, flood and never read: each costs what the limits say, and nobody else
notices.

usage: test_hostile.py [TEST...]
"""
import os
import random
import resource
import struct
import sys
import threading

from broker import (ACK, BEGINNING, PUBLISH, SANITIZED, SUBSCRIBED, Broker, Client, at, error,
                    message, run, subscription, topics_json, until, unsubscription)

SEED = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
MB = 1 << 20


def serves(server, topic="served"):
    """A fresh pair of clients is served."""
    with server.client() as sub, server.publisher() as pub:
        sub.subscribe([topic])
        pub.publish(topic, b"x")
        assert sub.next() == (topic, b"x")
        sub.expect_nothing()


def test_lengths_that_lie():
    lies = [
        b"\0\1\xff\xff\xff\xff", b"\0\2\xff\xff\xff\xff", b"\0\1\0\1\0\0[", b"\0\3\xff\xff",
        PUBLISH + b"\xff\xfftopic:", PUBLISH + b"\0\7topic:a\xff\xff\xff\xff",
        PUBLISH + b"\0\7topic:a\0\x0f\xff\xff", PUBLISH + b"\0\7topic a\xff\xff\xff\xff",
        PUBLISH + b"\0\7topic a\0\x0f\xff\xff",
    ]
    with Broker("frame_timeout: 2s") as server:
        serves(server)
        before = server.rss()
        clients = []
        for _ in range(60):
            clients += [server.client().send(lie) for lie in lies]
        serves(server)
        # What was promised takes no memory before it comes.
        assert server.rss() - before < (400 if SANITIZED else 100) * MB, server.rss() - before
        for client in clients:
            client.ended()
        until(lambda: server.state()["clients"] == 0, "all to be closed")
        assert server.state()["frame_timeouts"] > 0
        serves(server)


def test_cut_at_every_byte():
    """Whatever a client has said when it goes away, the next one is served."""
    conversation = subscription(["a", "b"], at(1)) + ACK + unsubscription(["a"]) + b"\0\x63"
    published = PUBLISH + message("a", b"data") + message("b" * 300, b"more")
    with Broker() as server:
        for whole in (conversation, published):
            for end in range(len(whole) + 1):
                server.client().send(whole[:end]).close()
        until(lambda: server.state()["clients"] == 0, "all to go")
        serves(server)


def test_who_begins_nothing_is_closed():
    with Broker("frame_timeout: 2s") as server:
        clients = [server.client().send(begun) for begun in (
            b"", b"\0", b"\0\1", b"\0\1\0\0", PUBLISH + b"\0", PUBLISH + b"\0\7top",
            PUBLISH + b"\0\7topic:a\0\0\0\5abc", subscription(["a"])[:-1])]
        for client in clients:
            client.ended()
            client.close()
        publisher = server.client().send(PUBLISH)  # between frames there is no limit
        subscriber = server.client().send(subscription(["b"])).expect(SUBSCRIBED)
        with server.client() as other:
            other.ended()  # so long it has been, at least
        publisher.send(message("a", b"x"))
        until(lambda: server.state()["published"] == 1, "the message")
        subscriber.expect_nothing()


def test_noise():
    rng = random.Random(SEED)
    print(f"PIPIT_SEED={SEED}")
    with Broker("frame_timeout: 2s, max_topics: 50") as server:
        for i in range(300):
            head = rng.choice((b"", b"\0\1", b"\0\2", PUBLISH, subscription(["a"])))
            with server.client() as client:
                try:
                    client.send(head + rng.randbytes(rng.choice((1, 10, 1000, 100000))))
                except OSError:
                    pass  # it has been closed by then
        serves(server, "a")


def test_errors_that_nobody_reads():
    """An answer for each two bytes, and none of them is taken."""
    with Broker("", "max_pending: 1MB, write_deadline: 1s") as server:
        client = server.client(buffer=4096)
        client.send(subscription(["a"])).expect(SUBSCRIBED)
        try:
            for _ in range(2000):
                client.send(b"\0\x63" * 10000)
        except OSError:
            pass
        until(lambda: server.state()["clients"] == 0, "its end")
        serves(server)


def test_subscribers_that_never_read():
    """They are given one message each; publishing goes on."""
    with Broker("ack_timeout: 600s") as server, server.publisher() as pub:
        subs = [server.client(buffer=4096).send(subscription(["a"], BEGINNING)) for _ in range(50)]
        until(lambda: server.state()["subscriptions"] == 50, "all")
        pub.publish("a", *[bytes(100000) for _ in range(200)])
        until(lambda: server.state()["published"] == 200, "all messages")
        serves(server)
        until(lambda: server.state()["deliveries"] >= 51, "one for each")
        serves(server)
        until(lambda: server.state()["deliveries"] >= 52, "the other that is served")
        assert server.state()["deliveries"] == 52, "and no more"
        assert server.rss() < (1000 if SANITIZED else 120) * MB, server.rss()
        for sub in subs:
            sub.close()


def test_a_large_message_to_many():
    """All of them are given it, but not all at once."""
    with Broker("ack_timeout: 30s") as server, server.publisher() as pub:
        subs = [server.client().send(subscription(["a"])) for _ in range(200)]
        until(lambda: server.state()["subscriptions"] == 200, "all")
        before = server.peak_rss()
        pub.publish("a", bytes(MB))
        until(lambda: server.state()["deliveries"] == 200, "each to be given it")
        more = server.peak_rss() - before
        assert more < (1000 if SANITIZED else 60) * MB, more
        for sub in subs:
            sub.expect(SUBSCRIBED)
            assert sub.next() == ("a", bytes(MB))
            sub.close()


def test_always_refused_is_bounded():
    with Broker("ack_delay: 60s, max_outstanding: 100") as server, server.client() as sub:
        with server.publisher() as pub:
            pub.publish("a", *[b"%d" % i for i in range(200)])
            sub.subscribe(["a"], BEGINNING)
            for _ in range(100):
                sub.next(b"\0\5")
            sub.ended()
            assert not sub.bytes
            assert server.state()["overflows"] == 1
            until(lambda: server.state()["outstanding"] == 0, "it to be forgotten")


def test_large_requests():
    """The longest list there may be: many names, and all of them the same."""
    with Broker("max_subscriptions: 65536, max_topics: 100") as server, server.client() as sub:
        same = b"[" + b",".join([b'"a"'] * 16000) + b"]"
        sub.send(b"\0\1" + topics_json(same) + b"\0\1").expect(SUBSCRIBED)
        assert server.state()["subscriptions"] == 1
        many = b"[" + b",".join(b'"%d"' % i for i in range(9000)) + b"]"
        sub.send(b"\0\1" + topics_json(many) + b"\0\1").expect(error("too many topics"))
        sub.send(b"\0\2" + topics_json(many)).expect(b"\0\2")
        serves(server, "a")


def test_ten_thousand_silent_clients():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(1000 if SANITIZED else 10000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 200)), hard))
    with Broker() as server:
        serves(server)
        before = server.rss()
        silent = [Client(server.port) for _ in range(count // 2)]
        for _ in range(count - len(silent)):
            client = Client(server.port)
            silent.append(client.send(subscription(["quiet"])))
        until(lambda: server.state()["subscriptions"] == count - count // 2, "all")
        each = (server.rss() - before) / count
        serves(server)
        assert SANITIZED or each < 4096, f"{each:.0f} bytes each"
        with server.publisher() as pub:
            pub.publish("quiet", b"x")
            until(lambda: server.state()["deliveries"] >= count - count // 2, "each to be given it")
        for client in silent:
            client.close()
        print(f"{count} clients, {each:.0f} bytes each")


def test_floods_side_by_side():
    """Publishers as fast as they can, to many topics, while others come and go."""
    with Broker("max_bytes: 4MB, max_topics: 40") as server:
        def flood(name):
            with server.publisher() as pub:
                for i in range(200):
                    pub.publish(f"{name}{i % 10}", *[bytes(500)] * 50)

        threads = [threading.Thread(target=flood, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for _ in range(20):
            serves(server)
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
        until(lambda: server.state()["published"] == 3 * 200 * 50 + 20, "all of it")
        assert server.state()["refused"] == 0


def test_topic_names_are_no_paths():
    with Broker() as server, server.publisher() as pub:
        names = ["..", ".", "../../escape", "/etc/x", "a/../../b", "con", "lock", "x" * 255]
        for name in names:
            pub.publish(name, b"x")
        until(lambda: server.state()["published"] == len(names), "all")
        until(lambda: server.state()["topics"] == len(names), "all")
        serves(server)
        below = os.listdir(os.path.join(server.folder, "message_broker"))
        assert sorted(os.listdir(server.folder)) == ["message_broker", "server.conf"]
        assert all(name.startswith(("topic-", "long-")) for name in below), below


def test_header_bytes_of_the_wrong_order():
    """Lengths as a little-endian client would write them."""
    with Broker("frame_timeout: 2s") as server:
        with server.client() as client:
            client.send(struct.pack("<HI", 1, 5) + b'["a"]' + struct.pack("<H", 1))
            client.expect(error("unknown action"))
            client.ended()
        serves(server)


if __name__ == "__main__":
    sys.exit(run([value for name, value in sorted(globals().items()) if name.startswith("test_")]))
