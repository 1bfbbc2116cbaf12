#!/usr/bin/env python3
"""Topics and subjects: NATS clients and clients of message-broker hear each other.

usage: test_bridge.py [TEST...]
"""
import sys

from broker import BEGINNING, Broker, Nats, at, run, until


def test_from_nats():
    """Stored like other messages, wherever the client's loop is."""
    for store in ("memory", "file"):
        with Broker(f"store: {store}", threads=4) as server, server.client() as sub:
            sub.subscribe(["a"])
            clients = [server.nats() for _ in range(8)]
            for i, nats in enumerate(clients):
                nats.ask(b"PUB mb.a 1\r\n%d\r\n" % i)
            got = [sub.next()[1] for _ in clients]
            assert sorted(got) == [b"%d" % i for i in range(8)], got
            with server.client() as late:
                late.subscribe(["a"], BEGINNING)
                assert [late.next()[1] for _ in clients] == got
                late.subscribe(["a"], at(6))
                assert [late.next()[1] for _ in range(2)] == got[6:]
            for nats in clients:
                nats.close()


def test_order_of_one_nats_publisher():
    with Broker(threads=4) as server, server.client() as sub:
        sub.subscribe(["a"])
        nats = server.nats()
        nats.ask(b"".join(b"PUB mb.a %d\r\n%d\r\n" % (len(str(i)), i) for i in range(2000)))
        assert [sub.next()[1] for _ in range(2000)] == [b"%d" % i for i in range(2000)]
        nats.close()


def test_to_nats():
    for store in ("memory", "file"):
        with Broker(f"store: {store}", threads=4) as server, server.publisher() as pub:
            clients = [server.nats() for _ in range(4)]
            for nats in clients:
                nats.ask(b"SUB mb.* 1\r\n")
            large = bytes(range(256)) * 1000
            pub.publish("a", b"x", large)
            pub.publish("b.c d", b"y")
            pub.publish("", b"z")
            wanted = sorted([("mb.a", b"x"), ("mb.a", large), ("mb.b%2Ec%20d", b"y"),
                             ("mb.%", b"z")])
            for nats in clients:
                assert sorted(nats.next() for _ in range(4)) == wanted
                nats.close()


def test_nothing_comes_back():
    """Who publishes in NATS hears it there once, and so does who publishes here."""
    with Broker() as server, server.publisher() as pub, server.client() as sub:
        nats = server.nats()
        nats.ask(b"SUB mb.a 1\r\n")
        sub.subscribe(["a"])
        nats.socket.sendall(b"PUB mb.a 1\r\n1\r\n")
        assert nats.next() == ("mb.a", b"1")
        assert sub.next() == ("a", b"1")
        pub.publish("a", b"2")
        assert nats.next() == ("mb.a", b"2")
        assert sub.next() == ("a", b"2")
        nats.ask(b"")
        sub.expect_nothing()
        nats.close()


def test_what_cannot_cross():
    """Empty ones, with headers or without, and subjects that are no topic's. Headers stay behind."""
    with Broker() as server, server.client() as sub:
        sub.subscribe(["a"])
        nats = server.nats()
        head = b"NATS/1.0\r\nK: v\r\n\r\n"
        nats.ask(b"PUB mb.a 0\r\n\r\n" + b"PUB mb.%4 1\r\nx\r\n" +
                 b"HPUB mb.a %d %d\r\n%s\r\n" % (len(head), len(head), head) +
                 b"HPUB mb.a %d %d\r\n%sdata\r\n" % (len(head), len(head) + 4, head))
        assert sub.next() == ("a", b"data")
        assert server.state()["undeliverable"] == 3, server.state()
        sub.expect_nothing()
        nats.close()


def test_an_account_of_its_own():
    more = ("accounts { A { users: [{user: a, password: a}] }, B { users: [{user: b, password: b}]"
            "} }")
    with Broker("account: A", more) as server, server.client() as sub:
        sub.subscribe(["x"])
        for name in (b"b", b"a"):
            nats = Nats(server.server.port, b',"user":"%s","pass":"%s"' % (name, name))
            nats.ask(b"PUB mb.x 1\r\n%s\r\n" % name)
            nats.close()
        assert sub.next() == ("x", b"a")
        sub.expect_nothing()


def test_many_both_ways_at_once():
    """Topics take turns; nobody misses one, and each sender's order holds."""
    count = 500
    with Broker(threads=4) as server, server.publisher() as pub, server.client() as sub:
        listener, sender = server.nats(), server.nats()
        listener.ask(b"SUB mb.a 1\r\n")
        sub.subscribe(["a"])
        for i in range(count):
            pub.publish("a", b"p%d" % i)
            sender.socket.sendall(b"PUB mb.a %d\r\nn%d\r\n" % (len(str(i)) + 1, i))
        heard = [listener.next()[1] for _ in range(2 * count)]
        given = [sub.next()[1] for _ in range(2 * count)]
        for got in (heard, given):
            for who in b"pn":
                mine = [int(data[1:]) for data in got if data[0] == who]
                assert mine == list(range(count)), (bytes([who]), mine[:10])
        until(lambda: server.state()["bridged_out"] == count, "all to be counted")
        listener.close()
        sender.close()


if __name__ == "__main__":
    sys.exit(run([value for name, value in sorted(globals().items()) if name.startswith("test_")]))
