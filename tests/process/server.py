"""A server process with everything its tests look at: its log line by line, its exit status."""

import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from children import die_with_parent  # noqa: E402

WAIT_S = 60

# Handed to exec: puts sockets where the protocol of socket activation wants them.
_HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
kept = [os.dup(fd) for fd in fds]                  # out of the way of 3, 4, ...
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(kept)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[2]))
os.execv(sys.argv[3], sys.argv[3:])
"""


class Server:
    """Start one; by default on a free port of 127.0.0.1, and wait until it is ready."""

    def __init__(self, path, *flags, address=("-a", "127.0.0.1", "-p", "-1"), env=None,
                 wait="Server is ready", sockets=(), pid_offset=0, stderr=None):
        self.lines = []
        self._queue = queue.Queue()
        command = [path, *address, *flags]
        environ = {**os.environ, **(env or {})}
        fds = [s.fileno() for s in sockets]
        if fds:
            environ["LISTEN_FDS"] = str(len(fds))
            command = ["/usr/bin/env", "python3", "-c", _HAND_OVER, ",".join(map(str, fds)),
                       str(pid_offset), *command]
        self.process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr or subprocess.PIPE, preexec_fn=die_with_parent, pass_fds=fds)
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        if stderr:  # somebody else's; there are no lines
            self._queue.put(None)
            return
        self._reader.start()
        if wait:
            self.await_line(wait)

    def _read(self):
        for raw in self.process.stderr:
            self._queue.put(raw.decode(errors="replace").rstrip("\n"))
        self._queue.put(None)

    def await_line(self, text):
        """The next line that holds text; those before it are kept in lines, too."""
        while True:
            line = self._queue.get(timeout=WAIT_S)
            if line is None:
                raise AssertionError(f"no {text!r} in:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if text in line:
                return line

    @property
    def port(self):
        for line in self.lines:
            if match := re.search(r'Listening for client connections on [^"]*:(\d+)\W*$', line):
                return int(match[1])
        raise AssertionError("no port in:\n" + "\n".join(self.lines))

    @property
    def http_port(self):
        for line in self.lines:
            if match := re.search(r"Starting http monitor on .*:(\d+)$", line):
                return int(match[1])
        raise AssertionError("no monitoring in:\n" + "\n".join(self.lines))

    def connect(self):
        return Client(socket.create_connection(("127.0.0.1", self.port), WAIT_S))

    def signal(self, name):
        self.process.send_signal(getattr(signal, "SIG" + name))

    def wait(self):
        """Its exit status; lines holds its whole log then."""
        try:
            status = self.process.wait(WAIT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        while (line := self._queue.get(timeout=WAIT_S)) is not None:
            self.lines.append(line)
        self.process.stdout.close()
        if self.process.stderr:
            self._reader.join(WAIT_S)
            self.process.stderr.close()
        return status

    def stop(self):
        self.signal("TERM")
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.wait()

    def texts(self):
        """The log without process ids and times."""
        return [re.sub(r"^\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} )?", "", line)
                for line in self.lines]


class Client:
    """A NATS client of few words."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(WAIT_S)
        self.file = sock.makefile("rb")
        self.info = self.file.readline()

    def send(self, text):
        self.sock.sendall(text)

    def line(self):
        return self.file.readline()

    def ping(self):
        self.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
        while (line := self.line()) != b"PONG\r\n":
            if not line:
                raise AssertionError("closed")

    def close(self):
        self.file.close()
        self.sock.close()
