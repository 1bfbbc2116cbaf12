"""The client's end of a WebSocket connection, written down from RFC 6455 and 7692: as correct or as
wrong as a test wants it."""

import os
import socket
import struct
import time
import zlib

WAIT_S = 60
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def head(path="/", host="h:9222", **fields):
    """An upgrade request; a field that is None is left out, others replace or are added."""
    lines = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Key": KEY,
             "Sec-WebSocket-Version": "13"}
    lines.update({name.replace("_", "-"): value for name, value in fields.items()})
    text = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
    text += "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return (text + "\r\n").encode()


def mask(data, key):
    whole = key * (len(data) // 4 + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole[:len(data)], "big")).to_bytes(
        len(data), "big") if data else b""


def frame(data=b"", opcode=BINARY, fin=True, rsv=0, key=None, masked=True, length=None):
    """One frame; length: what the head says instead of the truth, as 64 bits."""
    key = os.urandom(4) if key is None else key
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if length is not None:
        start = struct.pack(">BBQ", first, bit | 127, length)
    elif len(data) < 126:
        start = struct.pack(">BB", first, bit | len(data))
    elif len(data) < 65536:
        start = struct.pack(">BBH", first, bit | 126, len(data))
    else:
        start = struct.pack(">BBQ", first, bit | 127, len(data))
    return start + (key + mask(data, key) if masked else data)


def deflate(data):
    """A compressed message."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Gone(Exception):
    """The server closed the connection."""


class Peer:
    """Connects, with tls (an ssl.SSLContext) encrypted; unless upgrade is False it asks for
    WebSocket and reads the answer and INFO."""

    def __init__(self, port, upgrade=True, buffer=None, tls=None, **fields):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.bytes = bytearray()
        self.stream = bytearray()  # of NATS
        self.frames = []           # (opcode, fin, rsv, length) of all that came
        self.closed = None         # what a close frame held
        self.pongs = []
        self._packed = None        # of the message that is being read, if it is compressed
        if upgrade:
            self.send(head(**fields))
            self.answer = self.read_head()
            if b" 101 " in self.answer:
                self.info = self.line()

    def send(self, data):
        self.socket.sendall(data)

    def nats(self, text, **how):
        self.send(frame(text if isinstance(text, bytes) else text.encode(), **how))

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Gone
        self.bytes += data

    def take(self, count):
        while len(self.bytes) < count:
            self.more()
        data = bytes(self.bytes[:count])
        del self.bytes[:count]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.bytes:
            self.more()
        return self.take(self.bytes.index(b"\r\n\r\n") + 4)

    def frame(self):
        """Read one frame and do with it what is to be done."""
        first, second = self.take(2)
        assert not second & 0x80, "a server does not mask"
        length = second & 0x7f
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
            assert length > 125
        elif length == 127:
            length = struct.unpack(">Q", self.take(8))[0]
            assert length > 65535
        data = self.take(length)
        opcode, fin, rsv = first & 15, bool(first & 0x80), first >> 4 & 7
        self.frames.append((opcode, fin, rsv, length))
        assert self.closed is None, "nothing follows a close frame"
        if opcode == CLOSE:
            self.closed = data
        elif opcode == PONG:
            self.pongs.append(data)
        elif opcode in (BINARY, 0):
            self._take_data(opcode, fin, rsv, data)
        else:
            raise AssertionError(f"opcode {opcode}")

    def _take_data(self, opcode, fin, rsv, data):
        if opcode == BINARY:
            self._packed = bytearray() if rsv == 4 else None
        assert rsv == (4 if opcode and self._packed is not None else 0)
        if self._packed is None:
            assert fin, "what is not compressed comes in messages of one frame"
            self.stream += data
            return
        self._packed += data
        if fin:
            plain = zlib.decompressobj(-15)
            self.stream += plain.decompress(bytes(self._packed) + b"\0\0\xff\xff")
            self._packed = None

    def line(self):
        while b"\r\n" not in self.stream:
            self.frame()
        end = self.stream.index(b"\r\n")
        line = bytes(self.stream[:end])
        del self.stream[:end + 2]
        return line

    def payload(self, count):
        while len(self.stream) < count + 2:
            self.frame()
        data = bytes(self.stream[:count])
        assert self.stream[count:count + 2] == b"\r\n"
        del self.stream[:count + 2]
        return data

    def connect(self, text='{"verbose":false}', **how):
        self.nats("CONNECT " + text + "\r\nPING\r\n", **how)
        self.expect("PONG")

    def expect(self, line):
        """Read lines up to this one, which may come behind an INFO, and behind a PING, which is answered."""
        got = self.line()
        while got.startswith(b"INFO ") or (got == b"PING" and line != "PING"):
            if got == b"PING":
                self.nats("PONG\r\n")
            got = self.line()
        assert got == line.encode(), f"{got!r}, not {line!r}"

    def rest(self):
        """Read until the server closes; returns what the close frame held, None without one."""
        try:
            while True:
                self.frame()
        except (Gone, ConnectionResetError):
            return self.closed

    def close(self):
        self.socket.close()


def closing(status, text=b""):
    return struct.pack(">H", status) + text


def wait_until(what, holds, seconds=WAIT_S):
    """Poll what cannot be waited for; fail with its name."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.01)
