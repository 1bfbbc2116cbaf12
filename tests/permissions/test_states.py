#!/usr/bin/env python3
"""Every operation in every state of a connection, twice, on every kind of listener: the server
lives, and nobody is granted what it has not shown a right to. usage: test_states.py PIPIT_SERVER
[WORD...]

Operations are those of clients, those that only servers say to each other, first bytes of other
protocols, and bytes that are none. A witness, who may hear everything, hears all that was let
through; a watched connection is sent what it must not hear."""

import contextlib
import os
import re
import signal
import socket
import sys
import tempfile

from world import Client, expect, main, served

DEADLINE_S = 20

OPERATIONS = {
    "CONNECT": b'CONNECT {}\r\n',
    "CONNECT of somebody else": b'CONNECT {"user":"wit","pass":"wrong"}\r\n',
    "CONNECT without JSON": b"CONNECT\r\n",
    "CONNECT that never ends": b'CONNECT {"user":"wit","pass":',
    "SUB": b"SUB > 7\r\n",
    "SUB in a group": b"SUB secret.* q 8\r\n",
    "UNSUB": b"UNSUB 1\r\n",
    "UNSUB after some": b"UNSUB 1 5\r\n",
    "PUB": b"PUB secret.x 1\r\n!\r\n",
    "PUB that never ends": b"PUB secret.x 100\r\nsome",
    "PUB to the system": b"PUB $SYS.REQ.SERVER.PING.VARZ i 0\r\n\r\n",
    "HPUB": b"HPUB secret.x 12 13\r\nNATS/1.0\r\n\r\n!\r\n",
    "PING": b"PING\r\n",
    "PONG": b"PONG\r\n",
    "+OK": b"+OK\r\n",
    "-ERR": b"-ERR 'no'\r\n",
    "INFO": b'INFO {"server_id":"X","auth_required":false}\r\n',
    "INFO of nonsense": b"INFO nonsense\r\n",
    "MSG": b"MSG secret.x 1 1\r\n!\r\n",
    "HMSG": b"HMSG secret.x 1 12 13\r\nNATS/1.0\r\n\r\n!\r\n",
    "RS+": b"RS+ $G >\r\n",
    "RS-": b"RS- $G >\r\n",
    "RMSG": b"RMSG $G secret.x 1\r\n!\r\n",
    "LS+": b"LS+ >\r\n",
    "LMSG": b"LMSG secret.x 1\r\n!\r\n",
    "A+": b"A+ SYS\r\n",
    "A-": b"A- SYS\r\n",
    "lower case": b"pub secret.x 1\r\n!\r\n",
    "an empty line": b"\r\n",
    "zeroes": b"\0" * 64,
    "ones": b"\xff" * 64,
    "HTTP": b"GET /varz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP POST": b"POST /connz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nPING",
    "HTTP CONNECT": b"CONNECT localhost:4222 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "WebSocket": b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "WebSocket of MQTT": b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100450100004103030000000000000000000000000000000000000000000000000000"
                         "00000000000000000000000216030100") + b"\0" * 40,
    "PROXY": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "PROXY version 2": b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c" + bytes(12),
    "MQTT": bytes.fromhex("101000044d5154540402003c0004") + b"pipi",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO localhost\r\n",
}

CONFIG = """
accounts {
  A { users: [
    { user: ann, password: ann, permissions: { publish: "ok.>", subscribe: { allow: "ok.>" } } },
    { user: wit, password: wit } ] }
  SYS { users: [ { user: sys, password: sys } ] }
}
system_account: SYS
http: "127.0.0.1:-1"
unix: "%s"
lame_duck_duration: 1h
lame_duck_grace_period: 1s
"""

ANN = b'CONNECT {"verbose":false,"user":"ann","pass":"ann","headers":true}\r\n'
LOUD_ANN = ANN.replace(b'"verbose":false', b'"verbose":true,"pedantic":true')
WRONG = b'CONNECT {"user":"ann","pass":"wrong"}\r\n'

