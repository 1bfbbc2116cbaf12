#!/usr/bin/env python3
"""What the tool shows on a terminal and only there: colours, bars, graphs, tables that fit."""

import json
import os
import pty
import subprocess
import unittest

from tmux import Terminal
from tool import TOOL, WAIT_S, OnServer, bad_characters


class Shown(OnServer):
    def terminal(self, *arguments, columns, lines=24):
        terminal = Terminal(self.folder.name, self.environ, *arguments, size=(columns, lines))
        self.addCleanup(terminal.close)
        return terminal

    def test_graph(self):
        sub = self.terminal("sub", "g.>", "--graph", columns=80)
        sub.wait("g.>: 0 messages/s")
        pub = self.start("pub", "g.x", "hello", "--count=100000000", "--sleep=1ms", "-q")
        text = sub.wait("\u2588")  # a whole block: the largest rate
        self.assertLessEqual(max(map(len, text.split("\n"))), 80)
        sub.wait("in all")
        self.assertEqual(text.count("in all"), 1)  # drawn over, not below
        self.assertEqual(pub.interrupt(), 1)

    def test_progress(self):
        bench = self.terminal("bench", "pub", "load", "--msgs=5000", "--rate=500", columns=100)
        text = bench.wait("ETA")
        self.assertRegex(text, r"pub +\[=*> *\] +\d+%  [\d,]+/s  ETA \d")
        text = bench.wait("5,000 messages in")
        self.assertNotIn("ETA", text)

    def test_tables_fit(self):
        self.tool("context", "save", "narrow", "--description", "word " * 100)
        text = self.terminal("context", "ls", columns=60).wait("narrow")
        self.assertIn("...", text)
        self.assertLessEqual(max(map(len, text.split("\n"))), 60)
        self.assertNotIn("...", self.tool("context", "ls"))

    def test_help_fits(self):
        text = self.terminal("pub", "--help", columns=50, lines=200).wait("--trace")
        self.assertLessEqual(max(map(len, text.split("\n"))), 50)

    def test_hostile_json(self):
        """JSON for a terminal has nothing in it that one obeys: C1 controls are as bad as ESC."""
        sub = self.terminal("sub", "h", "--json", "--count=1", columns=80)
        sub.wait("Subscribing on h")
        self.tool("pub", "h", stdin="\x9b31m\u202e\x1b")
        text = sub.wait("number")
        self.assertEqual(bad_characters(text), set())
        self.assertIn("\\u009B31m\\u202E\\u001B", text)

    def typed(self, *arguments, **env):
        """What a terminal gets, byte by byte."""
        ours, theirs = pty.openpty()
        with subprocess.Popen([TOOL, *arguments], env={**self.environ, **env}, stdout=theirs,
                              stdin=subprocess.DEVNULL) as process:
            os.close(theirs)
            text = b""
            try:
                while piece := os.read(ours, 65536):
                    text += piece
            except OSError:  # EIO: nobody has the other end any more
                pass
            os.close(ours)
            self.assertEqual(process.wait(WAIT_S), 0)
        return text

    def test_colours_are_for_terminals(self):
        self.assertIn(b"\x1b[1m", self.typed("help", "pub"))
        self.assertNotIn(b"\x1b", self.typed("help", "pub", NO_COLOR="1"))
        self.assertNotIn(b"\x1b", self.typed("help", "pub", TERM="dumb"))
        self.assertNotIn("\x1b", self.tool("help", "pub"))

    def test_json_elsewhere_is_utf8(self):
        self.tool("context", "save", "umlaut", "--description", "größer")
        self.assertIn("größer", self.tool("context", "info", "umlaut", "--json"))
        json.loads(self.tool("context", "ls", "--json"))


if __name__ == "__main__":
    unittest.main()
