#!/usr/bin/env python3
"""NATS over WebSocket against a server process: upgrades, frames, compression, ends.

usage: test_websocket.py PIPIT-SERVER [NAME...]
"""
import json
import os
import pathlib
import random
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import traceback
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))
from peer import (ACCEPT, BINARY, CLOSE, PING, TEXT, Gone, Peer, closing, deflate, frame, head,
                  mask, wait_until)
from server import Server

TESTS = []
SERVER = None
SLACK = 1  # how much more memory a server may take that is built with a sanitizer


def test(function):
    TESTS.append(function)
    return function


def make_certificate(folder):
    """A certificate for localhost and its key, made anew; the paths of both."""
    paths = [os.path.join(folder, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def trusting(*certificates):
    context = ssl.create_default_context()
    context.check_hostname = False
    for path in certificates:
        context.load_verify_locations(path)
    return context


class World:
    """A server with a WebSocket listener; more text goes into its configuration."""

    def __init__(self, block="", text="", flags=(), tls=False):
        self.folder = tempfile.TemporaryDirectory()
        self.tls = "no_tls: true"
        if tls:
            self.certificate, key = make_certificate(self.folder.name)
            self.tls = f'tls {{ cert_file: "{self.certificate}", key_file: "{key}" }}'
        self.path = os.path.join(self.folder.name, "server.conf")
        self.write(block, text)
        self.server = Server(SERVER, "-c", self.path, *flags)
        self.port = self._port("websocket clients on " + ("wss://" if tls else "ws://"))
        self.tcp = self._port("client connections on ")
        self.http = self._port("http monitor on ")

    def write(self, block="", text=""):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"{text}\nhttp: 127.0.0.1:-1\n"
                       f"websocket {{\nhost: 127.0.0.1\nport: -1\n{self.tls}\n{block}\n}}\n")

    def _port(self, words):
        line = next(line for line in self.server.lines if words in line)
        return int(line.rsplit(":", 1)[1])

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=60) as answer:
            return json.load(answer)

    def rss(self):
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        status = self.server.wait() if self.server.process.poll() is not None else \
            self.server.stop()
        self.folder.cleanup()
        if not error[0]:
            assert status == 0, f"the server ended with {status}"


# --- upgrades -----------------------------------------------------------------------------------


@test
def vectors_of_the_specification():
    with World() as world:
        peer = Peer(world.port)
        assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n".encode() in peer.answer
        info = json.loads(peer.info[5:])
        assert peer.frames[0][0] == BINARY and info["port"] == world.port
        assert info["host"] == "127.0.0.1" and "tls_required" not in info
        peer.send(bytes.fromhex("828600000000 50494e470d0a"))
        assert peer.take(8) == bytes.fromhex("8206504f4e470d0a")
        peer.send(bytes.fromhex("8982 01020304 6062"))
        assert peer.take(4) == bytes.fromhex("8a026160")
        peer.send(bytes.fromhex("888200000000 03e8"))
        assert peer.take(4) == bytes.fromhex("880203e8")
        assert peer.rest() is None


