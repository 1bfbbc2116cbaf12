#!/usr/bin/env python3
"""Who hears what from a real server, against the model: what is delivered is allowed, and what is
allowed is delivered, also to an account that imports a stream; and reloads in between. usage: test_delivery.py PIPIT_SERVER [WORD...]

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


def configuration(people, imported):
    """Account B imports a stream of A's, under the name z."""
    passages = {"A": "exports: [ { stream: '>' } ]",
                "B": f"imports: [ {{ stream: {{ account: A, subject: '{imported}' }}, prefix: z }} ]"}
    accounts = {}
    for name, account, permissions in people:
        accounts.setdefault(account, []).append(
            f"{{ user: {name}, password: p, permissions: {permissions.text()} }}")
    return "accounts { " + ", ".join(f"{account}: {{ users: [ {', '.join(users)} ], {passages[account]} }}"
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


def local_name(sender, hearer, subject, imported):
    """What a message is called where it is heard; None: it does not come there."""
    if hearer.account == sender.account:
        return subject
    return f"z.{subject}" if sender.account == "A" and covers(imported, subject) else None


def judge(people, sent, heard, refused, imported):
    wrong = {person: [] for person in people}
    copies = {}  # by number
    crossed = 0
    for person, deliveries in heard.items():
        for number, subject, sid in deliveries:
            crossed += sent[number][0].account != person.account
            expect("its name", subject, local_name(sent[number][0], person, sent[number][1],
                                                   imported))
            copies.setdefault(number, []).append((person, sid))
    for number, (sender, subject) in enumerate(sent):
        got = copies.get(number, [])
        if not sender.permissions.may_publish(subject):
            wrong[sender].append(f'-ERR \'Permissions Violation for Publish to "{subject}"\'')
            expect(f"{subject} by {sender.permissions.text()}", got, [])
            continue
        groups = {}
        for person in people:
            local = local_name(sender, person, subject, imported)
            if local is None:
                continue
            for sid, (pattern, queue) in person.subs.items():
                if covers(pattern, local) and person.permissions.may_hear(local, queue):
                    groups.setdefault(queue or (person, sid), []).append((person, sid))
        left = list(got)
        for queue, members in groups.items():
            took = [one for one in left if one in members]
            assert len(took) == 1, f"{subject} was heard {len(took)} times by {queue}"
            left.remove(took[0])
        assert not left, f"{subject} was heard by {[(p.name, p.subs[s]) for p, s in left]}"
    for person in people:
        expect(f"refused to {person.permissions.text()}", refused[person], wrong[person])
    return crossed


def test_delivered_is_allowed_and_allowed_is_delivered():
    seed = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"PIPIT_SEED={seed}", flush=True)
    dice = random.Random(seed)
    names = [(f"u{n}", "AB"[n % 2]) for n in range(USERS)]
    with served(configuration([(*one, Permissions(dice)) for one in names], ">"),
                "--threads", "3") as server:
        people, crossed = [], 0
        for _ in range(ROUNDS):
            fresh = [(*one, Permissions(dice)) for one in names]
            imported = random_pattern(dice)
            server.reload(configuration(fresh, imported))
            if not people:
                people = [Person(server, *one) for one in fresh]
            for person, (_, _, permissions) in zip(people, fresh):
                person.renewed(permissions)
            for _ in range(SUBSCRIBES):
                dice.choice(people).subscribe(dice)
            sent = publish(dice, people)
            crossed += judge(people, sent, *hear(people), imported)
        assert crossed or ROUNDS < 6, "nothing passed between the accounts"
        for person in people:
            person.client.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
