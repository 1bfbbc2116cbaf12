#!/usr/bin/env python3
"""Every example with --json: what is printed is JSON, one value or one after another."""

import json
import shlex
import subprocess
import unittest

from test_examples import Examples as OfExamples


# What is not JSON, for it is what was asked for: scripts for shells, a page of troff, the bytes of a
# snapshot; and programs with output of their own.
OTHERWISE = ("completion", "context edit", "store snapshot", "help --man", "--graph")


def values(text):
    """All values of a text, one after another."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        yield value


class Json(OfExamples):
    """The same as the examples, and asked for JSON."""

    errors = subprocess.DEVNULL  # what there is to say beside it

    def change(self, line):
        words = shlex.split(line, comments=True)
        if words.count("pipit") != 1 or any(name in line for name in OTHERWISE):
            return None
        return line.replace("pipit ", "pipit --json ", 1)

    def judge(self, line, out):
        for value in values(out):
            self.assertIsInstance(value, (dict, list), line)


del OfExamples

if __name__ == "__main__":
    unittest.main()
