#!/usr/bin/env python3
"""Every example of --help, and so of the manual pages, does what it is there for: it is run as it
stands, in a shell, against a server with somebody who publishes and somebody who answers.

Those that go on until they are interrupted, are: when they have printed a line."""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

from test_auth import Key, creds, token
from stored import make_store
from test_command_line import OF_OTHERS, commands_of
from tool import TOOL, WAIT_S, OnServer


SILENT_S = 2  # for so long one may say nothing
OF_THE_SYSTEM = ("server", "account", "events", "top", "trace", "doctor")
CONFIGURATION = """
accounts {
  SYS { users: [ { user: admin, password: admin } ] }
  APP { users: [ { user: app, password: app } ] }
}
system_account: SYS
no_auth_user: app
"""


def examples_of(text):
    """(what it is for, the line), from a help text."""
    part = re.search(r"^Examples:\n((?:(?:  .*)?\n)+)", text, re.M)
    return re.findall(r"  # (.*)\n  (.*)\n", part[1]) if part else []


class Examples(OnServer):
    errors = subprocess.STDOUT

    @classmethod
    def setUpClass(cls):
        cls.config = tempfile.NamedTemporaryFile("w", suffix=".conf")  # read again by a reload
        cls.config.write(CONFIGURATION)
        cls.config.flush()
        cls.flags = ("-c", cls.config.name, "-m", "-1")
        super().setUpClass()
        cls.make_files()
        cls.system_url = f"nats://admin:admin@127.0.0.1:{cls.server.port}"
        tools = cls.home / "bin"
        tools.mkdir()
        (tools / "pipit").symlink_to(TOOL)
        cls.environ["PATH"] = f"{tools}:{cls.environ['PATH']}"

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.config.close()

    @classmethod
    def make_files(cls):
        """What examples read."""
        account, user = Key(b"a" * 32, "A"), Key(b"u" * 32, "U")
        signed = token(account, user.public, exp=int(time.time()) + 90 * 86400)
        (cls.home / "ann.creds").write_text(creds(signed, user.seed_text))
        (cls.home / "account.jwt").write_text(signed)
        topic = make_store(cls.home, "orders", b"one", b"two")
        (cls.home / "orders.snapshot").write_bytes(
            subprocess.run([TOOL, "store", "snapshot", topic], check=True, capture_output=True,
                           timeout=WAIT_S).stdout)

    def setUp(self):
        # subjects of the examples are busy: orders are published, load is, help.me is answered
        self.reply = self.start("reply", "help.me", "green", "--quiet")
        self.reply.await_line("Listening on")
        for subject in ("orders.new", "load"):
            self.start("pub", subject, "order {{Count}}", "--count=100000000", "--sleep=1ms", "-q")
        self.start("bench", "pub", "load", "--msgs=1000M", "--rate=1000", "--no-progress")

    def all_examples(self, path=()):
        text = self.tool("help", *path)
        for example in examples_of(text):
            yield path, *example
        for name in commands_of(text):
            if path or name not in OF_OTHERS:
                yield from self.all_examples((*path, name))

    def requests_for(self, line):
        """Somebody has to ask those that answer."""
        if match := re.match(r"pipit (?:reply|bench service) '?([\w.]+)", line):
            subject = match[1] + "london" if match[1].endswith(".") else match[1]
            self.start("request", subject, "hello", "--count=1000000", "--timeout=2s", "--raw")

    def run_one(self, line, env):
        """What goes on for more than a second after its first line, or for some without one, is
        interrupted, as by Ctrl-C."""
        process = subprocess.Popen(["bash", "-c", line], env=env, cwd=self.home,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=self.errors, start_new_session=True,
                                   bufsize=0)  # communicate() does not look into a buffer
        try:
            ready, _, _ = select.select([process.stdout], [], [], SILENT_S)
            first = process.stdout.readline() if ready else b""
            interrupted = False
            try:
                out, _ = process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)
                interrupted = True
                out, _ = process.communicate(timeout=WAIT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, (first + out).decode(errors="replace"), interrupted

    def change(self, line):
        """The line to run; None: this one is not."""
        return line

    def judge(self, line, out):
        """What it has printed."""

    def test_all(self):
        count = 0
        for path, what, example in self.all_examples():
            line = self.change(example)
            if not line:
                continue
            with self.subTest(example):
                self.assertTrue("pipit" in line, what)
                self.requests_for(line)
                system = path[0] in OF_THE_SYSTEM
                env = {**self.environ, "NATS_URL": self.system_url} if system else self.environ
                line = line.replace("http://127.0.0.1:8222",
                                    f"http://127.0.0.1:{self.server.http_port}")
                line = line.replace("/var/lib/pipit/", f"{self.home}/")
                status, out, interrupted = self.run_one(line, env)
                # bash tells of its own interruption by 130; pipit ends well, but where it is
                # still busy with a thing of its own (a password's hash) and waits for nothing
                ends = (0, 130, -signal.SIGINT) if interrupted else (0,)
                self.assertIn(status, ends, f"{line}\n{out}")
                self.judge(line, out)
                count += 1
        self.assertGreater(count, 30)


if __name__ == "__main__":
    unittest.main()
