"""A client of the T2 Bus as small as the tests need it, and CBOR as far as it goes.

Nothing here is shared with what is tested. Everything waits with a deadline.
"""

import pathlib
import select
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))
from server import Server  # noqa: E402

DEADLINE_S = 60


class Closed(Exception):
    """The server has closed the connection."""


# --- CBOR ---------------------------------------------------------------------------------------


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if value < 1 << (8 * struct.calcsize(form)):
            return bytes([major << 5 | code]) + struct.pack(form, value)
    raise ValueError(value)


def encode(value):
    """As the original's encoder has it: bytes are an array of numbers."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape")
        return head(3, len(raw)) + raw
    if isinstance(value, (bytes, bytearray)):
        return head(4, len(value)) + b"".join(head(0, byte) for byte in value)
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(encode(item) for item in value)
    return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())


def decode(raw, at=0):
    """One item, and where it ends. An array of small numbers is bytes."""
    major, low = raw[at] >> 5, raw[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[low], at
    if low >= 24:
        size = 1 << (low - 24)
        low = int.from_bytes(raw[at:at + size], "big")
        at += size
    if major == 0:
        return low, at
    if major == 3:
        return raw[at:at + low].decode(), at + low
    if major == 4:
        items = []
        for _ in range(low):
            item, at = decode(raw, at)
            items.append(item)
        numbers = all(isinstance(item, int) and item < 256 for item in items)
        return (bytes(items) if numbers else items), at
    assert major == 5, major
    pairs = {}
    for _ in range(low):
        key, at = decode(raw, at)
        pairs[key], at = decode(raw, at)
    return pairs, at


def frame(message):
    body = encode(message)
    return struct.pack(">I", len(body)) + body


def payload(data, compressed=False):
    return {"data": data, "is_compressed": compressed}


# --- clients ------------------------------------------------------------------------------------


class Bus:
    """One client. Messages that nobody waits for yet are kept in their order."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(address)
        self.messages = []
        self._raw = b""
        self._next = 1

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, raw):
        self.socket.sendall(raw)

    def post(self, content):
        """Send and do not wait; the message's id."""
        return self.post_all([content])[0]

    def post_all(self, contents):
        """The same in one piece; their ids."""
        numbers = range(self._next, self._next + len(contents))
        self._next += len(contents)
        self.send_raw(b"".join(frame({"id": number, "content": content})
                               for number, content in zip(numbers, contents)))
        return numbers

    def read(self):
        """The next message from the wire."""
        while True:
            if len(self._raw) >= 4:
                size = struct.unpack(">I", self._raw[:4])[0]
                if len(self._raw) >= 4 + size:
                    message, end = decode(self._raw[4:4 + size])
                    assert end == size, "bytes behind the message"
                    assert list(message) == ["id", "content"], message
                    assert frame(message) == self._raw[:4 + size], "another form"
                    self._raw = self._raw[4 + size:]
                    return message
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionError as error:
                raise Closed from error
            if not more:
                raise Closed
            self._raw += more

    def wait(self, wanted):
        """The first message, kept or to come, for which wanted(kind, content, id) is true."""
        for i, message in enumerate(self.messages):
            kind, content = next(iter(message["content"].items()))
            if wanted(kind, content, message["id"]):
                return self.messages.pop(i)
        while True:
            message = self.read()
            kind, content = next(iter(message["content"].items()))
            if wanted(kind, content, message["id"]):
                return message
            self.messages.append(message)

    def ack(self, number):
        """The Ack of a message: its recipients, or None; an error is raised."""
        content = self.wait(lambda k, c, _: k == "Ack" and c["msg_id"] == number)["content"]["Ack"]
        if content["err"] is not None:
            raise Refused(content["err"])
        return content["num_recipients"]

    def call(self, content):
        return self.ack(self.post(content))

    def subscribe(self, topic):
        return self.call({"Sub": {"topic": topic}})

    def unsubscribe(self, topic):
        return self.call({"Unsub": {"topic": topic}})

    def publish(self, topic, data=b"", compressed=False):
        return self.call({"Pub": {"topic": topic, "payload": payload(data, compressed)}})

    def serve(self, topic):
        return self.call({"Srv": {"topic": topic}})

    def unserve(self, topic):
        return self.call({"Unsrv": {"topic": topic}})

    def ask(self, topic, data=b""):
        """Send a request, which is accepted; its id."""
        number = self.post({"Req": {"topic": topic, "payload": payload(data)}})
        self.ack(number)
        return number

    def respond(self, request, data=b"", status="Ok"):
        return self.call({"Rsp": {"req_id": request, "status": status, "payload": payload(data)}})

    def published(self):
        """The next message of a subscription: topic and data."""
        content = self.wait(lambda k, c, _: k == "Pub")["content"]["Pub"]
        return content["topic"], content["payload"]["data"]

    def asked(self):
        """The next request to be answered: its id, topic and data."""
        message = self.wait(lambda k, c, _: k == "Req")
        content = message["content"]["Req"]
        return message["id"], content["topic"], content["payload"]["data"]

    def answered(self, number):
        """The response to a request: status and data."""
        content = self.wait(lambda k, c, _: k == "Rsp" and c["req_id"] == number)["content"]["Rsp"]
        return content["status"], content["payload"]["data"]

    def settle(self):
        """What has come by the time that the server has done all this client asked for."""
        self.call("KeepAlive")
        messages, self.messages = self.messages, []
        return [next(iter(m["content"])) for m in messages]

    def leave(self):
        """End the connection; the server has let go of it when this returns."""
        self.socket.shutdown(socket.SHUT_WR)
        self.wait_closed()
        self.close()

    def part(self):
        """At the end of a test, be it closed already: the next one counts recipients, and this one
        has gone then."""
        try:
            self.leave()
        except TimeoutError:
            raise
        except OSError:
            pass
        self.close()

    def wait_closed(self):
        """Read up to the end."""
        try:
            while True:
                self.messages.append(self.read())
        except Closed:
            return

    def quiet(self, within_s=0):
        """Is there nothing to be read now, or soon?"""
        return not self._raw and not select.select([self.socket], [], [], within_s)[0]


class Refused(Exception):
    """An Ack with an error, which is args[0]."""


class T2Server(Server):
    """A server with a bus on TCP and, given a folder, on a Unix socket. Without a configuration of
    the test's own its clients may be silent for long, as those of a loaded machine are."""

    def __init__(self, path, *flags, folder=None, listen=True, **options):
        self.unix = f"{folder}/t2.sock" if folder else None
        if listen:
            flags += ("--t2=tcp:127.0.0.1:0",)
            if "-c" not in flags:
                flags += ("-c", str(pathlib.Path(__file__).with_name("patient.conf")))
            if self.unix:
                flags += (f"--t2=unix:{self.unix}",)
        super().__init__(path, "--threads=2", *flags, **options)

    @property
    def t2(self):
        for line in self.lines:
            if "Listening for T2 clients on tcp:" in line:
                return "127.0.0.1", int(line.rsplit(":", 1)[1])
        raise AssertionError("no T2 in:\n" + "\n".join(self.lines))

    def bus(self, by_unix=False):
        return Bus(self.unix if by_unix else self.t2)
