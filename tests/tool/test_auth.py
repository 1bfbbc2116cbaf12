#!/usr/bin/env python3
"""pipit auth: keys, hashes and credentials, beside those that the libraries of the system make."""

import base64
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import termios
import time
import unittest

from tool import HOSTILE, NATS_SERVER, PIPIT, TOOL, Server, ToolTest, bad_characters

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "auth"))
from keys import Key, bcrypt  # noqa: E402


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def token(issuer, subject, kind="user", nats=None, **claims):
    text = part({"typ": "JWT", "alg": "ed25519-nkey"}) + "." + part(
        {"jti": "x", "iat": int(time.time()), "iss": issuer.public, "sub": subject, "name": "ann",
         **claims, "nats": {"type": kind, "version": 2, **(nats or {})}})
    return text + "." + part(issuer.sign(text))


def creds(text, seed=None):
    lines = f"-----BEGIN NATS USER JWT-----\n{text}\n------END NATS USER JWT------\n\n"
    return lines + (f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
                    if seed else "")


class Auth(ToolTest):
    account, user, other = (Key(bytes([n]) * 32, kind) for n, kind in ((1, "A"), (2, "U"),
                                                                        (3, "U")))

    def file(self, text, name="file"):
        path = self.home / name
        path.write_text(text)
        return str(path)

    def test_nkey(self):
        for kind, letter in (("user", "U"), ("account", "A"), ("operator", "O"), ("server", "N"),
                             ("cluster", "C"), ("curve", "X")):
            made = json.loads(self.tool("auth", "nkey", kind, "--json"))
            self.assertEqual((made["seed"][:2], made["public"][0]), ("S" + letter, letter))
            self.assertEqual(self.tool("auth", "public", stdin=made["seed"] + "\n"),
                             made["public"] + "\n")
            self.assertEqual(self.tool("auth", "public", stdin=made["public"]),
                             made["public"] + "\n")
        self.assertEqual(self.tool("auth", "public", stdin=self.user.seed_text),
                         self.user.public + "\n")
        seed, public = self.tool("auth", "nkey").split()
        self.assertTrue(seed.startswith("SU") and public.startswith("U"))
        self.tool("auth", "nkey", "king", status=2)
        self.tool("auth", "public", stdin="SUABC", status=1)
        self.assertIn("neither a seed", self.said)

    def test_nkey_file(self):
        path = self.home / "seed"
        public = self.tool("auth", "nkey", "-o", str(path)).strip()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(self.tool("auth", "public", str(path)).strip(), public)
        self.tool("auth", "nkey", "-o", str(path), status=1)
        self.assertIn("File exists", self.said)

    def test_password(self):
        made = self.tool("auth", "password", "-c", "4", "-p", "secret").strip()
        self.assertRegex(made, r"^\$2a\$04\$.{53}$")
        self.assertEqual(self.tool("auth", "password", "-p", "secret", "--check", made), "yes\n")
        for text in (bcrypt("secret"), bcrypt("secret", version="2y")):
            self.tool("auth", "password", "--check", text, stdin="secret\n")
            self.tool("auth", "password", "--check", text, stdin="Secret\n", status=1)
        self.tool("auth", "passwd", "-p", "x", "--check", "$2a$04$short", status=2)
        self.tool("auth", "password", "-p", "x" * 73, status=2)
        self.tool("auth", "password", stdin="", status=2)
        self.tool("auth", "password", "-c", "3", "-p", "x", status=2)
        self.tool("auth", "password", "-g", "-p", "x", status=2)
        made = json.loads(self.tool("auth", "password", "-g", "-c", "4", "--json"))
        self.assertGreaterEqual(len(made["password"]), 22)
        self.assertEqual(json.loads(self.tool("auth", "password", "--json", "--check", made["hash"],
                                              PASSWORD=made["password"])), {"fits": True})

    def test_password_unseen(self):
        """Typed at a terminal it is not shown."""
        main, other = pty.openpty()
        with subprocess.Popen([TOOL, "auth", "password", "-c", "4"], stdin=other, stderr=other,
                              stdout=subprocess.PIPE, env=self.environ) as process:
            os.close(other)
            shown = os.read(main, 100)
            os.write(main, b"secret\n")
            made = process.stdout.readline().decode().strip()
            shown += os.read(main, 100)
        os.close(main)
        self.assertIn(b"Password: ", shown)
        self.assertNotIn(b"secret", shown)
        self.tool("auth", "password", "-p", "secret", "--check", made)

    def test_password_is_given_up(self):
        """Whoever interrupts it finds the terminal as it was."""
        main, other = pty.openpty()
        before = termios.tcgetattr(other)
        with subprocess.Popen([TOOL, "auth", "password"], stdin=other, stderr=other,
                              stdout=subprocess.PIPE, env=self.environ) as process:
            while b"Password: " not in os.read(main, 100):
                pass
            os.write(main, b"sec\x03")
            self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(process.wait(), 2)
        self.assertEqual(termios.tcgetattr(other), before)
        os.close(main)
        os.close(other)

    def test_password_signs_in(self):
        """Either server takes the hash."""
        made = self.tool("auth", "password", "-c", "4", "-p", "s3cret").strip()
        config = self.file("authorization { user: ann, password: \"%s\" }" % made, "hash.conf")
        for program in (PIPIT, str(NATS_SERVER)):
            if not os.access(program, os.X_OK):
                continue
            server = Server(program, "-c", config)
            url = f"nats://127.0.0.1:{server.port}"
            self.tool("account", "info", "-s", url, "--user", "ann", "--password", "s3cret")
            self.tool("account", "info", "-s", url, "--user", "ann", "--password", "other",
                      status=4)
            server.stop()

    def test_creds(self):
        good = token(self.account, self.user.public, nats={"pub": {"allow": ["a.>"]}, "sub": {},
                                                            "subs": 5, "data": -1, "payload": -1})
        path = self.file(creds(good, self.user.seed_text))
        shown = self.tool("auth", "creds", path)
        for text in (self.user.public, self.account.public, "a.>", "never", "ann"):
            self.assertIn(text, shown)
        self.assertNotIn(self.user.seed_text, shown)
        told = json.loads(self.tool("auth", "creds", path, "--json"))
        self.assertEqual((told["valid"], told["issues"], told["seed_public"]),
                         (True, [], self.user.public))
        self.assertEqual(told["claims"]["nats"]["pub"], {"allow": ["a.>"]})
        self.assertRegex(self.tool("server", "check", "credential", "--credential", path),
                         "^OK Credential OK:never expires")

    def test_creds_wrong(self):
        now = int(time.time())
        good = token(self.account, self.user.public)
        for text, why in ((creds(good, self.other.seed_text), "not that of the token's user"),
                          (creds(good), "there is no seed"),
                          (creds(token(self.account, self.user.public, exp=now - 10),
                                 self.user.seed_text), "expired"),
                          (creds(token(self.account, self.user.public, nbf=now + 999),
                                 self.user.seed_text), "not yet valid")):
            self.assertIn(why, self.tool("auth", "creds", self.file(text), status=1))
        for text, why in ((creds(good[:-4] + "AAAA", self.user.seed_text), "signature"),
                          (creds(good, "SUABC"), "the seed in it is none"), ("", "no token"),
                          (creds("a.b.c"), "base64")):
            self.tool("auth", "creds", self.file(text), status=1)
            self.assertIn(why, self.said)
        self.tool("auth", "creds", "/does/not/exist", status=1)
        self.assertIn("No such file", self.said)
        self.tool("auth", "creds", status=2)

    def test_bearer_needs_no_seed(self):
        text = token(self.account, self.user.public, nats={"bearer_token": True})
        self.assertIn("Bearer", self.tool("auth", "creds", self.file(creds(text))))

    def test_credential_limits(self):
        text = token(self.account, self.user.public, exp=int(time.time()) + 3600)
        path = self.file(creds(text, self.user.seed_text))
        check = ("server", "check", "credential", "--credential", path)
        self.assertIn("OK Credential", self.tool(*check, "--validity-warn", "30m"))
        self.assertIn("WARNING", self.tool(*check, "--validity-warn", "2h", status=1))
        self.assertIn("CRITICAL", self.tool(*check, "--validity-critical", "2h", status=2))
        never = self.file(creds(token(self.account, self.user.public), self.user.seed_text))
        self.tool(*check[:-1], never, "--require-expiry", status=2)
        self.tool(*check[:-1], "/does/not/exist", status=2)
        self.tool("server", "check", "credential", status=3)

    def test_token(self):
        text = token(self.account, self.user.public, exp=4102444800)
        self.assertIn("2100-01-01", self.tool("auth", "token", stdin=text + "\n", TZ="UTC"))
        operator = Key(bytes([9]) * 32, "O")
        text = token(operator, self.account.public, "account",
                     {"limits": {"conn": 7, "subs": -1, "data": -1, "payload": -1, "imports": -1,
                                 "exports": -1, "wildcards": True, "leaf": -1}})
        shown = self.tool("auth", "jwt", stdin=text)
        self.assertRegex(shown, r"Type: account")
        self.assertRegex(shown, r"Connections: 7")
        self.tool("auth", "token", stdin="x" * 3000000, status=1)
        self.assertIn("too long", self.said)

    def test_hostile(self):
        for name in HOSTILE:
            if "\0" in name:
                continue  # such a token is none
            name = name.encode("utf-8", "replace").decode()
            text = token(self.account, self.user.public, name=name, nats={"tags": [name]})
            shown = self.tool("auth", "token", stdin=text)
            self.assertEqual(bad_characters(shown), set(), shown)
            self.tool("auth", "token", "--json", stdin=text)

    def test_far_years(self):
        for moment in (2**62, -5):
            text = token(self.account, self.user.public, iat=moment)
            self.tool("auth", "token", stdin=text, status=0)


if __name__ == "__main__":
    unittest.main()