@test
def upgrades_are_refused():
    cases = {
        "POST": (head().replace(b"GET", b"POST"), 405, "request method must be GET"),
        "no upgrade": (head(Upgrade=None), 400, "invalid value for header 'Upgrade'"),
        "no connection": (head(Connection="close"), 400, "invalid value for header 'Connection'"),
        "no key": (head(Sec_WebSocket_Key=None), 400, "key missing"),
        "bad key": (head(Sec_WebSocket_Key="AAAA"), 400, "invalid websocket key"),
        "version": (head(Sec_WebSocket_Version="12"), 400, "invalid version"),
        "mqtt": (head(path="/mqtt"), 404, "mqtt websocket endpoint not enabled"),
        "early": (head() + frame(b"PING\r\n"), 400,
                  "client sent data before handshake is complete"),
        "body": (head(Content_Length="3") + b"abc", 413, "bad request"),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad request"),
        "NATS": (b"CONNECT {}\r\nPING\r\n", 400, "bad request"),
        "long head": (head(X="y" * 20000), 431, "bad request"),
        "long path": (head(path="/" + "y" * 5000), 414, "bad request"),
        "origin": (head(Origin="http://evil"), 403, "origin not allowed: not same origin"),
    }
    for name, (wire, status, reason) in cases.items():
        with World("same_origin: true") as world:  # each its own: such lines are not logged twice
            peer = Peer(world.port, upgrade=False)
            peer.send(wire)
            answer = peer.read_head()
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (name, answer)
            assert b"\r\nSec-Websocket-Version: 13\r\n" in answer, name
            assert reason in world.server.await_line("websocket handshake error: "), name
            assert world.get("/connz?state=closed")["num_connections"] == 0
            Peer(world.port, Origin="http://h:9222").connect()


@test
def paths_of_what_is_not_there():
    with World() as world:
        peer = Peer(world.port, upgrade=False)
        peer.send(head(path="/leafnode"))
        assert b" 101 " in peer.read_head()
        assert peer.rest() is None
        for path in ("/", "/varz", "/a/b?x=/mqtt", "/connz", "/a%2fleafnode"):
            Peer(world.port, path=path).connect()


@test
def heads_in_pieces_and_in_time():
    with World('handshake_timeout: "5s"') as world:
        peer = Peer(world.port, upgrade=False)
        for byte in head():
            peer.send(bytes([byte]))
        assert b" 101 " in peer.read_head()
        peer.line()
        peer.connect()
        slow, silent = (Peer(world.port, upgrade=False) for _ in range(2))
        slow.send(head()[:-2])
        assert slow.rest() is None and silent.rest() is None
        peer.nats("PING\r\n")  # its handshake is over: that deadline is, too
        peer.expect("PONG")


