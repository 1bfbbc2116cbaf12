"""A server with a message-broker door, and clients of it as correct or as wrong as a test wants.

Nothing here is shared with what is tested. Everything waits with a deadline.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import struct
import sys
import tempfile
import time
import traceback
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))
from server import Server  # noqa: E402

WAIT_S = 60
SANITIZED = "PIPIT_BUILD" in os.environ

SUBSCRIBED, UNSUBSCRIBED, ACK, NACK = b"\0\1", b"\0\2", b"\0\4", b"\0\5"
BEGINNING, CURRENT = struct.pack(">H", 0), struct.pack(">H", 1)
PUBLISH = b"\0\3"


def at(offset):
    return struct.pack(">HH", 2, offset)


def topics_json(topics):
    text = topics if isinstance(topics, bytes) else json.dumps(topics).encode()
    return struct.pack(">I", len(text)) + text


def subscription(topics, start=CURRENT):
    return b"\0\1" + topics_json(topics) + start


def unsubscription(topics):
    return b"\0\2" + topics_json(topics)


def message(topic, data):
    name = b"topic:" + (topic if isinstance(topic, bytes) else topic.encode())
    return struct.pack(">H", len(name)) + name + struct.pack(">I", len(data)) + data


def delivery(topic, data):
    """The frame that a subscriber gets."""
    return struct.pack(">H", len(topic)) + topic.encode() + struct.pack(">Q", len(data)) + data


def error(text):
    return b"\0\3" + struct.pack(">H", len(text)) + text.encode()


def until(condition, what):
    """Wait for something that has no event of its own."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


class Client:
    def __init__(self, port, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""

    def send(self, raw):
        self.socket.sendall(raw)
        return self

    def read(self, count):
        while len(self.bytes) < count:
            got = self.socket.recv(1 << 20)
            assert got, f"the connection ended; before that came {self.bytes[-200:]!r}"
            self.bytes += got
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def expect(self, raw):
        got = self.read(len(raw))
        assert got == raw, f"{got!r} instead of {raw!r}"
        return self

    def next(self, answer=ACK):
        """(topic, data) of the next message, which is answered."""
        topic = self.read(struct.unpack(">H", self.read(2))[0])
        data = self.read(struct.unpack(">Q", self.read(8))[0])
        if answer:
            self.send(answer)
        return topic.decode(errors="surrogateescape"), data

    def subscribe(self, topics, start=CURRENT):
        return self.send(subscription(topics, start)).expect(SUBSCRIBED)

    def expect_nothing(self):
        """It has nothing to say now: it answers what is asked, and that comes first."""
        self.send(unsubscription([])).expect(UNSUBSCRIBED)
        assert not self.bytes, self.bytes

    def ended(self):
        """True: it has ended, False: it was reset. What came before is kept."""
        try:
            while got := self.socket.recv(1 << 20):
                self.bytes += got
            return True
        except ConnectionResetError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Publisher(Client):
    def __init__(self, port, **more):
        super().__init__(port, **more)
        self.send(PUBLISH)

    def publish(self, topic, *data):
        return self.send(b"".join(message(topic, d) for d in data))


class Nats:
    """As little of a NATS client as will do."""

    def __init__(self, port, more=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.ask(b'CONNECT {"verbose":false,"headers":true%s}\r\n' % more)

    def ask(self, raw):
        """Send, and wait until it has been done."""
        self.socket.sendall(raw + b"PING\r\n")
        line = self.file.readline()
        while line == b"PING\r\n":
            self.socket.sendall(b"PONG\r\n")
            line = self.file.readline()
        assert line == b"PONG\r\n", line

    def next(self):
        """(subject, data)"""
        words = self.file.readline().split()
        while words == [b"PING"]:
            self.socket.sendall(b"PONG\r\n")
            words = self.file.readline().split()
        assert words[0] == b"MSG", words
        data = self.file.read(int(words[-1]) + 2)[:-2]
        return words[1].decode(), data

    def close(self):
        self.file.close()
        self.socket.close()


class Broker:
    """pipit-server: keys is what stands in its message_broker block, more what stands beside it."""

    def __init__(self, keys="", more="", folder=None, threads=2):
        self.owned = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="pipit-broker-")
        self.path = os.path.join(self.folder, "server.conf")
        self.write(keys, more)
        self.server = Server(os.environ["PIPIT_SERVER"], "-c", self.path, "--threads", str(threads),
                             "-m", "-1")
        self.port = self._port("message-broker clients")

    def write(self, keys, more=""):
        if "ack_timeout" not in keys:  # a test that is held up for longer would get things twice
            keys += "\nack_timeout: 60s"
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f'message_broker {{ listen: "127.0.0.1:-1", store_dir: "{self.folder}"\n'
                       f"{keys}\n}}\n{more}\n")

    def _port(self, what):
        for line in self.server.lines:
            if match := re.search(rf"{what} on .*:(\d+)", line):
                return int(match[1])
        raise AssertionError("\n".join(self.server.lines))

    def reload(self, keys, more=""):
        self.write(keys, more)
        self.server.signal("HUP")
        self.server.await_line("Reloaded server configuration")

    def client(self, **more):
        return Client(self.port, **more)

    def publisher(self, **more):
        return Publisher(self.port, **more)

    def nats(self):
        return Nats(self.server.port)

    def get(self, path):
        url = f"http://127.0.0.1:{self.server.http_port}{path}"
        with urllib.request.urlopen(url, timeout=WAIT_S) as reply:
            return reply.read().decode()

    def state(self):
        return json.loads(self.get("/varz"))["message_broker"]

    def rss(self):
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def peak_rss(self):
        with open(f"/proc/{self.server.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s*(\d+)", file.read())[1]) * 1024

    def kill(self):
        self.server.process.kill()
        self.server.wait()

    def stop(self):
        status = self.server.stop()
        assert status == 0, f"exit status {status}:\n" + "\n".join(self.server.lines[-30:])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.server.process.poll() is None:
                self.stop()
            elif self.server.process.poll() is None:
                self.kill()
            if kind:
                print("\n".join(self.server.lines[-30:]))
        finally:
            if self.owned:
                shutil.rmtree(self.folder, ignore_errors=True)


def run(tests):
    """Run what is given, or what the command line names; the exit status."""
    failed = 0
    chosen = [test for test in tests if not sys.argv[1:] or test.__name__ in sys.argv[1:]]
    for test in chosen:
        begin = time.monotonic()
        try:
            test()
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {test.__name__}")
            traceback.print_exc()
        else:
            print(f"{test.__name__}: {time.monotonic() - begin:.2f} s")
        sys.stdout.flush()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0
