"""What users may do, as the page says it: patterns are the sets of subjects that they cover.

The world is one token deeper than any pattern is and has a token that none names, so whatever
holds in it holds everywhere."""

import functools
import itertools

PATTERN_DEPTH = 3
WORLD = [".".join(tokens) for depth in range(1, PATTERN_DEPTH + 2)
         for tokens in itertools.product("abz", repeat=depth)]
QUEUES = ["q", "r", "q.x", "q.y"]


def covers(pattern, subject):
    want, got = pattern.split("."), subject.split(".")
    for at, token in enumerate(want):
        if token == ">":
            return len(got) > at
        if at >= len(got) or (token != "*" and token != got[at]):
            return False
    return len(got) == len(want)


@functools.lru_cache(None)
def subjects(pattern):
    return frozenset(subject for subject in WORLD if covers(pattern, subject))


def random_pattern(dice):
    tokens = [dice.choice("aabb*") for _ in range(dice.randint(1, PATTERN_DEPTH))]
    if dice.random() < 0.25:
        tokens[-1] = ">"
    return ".".join(tokens)


def random_rules(dice, queues):
    rules = [(random_pattern(dice),
              dice.choice([*QUEUES, "*", "q.*", ">", "q.>"])
              if queues and dice.random() < 0.33 else "")
             for _ in range(dice.randint(1, 4))]
    return rules


class Permissions:
    """None for an allow list stands for none at all; an empty one cannot be written in a file."""

    def __init__(self, dice):
        self.lists = {side: {kind: random_rules(dice, side == "subscribe")
                             if dice.random() < 0.5 else None
                             for kind in ("allow", "deny")}
                      for side in ("publish", "subscribe")}

    def text(self):
        def rules(entries):
            return "[" + ", ".join(f'"{subject} {queue}"' if queue else f'"{subject}"'
                                   for subject, queue in entries) + "]"

        return "{ " + ", ".join(
            f"{side}: {{ " + ", ".join(f"{kind}: {rules(entries)}"
                                       for kind, entries in kinds.items() if entries) + " }"
            for side, kinds in self.lists.items()) + " }"

    def may_publish(self, subject):
        allow, deny = self.lists["publish"]["allow"], self.lists["publish"]["deny"] or []
        return (not allow or any(covers(rule, subject) for rule, _ in allow)) and \
            not any(covers(rule, subject) for rule, _ in deny)

    def _denied(self, rules, queue, within):
        return any(within(subject) and (not name or (queue and covers(name, queue)))
                   for subject, name in rules or [])

    def may_subscribe(self, pattern, queue):
        def within(rule):
            return subjects(pattern) <= subjects(rule)

        allow = self.lists["subscribe"]["allow"]
        if allow:
            over = [name for rule, name in allow if within(rule)]
            named = [name for name in over if name]
            if queue and named:
                if not any(covers(name, queue) for name in named):
                    return False
            elif "" not in over:
                return False
        return not self._denied(self.lists["subscribe"]["deny"], queue, within)

    def may_hear(self, subject, queue):
        return not self._denied(self.lists["subscribe"]["deny"], queue,
                                lambda rule: covers(rule, subject))
