#!/usr/bin/env python3
"""What somebody has got is there after a kill -9, at its place; and nothing that was not published.

usage: test_durable.py [TEST...]    PIPIT_ROUNDS: of kills, 8 by default; PIPIT_SEED
"""
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from broker import BEGINNING, CURRENT, Broker, Publisher, at, run, until

ROUNDS = int(os.environ.get("PIPIT_ROUNDS", "8"))
SEED = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
AT_ONCE = 5  # messages of a publisher
TOPICS = ["a", "b.c/d", "n" * 400]


class Witness(threading.Thread):
    """Notes what it is given, until the connection breaks."""

    def __init__(self, take):
        super().__init__(daemon=True)
        self.take = take
        self.noted = []
        self.start()

    def run(self):
        try:
            while True:
                self.noted.append(self.take())
        except (OSError, AssertionError, IndexError):
            pass


def publish_until_killed(port, sizes):
    """Two publishers to each topic number what they publish: name, place. At a rate that those who
    look can follow."""
    place = 0
    try:
        pubs = [(Publisher(port), name, topic) for topic in TOPICS for name in (b"p", b"q")]
        while True:
            for pub, name, topic in pubs:
                pub.publish(topic, *[b"%s %d " % (name, place + i) + b"." * sizes[topic]
                                     for i in range(AT_ONCE)])
            place += AT_ONCE
            time.sleep(0.002)
    except (OSError, AssertionError):
        pass


def replay(server, topic, mark=b"the mark"):
    """All of a topic: those that are there, up to a mark that comes behind them."""
    with server.client() as sub, server.publisher() as pub:
        sub.subscribe([topic], BEGINNING)
        pub.publish(topic, mark)
        got = []
        while not got or got[-1] != mark:
            got.append(sub.next()[1])
        return got[:-1]


def check(server, topic, kept, subs, listeners):
    """kept: what was there before this round, without marks."""
    mark = b"mark %d" % len(kept)
    found = replay(server, topic, mark)
    assert found[:len(kept)] == kept, f"{topic}: what was there has changed"
    fresh = found[len(kept):]
    for noted in subs:
        assert fresh[:len(noted)] == noted, (topic, len(noted), len(fresh))
    for noted in listeners:
        assert fresh[:len(noted)] == noted, (topic, len(noted), len(fresh))
    for name in (b"p", b"q"):
        places = [int(data.split()[1]) for data in fresh if data.startswith(name + b" ")]
        assert places == list(range(len(places))), f"{topic}: {name} is not in order"
    assert all(data[:2] in (b"p ", b"q ") for data in fresh), topic
    with server.client() as sub:  # and places count from the beginning of all
        sub.subscribe([topic], at(len(found)))
        assert sub.next()[1] == mark
    return [*found, mark]


def one_round(folder, rng, kept):
    server = Broker(folder=folder)
    watching, hearing = {}, {}
    for topic in TOPICS:
        sub = server.client().subscribe([topic], CURRENT)
        watching[topic] = Witness(lambda sub=sub: sub.next()[1])
    nats = server.nats()
    nats.ask(b"SUB mb.a 1\r\n")
    hearing["a"] = Witness(lambda: nats.next()[1])
    sizes = {topic: rng.choice((0, 200, 5000)) for topic in TOPICS}
    publishing = threading.Thread(target=publish_until_killed, args=(server.port, sizes), daemon=True)
    publishing.start()
    wanted = rng.choice((1, 50, 300))
    until(lambda: len(watching["a"].noted) >= wanted, "messages")
    time.sleep(rng.random() / 20)  # no condition: any moment will do
    server.kill()
    for thread in [publishing, *watching.values(), *hearing.values()]:
        thread.join(60)
        assert not thread.is_alive()
    with Broker(folder=folder) as again:
        for topic in TOPICS:
            listeners = [hearing[topic].noted] if topic in hearing else []
            kept[topic] = check(again, topic, kept[topic], [watching[topic].noted], listeners)
    return sum(len(witness.noted) for witness in [*watching.values(), *hearing.values()])


def test_killed_while_publishing():
    print(f"PIPIT_SEED={SEED}")
    rng = random.Random(SEED)
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    kept = {topic: [] for topic in TOPICS}
    noted = 0
    try:
        for _ in range(ROUNDS):
            noted += one_round(folder, rng, kept)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{ROUNDS} kills, {noted} messages witnessed, {sum(map(len, kept.values()))} kept")


def test_stopped_in_order():
    """A server that is told to end writes what it has read."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    try:
        with Broker(folder=folder) as server, server.publisher() as pub:
            pub.publish("a", *[b"%d" % i for i in range(1000)])
            until(lambda: server.state()["published"] == 1000, "all")
        with Broker(folder=folder) as server:
            assert server.state()["topics"] == 1
            assert replay(server, "a") == [b"%d" % i for i in range(1000)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_two_servers_do_not_share():
    """The second one does not touch a topic that the first one has."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    try:
        with Broker(folder=folder) as server, server.publisher() as pub, Broker(folder=folder) as other:
            pub.publish("a", b"x")
            until(lambda: server.state()["published"] == 1, "it")
            with server.client() as sub:
                sub.subscribe(["a"], BEGINNING).next()
            with other.publisher() as second:
                second.publish("a", b"y")
                status = second.read(4)
                assert status[:2] == b"\0\3", status
                assert second.read(status[3]) == b"failed to send message to subscribers"
            with server.client() as sub:
                sub.subscribe(["a"], BEGINNING)
                assert sub.next()[1] == b"x"
                sub.expect_nothing()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run([value for name, value in sorted(globals().items()) if name.startswith("test_")]))
