#!/usr/bin/env python3
"""Random accounts, exports, imports, subscriptions and messages: who hears what is what the model
says. Beside nats-server, too, where it is there.

environment: PIPIT_MODEL_ROUNDS (20) worlds, PIPIT_MODEL_SEED. A failure names its seed.
"""

import os
import pathlib
import random
import sys
import unittest
from collections import Counter

import realm
from realm import Pipit, Reference, configuration, running

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitor"))
from world import main  # noqa: E402

ROUNDS = int(os.environ.get("PIPIT_MODEL_ROUNDS", "20"))
SEED = int(os.environ.get("PIPIT_MODEL_SEED", "0"))
MESSAGES = 60
WORDS = ("a", "b", "c")


def matches(pattern, subject):
    want, got = pattern.split("."), subject.split(".")
    for n, token in enumerate(want):
        if token == ">" and n == len(want) - 1:
            return len(got) > n
        if n >= len(got) or (token != "*" and token != got[n]):
            return False
    return len(want) == len(got)


def covers(outer, inner):
    """Is all that falls under inner under outer?"""
    wide, narrow = outer.split("."), inner.split(".")
    for n, token in enumerate(wide):
        if token == ">":
            return len(narrow) > n
        if n >= len(narrow) or narrow[n] == ">" or (token != "*" and token != narrow[n]):
            return False
    return len(wide) == len(narrow)


class Import:
    def __init__(self, exporter, subject, local, service):
        self.exporter, self.subject, self.local, self.service = exporter, subject, local, service
        self.order = []  # of the wildcards of subject, as local has them
        self.pattern = ".".join("*" if t.startswith("$") else t for t in local.split("."))
        self.order = [int(t[1:]) - 1 for t in local.split(".") if t.startswith("$")]

    def carry(self, subject, pattern, target, order):
        """subject, which falls under pattern, as target has it."""
        tokens, stars, rest = subject.split("."), [], []
        for n, token in enumerate(pattern.split(".")):
            if token == "*":
                stars.append(tokens[n])
            elif token == ">":
                rest = tokens[n:]
        made, at = [], 0
        for token in target.split("."):
            if token == "*":
                made.append(stars[order[at]])
                at += 1
            elif token == ">":
                made += rest
            else:
                made.append(token)
        return ".".join(made)

    def inward(self, subject):
        return self.carry(subject, self.subject, self.pattern, self.order)

    def outward(self, subject):
        back = [0] * len(self.order)
        for here, there in enumerate(self.order):
            back[there] = here
        return self.carry(subject, self.pattern, self.subject, back)

    def text(self):
        kind = "service" if self.service else "stream"
        return (f'{{{kind}: {{account: {self.exporter}, subject: "{self.subject}"}},'
                f' to: "{self.local}"}}')


class World:
    """Accounts that import only from those before them: so there are no cycles."""

    def __init__(self, chance):
        self.chance = chance
        self.names = [f"A{n}" for n in range(chance.randint(2, 5))]
        self.exports = {name: [(self.pattern(), chance.random() < 0.5) for _ in range(4)]
                        for name in self.names}
        self.imports = {name: [] for name in self.names}
        for n, name in enumerate(self.names[1:], 1):
            for _ in range(chance.randint(1, 5)):
                self.add_import(name, chance.choice(self.names[:n]))
        self.subs = [(chance.choice(self.names), self.pattern(),
                      chance.choice((None, None, None, "q", "r"))) for _ in range(25)]
        self.messages = [(chance.choice(self.names), self.subject()) for _ in range(MESSAGES)]

    def subject(self):
        return ".".join(self.chance.choice(WORDS) for _ in range(self.chance.randint(1, 3)))

    def pattern(self):
        tokens = [self.chance.choice((*WORDS, "*")) for _ in range(self.chance.randint(1, 3))]
        if self.chance.random() < 0.25:
            tokens[-1] = ">"
        return ".".join(tokens)

    def narrowed(self, pattern):
        """A part of what falls under pattern, or all."""
        tokens = [self.chance.choice(WORDS) if t == "*" and self.chance.random() < 0.3 else t
                  for t in pattern.split(".")]
        return ".".join(tokens)

    def add_import(self, name, exporter):
        offered, service = self.chance.choice(self.exports[exporter])
        subject = self.narrowed(offered)
        tokens = subject.split(".")
        stars = list(range(1, tokens.count("*") + 1))
        self.chance.shuffle(stars)
        local = [self.chance.choice(("l", "a", "b"))] if self.chance.random() < 0.6 else []
        local += [f"${stars.pop()}" if t == "*" else t for t in tokens]
        new = Import(exporter, subject, ".".join(local), service)
        for old in self.imports[name]:
            if old.service == new.service and old.exporter == exporter and \
                    (old.pattern == new.pattern if service else old.subject == new.subject):
                return
        self.imports[name].append(new)

    def text(self):
        accounts = {}
        for name in self.names:
            exports = ", ".join(f'{{{"service" if service else "stream"}: "{pattern}"}}'
                                for pattern, service in self.exports[name])
            imports = ", ".join(i.text() for i in self.imports[name])
            accounts[name] = f"exports: [ {exports} ]\nimports: [ {imports} ]"
        return configuration(accounts)

    # --- the model ----------------------------------------------------------------------------

    def deliveries(self, name, subject, crossed=False, way=()):
        """Counts of (subscription, subject), and of groups: one of whose members has it."""
        heard, groups = Counter(), []
        found = [(n, subject) for n, (account, pattern, _) in enumerate(self.subs)
                 if account == name and matches(pattern, subject)]
        if not crossed:
            for importer in self.names:
                for i in self.imports[importer]:
                    if i.service or i.exporter != name or not matches(i.subject, subject):
                        continue
                    there = i.inward(subject)
                    found += [(n, there) for n, (account, pattern, _) in enumerate(self.subs)
                              if account == importer and matches(pattern, there)]
        by_queue = {}
        for n, seen in found:
            queue = self.subs[n][2]
            if queue:
                by_queue.setdefault(queue, set()).add((n, seen))
            else:
                heard[n, seen] += 1
        groups += by_queue.values()
        for i in self.imports[name]:
            if i.service and matches(i.pattern, subject):
                more, others = self.deliveries(i.exporter, i.outward(subject), True)
                heard += more
                groups += others
        return heard, groups


