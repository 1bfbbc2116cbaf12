#!/usr/bin/env python3
"""Random chains of services: how many answers come back through them is what the model says. Beside
nats-server, too, where it is there.

environment: PIPIT_MODEL_ROUNDS (20) worlds, PIPIT_MODEL_SEED. A failure names its seed.
"""

import random
import unittest
from collections import Counter

from realm import Pipit, Reference, configuration, running
from test_model import ROUNDS, SEED, World, covers, main, matches

EACH = 3  # answers of each who hears a request
REQUESTS = 40


class Services(World):
    """All that is exported are services; some to accounts that are named, or that stand in the
    subject; nobody is in a queue group."""

    def __init__(self, chance):
        self.kinds, self.private = {}, {}
        super().__init__(chance)
        for name in self.names:
            self.exports[name] = [(pattern, True) for pattern, _ in self.exports[name]]
            for i in self.imports[name]:
                i.service = True
        for name in self.names:  # made as streams, two may now be the same
            kept = {(i.exporter, i.pattern): i for i in self.imports[name]}
            self.imports[name] = list(kept.values())
        self.exports = {name: list(dict.fromkeys(offers)) for name, offers in self.exports.items()}
        for name in self.names:
            for pattern, _ in self.exports[name]:
                self.kinds[name, pattern] = chance.choice(("single", "stream", "chunked"))
                self.private[name, pattern] = chance.random() < 0.5
        self.subs = [(name, pattern, None) for name, pattern, _ in self.subs]

    def kind_of(self, i):
        """Of the exports that the import i may be of: those that have all of it."""
        return {self.kinds[i.exporter, pattern] for pattern, _ in self.exports[i.exporter]
                if covers(pattern, i.subject)}

    def text(self):
        accounts = {}
        for name in self.names:
            importers = [n for n in self.names if any(i.exporter == name for i in self.imports[n])]
            exports = []
            for pattern, _ in self.exports[name]:
                only = f", accounts: [ {', '.join(importers)} ]" \
                    if self.private[name, pattern] and importers else ""
                exports.append(f'{{service: "{pattern}", '
                               f'response_type: {self.kinds[name, pattern]}{only}}}')
            imports = ", ".join(i.text() for i in self.imports[name])
            accounts[name] = f"exports: [ {', '.join(exports)} ]\nimports: [ {imports} ]"
        return configuration(accounts)

    def answers(self, name, subject):
        """How many come back to who asks there; None: it is not told which export counts."""
        total = EACH * sum(account == name and matches(pattern, subject)
                           for account, pattern, _ in self.subs)
        for i in self.imports[name]:
            if not matches(i.pattern, subject):
                continue
            behind = self.answers(i.exporter, i.outward(subject))
            kinds = self.kind_of(i)
            if behind is None or (len(kinds) > 1 and "single" in kinds and behind > 1):
                return None
            total += min(behind, 1) if "single" in kinds else behind
        return total


class Answers(unittest.TestCase):
    def ask(self, server, world):
        """What comes back for each request."""
        services, askers, got = {}, {}, Counter()
        for name in world.names:
            services[name] = server.client(name.lower())
            askers[name] = server.client(name.lower())
            askers[name].subscribe(f"inbox.{name}.>")
        for name, pattern, _ in world.subs:
            services[name].subscribe(pattern)
        for client in (*services.values(), *askers.values()):
            client.flush()
        for n, (name, subject) in enumerate(world.messages[:REQUESTS]):
            askers[name].publish(subject, str(n).encode(), reply=f"inbox.{name}.{n}")
        for asker in askers.values():
            asker.flush()
        # Whoever is asked answers; what it was asked by way of another account comes at once, too.
        for service in services.values():
            service.flush()
            for m in service.taken():
                for _ in range(EACH):
                    service.publish(m.reply, m.payload)
        for client in (*services.values(), *askers.values()):
            client.flush()
        for name, asker in askers.items():
            for m in asker.taken():
                if not m.payload:
                    continue  # that nobody listens
                self.assertEqual(m.subject, f"inbox.{name}.{m.payload.decode()}")
                got[int(m.payload)] += 1
        for client in (*services.values(), *askers.values()):
            self.assertEqual(client.errors, [])
            client.close()
        return got

    def play(self, kind, world, seed):
        with running(kind, world.text()) as server:
            got = self.ask(server, world)
        judged = 0
        for n, (name, subject) in enumerate(world.messages[:REQUESTS]):
            wanted = world.answers(name, subject)
            if wanted is None:
                continue
            judged += wanted
            self.assertEqual(got[n], wanted, f"{server.kind} seed={seed}: {name} asks {subject}\n"
                                             f"{world.text()}\n{world.subs}")
        return judged

    def test_pipit(self):
        self.assertGreater(sum(self.play(Pipit, Services(random.Random(seed)), seed)
                               for seed in range(SEED, SEED + ROUNDS)), ROUNDS)

    def test_nats_server(self):
        for seed in range(SEED, SEED + max(1, ROUNDS // 4)):
            self.play(Reference, Services(random.Random(seed)), seed)


if __name__ == "__main__":
    main()
