#!/usr/bin/env python3
"""What commands that look after servers print, as a whole: golden/operating.txt, in which numbers, ids and
units stand for any. It is the same for either server.

    test_golden.py --golden    write it, from what pipit-server answers"""

import pathlib
import re
import sys
import unittest

from monitored import PATIENT, MonitoredTest
from tool import PIPIT, on_both

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "operating.txt"
COMMANDS = (
    ("server", "list"), ("server", "info"), ("server", "ping", "--id"),
    ("server", "report", "connections", "--account", "APP"),
    ("server", "report", "accounts", "APP"),
    ("server", "check", "connection", "--format", "text", *PATIENT),
    ("server", "check", "server", "--format", "text", "--conn-warn", "1000"),
    ("server", "check", "server", "--format", "prometheus"),
    ("server", "watch", "--count", "2", "--interval", "100ms"),
    ("account", "info"), ("top", "--batch", "--count", "1"), ("trace", "a.b", "hello"), ("doctor",),
)
ANY = ((r"N[A-Z2-7]{55}", "ID"), (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
       (r"127\.0\.0\.1:\d+", "ADDRESS"),
       (r"-?\d[\d,]*(\.\d+)?(e-?\d+)?", "0"), (r"\b0( 0)* ?(ns|µs|us|ms|m0s|s|B|KiB|MiB)(?!\w)", "0"),
       (r"\b0[KMG]\b", "0"), (r"[ \t]+", " "), (r" +\n", "\n"))


def usual(text):
    """A text with what may differ taken out."""
    for pattern, instead in ANY:
        text = re.sub(pattern, instead, text)
    return text


class Golden(MonitoredTest):
    def printed(self):
        one = self.client(name="one")
        one.send("SUB a.> 1\r\nSUB x 2\r\n")
        parts = []
        for command in COMMANDS:
            way = ("-s", self.app) if command[0] == "trace" else ()
            parts.append(f"$ pipit {' '.join(command)}\n{self.tool(*command, *way)}\n")
        return usual("".join(parts))

    def test_golden(self):
        self.maxDiff = None
        self.assertEqual(self.printed(), GOLDEN.read_text())


class Writer(MonitoredTest):
    program = PIPIT

    def test_write(self):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(Golden.printed(self))


if __name__ == "__main__":
    if sys.argv[1:] == ["--golden"]:
        unittest.TextTestRunner().run(unittest.TestSuite([Writer("test_write")]))
    else:
        del Writer
        on_both(Golden, globals())
        del MonitoredTest, Golden
        unittest.main()