def explain(heard, groups, got):
    """None, or what is wrong with what was got."""
    left = got - heard
    if heard - got:
        return f"missing {dict(heard - got)}"
    # Each group takes one; several may share members, so look for an assignment.
    items = list(left.elements())
    if len(items) != len(groups):
        return f"{len(items)} beyond plain ones, for {len(groups)} groups: {items}"
    taken = [None] * len(items)

    def assign(group, seen):
        for n, item in enumerate(items):
            if item in groups[group] and n not in seen:
                seen.add(n)
                if taken[n] is None or assign(taken[n], seen):
                    taken[n] = group
                    return True
        return False

    for group in range(len(groups)):
        if not assign(group, set()):
            return f"no member of {groups[group]} among {items}"
    return None


class Model(unittest.TestCase):
    def play(self, kind, world, seed):
        with running(kind, world.text()) as server:
            clients = {name: server.client(name.lower()) for name in world.names}
            publishers = {name: server.client(name.lower()) for name in world.names}
            sids = {}
            for n, (name, pattern, queue) in enumerate(world.subs):
                sids[name, clients[name].subscribe(pattern, queue)] = n
            for client in clients.values():
                client.flush()
            for n, (name, subject) in enumerate(world.messages):
                publishers[name].publish(subject, str(n).encode())
            for publisher in publishers.values():
                publisher.flush()
            got = [Counter() for _ in world.messages]
            for name, client in clients.items():
                client.flush()
                for m in client.taken():
                    got[int(m.payload)][sids[name, m.sid], m.subject] += 1
            for client in (*clients.values(), *publishers.values()):
                self.assertEqual(client.errors, [])
                client.close()
        for n, (name, subject) in enumerate(world.messages):
            wrong = explain(*world.deliveries(name, subject), got[n])
            self.assertIsNone(wrong, f"{server.kind} seed={seed}: {name} publishes {subject}\n"
                                     f"{world.text()}\n{dict(enumerate(world.subs))}")

    def test_pipit(self):
        for seed in range(SEED, SEED + ROUNDS):
            self.play(Pipit, World(random.Random(seed)), seed)

    def test_model_can_fail(self):
        """One subscription too many in the model, and a world shows it."""
        world = World(random.Random(SEED))
        for n, (name, subject) in enumerate(world.messages):
            heard, groups = world.deliveries(name, subject)
            if heard:
                got = Counter(heard)
                got[next(iter(heard))] += 1
                for group in groups:
                    got[next(iter(group))] += 1
                self.assertIsNotNone(explain(heard, groups, got))
                return
        self.fail("nobody hears anything")

    def test_nats_server(self):
        for seed in range(SEED, SEED + max(1, ROUNDS // 4)):
            self.play(Reference, World(random.Random(seed)), seed)


if __name__ == "__main__":
    main()
