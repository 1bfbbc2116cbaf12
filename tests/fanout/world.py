"""A server with a fanout door, and clients of it as correct or as wrong as a test wants them."""

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

WAIT_S = 60
GREETING = b"debug!connected...\n"


class Failure(AssertionError):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(part) for part in what))


def until(condition, what):
    """Wait for something that has no event of its own."""
    end = time.monotonic() + WAIT_S
    while not condition():
        check(time.monotonic() < end, "waited in vain for", what)
        time.sleep(0.01)


class Server:
    """pipit-server with a configuration: fanout is what stands in the fanout block."""

    def __init__(self, program, fanout="", config="", flags=(), limit=None, command=None, fds=()):
        self.folder = tempfile.TemporaryDirectory(prefix="pipit-fanout-")
        self.path = os.path.join(self.folder.name, "server.conf")
        self.write(fanout, config)
        self.command = command or [program, "-c", self.path, *flags]
        if limit:
            self.command = ["prlimit", f"--nofile={limit}:{limit}", *self.command]
        self.log = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True,
                                        pass_fds=fds)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait_log("Server is ready")
        self.port = self._port("fanout clients")
        self.nats_port = self._port("client connections", needed=False)
        self.http_port = self._port("monitor", needed=False)

    def write(self, fanout, config=""):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"port: -1\nfanout {{ listen: \"127.0.0.1:-1\"\n{fanout}\n}}\n{config}\n")

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.log.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.log.append("-- end of log --")
            self.changed.notify_all()

    def wait_log(self, text, since=0):
        """Returns the place behind the line."""
        with self.changed:
            found = self.changed.wait_for(
                lambda: any(text in line or line == "-- end of log --"
                            for line in self.log[since:]), WAIT_S)
            lines = [i for i, line in enumerate(self.log) if i >= since and text in line]
            check(found and lines, "not logged:", text, "\n".join(self.log))
            return lines[0] + 1

    def _port(self, what, needed=True):
        for line in self.log:
            match = re.search(rf"{what}.* on .*:(\d+)", line)
            if match:
                return int(match.group(1))
        check(not needed, "no port of", what, "\n".join(self.log))
        return None

    def reload(self, fanout, config="", taken=True):
        since = len(self.log)
        self.write(fanout, config)
        self.process.send_signal(signal.SIGHUP)
        self.wait_log("Reloaded server" if taken else "Failed to reload", since)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=WAIT_S) as r:
            return r.read().decode()

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def peak(self):
        """The most memory that was ever resident."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024

    def stop(self, code=0):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join(WAIT_S)
            self.folder.cleanup()
        check(status == code, "the server ended with", status, "\n".join(self.log[-20:]))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.process.kill()
            self.process.wait(WAIT_S)
            print("\n".join(self.log[-20:]))
            self.folder.cleanup()


class Client:
    def __init__(self, port, greeted=True, tls=None, buffer=None, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.bytes = b""
        if greeted:
            self.expect(GREETING)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def send_bytewise(self, data):
        for i in range(len(data)):
            self.send(data[i:i + 1])

    def receive(self, count=65536):
        """What one read brings; b"": the end."""
        try:
            return self.socket.recv(count)
        except (ConnectionResetError, BrokenPipeError):
            return b""

    def line(self):
        while b"\n" not in self.bytes:
            got = self.receive()
            check(got, "the connection ended; before that came", self.bytes[-200:])
            self.bytes += got
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line + b"\n"

    def expect(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        while len(self.bytes) < len(data):
            got = self.receive()
            check(got, "the connection ended; expected", data, "got", self.bytes)
            self.bytes += got
        check(self.bytes.startswith(data), "expected", data, "got", self.bytes[:len(data) + 100])
        self.bytes = self.bytes[len(data):]

    def ping(self):
        """Nothing else comes before the answer; all that was sent has been dealt with."""
        self.send(b"ping\n")
        line = self.line()
        check(re.fullmatch(rb"\d{10,}\n", line), "expected the time, got", line)
        check(abs(int(line) - time.time()) < WAIT_S, "not the time:", line)

    def info(self):
        self.send(b"info\n")
        return dict(self.line().decode().rstrip("\n").split(": ", 1) for _ in range(15))

    def expect_end(self):
        while True:
            got = self.receive()
            self.bytes += got
            if not got:
                break
        check(not self.bytes, "expected the end, got", self.bytes[:200])

    def is_over(self):
        """Has the server closed? What it has sent before is dropped."""
        try:
            return bool(select.select([self.socket], [], [], 0)[0]) and not self.receive()
        except OSError:
            return True

    def close(self):
        self.socket.close()


class Nats:
    """As much of a NATS client as is needed."""

    def __init__(self, port, options="{}"):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.stream = self.socket.makefile("rb")
        check(self.stream.readline().startswith(b"INFO "), "no INFO")
        self.send(f'CONNECT {{"verbose":false,"headers":true,{options[1:]}\r\n'.replace(",}", "}"))
        self.ping()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ping(self):
        self.send("PING\r\n")
        line = self.stream.readline()
        check(line == b"PONG\r\n", "expected PONG, got", line)

    def subscribe(self, subject):
        self.send(f"SUB {subject} 1\r\n")
        self.ping()

    def publish(self, subject, data, reply=""):
        data = data if isinstance(data, bytes) else data.encode()
        self.send(f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + b"\r\n")

    def message(self):
        words = self.stream.readline().split()
        check(words and words[0] in (b"MSG", b"HMSG"), "no message but", words)
        data = self.stream.read(int(words[-1]) + 2)
        check(data[-2:] == b"\r\n", "CR LF behind a message, not", data[-2:])
        return words[1].decode(), data[:-2]


def run(tests, names):
    """Run the tests named, or all; returns the exit status."""
    chosen = [test for test in tests if not names or test.__name__[5:] in names]
    failed = 0
    for test in chosen:
        start = time.monotonic()
        try:
            test()
        except Exception as err:  # whatever it is, the others run
            failed += 1
            print(f"FAILED {test.__name__}: {type(err).__name__}: {err}", flush=True)
        else:
            print(f"passed {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0
