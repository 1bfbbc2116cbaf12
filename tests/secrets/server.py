"""A server process with all that it tells: log, output, files, command line."""

import base64
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
PIPIT = os.environ.get("PIPIT_SERVER") or str(REPO / "build/pipit-server")
WAIT_S = 60


def run(*flags, env=None, **more):
    """Run it to its end: exit code and output."""
    done = subprocess.run([PIPIT, *flags], env={**os.environ, **(env or {})}, timeout=WAIT_S,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **more)
    return done.returncode, done.stdout


class Server:
    """It logs to a file of its folder, where its other files are, too."""

    def __init__(self, folder, *flags, env=None, log_file=True):
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / "server.log"
        self.output_path = self.folder / "output"
        command = [PIPIT, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-DVV", "-P",
                   str(self.folder / "pid"), "--ports_file_dir", str(self.folder), *flags]
        if log_file:
            command += ["-l", str(self.log_path)]
        else:
            self.log_path = self.output_path
        begin = len(self.log())  # of one that was here before
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(command, env={**os.environ, **(env or {})},
                                            stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT)
        try:
            self.wait_log("Server is ready", begin)
            self.port = self._port("Listening for client connections on ", begin)
            self.http_port = self._port("Starting http monitor on ", begin)
        except BaseException:
            self.__exit__()  # nobody else can
            raise

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, pattern, since=0):
        """Wait for a line of the log, and return where the log ends."""
        end = time.monotonic() + WAIT_S
        while True:
            log = self.log()
            if re.search(pattern, log[since:]):
                return len(log)
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in:\n{log[since:]}{self.output_path.read_text()}")
            time.sleep(0.005)

    def _port(self, text, since):
        return int(re.search(re.escape(text) + r"\S+?:(\d+)", self.log()[since:])[1])

    def signal(self, number, pattern):
        since = len(self.log())
        self.process.send_signal(number)
        return self.wait_log(pattern, since)

    def get(self, path, credentials=None, method="GET"):
        """Everything that comes back, as it came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=WAIT_S)
        headers = {}
        if credentials:
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            head = f"{response.status} {response.headers}"
            return response.status, head.encode() + response.read()
        finally:
            connection.close()

    def command_line(self):
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(self.process.pid)], check=True,
                               stdout=subprocess.PIPE, timeout=WAIT_S).stdout
        return shown + pathlib.Path(f"/proc/{self.process.pid}/cmdline").read_bytes()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert code == 0, f"ended with {code}:\n{self.log()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def exchange(port, data):
    """Send bytes as a client and return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as peer:
        answer = b""
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while piece := peer.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        return answer


class Client:
    """A client that stays, and what it was told."""

    def __init__(self, port, **connect):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self.told = b""
        self.send(b"CONNECT " + json.dumps(connect).encode() + b"\r\nPING\r\n")
        self.until(b"PONG\r\n")

    def send(self, data):
        self.socket.sendall(data)

    def until(self, mark, times=1):
        end = time.monotonic() + WAIT_S
        while self.told.count(mark) < times:
            piece = self.socket.recv(65536)
            if not piece or time.monotonic() > end:
                raise AssertionError(f"no {mark!r} in {self.told!r}")
            self.told += piece

    def until_closed(self):
        """All it was told up to the end."""
        try:
            while piece := self.socket.recv(65536):
                self.told += piece
        except ConnectionError:
            pass
        self.close()
        return self.told

    def close(self):
        self.socket.close()
