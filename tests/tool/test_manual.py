#!/usr/bin/env python3
"""Manual pages of the tool: docs/man/ has what the tables of commands say, and troff finds nothing
wrong with it.

    test_manual.py --golden    writes docs/man/pipit*.1 anew
"""

import re
import shutil
import subprocess
import sys
import unittest

from test_command_line import OF_OTHERS, commands_of
from tool import REPO, TOOL, ToolTest

PAGES = REPO / "docs/man"


def page_of(name):
    return subprocess.run([TOOL, "help", "--man", *([name] if name else [])], check=True,
                          capture_output=True, text=True, timeout=60).stdout


def pages():
    text = subprocess.run([TOOL, "help"], check=True, capture_output=True, text=True,
                          timeout=60).stdout
    yield PAGES / "pipit.1", ""
    for name in commands_of(text):
        if name not in (*OF_OTHERS, "help", "version"):  # written by hand, or not worth one
            title = re.match(r"\.TH PIPIT\\-(\S+) 1 ", page_of(name))[1]  # server's is another's
            yield PAGES / f"pipit-{title.lower()}.1", name


class Manual(ToolTest):
    def test_pages_are_those_of_the_tables(self):
        for path, name in pages():
            self.assertTrue(path.exists(), f"{path} is missing: test_manual.py --golden writes it")
            self.assertEqual(path.read_text(), page_of(name),
                             f"{path} is old: test_manual.py --golden writes it anew")

    @unittest.skipUnless(shutil.which("groff"), "groff is not there")
    def test_troff_finds_nothing_wrong(self):
        for path, _ in pages():
            done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", path], capture_output=True,
                                  text=True, timeout=60, check=True)
            self.assertEqual(done.stderr, "", path)
            self.assertGreater(len(done.stdout), 500)

    def test_every_flag_has_its_place(self):
        text = page_of("pub")
        for word in ("\\-\\-header=NAME:VALUE", "\\-\\-send\\-on", "SUBJECT", "(default 1)",
                     "pipit pub orders.new"):
            self.assertIn(word, text)
        self.tool("help", "--man", "context", "save", status=2)


if __name__ == "__main__":
    if "--golden" in sys.argv:
        for path, name in pages():
            path.write_text(page_of(name))
        sys.exit(0)
    unittest.main()
