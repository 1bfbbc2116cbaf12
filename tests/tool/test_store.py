#!/usr/bin/env python3
"""pipit store, on what a server has left behind. What it finds and repairs: tests/store/tool.py."""

import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from stored import make_store
from tool import HOSTILE, TOOL, WAIT_S, ToolTest, bad_characters

PAYLOADS = [text.encode("utf-8", "surrogateescape") for text in HOSTILE] + [b"\xff\x00", b"plain"]


class Store(ToolTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()
        cls.store = str(make_store(cls.folder.name, "orders", *PAYLOADS))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()
        super().tearDownClass()

    def lines(self, *arguments):
        return [json.loads(line) for line in self.tool("store", *arguments, "--json").splitlines()]

    def test_check(self):
        self.assertEqual(self.tool("store", "check", self.store),
                         f"{self.store}: {len(PAYLOADS)} messages, 0 lost, 1 segment: whole\n")
        [verdict] = self.lines("check", self.store)
        self.assertEqual((verdict["dir"], verdict["messages"], verdict["whole"]),
                         (self.store, len(PAYLOADS), True))
        self.assertEqual(self.tool("store", "repair", "--dry-run", self.store),
                         self.tool("store", "check", self.store))

    def test_dump(self):
        told = self.lines("dump", "--payloads", self.store)
        self.assertEqual([base64.b64decode(line["payload"]) for line in told], PAYLOADS)
        self.assertEqual({line["subject"] for line in told}, {"mb.orders"})
        shown = self.tool("store", "dump", "--payloads", self.store)
        self.assertEqual(bad_characters(shown), set())
        self.assertEqual(len(shown.splitlines()), len(PAYLOADS))
        self.assertRegex(shown, r"^1  \d{4}-\d\d-\d\dT[0-9:.]+Z  mb\.orders  headers=0  payload=\d+")
        self.assertEqual([line["seq"] for line in
                          self.lines("dump", "--from", "2", "--count", "3", self.store)], [2, 3, 4])
        self.assertEqual(self.lines("dump", "--filter", "other.>", self.store), [])

    def test_stats(self):
        self.assertRegex(self.tool("store", "stats", self.store),
                         rf"(?s)Messages: {len(PAYLOADS)}\n.*Segment .*State\n +1 .* written to\n")
        stats = json.loads(self.tool("store", "stats", "--json", self.store))
        self.assertEqual((stats["last_seq"], len(stats["segments"])), (len(PAYLOADS), 1))

    def test_snapshot(self):
        snapshot = pathlib.Path(self.folder.name) / "snapshot"
        with open(snapshot, "wb") as file:
            subprocess.run([TOOL, "store", "snapshot", self.store], stdout=file, check=True,
                           stderr=subprocess.DEVNULL, timeout=WAIT_S)
        again = f"{self.folder.name}/again"
        with open(snapshot, "rb") as file:
            done = subprocess.run([TOOL, "store", "restore", "--json", again], stdin=file,
                                  check=True, capture_output=True, timeout=WAIT_S)
        self.assertEqual(json.loads(done.stdout), {"dir": again, "messages": len(PAYLOADS)})
        self.assertEqual(self.lines("dump", "--payloads", again),
                         self.lines("dump", "--payloads", self.store))
        self.tool("store", "restore", f"{again}2", stdin="no snapshot", status=3)
        self.assertIn("not a whole snapshot", self.said)

    def test_refusals(self):
        for arguments, status, sentence in (
                (("check", "/nowhere"), 3, "/nowhere: there is no store"),
                (("check", "/now\x1b[2Jhere"), 3, "/now\\x1b[2Jhere: there is no store"),
                (("check",), 2, "needs DIR"),
                (("dump", "--filter", "a..b", self.store), 2, "--filter takes a subject"),
                (("dump", "--count", "x", self.store), 2, "is not a whole number"),
                (("eat", self.store), 2, "there is no command eat"),
                (("check", "--key-file", "/etc/passwd", self.store), 3, "others than its owner")):
            self.assertEqual(self.tool("store", *arguments, status=status), "")
            self.assertIn(sentence, self.said)
            self.assertEqual(self.said.count("\n"), 1)
        self.tool("store", "check", self.store, status=3, PIPIT_STORE_KEYS="not keys")
        self.assertIn("its keys: ", self.said)
        self.assertNotIn("not keys", self.said)

    def test_standard_output_is_full(self):
        for form in ((), ("--json",)):
            with open("/dev/full", "w") as full:
                done = subprocess.run([TOOL, "store", "dump", *form, self.store], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=WAIT_S, check=False)
            self.assertEqual((done.returncode, done.stderr),
                             (3, "pipit: cannot write to standard output\n"))

    def test_by_its_own_name(self):
        program = pathlib.Path(self.folder.name) / "pipit-store"
        program.symlink_to(TOOL)

        def run(*arguments):
            done = subprocess.run([program, *arguments], capture_output=True, text=True,
                                  timeout=WAIT_S, check=False)
            return done.returncode, done.stdout + done.stderr
        self.assertEqual(run("check", self.store), (0, self.tool("store", "check", self.store)))
        self.assertEqual(run("--help"), (0, self.tool("store", "--help")))
        self.assertEqual(run()[0], 2)
        self.assertTrue(re.match(r"pipit: v\d", run("--version")[1]))
        self.assertTrue(os.path.samefile(os.path.dirname(TOOL) + "/pipit-store", TOOL))


if __name__ == "__main__":
    unittest.main()
