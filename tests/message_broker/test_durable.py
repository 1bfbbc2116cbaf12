#!/usr/bin/env python3
"""What somebody has got is there after a kill -9, at its place; and nothing that was not published.

usage: test_durable.py [TEST...]    PIPIT_ROUNDS: of kills, 50 by default; PIPIT_SEED
    PIPIT_REPORT: a file whose table gets a row of what was done
"""
import contextlib
import os
import pathlib
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from broker import BEGINNING, CURRENT, Broker, Publisher, at, error, run, subscription, until

ROUNDS = int(os.environ.get("PIPIT_ROUNDS", "50"))
SEED = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
AT_ONCE = 5  # messages of a publisher
IN_ONE_FOLDER = 10  # rounds: all that was there before is looked at in each
OFFSET_MAX = 65535  # that a subscription can name
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


def replay(server, topic, mark=b"the mark", pub=None):
    """All of a topic: those that are there, up to a mark that comes behind them, and behind what
    pub has said, if that still speaks."""
    with server.client() as sub, server.publisher() as other:
        sub.subscribe([topic], BEGINNING)
        (pub or other).publish(topic, mark)
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
    for noted in subs + listeners:
        wrong = next((i for i, data in enumerate(noted) if fresh[i:i + 1] != [data]), None)
        assert wrong is None, (topic, wrong, noted[wrong][:30], [data[:30] for data in fresh[wrong:wrong + 2]],
                               len(noted), len(fresh), noted.index(noted[wrong]))
    for name in (b"p", b"q"):
        places = [int(data.split()[1]) for data in fresh if data.startswith(name + b" ")]
        assert places == list(range(len(places))), f"{topic}: {name} is not in order"
    assert all(data[:2] in (b"p ", b"q ") for data in fresh), topic
    with server.client() as sub:  # and places count from the beginning of all
        place = min(len(found), OFFSET_MAX)
        sub.subscribe([topic], at(place))
        assert sub.next()[1] == [*found, mark][place]
    return [*found, mark]


PATIENT = "ack_timeout: 60s"  # what is late on a machine with much to do would come twice


def one_round(folder, rng, kept):
    server = Broker(PATIENT, folder=folder)
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
    noted = there = done = 0
    began = time.monotonic()
    while done < ROUNDS:
        folder = tempfile.mkdtemp(prefix="pipit-broker-")
        kept = {topic: [] for topic in TOPICS}
        try:
            for _ in range(min(IN_ONE_FOLDER, ROUNDS - done)):
                noted += one_round(folder, rng, kept)
                done += 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        there += sum(map(len, kept.values()))
    print(f"{done} kills, {noted} messages witnessed, {there} kept")
    if report := os.environ.get("PIPIT_REPORT"):
        with open(report, "a", encoding="utf-8") as file:
            file.write("| server | SIGKILL of the server while message-broker clients publish, subscribe and "
                       f"replay | {done} kills; {noted} messages witnessed, all there and in order | nothing | "
                       f"{time.monotonic() - began:.0f} |\n")


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


def bytes_below(folder):
    return b"".join(path.read_bytes() for path in pathlib.Path(folder, "message_broker").rglob("*")
                    if path.is_file())


