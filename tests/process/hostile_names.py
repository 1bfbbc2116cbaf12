#!/usr/bin/env python3
"""What strangers put into names, subjects, headers and operations, in the server's log: nothing in it that
a terminal obeys, nothing that ends a line, and it can still be told what they sent. In every form of
the log, with everything traced.

usage: hostile_names.py PIPIT-SERVER
"""
import json
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tool"))
from server import Server  # noqa: E402
from tool import HOSTILE, bad_characters  # noqa: E402

SERVER = sys.argv[1]
NAMES = [text.encode("utf-8", "replace").decode()[:3000] for text in HOSTILE]


class Stranger:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.file.readline()

    def send(self, data):
        """Returns when the server has dealt with it; False: it has closed the connection."""
        try:
            self.socket.sendall(data + b"PING\r\n")
            while line := self.file.readline():
                if line == b"PONG\r\n":
                    return True
        except OSError:
            pass
        return False


def visit(port, name):
    text = name.encode()
    subject = b"s." + text.replace(b" ", b"_")[:900]
    stranger = Stranger(port)
    assert stranger.send(b"CONNECT " + json.dumps({
        "verbose": False, "headers": True, "name": name, "lang": name[:60], "version": name[:60],
        "user": name[:60], "pass": "never-to-be-seen"}).encode() + b"\r\n")
    header = b"NATS/1.0\r\nName: " + text.replace(b"\n", b"")[:900] + b"\r\n\r\n"
    assert stranger.send(b"SUB %s %s 1\r\n" % (subject, subject))
    assert stranger.send(b"HPUB %s %s %d %d\r\n%s%s\r\n" % (
        subject, subject, len(header), len(header) + len(text), header, text))
    stranger.send(text.replace(b"\n", b"") + b"\r\n")  # no operation at all


def check(form):
    server = Server(SERVER, "-DV", "--log_format", form)
    try:
        for name in NAMES:
            visit(server.port, name)
    finally:
        server.stop()
    assert len(server.lines) > 8 * len(NAMES), len(server.lines)
    for line in server.lines:
        assert not bad_characters(line), line[:300]
        assert line.startswith("[") if form == "text" else json.loads(line)["msg"], line[:300]
    text = "\n".join(server.lines)
    for shown in ("onclick=alert(1)", "x1b[2J", "owned", "txt.exe", "hidden", "nnnnnnnn"):
        assert shown in text, shown
    assert "never-to-be-seen" not in text
    print(f"ok {form}: {len(server.lines)} lines")


check("text")
check("json")
