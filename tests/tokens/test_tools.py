"""Tools and libraries of NATS with credentials of operator mode."""

import base64
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from tenants import Key, Operator, Pipit, credentials, main, nsc, tool

FULL = "{ type: full, dir: '@DIR@/jwt', allow_delete: true }"


class Tools(unittest.TestCase):
    def setUp(self):
        self.o = Operator()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def creds(self, name, token, key):
        path = self.folder / name
        path.write_text(nsc("creds", token=token, seed=key.seed)["text"])
        return str(path)

    def nats(self, server, creds, *words, **options):
        env = {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        return subprocess.run([tool("nats"), "--server", f"nats://127.0.0.1:{server.port}",
                               "--creds", creds, "--timeout", "30s", *words], env=env, timeout=120, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              **options)

    def test_the_command_line_with_credentials(self):
        o = self.o
        account = o.account_token()
        with Pipit(o.configuration(FULL, preload={o.account: account})) as server:
            creds = self.creds("user.creds", o.user_token(), o.user)
            self.assertEqual(self.nats(server, creds, "pub", "a", "b").returncode, 0)
            done = self.nats(server, creds, "rtt")
            self.assertEqual(done.returncode, 0, done.stdout)
            with server.show(o.user_token(), o.user) as client:
                client.subscribe("a.b")
                client.flush()
                self.assertEqual(self.nats(server, creds, "pub", "a.b", "hello").returncode, 0)
                self.assertEqual(client.wait_subject("a.b").payload, b"hello")
            wrong = self.creds("wrong.creds", o.user_token(by=Key("A")), o.user)
            done = self.nats(server, wrong, "pub", "a", "b")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Authorization Violation", done.stdout)

    def test_the_command_line_in_the_system_account(self):
        o = self.o
        with Pipit(o.configuration(FULL)) as server:
            creds = self.creds("sys.creds", o.system_user_token, o.system_user)
            done = self.nats(server, creds, "request", "$SYS.REQ.CLAIMS.UPDATE",
                             o.account_token())
            self.assertIn("jwt updated", done.stdout)
            self.assertEqual(server.verdict(o.user_token(), o.user), "in")
            done = self.nats(server, creds, "server", "list", "1")
            self.assertIn("watched", done.stdout)


class BuiltByNatsAuth(unittest.TestCase):
    """Operator mode from nothing, as `nats auth` makes and sends it."""

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = pathlib.Path(home.name)
        self.env = {**os.environ, "HOME": home.name, "XDG_CONFIG_HOME": home.name,
                    "XDG_DATA_HOME": home.name, "NSC_HOME": home.name}
        if "operator" not in self.nats("auth", "--help", code=None):
            self.skipTest("this `nats` has no `auth`: a newer one has")

    def nats(self, *words, code=0):
        done = subprocess.run([tool("nats"), "--timeout", "30s", *words], env=self.env, timeout=120, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=self.home,
                              stderr=subprocess.STDOUT, check=False)
        if code is not None and done.returncode != code:
            self.fail(f"{words}: {done.stdout}")
        return done.stdout

    def test_from_nothing_to_a_message(self):
        self.nats("auth", "operator", "add", "OP")
        self.nats("auth", "account", "add", "APP", "--operator", "OP", "--defaults")
        for user, account in (("bob", "APP"), ("sys", "SYSTEM")):
            self.nats("auth", "user", "add", user, account, "--operator", "OP", "--credential",
                      f"{user}.creds", "--defaults")
        system = next(self.home.rglob("SYSTEM.jwt"))
        key = json.loads(base64.urlsafe_b64decode(
            system.read_text().split(".")[1] + "=="))["sub"]
        text = "\n".join([f"operator: '{next(self.home.rglob('OP.jwt'))}'",
                          f"resolver: {FULL}",
                          f"resolver_preload {{ {key}: {system.read_text().strip()} }}", ""])
        with Pipit(text) as server:
            at = ("--server", f"nats://127.0.0.1:{server.port}")
            bob, sys = ("--creds", "bob.creds"), ("--creds", "sys.creds")
            said = self.nats(*at, *bob, "pub", "a", "b", code=1)
            self.assertIn("Authorization Violation", said)
            self.nats(*at, *sys, "auth", "account", "push", "APP", "--operator", "OP")
            self.nats(*at, *bob, "pub", "a", "b")
            token, key = credentials(self.home / "bob.creds")
            with server.show(token, key) as client:
                client.subscribe("greet.*")
                client.flush()
                self.nats(*at, *bob, "pub", "greet.joe", "hello")
                self.assertEqual(client.wait_subject("greet.joe").payload, b"hello")


if __name__ == "__main__":
    main()
