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
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../websocket"))
from peer import frame, head  # noqa: E402
from world import Client, expect, main, served  # noqa: E402

DEADLINE_S = 60

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
    { user: slow, password: "$2b$06$abcdefghijklmnopqrstuuzkjrDkO3IJj7/DW8JaUGW1guiWUDOqm",
      permissions: { publish: "ok.>", subscribe: { allow: "ok.>" } } },
    { user: wit, password: wit } ] }
  SYS { users: [ { user: sys, password: sys } ] }
}
system_account: SYS
http: "127.0.0.1:-1"
websocket { host: "127.0.0.1", port: -1, no_tls: true }
unix: "%s"
lame_duck_duration: 1h
lame_duck_grace_period: 1s
"""

ANN = b'CONNECT {"verbose":false,"user":"ann","pass":"ann","headers":true}\r\n'
LOUD_ANN = ANN.replace(b'"verbose":false', b'"verbose":true,"pedantic":true')
WRONG = b'CONNECT {"user":"ann","pass":"wrong"}\r\n'

# Whose password takes a while to be compared: nothing is read before there is a verdict.
SLOW = b'CONNECT {"verbose":false,"user":"slow","pass":"slow","headers":true}\r\n'
SLOW_WRONG = SLOW.replace(b'"pass":"slow"', b'"pass":"wrong"')

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
    "waiting to be let in": (SLOW, True),
    "waiting to be refused": (SLOW_WRONG, False),
    "let in, and waiting to be refused": (ANN + b"SUB ok.x 1\r\n" + SLOW_WRONG, True),
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


class Inside:
    """What speaks in something, over sock."""

    def shutdown(self, how):
        self.sock.shutdown(how)

    def setsockopt(self, *option):
        self.sock.setsockopt(*option)

    def close(self):
        self.sock.close()


class InFrames(Inside):
    """A WebSocket connection with the face of a socket: what is said goes in masked frames, what
    comes is taken out of them."""

    def __init__(self, sock):
        self.sock, self.arrived, self.ended = sock, b"", False
        sock.sendall(head())
        while b"\r\n\r\n" not in self.arrived:
            more = sock.recv(65536)
            assert more, self.arrived
            self.arrived += more
        answer, _, self.arrived = self.arrived.partition(b"\r\n\r\n")
        assert b" 101 " in answer, answer

    def sendall(self, data):
        self.sock.sendall(frame(data) if data else b"")

    def _take(self):
        """The next frame that has arrived, as opcode and payload; None: it is not whole."""
        if len(self.arrived) < 2:
            return None
        at, length = 2, self.arrived[1] & 127
        if length > 125:
            at = 4 if length == 126 else 10
            length = int.from_bytes(self.arrived[2:at], "big")
        if len(self.arrived) < at + length:
            return None
        opcode, payload = self.arrived[0] & 15, self.arrived[at:at + length]
        self.arrived = self.arrived[at + length:]
        return opcode, payload

    def recv(self, _):
        while not self.ended:
            one = self._take()
            if one and one[0] in (1, 2) and one[1]:
                return one[1]
            if not one:
                more = self.sock.recv(65536)
                self.ended = not more
                self.arrived += more
        return b""


class InTls(Inside):
    """A TLS connection with the face of a socket; one whose direction ends alone, which Python's own
    has not."""

    def __init__(self, sock):
        info = b""
        while not info.endswith(b"\n"):
            byte = sock.recv(1)
            assert byte, info
            info += byte
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self._step(self.tls.do_handshake)

    def _step(self, act, *what):
        while True:
            try:
                return act(*what)
            except ssl.SSLWantReadError:
                self._flush()
                more = self.sock.recv(65536)
                if more:
                    self.incoming.write(more)
                else:
                    self.incoming.write_eof()
            finally:
                self._flush()

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def sendall(self, data):
        if data:
            self._step(self.tls.write, data)

    def recv(self, size):
        try:
            return self._step(self.tls.read, size)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError, BrokenPipeError):
            return b""


class TlsListener(Listener):
    """The same operations when hands have been shaken."""

    def dial(self):
        return InTls(super().dial())


class WebSocketListener(Listener):
    """The same operations, each in a frame."""

    def dial(self):
        return InFrames(super().dial())


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

    def __init__(self, server, unix, tls):
        self.server = server
        self.witness = Client(server, "wit", "wit")
        self.witness.send("SUB > 1")
        expect("witness", self.witness.until_pong(), [])
        line = server.wait_line(r"Starting http monitor on")
        self.http = Listener("http", ("127.0.0.1", int(re.search(r":(\d+)\s*$", line)[1])))
        line = server.wait_line(r"Listening for websocket clients on")
        self.websocket = ("127.0.0.1", int(re.search(r":(\d+)\s*$", line)[1]))
        self.clients = [Listener("tcp", ("127.0.0.1", server.port)), Listener("unix", unix),
                        WebSocketListener("websocket", self.websocket)]
        if tls:  # on the same port
            self.clients = [TlsListener("tls", ("127.0.0.1", server.port))]

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


TLS = """
allow_non_tls: true
tls {{ cert_file: "{0}/cert.pem", key_file: "{0}/key.pem", timeout: 20 }}
"""


@contextlib.contextmanager
def world(*flags, more="", tls=False):
    with tempfile.TemporaryDirectory(prefix="pipit-states-") as folder:
        unix = os.path.join(folder, "socket")
        if tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x",
                            "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True,
                           capture_output=True, timeout=DEADLINE_S)
            more += TLS.format(folder)
        with served(CONFIG % unix + more, *flags) as server:
            yield World(server, unix, tls)


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


def test_every_operation_in_every_state_of_tls():
    """Handshakes take their time: fewer states, those that differ by who has come in."""
    if not shutil.which("openssl"):
        return
    with world("--threads", "2", tls=True) as w:
        for state in ("greeted", "in the middle of CONNECT", "refused", "with a subscription",
                      "in the middle of PUB", "waiting to be let in", "let in and refused"):
            for operation in OPERATIONS:
                play(w, w.clients[0], state, operation)


def test_tls_and_what_is_said_before():
    """What comes before the handshake is never read as anything else, nor what comes instead."""
    if not shutil.which("openssl"):
        return
    with world(tls=True) as w:
        for operation, data in OPERATIONS.items():
            with contextlib.closing(Listener("tls", ("127.0.0.1", w.server.port)).dial()) as sock:
                say(sock, data[:1] if operation == "TLS" else b"\x16" + data)
                say(sock, ANN + OPERATIONS["PUB"])
                said = hear_out(sock)
            info, _, rest = said.partition(b"\r\n")
            assert info.startswith(b"INFO ") and not re.search(rb"MSG|PONG|\+OK|-ERR", rest), \
                f"{operation}: {said!r}"
            w.heard(operation)


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


def test_first_bytes_on_the_websocket_port():
    """Before the upgrade it speaks HTTP and nothing else."""
    with world() as w:
        listener = Listener("websocket, first", w.websocket)
        for first in OPERATIONS:
            with contextlib.closing(listener.dial()) as sock:
                say(sock, OPERATIONS[first])
                say(sock, OPERATIONS[first])
                said = hear_out(sock)
            if said.startswith(b"HTTP/1.1 101"):
                assert "WebSocket" in first, f"{first}: {said[:200]!r}"
            else:
                assert not said or said.startswith(b"HTTP/1."), f"{first}: {said[:200]!r}"
                assert b"INFO" not in said, f"{first}: {said[:200]!r}"
            w.heard(first)


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


def test_gone_while_it_waits():
    """Whoever goes before the verdict leaves nothing behind."""
    with world("--threads", "2") as w:
        for number in range(200):
            with contextlib.closing(w.clients[number % 2].dial()) as sock:
                say(sock, (SLOW, SLOW_WRONG)[number // 2 % 2] + b"SUB > 1\r\nPUB secret.x 1\r\n!\r\n")
        for listener in w.clients:  # and the next are served
            with contextlib.closing(listener.dial()) as sock:
                say(sock, SLOW + b"PING\r\n")
                assert b"PONG\r\n" in hear_out(sock)
        w.heard("gone while it waits")


def test_who_shows_nothing():
    """With a user for those who show nothing, they may do what that user may from the first byte on,
    whatever it is, and nothing else; and credentials that are wrong are not nothing."""
    with world("--threads", "2", more="no_auth_user: ann\n") as w:
        for listener in w.clients:
            for state in ("greeted", "in the middle of CONNECT"):
                for operation in OPERATIONS:
                    case = f"{listener.name}, {state}, {operation}, who shows nothing"
                    with contextlib.closing(listener.dial()) as sock:
                        say(sock, STATES[state][0])
                        say(sock, OPERATIONS[operation] + b"SUB > 9\r\nSUB secret.x 9\r\n")
                        w.tempt()
                        say(sock, OPERATIONS[operation])
                        granted_to_ann(case, hear_out(sock))
                    w.heard(case)
            with contextlib.closing(listener.dial()) as sock:
                say(sock, WRONG + b"PUB ok.x 1\r\n!\r\nPING\r\n")
                said = hear_out(sock)
            assert b"Authorization Violation" in said and b"PONG" not in said, said


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
