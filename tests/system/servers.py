"""Either server under the same configuration: a system account, A, B and the global one."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "monitor"), str(TESTS / "support")]
from client import Client  # noqa: E402
from log_reader import LogReader  # noqa: E402
from world import DEADLINE_S, PIPIT, main, missing, tool  # noqa: E402

__all__ = ["Beside", "Client", "Pipit", "Reference", "both", "configuration", "each", "main", "missing",
           "tool"]

NAME = "watched"


def configuration(system="SYS", without="", more=""):
    """The file; system None: there is no system account; without: an account that is not there."""
    accounts = {
        "SYS": "users: [ {user: sys, password: sys} ]",
        "A": 'users: [ {user: a, password: a, permissions: {'
             ' publish: {allow: [">"], deny: ["x.>"]}, subscribe: {allow: [">"]} } },'
             ' {user: a2, password: a2} ]',
        "B": "users: [ {user: b, password: b} ]",
    }
    lines = [f"  {name}: {{ {text} }}" for name, text in accounts.items() if name != without]
    return "\n".join([f"server_name: {NAME}", "accounts {", *lines, "}",
                      f"system_account: {system}" if system else "no_system_account: true",
                      more, ""])


class Server:
    """A process, its log, its port."""

    def __init__(self, *flags, more=""):
        self.flags = flags
        self.port = None
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "server.conf")
        self.write(configuration(more=more))

    def write(self, text):
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.path(), "-a", "127.0.0.1", "-p", "-1", "-c", self.config, *self.flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace")
        self.reader = LogReader(self.process.stderr, DEADLINE_S)
        self.log = self.reader.lines
        line = self.wait_line(r"Listening for client connections on \S+:\d+")
        self.port = int(re.search(r":(\d+)\s*$", line)[1])
        self.wait_line("Server is ready")
        if self.first_user:
            with self.client(self.first_user) as system:
                self.id = system.request("$SYS.REQ.SERVER.PING.IDZ").json()["id"]
        return self

    def wait_line(self, pattern, since=0):
        """The first line of the log from since on that matches."""
        return self.reader.wait(pattern, since)

    def reload(self, text):
        since = len(self.log)
        self.write(text)
        self.process.send_signal(signal.SIGHUP)
        self.wait_line("Reloaded server configuration", since)

    def client(self, user, **options):
        return Client(self.port, user, user, **options)

    def lame_duck(self):
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.killed = True

    killed = False
    first_user = "sys"  # asked for the server's id

    def __exit__(self, *exception):
        self.stop()
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.reader.close()
        self.folder.cleanup()
        if exception[0] is None and status != 0 and self.kind == "pipit" and not self.killed:
            raise AssertionError(f"ended with {status}:\n{self.reader.told_last()}")


class Pipit(Server):
    kind = "pipit"

    def path(self):
        return PIPIT


class Reference(Server):
    kind = "nats"

    def path(self):
        return tool("nats-server")


@contextlib.contextmanager
def each(*some):
    """They run. For tests of what must hold at any: where a sanitizer looks at pipit, pipit is alone."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server) for server in some
               if server.kind == "pipit" or "PIPIT_SANITIZED" not in os.environ]


@contextlib.contextmanager
def both(**options):
    with Pipit(**options) as ours, Reference(**options) as theirs:
        yield ours, theirs


class Beside(unittest.TestCase):
    """A test with both servers and a client of each user."""

    maxDiff = None
    more = ""

    @classmethod
    def setUpClass(cls):
        cls.context = both(more=cls.more)
        cls.ours, cls.theirs = cls.context.__enter__()
        cls.clients = []
        for server in (cls.ours, cls.theirs):
            for user in ("sys", "a", "b"):
                client = server.client(user, name=f"client of {user}")
                setattr(server, user, client)
                cls.clients.append(client)

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        cls.context.__exit__(None, None, None)
