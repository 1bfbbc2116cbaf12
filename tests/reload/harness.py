"""A server with a configuration file that changes, and clients that speak the protocol by hand."""

import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from children import die_with_parent  # noqa: E402

WITHIN_S = 60


class Server:
    """A server process under a configuration file that tests write anew."""

    def __init__(self, path, folder, config, flags=()):
        self.path, self.folder = path, folder
        self.config = os.path.join(folder, "server.conf")
        self.lines = []
        self.news = threading.Condition()
        self.write(config)
        self.process = subprocess.Popen(
            [path, "-a", "127.0.0.1", "-p", "-1", "-c", self.config, *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()
        line = self.wait_line(r"Listening for client connections on .*:\d+")
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))
        self.wait_line("Server is ready")

    def _read(self):
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.lines.append("<end of log>")
            self.news.notify_all()

    def write(self, config):
        """Replace the file at once, as an operator's tool would."""
        new = self.config + ".new"
        with open(new, "w", encoding="utf-8") as file:
            file.write(config)
        os.rename(new, self.config)

    def wait_line(self, pattern, since=0):
        """The first line of the log from since on that matches."""
        end_s = time.monotonic() + WITHIN_S
        at = since
        with self.news:
            while True:
                while at < len(self.lines):
                    if re.search(pattern, self.lines[at]):
                        return self.lines[at]
                    at += 1
                left_s = end_s - time.monotonic()
                if left_s <= 0 or not self.news.wait(left_s):
                    raise AssertionError(f"no line like {pattern!r} in the log:\n" +
                                         "\n".join(self.lines[since:]))

    def reload(self, config=None, accepted=True):
        """Have the file read again; returns the lines that the log got from it."""
        if config is not None:
            self.write(config)
        since = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        self.wait_line("Reloaded server configuration" if accepted
                       else "Failed to reload server configuration", since)
        with self.news:
            return self.lines[since:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert code == 0, f"the server ended with {code}:\n" + "\n".join(self.lines[-20:])


class Client:
    """One connection; what arrives is kept until it is asked for."""

    def __init__(self, server, user=None, password=None, token=None, **connect):
        self.arrived = bytearray()
        self.ended = False
        self.sock = socket.create_connection(("127.0.0.1", server.port), WITHIN_S)
        self.info = json.loads(self.line()[5:])
        fields = {"verbose": False, "pedantic": False, **connect}
        for name, value in (("user", user), ("pass", password), ("auth_token", token)):
            if value is not None:
                fields[name] = value
        self.send("CONNECT " + json.dumps(fields))

    def send(self, *lines):
        try:
            self.sock.sendall("".join(line + "\r\n" for line in lines).encode())
        except OSError:
            pass  # what it says last still counts

    def _more(self, end_s):
        left_s = end_s - time.monotonic()
        if self.ended or left_s <= 0 or not select.select([self.sock], [], [], left_s)[0]:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except OSError:
            data = b""
        self.ended = not data
        self.arrived += data
        return True

    def line(self):
        """The next line; '' at the end of the stream."""
        end_s = time.monotonic() + WITHIN_S
        while b"\r\n" not in self.arrived:
            if self.ended:
                return ""
            if not self._more(end_s) and not self.ended:
                raise AssertionError(f"no line in {WITHIN_S} s; so far {bytes(self.arrived)!r}")
        end = self.arrived.index(b"\r\n")
        line = self.arrived[:end].decode()
        del self.arrived[:end + 2]  # without a copy of what follows
        return line

    def until_pong(self):
        """All lines up to the answer to a PING of ours, or to the end."""
        self.send("PING")
        lines = []
        while True:
            line = self.line()
            if line in ("PONG", ""):
                return lines + ([""] if line == "" else [])
            if not line.startswith(("INFO ", "PING")):
                lines.append(line)

    def until_end(self):
        lines = []
        while True:
            line = self.line()
            if line == "":
                return lines
            lines.append(line)

    def close(self):
        self.sock.close()
