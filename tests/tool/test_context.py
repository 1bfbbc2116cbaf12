#!/usr/bin/env python3
"""Saved connections: the files are those of the nats CLI, either way."""

import json
import os
import subprocess
import unittest

from tool import HOSTILE, NATS, TOOL, OnServer, bad_characters


class Context(OnServer):
    def setUp(self):
        for name in self.names():
            self.tool("context", "rm", "-f", name)

    def tearDown(self):
        self.setUp()

    def names(self):
        return self.tool("context", "ls", "--names").split()

    def stored(self, name):
        path = self.home / "config/nats/context" / f"{name}.json"
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        return json.loads(path.read_text())

    def test_life(self):
        self.tool("context", "save", "shop", "--description", "the shop", "--user", "ann",
                  "--password", "s3cret", "--tlsfirst", NATS_URL="nats://one:1")
        stored = self.stored("shop")
        self.assertEqual((stored["url"], stored["user"], stored["password"], stored["tls_first"]),
                         ("nats://one:1", "ann", "s3cret", True))
        shown = self.tool("context", "info", "shop")
        self.assertIn("ann", shown)
        self.assertNotIn("s3cret", shown)
        self.tool("context", "add", "shop", "--description", "old shop", NATS_URL="")
        self.assertEqual(self.stored("shop"), {**stored, "description": "old shop"})
        self.tool("context", "cp", "shop", "copy", "--no-tlsfirst")
        self.assertEqual(self.names(), ["copy", "shop"])
        self.tool("context", "cp", "shop", "copy", status=2)
        self.assertIn("there is a context copy already", self.said)
        self.tool("context", "select", "shop")
        self.assertIn("shop*", self.tool("context", "ls"))
        self.assertIn('Context "shop"', self.tool("context", "show"))
        self.tool("context", "rm", "shop", status=2)
        self.tool("context", "rm", "shop", "--force")
        self.tool("context", "show", status=2)
        self.assertIn("no context is selected", self.said)

    def test_json(self):
        self.tool("context", "save", "shop", "-s", "nats://x:2")
        listed = json.loads(self.tool("context", "ls", "--json"))
        self.assertEqual([(c["name"], c["url"]) for c in listed], [("shop", "nats://x:2")])
        self.assertEqual(json.loads(self.tool("context", "info", "shop", "--json")), listed[0])

    def test_edit(self):
        self.tool("context", "save", "shop", "--description", "a")
        self.tool("context", "edit", "shop", EDITOR="sed -i 's/\"a\"/\"b\"/'")
        self.assertEqual(self.stored("shop")["description"], "b")
        self.tool("context", "edit", "shop", EDITOR="sed -i 's/{/[/'", status=1)
        self.tool("context", "edit", "shop", EDITOR="false", status=1)
        self.assertEqual(self.stored("shop")["description"], "b")
        self.assertEqual(self.names(), ["shop"])

    def test_connecting(self):
        self.tool("context", "save", "shop")
        self.assertIn("connected to", self.tool("context", "validate", "shop", "--connect"))
        self.tool("context", "save", "shop", "-s", "nats://127.0.0.1:1")
        self.tool("context", "validate", "--connect", status=1, NATS_URL="")
        self.tool("context", "info", "shop", "--connect", status=0)  # the variable wins
        self.tool("context", "info", "shop", "--connect", status=4, NATS_URL="")
        self.assertIn("cannot reach nats://127.0.0.1:1: 127.0.0.1: connection refused", self.said)

    def test_damaged_files(self):
        self.tool("context", "save", "shop")
        path = self.home / "config/nats/context/shop.json"
        for text, sentence in (("{", "is no context"), ("[]", "is no object"),
                               ('{"nsc": "nsc://a/b/c"}', None)):
            path.write_text(text)
            self.tool("context", "validate", "shop", status=1 if sentence else 2)
            self.assertIn(sentence or "has nsc, which pipit cannot use", self.said)

    def test_hostile_members(self):
        self.tool("context", "save", "shop")
        for text in HOSTILE:
            path = self.home / "config/nats/context/shop.json"
            path.write_text(json.dumps({"description": text, "url": text, "user": text}))
            for arguments in (["info", "shop"], ["ls"], ["validate", "shop", "--connect"]):
                out = subprocess.run([TOOL, "context", *arguments], env={**self.environ, "NATS_URL": ""},
                                     capture_output=True, timeout=60, check=False)
                shown = (out.stdout + out.stderr).decode()
                self.assertEqual(bad_characters(shown), set(), (text[:20], arguments))

    @unittest.skipUnless(os.access(NATS, os.X_OK), "the nats CLI is not there: scripts/peers.sh")
    def test_shared_with_the_nats_cli(self):
        environ = {**self.environ, "NATS_URL": ""}
        self.tool("context", "save", "ours", "-s", "nats://x:3", "--select")
        told = subprocess.run([NATS, "context", "ls", "--json"], env=environ, check=True,
                              capture_output=True, timeout=60)
        self.assertEqual([(c["name"], c["url"]) for c in json.loads(told.stdout)],
                         [("ours", "nats://x:3")])
        subprocess.run([NATS, "context", "save", "theirs", "--server", "nats://y:4", "--select",
                        "--user", "bob", "--password", "p"],
                       env=environ, check=True, capture_output=True, timeout=60)
        told = json.loads(self.tool("context", "show", "--json"))
        self.assertEqual((told["name"], told["url"], told["user"]), ("theirs", "nats://y:4", "bob"))
        self.assertEqual(list(told)[1:], list(self.stored("ours")))  # the same members, in order


if __name__ == "__main__":
    unittest.main()