@test
def answers_and_headers():
    with World('compression: true\nheaders { X-One: "1", X-Two: two }') as world:
        peer = Peer(world.port, Nats_No_Masking="true", X_Forwarded_For="1.2.3.4",
                    Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
        assert b"\r\nX-One: 1\r\nX-Two: two\r\n\r\n" in peer.answer
        assert b"\r\nNats-No-Masking: true\r\n" in peer.answer
        assert (b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                b"client_no_context_takeover\r\n") in peer.answer
        peer.connect(masked=False)
        peer.nats("PING\r\n")  # a key is not needed, and no harm
        peer.expect("PONG")


# --- frames -------------------------------------------------------------------------------------

COMPLAINTS = {
    "not masked": (frame(b"PING\r\n", masked=False), "mask bit missing"),
    "RSV2": (frame(b"PING\r\n", rsv=2), "RSV2 and RSV3 must be clear"),
    "RSV3": (frame(b"PING\r\n", rsv=1), "RSV2 and RSV3 must be clear"),
    "RSV1": (frame(b"PING\r\n", rsv=4),
             "compressed frame received without negotiated permessage-deflate"),
    "opcode 3": (frame(b"", opcode=3), "unknown opcode 3"),
    "opcode 11": (frame(b"", opcode=11), "unknown opcode 11"),
    "continuation": (frame(b"PING\r\n", opcode=0), "invalid continuation frame"),
    "new message": (frame(b"PI", fin=False) + frame(b"NG\r\n"),
                    "new message started before final frame for previous message was received"),
    "long ping": (frame(b"x" * 126, opcode=PING),
                  "control frame length bigger than maximum allowed of 125 bytes"),
    "ping in parts": (frame(b"x", opcode=PING, fin=False),
                      "control frame does not have final bit set"),
    "compressed ping": (frame(b"x", opcode=PING, rsv=4), "control frame must not be compressed"),
    "length of 2^63": (frame(length=1 << 63), "invalid 64-bit payload length"),
    "length of 2^64-1": (frame(length=(1 << 64) - 1), "invalid 64-bit payload length"),
    "close of one byte": (frame(b"x", opcode=CLOSE), "close frame payload cannot be 1 byte"),
    "close status 999": (frame(closing(999), opcode=CLOSE), "invalid close status code 999"),
    "close status 1005": (frame(closing(1005), opcode=CLOSE), "invalid close status code 1005"),
}


@test
def what_breaks_the_protocol():
    with World() as world:
        listener = Peer(world.port)
        listener.connect()
        listener.nats("SUB done 1\r\nPING\r\n")
        listener.expect("PONG")
        for name, (wire, complaint) in COMPLAINTS.items():
            for size in (1, len(wire) + 100):
                peer = Peer(world.port)
                peer.connect()
                # What was complete before it is still done.
                wire_all = frame(b"PUB done 2\r\nok\r\n") + wire
                try:
                    for at in range(0, len(wire_all), size):
                        peer.send(wire_all[at:at + size])
                except ConnectionError:
                    pass  # the last bytes of what is wrong need not be taken
                assert peer.rest() == closing(1002, complaint.encode()), (name, peer.closed)
                listener.expect("MSG done 1 2")
                assert listener.payload(2) == b"ok"


@test
def closing_frames():
    with World() as world:
        for body, answer in ((b"", b""), (closing(1000), closing(1000)),
                             (closing(1001, b"bye"), closing(1001, b"bye")),
                             (closing(4999), closing(4999)),
                             (closing(1000, b"\xff"),
                              closing(1007, b"invalid utf8 body in close frame"))):
            peer = Peer(world.port)
            peer.connect()
            peer.nats("PING\r\n")
            peer.send(frame(body, opcode=CLOSE) + frame(b"PUB late 0\r\n\r\n"))
            assert peer.rest() == answer
            assert peer.stream.endswith(b"PONG\r\n")
        reasons = [c["reason"] for c in world.get("/connz?state=closed")["connections"]]
        assert reasons == ["Client Closed"] * 5, reasons


@test
def servers_say_why():
    text = "max_payload: 100\nmax_control_line: 1024\n" \
           'authorization { user: u, password: p, timeout: "2s" }'
    with World(text=text) as world:
        cases = (
            (b"CONNECT {\"user\":\"u\",\"pass\":\"x\"}\r\n", 1008, b"Authentication Failure",
             b"-ERR 'Authorization Violation'\r\n"),
            (b"", 1008, b"Authentication Timeout", b"-ERR 'Authentication Timeout'\r\n"),
            (b"CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\nNONSENSE\r\n", 1002,
             b"Protocol Violation", b"-ERR 'Unknown Protocol Operation'\r\n"),
            (b"CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\nPUB a 101\r\n", 1009,
             b"Maximum Message Payload Exceeded", b"-ERR 'Maximum Payload Violation'\r\n"),
            (b"CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\nPUB " + b"a" * 2000, 1008,
             b"Maximum Control Line Exceeded", b"-ERR 'maximum control line exceeded'\r\n"),
        )
        for wire, status, reason, error in cases:
            peer = Peer(world.port)
            if wire:
                peer.nats(wire)
            assert peer.rest() == closing(status, reason), (reason, peer.closed)
            assert bytes(peer.stream) == error, peer.stream
        peer = Peer(world.port)
        peer.connect('{"verbose":false,"user":"u","pass":"p"}')
        world.server.signal("TERM")
        assert peer.rest() == closing(1001, b"Server Shutdown"), peer.closed


@test
def messages_in_any_pieces():
    """Random operations in random frames, cut anywhere, compressed or not, between connections of
    all kinds on several loops: what is received is what was sent."""
    seed = int(os.environ.get("PIPIT_SEED") or random.randrange(1 << 32))
    print(f"PIPIT_SEED={seed}", flush=True)
    chance = random.Random(seed)
    exchange(chance, False)


@test
def messages_in_any_pieces_over_tls():
    exchange(random.Random(5), True)


KINDS = ({}, {"Sec_WebSocket_Extensions": "permessage-deflate"}, {"User_Agent": "Mozilla/5.0"},
         {"User_Agent": "Mozilla/5.0", "Sec_WebSocket_Extensions": "permessage-deflate"},
         {"User_Agent": "Mozilla/5.0 Version/17 Safari/6",
          "Sec_WebSocket_Extensions": "permessage-deflate"})


def exchange(chance, tls):
    with World("compression: true", flags=("--threads", "3"), tls=tls) as world:
        context = trusting(world.certificate) if tls else None
        subscribers = []
        for kind in KINDS:
            peer = Peer(world.port, tls=context, **kind)
            peer.connect()
            peer.nats("SUB t.> 1\r\nPING\r\n")
            peer.expect("PONG")
            subscribers.append((kind, peer))
        for kind in KINDS:
            publisher = Peer(world.port, tls=context, **kind)
            publisher.connect()
            for _ in range(6):
                payloads = [make_payload(chance) for _ in range(chance.randrange(1, 12))]
                stream = b"".join(b"PUB t.%d %d\r\n%s\r\n" % (i, len(p), p)
                                  for i, p in enumerate(payloads))
                packs = "Sec_WebSocket_Extensions" in kind
                send_cut(publisher, make_frames(chance, stream, packs), chance)
                for _, peer in subscribers:
                    for i, payload in enumerate(payloads):
                        peer.expect(f"MSG t.{i} 1 {len(payload)}")
                        assert peer.payload(len(payload)) == payload
            publisher.close()
        for kind, peer in subscribers:
            check_shapes(kind, peer)


def make_payload(chance):
    size = chance.choice((0, chance.randrange(100), chance.randrange(5000),
                          chance.randrange(300000)))
    if chance.random() < 0.5:
        return chance.randbytes(size)
    return (b"all work and no play " * (size // 21 + 1))[:size]


def make_frames(chance, stream, packs):
    """The stream as messages of one or more frames, with pings in between."""
    wire = []
    while stream:
        size = chance.choice((chance.randrange(1, 20), chance.randrange(1, 3000), len(stream)))
        message, stream = stream[:size], stream[size:]
        packed = packs and chance.random() < 0.6
        data = deflate(message) if packed else message
        opcode, rsv = chance.choice((TEXT, BINARY)), 4 if packed else 0
        while True:
            cut = chance.randrange(len(data) + 1) if chance.random() < 0.4 else len(data)
            last = cut == len(data) and chance.random() < 0.8
            wire.append(frame(data[:cut], opcode=opcode, rsv=rsv, fin=last))
            if chance.random() < 0.1:
                wire.append(frame(b"x" * chance.randrange(126), opcode=PING))
            data, opcode, rsv = data[cut:], 0, 0
            if last:
                break
    return b"".join(wire)


def send_cut(peer, wire, chance):
    at = 0
    while at < len(wire):
        size = chance.choice((1, chance.randrange(1, 50), chance.randrange(1, 100000)))
        size = size if len(wire) - at < 20000 or size > 1000 else 20000
        peer.send(wire[at:at + size])
        at += size


def check_shapes(kind, peer):
    """Browsers get frames of 4096 bytes, Safari whole messages, nobody compressed small ones."""
    browser, packs = "User_Agent" in kind, "Sec_WebSocket_Extensions" in kind
    safari = browser and "Safari" in kind["User_Agent"]
    data = [f for f in peer.frames if f[0] in (0, BINARY)]
    largest = max(f[3] for f in data)
    assert any(f[2] == 4 for f in data) == packs, kind
    assert any(not f[1] for f in data) == (browser and packs and not safari), kind
    if browser and not safari:
        assert largest <= 4096, (kind, largest)
    else:
        assert largest > 4096, (kind, largest)


@test
def huge_frames_flow():
    """A frame longer than any memory carries operations as they come."""
    with World() as world:
        peer = Peer(world.port)
        peer.connect()
        key = b"\1\2\3\4"
        peer.send(frame(length=(1 << 63) - 1, key=key))
        text = b"SUB a 1\r\nPUB a 2\r\nhi\r\n" * 3
        peer.send(mask(text, key))
        for _ in range(3):
            peer.expect("MSG a 1 2")
            assert peer.payload(2) == b"hi"


@test
def who_does_not_read():
    """A flood at a subscriber with small buffers that reads late: no byte is lost, whatever part of
    a frame the socket took."""
    for fields in ({}, {"User_Agent": "Mozilla/5.0"},
                   {"Sec_WebSocket_Extensions": "permessage-deflate"}):
        with World("compression: true") as world:
            slow = Peer(world.port, buffer=4096, **fields)
            slow.connect()
            slow.nats("SUB a 1\r\nPING\r\n")
            slow.expect("PONG")
            publisher = Peer(world.port)
            publisher.connect()
            chance = random.Random(7)
            payloads = [chance.randbytes(chance.randrange(40000)) for _ in range(200)]
            for payload in payloads:
                publisher.nats(b"PUB a %d\r\n%s\r\n" % (len(payload), payload))
            publisher.nats("PING\r\n")
            publisher.expect("PONG")
            slow.send(frame(b"still there?", opcode=PING))
            for payload in payloads:
                slow.expect(f"MSG a 1 {len(payload)}")
                assert slow.payload(len(payload)) == payload
            while not slow.pongs:
                slow.frame()
            assert slow.pongs == [b"still there?"]


@test
def pings_that_nobody_reads():
    with World() as world:
        peer = Peer(world.port, buffer=4096)
        peer.connect()
        before = world.rss()
        ping = frame(b"x" * 125, opcode=PING) * 500
        peer.socket.settimeout(0.5)
        try:
            for _ in range(300):
                peer.send(ping)
        except (TimeoutError, ConnectionError):
            pass
        assert world.rss() - before < SLACK << 22, world.rss() - before


# --- compression --------------------------------------------------------------------------------

DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate"}


@test
def bombs_are_bounded():
    with World("compression: true") as world:
        bomb = deflate(b"\0" * (200 << 20))
        before = world.rss()
        for start in (b"", b"PUB a 1000000\r\n"):
            peer = Peer(world.port, **DEFLATE)
            peer.connect()
            peer.nats(start)
            peer.send(frame(bomb, rsv=4))
            # The parser does not take it, or the bound on what comes out is reached.
            assert peer.rest()[:2] in (closing(1009), closing(1002), closing(1008)), peer.closed
        # One that the parser would take: many small operations.
        peer = Peer(world.port, **DEFLATE)
        peer.connect()
        peer.send(frame(deflate(b"PUB a 0\r\n\r\n" * 1000000), rsv=4))
        assert peer.rest() == closing(1009, b"compressed message is too big")
        assert world.rss() - before < SLACK * 24 << 20, world.rss() - before


@test
def compressed_messages_of_full_size():
    with World("compression: true") as world:
        peer = Peer(world.port, **DEFLATE)
        peer.connect()
        payload = os.urandom(1 << 20)
        peer.nats("SUB a 1\r\n")
        peer.send(frame(deflate(b"PUB a %d\r\n%s\r\n" % (len(payload), payload)), rsv=4))
        peer.expect(f"MSG a 1 {len(payload)}")
        assert peer.payload(len(payload)) == payload


@test
def bad_compressed_data():
    with World("compression: true") as world:
        for data in (b"\xff\xff\xff", deflate(b"PING\r\n")[:-2], b""):
            peer = Peer(world.port, **DEFLATE)
            peer.connect()
            peer.send(frame(data, rsv=4))
            assert peer.rest() == closing(1007, b"invalid compressed data"), peer.closed
        peer = Peer(world.port, **DEFLATE)
        peer.connect()
        peer.nats("PING\r\n")  # not compressed, though it may be
        peer.expect("PONG")


@test
def compressed_and_unfinished():
    """Messages that never end keep what they need to go on, and no more."""
    with World("compression: true") as world:
        peers = [Peer(world.port, **DEFLATE) for _ in range(100)]
        for peer in peers:
            peer.connect()
        before = world.rss()
        for peer in peers:
            peer.send(frame(deflate(b"PING\r\n"), rsv=4, fin=False))
            peer.expect("PONG")
        assert world.rss() - before < SLACK * 100 * 64 * 1024, world.rss() - before
        for peer in peers:
            peer.send(frame(b"", opcode=0))
            peer.nats("PING\r\n")
            peer.expect("PONG")


# --- many, and who they are ---------------------------------------------------------------------


@test
def half_open_connections():
    """Thousands that never finish their request cost little, and what they send is not kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Fewer of a server that a sanitizer makes slow; none of them is to be late.
    count = min(10000 if SLACK == 1 else 2000, hard - 200)
    with World('handshake_timeout: "10m"') as world:
        before = world.rss()
        peers = []
        for i in range(count):
            peer = socket.socket()
            peer.bind((f"127.0.0.{2 + i // 5000}", 0))
            peer.connect(("127.0.0.1", world.port))
            peer.sendall(head()[:60])
            peers.append(peer)
        Peer(world.port).connect()
        opened = world.rss()
        for _ in range(4):
            for peer in peers:
                peer.sendall(b"X: " + b"y" * 900 + b"\r\n")
        Peer(world.port).connect()
        each, grown = (opened - before) / count, world.rss() - opened
        print(f"{count} half-open connections: {each:.0f} bytes each, then {grown} bytes more")
        assert each < SLACK * 4096, each
        assert grown < SLACK << 22, grown
        assert world.get("/connz")["num_connections"] == 0
        for peer in peers:
            peer.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@test
def idle_connections_own_no_buffers():
    with World("compression: true") as world:
        peers = [Peer(world.port, **DEFLATE) for _ in range(20)]
        before = world.rss()
        for _ in range(1000):
            peer = Peer(world.port, **DEFLATE)
            peer.connect()
            peer.send(frame(deflate(b"PING\r\n" * 100), rsv=4))
            for _ in range(100):
                peer.expect("PONG")
            peers.append(peer)
        each = (world.rss() - before) / 1000
        print(f"{each:.0f} bytes for each idle connection")
        assert each < SLACK * 3000, each


TWO = """accounts { A { users: [{user: a, password: pa}] },
B { users: [{user: b, password: pb}, {user: w, password: pw, allowed_connection_types: [WEBSOCKET]},
{user: s, password: ps, allowed_connection_types: [STANDARD]}] } }"""


def comes_in(world, connect="{}", **fields):
    """The account that a client gets into; None: none."""
    peer = Peer(world.port, **fields)
    peer.nats(f"CONNECT {connect}\r\nPING\r\n")
    line = peer.line()
    while line in (b"+OK", b"PONG"):
        line = peer.line()
    if line.startswith(b"-ERR"):
        assert peer.rest() == closing(1008, b"Authentication Failure")
        return None
    return json.loads(line[5:])["remote_account"]


@test
def cookies_stand_for_what_is_left_out():
    names = "user_cookie: u, pass_cookie: p, token_cookie: t"
    with World(names, TWO) as world:
        quiet = '{"protocol":1,"verbose":false'
        assert comes_in(world, quiet + "}", Cookie="x=y; u=a; p=pa") == "A"
        assert comes_in(world, quiet + "}", Cookie='u="b"; p="pb"') == "B"
        assert comes_in(world, quiet + "}") is None
        assert comes_in(world, quiet + "}", Cookie="u=a; p=pb") is None
        assert comes_in(world, quiet + "}", Cookie="user=a; pass=pa") is None
        # CONNECT wins, field by field.
        assert comes_in(world, quiet + ',"user":"b","pass":"pb"}', Cookie="u=a; p=pa") == "B"
        assert comes_in(world, quiet + ',"user":"b"}', Cookie="u=a; p=pb") == "B"
        assert comes_in(world, quiet + ',"user":"b"}', Cookie="u=a; p=pa") is None
        # The kind of connection counts.
        assert comes_in(world, quiet + ',"user":"w","pass":"pw"}') == "B"
        assert comes_in(world, quiet + ',"user":"s","pass":"ps"}') is None
        peer = Peer(world.port, Cookie="u=a; p=pa")
        peer.connect()
        shown = world.get("/connz?auth=1")["connections"]  # those before it may still be there
        assert "a" in [one.get("authorized_user") for one in shown], shown
    with World(names, "authorization { token: secret }") as world:
        assert comes_in(world, quiet + "}", Cookie="t=secret") == "$G"
        assert comes_in(world, quiet + "}", Cookie="t=wrong") is None
        assert comes_in(world, quiet + ',"auth_token":"secret"}', Cookie="t=wrong") == "$G"
    with World("", TWO) as world:  # nobody named them
        assert comes_in(world, quiet + "}", Cookie="u=a; p=pa") is None


@test
def who_may_come_in_by_websocket():
    quiet = '{"protocol":1,"verbose":false'
    with World("authorization { user: x, password: y }") as world:
        assert json.loads(Peer(world.port).info[5:])["auth_required"]
        assert comes_in(world, quiet + "}") is None
        assert comes_in(world, quiet + ',"user":"x","pass":"y"}') == "$G"
        with socket.create_connection(("127.0.0.1", world.tcp)) as plain:
            plain.sendall(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
            wait_until("PONG", lambda: b"PONG" in plain.recv(4096))
    with World("authorization { token: z }", "authorization { user: x, password: y }") as world:
        assert comes_in(world, quiet + ',"user":"x","pass":"y"}') is None
        assert comes_in(world, quiet + ',"auth_token":"z"}') == "$G"
    with World("no_auth_user: b", TWO) as world:
        assert comes_in(world, quiet + "}") == "B"
        assert comes_in(world, quiet + ',"user":"a","pass":"pa"}') == "A"
        assert json.loads(Peer(world.port).info[5:])["auth_required"]
        with socket.create_connection(("127.0.0.1", world.tcp)) as plain:
            plain.sendall(b"PING\r\n")
            wait_until("refusal", lambda: b"Authorization Violation" in plain.recv(4096))
    with World('authorization { timeout: "1s" }', "authorization { user: x, password: y }") as world:
        silent = Peer(world.port)
        assert silent.rest() == closing(1008, b"Authentication Timeout")


@test
def monitoring_tells_of_it():
    with World("compression: true\nsame_origin: true\nallowed_origins: [\"http://a.b\"]\n"
               'handshake_timeout: "3s"') as world:
        peer = Peer(world.port)
        peer.connect()
        entry = world.get("/connz")["connections"][0]
        assert entry["type"] == "websocket" and entry["kind"] == "Client", entry
        assert world.get("/varz")["websocket"] == {
            "host": "127.0.0.1", "port": world.port, "handshake_timeout": 3000000000,
            "no_tls": True, "same_origin": True, "allowed_origins": ["http://a.b"],
            "compression": True}
        with socket.create_connection(("127.0.0.1", world.tcp)) as plain:
            plain.sendall(b"CONNECT {}\r\nPING\r\n")
            wait_until("connection", lambda: world.get("/connz")["num_connections"] == 2)
            kinds = sorted(c["type"] for c in world.get("/connz")["connections"])
            assert kinds == ["nats", "websocket"], kinds


@test
def limits_are_shared():
    with World(text="max_connections: 2") as world:
        first = Peer(world.port)
        first.connect()
        with socket.create_connection(("127.0.0.1", world.tcp)) as plain:
            assert plain.recv(5) == b"INFO "
            third = Peer(world.port)
            assert third.rest() == closing(1008, b"Maximum Connections Exceeded")
            assert bytes(third.stream) == b"-ERR 'maximum connections exceeded'\r\n"


@test
def reload_and_leave():
    with World() as world:
        peer = Peer(world.port)
        peer.connect('{"verbose":false,"protocol":1}')
        world.write("same_origin: true")
        world.server.signal("HUP")
        line = world.server.await_line("config reload not supported")
        assert "websocket.same_origin" in line, line
        world.write("", "max_payload: 1000")
        world.server.signal("HUP")
        world.server.await_line("Reloaded server configuration")
        peer.nats("PUB a 1001\r\n")
        assert peer.rest() == closing(1009, b"Maximum Message Payload Exceeded")
        last = Peer(world.port)
        last.connect('{"verbose":false,"protocol":1}')
        world.server.signal("USR2")
        world.server.await_line("Entering lame duck mode")
        while b'"ldm":true' not in last.line():
            pass
        wait_until("end of listening", lambda: refused(world.port))


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@test
def tls_comes_first():
    with World("same_origin: true", tls=True) as world:
        context = trusting(world.certificate)
        peer = Peer(world.port, tls=context, Origin="https://h:9222")
        info = json.loads(peer.info[5:])
        assert info["tls_required"] and info["tls_available"], info
        peer.connect()
        assert world.get("/connz")["connections"][0]["tls_version"] == "1.3"
        refused = Peer(world.port, tls=context, Origin="http://h:9222")
        assert b" 403 " in refused.answer
        plain = Peer(world.port, upgrade=False)
        plain.send(head())
        assert b"HTTP" not in plain_rest(plain)
        # Another certificate, for who comes from now on.
        make_certificate(world.folder.name)
        world.server.signal("HUP")
        world.server.await_line("Reloaded server configuration")
        Peer(world.port, tls=trusting(world.certificate)).connect()
        try:
            Peer(world.port, tls=context)
            raise AssertionError("the old certificate is still shown")
        except ssl.SSLCertVerificationError:
            pass
        peer.send(frame(closing(1000), opcode=CLOSE))
        assert peer.rest() == closing(1000)


def plain_rest(peer):
    """All that comes until the end."""
    try:
        while True:
            peer.more()
    except (Gone, ConnectionResetError):
        return bytes(peer.bytes)


@test
def both_worlds_meet():
    """A message from TCP to WebSocket and back."""
    with World() as world:
        peer = Peer(world.port)
        peer.connect()
        peer.nats("SUB ws 1\r\nPING\r\n")
        peer.expect("PONG")
        with socket.create_connection(("127.0.0.1", world.tcp)) as plain:
            reader = plain.makefile("rb")
            plain.sendall(b"CONNECT {\"verbose\":false}\r\nSUB tcp 1\r\nPUB ws tcp 2\r\nhi\r\n"
                          b"PING\r\n")
            peer.expect("MSG ws 1 tcp 2")
            assert peer.payload(2) == b"hi"
            peer.nats("PUB tcp 2\r\nho\r\n")
            while not reader.readline().startswith(b"MSG tcp 1 2"):
                pass
            assert reader.readline() == b"ho\r\n"


def main():
    global SERVER, SLACK
    SERVER = sys.argv[1]
    with open(SERVER, "rb") as file:
        program = file.read()
    SLACK = 16 if b"__asan_init" in program or b"__tsan_init" in program else 1
    wanted = sys.argv[2:]
    failed = 0
    for function in TESTS:
        if wanted and not any(name in function.__name__ for name in wanted):
            continue
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {function.__name__}\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
