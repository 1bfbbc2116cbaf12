#!/usr/bin/env python3
"""Every flag and every argument of every command, given as it must not be: one sentence that names it
and says what to do, nothing on standard output, and status 2. What there is to give comes from the
tables themselves (pipit help --json)."""

import json
import os
import random
import unittest

from tool import ToolTest, bad_characters

# Values that are none of a type. What is text takes anything.
WRONG = {
    "count": ("", "x", "1.5x", "-", "1e", "99999999999999999999999"),
    "size": ("", "lots", "4Q", "-1K", "99999999999999999999G"),
    "duration": ("", "soon", "5", "5 s", "1h30", "999999999999999999h"),
    "number": ("", "much", "1,5", "0x"),
    "choice": ("", "none-such", "|"),
}
HOSTILE = "\x1b[2J\u202e"

SANITIZED = os.environ.get("PIPIT_BUILD") == "sanitized"  # hundreds of starts take minutes then
SEED = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CHOICE = random.Random(SEED)


def some(values):
    """All of them, or one where that is enough: the seed says which."""
    values = list(values)
    return [CHOICE.choice(values)] if SANITIZED and values else values


def commands(table, path=()):
    """(path, table) of all that can be run."""
    for command in table.get("commands", ()):
        below = (*path, command["name"])
        if "commands" in command:
            yield from commands(command, below)
        elif not command.get("raw"):
            yield below, command


def beyond(flag):
    """Values outside of the range of a flag or argument, as its type is written."""
    unit = {"count": "", "size": "", "duration": "ns"}.get(flag["type"])
    if unit is None:
        return
    if flag.get("min", 0) > 0:
        yield f"{flag['min'] - 1}{unit}"
    if flag.get("max"):
        yield f"{flag['max'] + 1}{unit}"


class Sweep(ToolTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print(f"PIPIT_SEED={SEED}")
        cls.table = json.loads(cls("test_there_are_all").tool("help", "--json"))

    def refuse(self, *arguments, naming=""):
        with self.subTest(arguments):
            self.assertEqual(self.tool(*arguments, status=2), "")
            self.assertTrue(self.said.startswith("pipit: "), self.said)
            self.assertEqual(self.said.count("\n"), 1, self.said)
            self.assertIn(naming, self.said)
            self.assertEqual(bad_characters(self.said), set())
            self.assertLess(len(self.said), 600)

    def test_there_are_all(self):
        paths = {path for path, _ in commands(self.table)}
        self.assertGreater(len(paths), 40)
        self.assertLessEqual({("pub",), ("server", "check", "connection"), ("store", "check"),
                              ("bench", "service"), ("context", "save")}, paths)

    def test_unknown_flags(self):
        for path, _ in commands(self.table):
            self.refuse(*path, "--no-such-flag", naming="there is no flag --no-such-flag here: see "
                        f"pipit {' '.join(path)} --help")
            self.refuse(*path, f"--{HOSTILE}=x", naming="there is no flag")

    def test_flags_without_their_value(self):
        for path, command in commands(self.table):
            for flag in some(command["flags"] + self.table["flags"]):
                if flag["type"] == "switch":
                    self.refuse(*path, f"--{flag['name']}=x", naming=f"--{flag['name']} takes no")
                else:
                    self.refuse(*path, f"--{flag['name']}", naming=f"--{flag['name']} needs")

    def test_wrong_values_of_flags(self):
        count = 0
        for path, command in commands(self.table):
            for flag in command["flags"] + (self.table["flags"] if path == ("rtt",) else []):
                if flag["type"] not in WRONG:
                    continue
                for wrong in some((*WRONG[flag["type"]], *beyond(flag), HOSTILE)):
                    self.refuse(*path, f"--{flag['name']}={wrong}", naming=f"--{flag['name']}")
                    count += 1
        self.assertGreater(count, 50 if SANITIZED else 500)

    def test_arguments(self):
        for path, command in commands(self.table):
            arguments = command["arguments"]
            needed = [a for a in arguments if not a["optional"]]
            if needed:
                self.refuse(*path, naming=f"pipit {' '.join(path)} needs {needed[0]['name']}")
            good = [a.get("choices", ["1"])[0] for a in arguments]
            if not any(a.get("many") for a in arguments):
                self.refuse(*path, *good, "one too many", naming="one argument too many")
            for at, argument in enumerate(arguments):
                for wrong in some((*WRONG.get(argument["type"], ()), *beyond(argument))):
                    self.refuse(*path, *good[:at], wrong, naming=argument["name"])

    def test_commands_below(self):
        for group in [c for c in self.table["commands"] if "commands" in c]:
            self.refuse(group["name"], naming=f"pipit {group['name']} needs a command")
            self.refuse(group["name"], "nonesuch", naming="there is no command nonesuch")


if __name__ == "__main__":
    unittest.main()
