#!/usr/bin/env python3
"""Who hears what from a real server, against the model: what is delivered is allowed, and what is
allowed is delivered; and reloads in between. usage: test_delivery.py PIPIT_SERVER [WORD...]

PIPIT_MODEL_ROUNDS and PIPIT_SEED choose how much and what."""

import os
import random
import sys

from model import PATTERN_DEPTH, QUEUES, WORLD, Permissions, covers, random_pattern
from world import Client, expect, main, served

ROUNDS = int(os.environ.get("PIPIT_MODEL_ROUNDS", "6"))
USERS, PUBLISHES, SUBSCRIBES = 6, 400, 30
assert PATTERN_DEPTH < 4


class Person:
    def __init__(self, server, name, account, permissions):
        self.name, self.account, self.permissions = name, account, permissions
        self.client = Client(server, name, "p")
        self.subs = {}  # by sid: pattern, queue
        self.next_sid = 1
        expect("let in", self.client.until_pong(), [])

    def subscribe(self, dice):
        pattern, queue = random_pattern(dice), dice.choice(["", "", *QUEUES])
        sid, self.next_sid = str(self.next_sid), self.next_sid + 1
        self.client.send(f"SUB {pattern} {queue} {sid}".replace("  ", " "))
        using = f' using queue "{queue}"' if queue else ""
        told = self.client.until_pong()
        if self.permissions.may_subscribe(pattern, queue):
            expect(f"SUB {pattern} {queue} by {self.permissions.text()}", told, [])
            self.subs[sid] = (pattern, queue)
        else:
            expect(f"SUB {pattern} {queue} by {self.permissions.text()}", told,
                   [f'-ERR \'Permissions Violation for Subscription to "{pattern}"{using}\''])

    def renewed(self, permissions):
        """A reload has given it others; what it is told of must be what it loses."""
        self.permissions = permissions
        lost = {sid: sub for sid, sub in self.subs.items() if not permissions.may_subscribe(*sub)}
        told = self.client.until_pong()
        expect("lost by the reload", sorted(told), sorted(
            f'-ERR \'Permissions Violation for Subscription to "{pattern}"' +
            (f' using queue "{queue}"' if queue else "") + f' (sid "{sid}")\''
            for sid, (pattern, queue) in lost.items()))
        for sid in lost:
            del self.subs[sid]


def configuration(people):
    accounts = {}
    for name, account, permissions in people:
        accounts.setdefault(account, []).append(
            f"{{ user: {name}, password: p, permissions: {permissions.text()} }}")
    return "accounts { " + ", ".join(f"{account}: {{ users: [ {', '.join(users)} ] }}"
                                     for account, users in accounts.items()) + " }\n"


def publish(dice, people):
    """Many messages, numbered; returns who sent what."""
    sent = []
    for number in range(PUBLISHES):
        person, subject = dice.choice(people), dice.choice(WORLD)
        person.client.send(f"PUB {subject} {len(str(number))}", str(number))
        sent.append((person, subject))
    return sent


def hear(people):
    """All that was delivered, as (number, sid) by person, and the refusals."""
    heard, refused = {}, {}
    for person in people:  # twice: what others sent has been routed when the first PONGs are here
        person.lines = person.client.until_pong()
    for person in people:
        lines = iter(person.lines + person.client.until_pong())
        heard[person], refused[person] = [], []
        for line in lines:
            if line.startswith("MSG "):
                _, subject, sid, _ = line.split(" ")
                heard[person].append((int(next(lines)), subject, sid))
            else:
                refused[person].append(line)
    return heard, refused


def judge(people, sent, heard, refused):
    wrong = {person: [] for person in people}
    copies = {}  # by number
    for person, deliveries in heard.items():
        for number, subject, sid in deliveries:
            assert sent[number][1] == subject, "a message under another subject"
            copies.setdefault(number, []).append((person, sid))
    for number, (sender, subject) in enumerate(sent):
        got = copies.get(number, [])
        if not sender.permissions.may_publish(subject):
            wrong[sender].append(f'-ERR \'Permissions Violation for Publish to "{subject}"\'')
            expect(f"{subject} by {sender.permissions.text()}", got, [])
            continue
        groups = {}
        for person in people:
            if person.account != sender.account:
                continue
            for sid, (pattern, queue) in person.subs.items():
                if covers(pattern, subject) and person.permissions.may_hear(subject, queue):
                    groups.setdefault(queue or (person, sid), []).append((person, sid))
        left = list(got)
        for queue, members in groups.items():
            took = [one for one in left if one in members]
            assert len(took) == 1, f"{subject} was heard {len(took)} times by {queue}"
            left.remove(took[0])
        assert not left, f"{subject} was heard by {[(p.name, p.subs[s]) for p, s in left]}"
    for person in people:
        expect(f"refused to {person.permissions.text()}", refused[person], wrong[person])


def test_delivered_is_allowed_and_allowed_is_delivered():
    seed = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"PIPIT_SEED={seed}", flush=True)
    dice = random.Random(seed)
    names = [(f"u{n}", "AB"[n % 2]) for n in range(USERS)]
    with served(configuration([(*one, Permissions(dice)) for one in names]),
                "--threads", "3") as server:
        people = []
        for round_ in range(ROUNDS):
            fresh = [(*one, Permissions(dice)) for one in names]
            server.reload(configuration(fresh))
            if not people:
                people = [Person(server, *one) for one in fresh]
            for person, (_, _, permissions) in zip(people, fresh):
                person.renewed(permissions)
            for _ in range(SUBSCRIBES):
                dice.choice(people).subscribe(dice)
            sent = publish(dice, people)
            judge(people, sent, *hear(people))
        for person in people:
            person.client.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
