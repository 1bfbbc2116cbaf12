"""Servers under any configuration, and connections that show any credentials."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from log_reader import LogReader  # noqa: E402
from peers import path_of  # noqa: E402

PIPIT = os.environ.get("PIPIT_SERVER", str(ROOT / "build/pipit-server"))
DEADLINE_S = 60


def peer(name="nats-server"):
    """A program that scripts/peers.sh brings; None: it is not there."""
    path = path_of(name)
    return path if os.path.exists(path) else None


class Refused(Exception):
    """The configuration is."""


class Server:
    """A process under a configuration of its own, on a port of its own."""

    def __init__(self, program, config, *flags):
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "server.conf")
        self.write(config)
        self.process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", "-1", "-c", self.config, *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace")
        self.reader = LogReader(self.process.stderr, DEADLINE_S)
        self.log = self.reader.lines
        try:
            line = self.wait_line(r"Listening for client connections on 127\S+:\d+")
            self.port = int(re.search(r":(\d+)\s*$", line)[1])
            self.wait_line("Server is ready")
        except AssertionError:
            self.stop()
            raise Refused("".join(self.log)) from None

    def write(self, config):
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write(config)
        os.rename(self.config + ".new", self.config)

    def wait_line(self, pattern, since=0):
        """The first line of the log from since on that matches."""
        return self.reader.wait(pattern, since)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.close()
        self.folder.cleanup()
        reports = [line for line in self.log if "Sanitizer" in line or "runtime error" in line]
        if reports:
            raise AssertionError("".join(self.log[self.log.index(reports[0]):][:60]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def connect(self):
        return Connection(socket.create_connection(("127.0.0.1", self.port), DEADLINE_S))


class Connection:
    """What comes is read line by line, with a deadline."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(DEADLINE_S)
        self.bytes = b""
        self.info = json.loads(self.line()[5:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        try:
            self.socket.sendall(text.encode())
        except (BrokenPipeError, ConnectionResetError):
            pass

    def line(self):
        """The next line; None: there is none any more."""
        while b"\r\n" not in self.bytes:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.bytes += more
        line, _, self.bytes = self.bytes.partition(b"\r\n")
        return line.decode("utf-8", "replace")

    def until(self, first):
        """The first line that begins like this, or what the server said before it closed."""
        said = []
        while True:
            line = self.line()
            if line is None:
                return None, said
            if line.startswith(first):
                return line, said
            said.append(line)

    def log_in(self, **shown):
        """None: let in; else what was said before the end."""
        connect = {"verbose": False, "pedantic": False, "protocol": 0, **shown}
        self.send(f"CONNECT {json.dumps(connect)}\r\nPING\r\n")
        line, said = self.until("PONG")
        return None if line else said

    def who(self):
        """What the server knows of this connection's user."""
        self.send("SUB _INBOX.who 1\r\nPUB $SYS.REQ.USER.INFO _INBOX.who 0\r\n\r\nPING\r\n")
        line, said = self.until("MSG _INBOX.who")
        if not line:
            return said
        return json.loads(self.line())["data"]


def finish(failures, count):
    for failure in failures:
        print(failure)
    print(f"{count - len(failures)} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