def refused_start(keys, folder):
    """What the server says that does not start with these keys."""
    path = os.path.join(folder, "refused.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'message_broker {{ listen: "127.0.0.1:-1", store_dir: "{folder}", {keys} }}\n')
    done = subprocess.run([os.environ["PIPIT_SERVER"], "-c", path, "-p", "-1"], timeout=60,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1, done.returncode
    return done.stderr.decode()


def test_encrypted_and_compressed():
    """With keys from the environment or a file; a new one in front; and not without."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    texts = [b"a plain word %d" % i + b"!" * 3000 for i in range(50)]
    key_file = os.path.join(folder, "keys")
    os.environ["PIPIT_TEST_KEY"] = old
    try:
        with Broker("key: $PIPIT_TEST_KEY, compression: true", folder=folder) as server:
            with server.publisher() as pub, server.client() as sub:
                sub.subscribe(["a"])
                pub.publish("a", *texts[:25])
                assert [sub.next()[1] for _ in range(25)] == texts[:25]
        on_disk = bytes_below(folder)
        assert b"plain word" not in on_disk and b"!!!!" not in on_disk and b"mb.a" not in on_disk
        assert len(on_disk.rstrip(b"\0").replace(b"\0" * 4096, b"")) < 25 * 3000, "not compressed"
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(f"{new}\n{old}  # until all is gone\n")
        with Broker(f'key_file: "{key_file}"', folder=folder) as server, server.publisher() as pub:
            pub.publish("a", *texts[25:])
            assert replay(server, "a", b"mark", pub) == texts
        assert b"plain word" not in bytes_below(folder)
        before = bytes_below(folder)
        with Broker(folder=folder) as server, server.client() as sub:
            sub.send(subscription(["a"], BEGINNING)).expect(error("failed to open topic"))
            server.server.await_line("cannot open a topic")
        assert bytes_below(folder) == before
        os.chmod(key_file, 0o644)
        said = refused_start(f'key_file: "{key_file}"', folder)
        assert "others than its owner" in said and new not in said, said
        said = refused_start('key: "abc"', folder)
        assert "Unable to open the topics" in said and "abc" not in said.split("topics")[1], said
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_lazy_says_so():
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    try:
        with Broker("sync_interval: 50ms", folder=folder) as server, server.publisher() as pub:
            assert any("may be lost with the power" in line for line in server.server.lines)
            pub.publish("a", b"x")
            assert replay(server, "a", pub=pub) == [b"x"]
        with Broker(folder=folder) as server:
            assert not any("lost with the power" in line for line in server.server.lines)
            assert replay(server, "a", b"m")[0] == b"x"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_damage_is_found_while_it_runs():
    """Nobody reads the topic; what is wrong on the disk is noticed, told, and not served."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    texts = [b"%d " % i + b"text" * 500 for i in range(100)]
    try:
        with Broker("scrub_interval: 300ms, scrub_rate: 1GB", folder=folder) as server:
            with server.publisher() as pub:
                pub.publish("a", *texts)
                assert replay(server, "a", pub=pub) == texts  # so they are on disk
            scrubs = server.state()["scrubs"]
            until(lambda: server.state()["scrubs"] > scrubs + 1, "one time, from end to end")
            assert server.state()["damaged"] == 0
            damaged = 0
            for path in pathlib.Path(folder, "message_broker").rglob("*.seg"):
                with open(path, "r+b") as file:
                    if (place := file.read().find(texts[42])) >= 0:
                        file.seek(place + 1000)
                        file.write(b"?")
                        damaged += 1
            assert damaged == 1
            until(lambda: server.state()["damaged"] == 1, "it to be found")
            server.server.await_line("damaged, not served")
            assert replay(server, "a", b"end") == [*texts[:42], *texts[43:], b"the mark"]
            server.reload("scrub_interval: 0s")
            before = server.state()["scrubs"]
            with server.publisher() as pub:
                pub.publish("b", b"x")
                assert replay(server, "b", pub=pub) == [b"x"] and server.state()["scrubs"] <= before + 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_many_wait_while_it_scrubs():
    """As many timers as there can be: each subscription waits for an answer, messages get old, and
    the disk is looked through, again and again."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    try:
        with Broker("max_age: 1h, ack_timeout: 1h, scrub_interval: 10ms", folder=folder) as server:
            with contextlib.ExitStack() as stack:
                subs = [stack.enter_context(server.client()) for _ in range(40)]
                pub = stack.enter_context(server.publisher())
                for n, sub in enumerate(subs):
                    sub.subscribe(["a"])
                    pub.publish("a", b"%d" % n)
                    until(lambda n=n: server.state()["outstanding"] > n, "all to wait")
                scrubs = server.state()["scrubs"]
                until(lambda: server.state()["scrubs"] > scrubs, "a scrub")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_what_grows_is_scrubbed_to_its_end():
    """Messages come between any two looks: a scrub ends all the same, and other topics have theirs."""
    folder = tempfile.mkdtemp(prefix="pipit-broker-")
    try:
        with Broker("scrub_interval: 10ms, scrub_rate: 1MB", folder=folder) as server:
            with server.publisher() as pub:
                def ends():
                    pub.publish("a", *[b"x" * 1000] * 20)
                    return server.state()["scrubs"] > 2

                until(ends, "a few ends")
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
