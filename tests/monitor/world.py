"""Servers, NATS connections and HTTP for the monitoring tests.

A test compares what pipit-server answers with what nats-server answers to the same traffic. Where
nats-server is missing such a test is skipped, and fails under CI; `scripts/peers.sh` brings it.
"""

import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = pathlib.Path(os.environ.get("PIPIT_PEERS_DIR") or REPO / "build/peers/bin").resolve()
PIPIT = os.environ.get("PIPIT_SERVER") or str(REPO / "build/pipit-server")
DEADLINE_S = 60
EXIT_SKIPPED = 77


def missing(what):
    """Skip the test that calls this; under CI it fails."""
    if os.environ.get("CI"):
        raise AssertionError(f"{what} is missing")
    raise unittest.SkipTest(f"{what} is missing: scripts/peers.sh brings it")


def tool(name):
    """The path of a peer or of an installed program; skips or fails without it."""
    path = PEERS / name
    if path.exists():
        return str(path)
    found = shutil.which(name)
    if found is None:
        missing(name)
    return found


def eventually(condition, what, deadline_s=DEADLINE_S):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not in {deadline_s} s: {what}")
        time.sleep(0.01)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """One server with its monitoring port, as a context manager."""

    def __init__(self, path, *flags):
        self.path, self.flags, self.log = path, flags, []
        self.port = self.http_port = None

    def __enter__(self):
        command = [self.path, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-n", "watched",
                   *self.flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                        errors="replace", stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)
        lines = queue.Queue()
        self.reader = threading.Thread(target=self._read_log, args=(lines,), daemon=True)
        self.reader.start()
        end = time.monotonic() + DEADLINE_S
        while True:
            line = lines.get(timeout=max(0.01, end - time.monotonic()))
            if line is None:
                raise AssertionError("server ended at start:\n" + "".join(self.log))
            if found := re.search(r"Starting http monitor on \S+:(\d+)", line):
                self.http_port = int(found[1])
            if found := re.search(r"Listening for client connections on \S+:(\d+)", line):
                self.port = int(found[1])
            if "Server is ready" in line:
                return self

    def _read_log(self, lines):
        for line in self.process.stderr:
            self.log.append(line)
            lines.put(line)
        lines.put(None)

    def __exit__(self, *exception):
        self.process.terminate()
        try:
            status = self.process.wait(DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.reader.join(DEADLINE_S)
            self.process.stderr.close()
        if exception[0] is None and status not in (0, 1):  # nats-server says 1
            raise AssertionError(f"server ended with {status}:\n" + "".join(self.log[-25:]))

    def get(self, path, headers=None, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def json(self, path):
        response = self.get(path)
        assert response.status == 200, (path, response.status, response.text)
        return response.json

    def client(self, **connect):
        return Client(self.port, **connect)

    @property
    def is_pipit(self):
        return self.path == PIPIT


class Client:
    """A NATS connection, bytes by hand."""

    def __init__(self, port, handshake=True, **connect):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.buffer = b""
        self.info = self.until(b"\r\n")
        if handshake:
            options = {"verbose": False, **connect}
            self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
            self.ping()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def until(self, mark):
        while mark not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"closed; had {self.buffer!r}")
            self.buffer += piece
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def ping(self):
        self.send(b"PING\r\n")
        self.until(b"PONG\r\n")
        return self

    def gone(self):
        """Wait until the server has closed the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        self.socket.close()

    def close(self):
        self.socket.close()


@contextlib.contextmanager
def both(*flags):
    """pipit-server and nats-server, side by side."""
    with Server(PIPIT, *flags) as ours, Server(tool("nats-server"), *flags) as theirs:
        yield ours, theirs


def main():
    """Run the tests of the calling file; 77 when all were skipped."""
    program = unittest.main(module="__main__", exit=False, verbosity=2, warnings="ignore")
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    nothing_ran = result.skipped and result.testsRun <= len(result.skipped)
    sys.exit(EXIT_SKIPPED if nothing_ran else 0)