# What has been said before, and whether who said it is anybody.
STATES = {
    "greeted": (b"", False),
    "in the middle of CONNECT": (b'CONNECT {"name":"', False),
    "refused": (WRONG, False),
    "let in": (ANN + b"PING\r\n", True),
    "let in, in the same packet": (ANN, True),
    "verbose and pedantic": (LOUD_ANN, True),
    "with a subscription": (ANN + b"SUB ok.x 1\r\nPING\r\n", True),
    "draining": (ANN + b"SUB ok.x 1\r\nSUB ok.y q 2\r\nUNSUB 1\r\nUNSUB 2\r\nPING\r\n", True),
    "in the middle of PUB": (ANN + b"PUB ok.x 5\r\n!", True),
    "in the middle of SUB": (ANN + b"SUB ok.", True),
    "let in and refused": (ANN + WRONG, True),
    "let in again": (ANN + b"SUB ok.x 1\r\n" + ANN, True),
    "given up": (ANN + b"-ERR 'enough'\r\n", True),
}


class Listener:
    """A way in."""

    def __init__(self, name, address):
        self.name, self.address = name, address

    def dial(self):
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(DEADLINE_S)
        sock.connect(self.address)
        return sock


def say(sock, data):
    with contextlib.suppress(OSError):  # the server may have closed
        sock.sendall(data)


