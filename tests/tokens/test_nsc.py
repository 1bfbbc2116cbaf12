#!/usr/bin/env python3
"""Operator mode set up by nsc, in the steps of NATS's documentation, on either server."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from tenants import Closed, Pipit, Reference, credentials, errors_of, eventually, main, tool


class Nsc:
    """nsc with folders of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.env = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
                    "XDG_DATA_HOME": str(folder)}

    def __call__(self, *words):
        done = subprocess.run([tool("nsc"), "--all-dirs", str(self.folder / "nsc"), *words],
                              env=self.env, cwd=self.folder, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            raise AssertionError(f"nsc {words}: {done.stdout}")
        return done.stdout

    def credentials(self, account, user):
        return credentials(self.folder / f"nsc/creds/local/{account}/{user}.creds")

    def key_of(self, account):
        return json.loads(self("describe", "account", account, "--json"))["sub"]


class Documented:
    """The steps; subclasses name the server."""

    kind = None

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.nsc = Nsc(home.name)
        self.nsc("add", "operator", "--generate-signing-key", "--sys", "--name", "local")
        self.nsc("edit", "operator", "--require-signing-keys")
        self.add("APP", "user")

    def add(self, account, user):
        self.nsc("add", "account", account)
        self.nsc("edit", "account", account, "--sk", "generate")
        self.nsc("add", "user", "--account", account, user)

    def serve(self, *resolver):
        text = self.nsc("generate", "config", *resolver, "--sys-account", "SYS")
        server = self.kind(text.replace("dir: './jwt'", "dir: '@DIR@/jwt'")
                           .replace("allow_delete: false", "allow_delete: true"))
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        self.nsc("edit", "operator", "--account-jwt-server-url",
                 f"nats://127.0.0.1:{server.port}")
        return server

    def verdict(self, server, account, user):
        return server.verdict(*self.nsc.credentials(account, user))

    def test_nats_resolver(self):
        server = self.serve("--nats-resolver")
        self.assertIn("Authorization Violation", self.verdict(server, "APP", "user"))
        self.assertIn("jwt updated", self.nsc("push", "--all"))
        self.assertEqual(self.verdict(server, "APP", "user"), "in")
        self.assertIn('stored account "APP"', self.nsc("pull", "--all"))

    def test_memory_resolver(self):
        server = self.serve("--mem-resolver")
        self.assertEqual(self.verdict(server, "APP", "user"), "in")
        self.assertEqual(self.verdict(server, "SYS", "sys"), "in")

    def test_scoped_signing_key(self):
        self.nsc("edit", "signing-key", "--account", "APP", "--role", "service", "--sk", "generate",
                 "--allow-pub", "answers.{{name()}}", "--allow-sub", "questions.>,_INBOX.>")
        self.nsc("add", "user", "--account", "APP", "--name", "anna", "-K", "service")
        server = self.serve("--nats-resolver")
        self.nsc("push", "--all")
        with server.show(*self.nsc.credentials("APP", "anna")) as anna:
            for subject in ("answers.anna", "answers.bert"):
                anna.publish(subject, "x")
            anna.subscribe("questions.a")
            anna.subscribe("answers.anna")
            anna.flush()
            self.assertEqual(anna.errors,
                             ['Permissions Violation for Publish to "answers.bert"',
                              'Permissions Violation for Subscription to "answers.anna"'])

    def test_activation(self):
        self.add("B", "guest")
        self.nsc("add", "export", "--account", "APP", "--name", "priv", "--subject", "priv.>",
                 "--private")
        self.nsc("generate", "activation", "--account", "APP", "--subject", "priv.>",
                 "--target-account", self.nsc.key_of("B"), "--output-file", "activation.jwt")
        self.nsc("add", "import", "--account", "B", "--token", "activation.jwt",
                 "--local-subject", "got.>")
        server = self.serve("--nats-resolver")
        self.nsc("push", "--all")
        with server.show(*self.nsc.credentials("B", "guest")) as guest, \
                server.show(*self.nsc.credentials("APP", "user")) as user:
            guest.subscribe("got.>")
            guest.flush()
            user.publish("priv.news", "hello")
            self.assertEqual(guest.wait_subject("got.news").payload, b"hello")

    def test_revoked_and_pruned(self):
        server = self.serve("--nats-resolver")
        self.nsc("push", "--all")
        user = server.show(*self.nsc.credentials("APP", "user"))
        self.nsc("revocations", "add-user", "--account", "APP", "--name", "user")
        self.nsc("push", "--all")
        self.assertEqual(errors_of(user), ["User Authentication Revoked"])
        self.assertIn("Authorization Violation", self.verdict(server, "APP", "user"))
        self.nsc("add", "user", "--account", "APP", "other")
        self.assertEqual(self.verdict(server, "APP", "other"), "in")
        other = server.show(*self.nsc.credentials("APP", "other"))
        self.nsc("delete", "account", "APP", "--revoke=false", "--rm-nkey=false", "--rm-creds=false")
        self.nsc("push", "--all", "--prune")
        self.assertRaises(Closed, other.wait_subject, "none")
        eventually(lambda: "Authorization Violation" in self.verdict(server, "APP", "other"),
                   "nobody of an account that is gone is let in")


class DocumentedOnPipit(Documented, unittest.TestCase):
    kind = Pipit


@unittest.skipIf("PIPIT_SANITIZED" in os.environ, "that server is not what is looked at")
class DocumentedOnNatsServer(Documented, unittest.TestCase):
    kind = Reference


if __name__ == "__main__":
    main()