def hear_out(sock):
    """Everything up to the end, which comes since we have ended our direction."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    said = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            return said
        said += more


def granted_to_nobody(case, said):
    """Who is nobody hears an INFO and an error, and that was all."""
    assert re.fullmatch(rb"(INFO \{[^\r\n]*\} ?\r\n)?(-ERR '[^\r\n]*'\r\n)?", said), \
        f"{case}: {said!r}"


def granted_to_ann(case, said):
    for line in said.split(b"\r\n"):
        assert b"MSG secret" not in line and not re.match(rb"H?MSG (?!ok\.)", line), \
            f"{case}: {said!r}"


class World:
    """A server, a witness, and its listeners."""

    def __init__(self, server, unix):
        self.server = server
        self.witness = Client(server, "wit", "wit")
        self.witness.send("SUB > 1")
        expect("witness", self.witness.until_pong(), [])
        line = server.wait_line(r"Starting http monitor on")
        self.http = Listener("http", ("127.0.0.1", int(re.search(r":(\d+)\s*$", line)[1])))
        self.clients = [Listener("tcp", ("127.0.0.1", server.port)), Listener("unix", unix)]

    def heard(self, case):
        """Only what ann may publish; and she may be sent what she must not hear."""
        for line in self.witness.until_pong():
            assert not line.startswith(("MSG ", "HMSG ")) or \
                re.match(r"H?MSG (ok|own)\.", line), f"{case}: the witness heard {line!r}"
        assert self.server.process.poll() is None, f"{case}: the server has ended"

    def tempt(self):
        self.witness.send("PUB secret.x 1", "!", "PUB ok.x 1", "!")
        lines = self.witness.until_pong()
        expect("it hears itself", [line for line in lines if line.startswith("MSG ")],
               ["MSG secret.x 1 1", "MSG ok.x 1 1"])


@contextlib.contextmanager
def world(*flags):
    with tempfile.TemporaryDirectory(prefix="pipit-states-") as folder:
        unix = os.path.join(folder, "socket")
        with served(CONFIG % unix, *flags) as server:
            yield World(server, unix)


def play(w, listener, state, operation):
    before, somebody = STATES[state]
    case = f"{listener.name}, {state}, {operation} twice"
    with contextlib.closing(listener.dial()) as sock:
        say(sock, before)
        for _ in range(2):
            say(sock, OPERATIONS[operation])
        said = hear_out(sock)
    (granted_to_ann if somebody else granted_to_nobody)(case, said)
    w.heard(case)


def test_every_operation_in_every_state():
    for threads in "1", "3":
        with world("--threads", threads) as w:
            for listener in w.clients:
                for state in STATES:
                    for operation in OPERATIONS:
                        play(w, listener, state, operation)


def test_first_bytes_one_by_one():
    """What stands there first decides nothing by the way it is cut."""
    with world() as w:
        for operation, data in OPERATIONS.items():
            with contextlib.closing(w.clients[0].dial()) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(min(len(data), 40)):
                    say(sock, data[at:at + 1])
                say(sock, data[40:])
                granted_to_nobody(f"{operation}, byte by byte", hear_out(sock))
            w.heard(operation)


def test_while_it_listens():
    """The same while the connection stays: what it must not hear is sent to it in between."""
    with world() as w:
        for listener in w.clients:
            for operation, data in OPERATIONS.items():
                for state in ("greeted", "with a subscription"):
                    before, somebody = STATES[state]
                    case = f"{listener.name}, {state}, {operation}, tempted"
                    with contextlib.closing(listener.dial()) as sock:
                        say(sock, before + data)
                        w.tempt()
                        say(sock, data)
                        w.tempt()
                        said = hear_out(sock)
                    (granted_to_ann if somebody else granted_to_nobody)(case, said)
                    w.heard(case)


def test_the_monitoring_port():
    """It answers in HTTP or not at all, and knows nothing of messages."""
    with world() as w:
        for first in OPERATIONS:
            for second in (first, "PUB", "CONNECT", "HTTP"):
                case = f"http, {first}, {second}"
                with contextlib.closing(w.http.dial()) as sock:
                    say(sock, OPERATIONS[first])
                    say(sock, OPERATIONS[second])
                    said = hear_out(sock)
                assert not said or said.startswith(b"HTTP/1."), f"{case}: {said[:200]!r}"
                assert b"\nHTTP/1.1 101" not in said and not said.startswith(b"HTTP/1.1 101"), case
                w.heard(case)


def test_lame_duck():
    """Who is there when the server begins to leave has what it had, and nobody else comes in."""
    with world() as w:
        watched = []
        for listener in w.clients:
            for operation in OPERATIONS:
                sock = listener.dial()
                say(sock, STATES["with a subscription"][0])
                watched.append((listener, operation, sock, True))
                watched.append((listener, operation, listener.dial(), False))
        w.tempt()
        w.server.process.send_signal(signal.SIGUSR2)
        w.server.wait_line("lame duck")
        for listener, operation, sock, somebody in watched:
            case = f"{listener.name}, lame duck, {operation} twice"
            say(sock, OPERATIONS[operation])
            say(sock, OPERATIONS[operation])
            (granted_to_ann if somebody else granted_to_nobody)(case, hear_out(sock))
            sock.close()
            w.heard(case)


def test_nothing_listens_that_was_not_asked_for():
    """All off: one port, and it answers its own protocol only."""
    with served('authorization { user: ann, password: ann }\n') as server:
        listening = listening_ports(server.process.pid)
        expect("ports", listening, {server.port})
        for operation, data in OPERATIONS.items():
            with contextlib.closing(Listener("tcp", ("127.0.0.1", server.port)).dial()) as sock:
                say(sock, data + data)
                granted_to_nobody(operation, hear_out(sock))
        for path in ("/", "/varz", "/connz", "/mqtt", "/leafnode", "/healthz", "/metrics"):
            with contextlib.closing(Listener("tcp", ("127.0.0.1", server.port)).dial()) as sock:
                say(sock, OPERATIONS["WebSocket"].replace(b"GET /", b"GET " + path.encode()))
                granted_to_nobody(path, hear_out(sock))


def listening_ports(pid):
    """TCP ports that a process listens on, as the kernel knows them."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


if __name__ == "__main__":
    sys.exit(main(globals()))
