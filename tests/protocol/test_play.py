#!/usr/bin/env python3
"""Proof that the player can fail: transcripts played to a peer whose every byte is scripted.

Each row is a transcript, what the peer says, and what the player must find wrong (or that it must
find nothing wrong). A player that passes everything would pass every server.
"""

import socket
import sys
import tempfile
import threading
from pathlib import Path

from exchange import Exchange, Failure
from process import check_options, nats_config, pipit_flags
from transcript import FormatError, read_file

INFO = b'INFO {"server_id":"N1","proto":1,"port":4222,"headers":true,"client_id":7} \r\n'
CLOSE = None


class Peer:
    """Says INFO to each connection and then, per connection, answers as its script has it.

    A script is a list of (wait, say): once all of wait has come in, say is said; CLOSE ends the
    connection. Every PING beyond the script is answered by a PONG.
    """

    host = "127.0.0.1"

    def __init__(self, kind, scripts):
        self.kind = kind
        self.scripts = list(scripts)
        self.threads = []
        self.listener = socket.create_server((self.host, 0))
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            script = self.scripts.pop(0) if self.scripts else []
            thread = threading.Thread(target=self._serve, args=(sock, script), daemon=True)
            thread.start()
            self.threads.append(thread)

    @classmethod
    def _serve(cls, sock, script):
        with sock:
            try:
                cls._answer(sock, script)
            except ConnectionError:
                pass  # the player has heard enough

    @staticmethod
    def _answer(sock, script):
        heard = b""
        sock.sendall(INFO)
        for wait, say in script:
            while wait not in heard:
                data = sock.recv(65536)
                if not data:
                    return
                heard += data
            heard = heard[heard.index(wait) + len(wait) :]
            if say is CLOSE:
                return
            sock.sendall(say)
        while True:
            while b"PING\r\n" in heard:
                heard = heard[heard.index(b"PING\r\n") + 6 :]
                sock.sendall(b"PONG\r\n")
            data = sock.recv(65536)
            if not data:
                return
            heard += data

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(5)
        for thread in self.threads:
            thread.join(5)


HELLO = (b"hello\r\n", b"MSG a 1 2\r\nhi\r\n")
BOTH = [(b"x", b"MSG a 1 1\r\nx\r\nMSG b 2 1\r\ny\r\n")]
OK_OK = [(b"x", b"+OK\r\n+OK\r\n")]
OK_CLOSE = [(b"x", b"+OK\r\n"), (b"", CLOSE)]
ERR_CLOSE = [(b"x", b"-ERR 'a'\r\n"), (b"", CLOSE)]
ERR_ERR_CLOSE = [(b"x", b"-ERR 'a'\r\n-ERR 'b'\r\n"), (b"", CLOSE)]
INFO_LINE = "S: INFO {json}\n  json: "
OPEN_BOTH = "C a: hi\nC b: hi\n"

# name, kind, transcript, one script for each connection, part of the failure ("" for none)
PLAYED = [
    ("the bytes expected", "nats", "C: hello\nS: MSG a 1 2\nS: hi", [[HELLO]], ""),
    ("another byte", "nats", "C: hello\nS: MSG a 1 2\nS: ho", [[HELLO]], "hi"),
    ("nothing comes", "nats", "C: x\nS: +OK", [[]], "nothing in time"),
    ("the end comes instead", "nats", "C: x\nS: +OK", [[(b"x", CLOSE)]], "end of stream"),
    ("half comes, then the end", "nats", "C: x\nS: +OK", [[(b"x", b"+O"), (b"", CLOSE)]], "+O"),
    ("something more at the end", "nats", "C: hello\nS: MSG a 1 2", [[HELLO]], "hi"),
    ("nothing, and so it is", "nats", "C: x\nS: <nothing>", [[]], ""),
    ("nothing, but a message", "nats", "C: hello\nS: <nothing>", [[HELLO]], "MSG a 1 2"),
    ("close, and so it is", "nats", "C: x\nS: <close>", [[(b"x", CLOSE)]], ""),
    ("close, but it stays", "nats", "C: x\nS: <close>", [[]], "nothing in time"),
    ("close, but a word before", "nats", "C: x\nS: <close>", [ERR_CLOSE], "-ERR"),
    ("silent close with a word, nats", "nats", "C: x\nS: <silent close>", [ERR_CLOSE], "-ERR"),
    ("silent close with a word, pipit", "pipit", "C: x\nS: <silent close>", [ERR_CLOSE], ""),
    ("silent close with a message", "pipit", "C: x\nS: <silent close>", [OK_CLOSE], "+OK"),
    ("silent close with two words", "pipit", "C: x\nS: <silent close>", [ERR_ERR_CLOSE], "-ERR"),
    ("silent close that stays", "pipit", "C: x\nS: <silent close>", [[]], "nothing in time"),
    ("cut off", "nats", "C: x\nS: <cut off>", [[(b"x", b"MSG a 1"), (b"", CLOSE)]], ""),
    ("cut off with a word", "nats", "C: x\nS: <cut off>", [ERR_CLOSE], "-ERR"),
    ("cut off that stays", "nats", "C: x\nS: <cut off>", [[]], "nothing in time"),
    ("gone", "nats", "open c: rcvbuf=4096\nC c: x\nS c: <gone>", [OK_CLOSE], ""),
    ("gone, but it stays", "nats", "C: x\nS: <gone>", [[]], "still open"),
    ("a pattern", "nats", "C: hello\nS: MSG <re/[ab]/> 1 2\nS: hi", [[HELLO]], ""),
    ("a pattern that does not fit", "nats",
     "C: hello\nS: MSG <re/[bc]/> 1 2\nS: hi",
     [[HELLO]], "MSG a"),
    ("any order", "nats", "C: x\nS*: MSG b 2 1\\r\\ny\nS*: MSG a 1 1\\r\\nx", [BOTH], ""),
    ("any order, one missing", "nats",
     "C: x\nS* x2: MSG b 2 1\\r\\ny\nS*: MSG a 1 1\\r\\nx",
     [BOTH], "nothing in time"),
    ("any order, one twice", "nats", "C: x\nS*: MSG a 1 1\\r\\nx", [BOTH], "MSG b"),
    ("any order, another", "nats",
     "C: x\nS*: MSG a 1 1\\r\\nx\nS*: MSG c 2 1\\r\\ny",
     [BOTH], "MSG b"),
    ("as often as said", "nats", "C: x\nS x2: +OK", [OK_OK], ""),
    ("not as often as said", "nats", "C: x\nS x3: +OK", [OK_OK], "nothing in time"),
    ("more often than said", "nats", "C: x\nS: +OK", [OK_OK], "+OK"),
    ("some", "nats", "C: x\nS some 1..3: +OK", [OK_OK], ""),
    ("more than some", "nats", "C: x\nS some 3..4: +OK", [OK_OK], "2 of them"),
    ("one of two", "nats", OPEN_BOTH + "S one of a b: +OK", [[(b"hi", b"+OK\r\n")], []], ""),
    ("both of two", "nats", OPEN_BOTH + "S one of a b: +OK", [[(b"hi", b"+OK\r\n")]] * 2, "+OK"),
    ("none of two", "nats", OPEN_BOTH + "S one of a b: +OK", [[], []], "in time only"),
    ("shared unequally", "nats",
     OPEN_BOTH + "S one of a b x4 each 1..3: +OK", [[(b"hi", b"+OK\r\n" * 4)],
     []], "shared as"),
    ("too early", "nats", "C: x\nS after 0.3..2: +OK", [[(b"x", b"+OK\r\n")]], "but after"),
    ("closed too early", "nats", "C: x\nS after 0.3..2: <close>", [[(b"x", CLOSE)]], "but after"),
    ("busy", "nats", "C: x\nS: <busy 0.1>", [[]], ""),
    ("busy, and a PING comes", "nats",
     "option: ping_interval 1s\nC: x\nS: <busy 0.3>",
     [[(b"PUB busy", b"PONG\r\nPING\r\n")]], "PING"),
    ("a PING nobody asked for", "nats", "C: x\nS: +OK", [[(b"x", b"PING\r\n+OK\r\n")]], ""),
    ("a PING that matters", "nats", "option: ping_interval 1s\nC: x\nS: +OK",
     [[(b"x", b"PING\r\n+OK\r\n")]], "PING"),
    ("refused, but let in", "nats", "C: x\nC b: <refused>", [[], []], "a connection"),
    ("a missing PONG", "nats", "C: <connect>", [[(b"PING\r\n", b"")]], "nothing in time"),
    ("a missing INFO after PONG", "nats", 'C: <connect "protocol":1>', [[]], "nothing in time"),
    ("only what is meant for the server", "pipit",
     "C: x\nS[nats]: +OK\nS[pipit]: <nothing>",
     [[]], ""),
    ("what the other server would say", "nats",
     "C: x\nS[nats]: +OK\nS[pipit]: <nothing>",
     [[]], "nothing in time"),
    ("fields", "nats",
     INFO_LINE + "proto=1 absent:nonce present:port server_id~/^N/ client_id>0",
     [[]], ""),
    ("a field of another value", "nats", INFO_LINE + "proto=2", [[]], "proto is 1"),
    ("a field of another type", "nats", INFO_LINE + "headers=1", [[]], "headers is true"),
    ("a field too many", "nats", INFO_LINE + "absent:proto", [[]], "should be absent"),
    ("a field too few", "nats", INFO_LINE + "present:nonce", [[]], "nonce is absent"),
    ("a field that does not match", "nats", INFO_LINE + "server_id~/^X/", [[]], "should match"),
    ("a field not greater", "nats",
     "S a: INFO {json}\n  json: client_id->x\nS b: INFO {json}\n  json: client_id>$x", [[],
     []], "greater"),
    ("a field not the same", "nats", INFO_LINE + "port=$port", [[]], "port is 4222"),
    ("checks for the other server", "nats",
     "S: INFO {json}\n  json[pipit]: proto=2\n  json[nats]: proto=1",
     [[]], ""),
    ("no INFO", "nats", "C: x\nS: <nothing>\nS: INFO {json}", [[]], "nothing in time"),
]  # fmt: skip

# name, text of the file, part of the error
REFUSED = [
    ("a trailing blank", "== a\nspec: 1\nC: x \n", "trailing blank"),
    ("no section", "== a\nC: x\n", "names no section"),
    ("no talk", "spec: 1\n== a\n", "no talk"),
    ("talk before the first name", "spec: 1\nC: x\n", "before the first"),
    ("a name twice", "spec: 1\n== a\nC: x\n== a\nC: x\n", "a second"),
    ("a setting after talk", "spec: 1\n== a\nC: x\noption: auth t\n", "after the first line"),
    ("a line of no kind", "spec: 1\n== a\nD: x\n", "cannot read"),
    ("json without INFO", "spec: 1\n== a\nC: x\n  json: a=1\n", "without an INFO"),
    ("a check of no kind", "spec: 1\n== a\nS: INFO {json}\n  json: a<1\n", "not a check"),
    ("a pattern to send", "spec: 1\n== a\nC: <re/x/>\n", "cannot be sent"),
    ("a split of no kind", "spec: 1\nsplit: never\n", "no such split"),
    ("two connections on a line", "spec: 1\n== a\nC a b: x\n", "more than one"),
]

OPTIONS = [
    ("a number", [("max_payload", "8")], ["--max_payload", "8"], "max_payload: 8\n"),
    ("a switch", [("proxy_protocol", "")], ["--proxy_protocol"], "proxy_protocol: true\n"),
    ("a duration", [("ping_interval", "2m")], ["--ping_interval", "2m"], 'ping_interval: "2m"\n'),
    ("a name", [("name", "a")], ["--name", "a"], 'server_name: "a"\n'),
    (
        "credentials",
        [("user", "u"), ("pass", "p"), ("auth_timeout", "1s")],
        ["--user", "u", "--pass", "p", "--auth_timeout", "1s"],
        'authorization {\n  user: "u"\n  password: "p"\n  timeout: "1s"\n}\n',
    ),
]


def read(folder, text):
    path = Path(folder) / "row.txt"
    path.write_text(text, encoding="utf-8")
    return read_file(path)


def check_played(folder, row):
    _, kind, text, scripts, wanted = row
    (case,) = read(folder, f"== row\nspec: 1\nwithin: 0.3\n{text}\n")
    peer = Peer(kind, scripts)
    try:
        Exchange(case, peer).play()
        found = ""
    except Failure as failure:
        found = failure.received
    finally:
        peer.stop()
    if wanted and not found:
        return "passed, should fail"
    if found and not wanted:
        return f"failed: {found}"
    return "" if wanted in found else f"failed with {found!r}, not with {wanted!r}"


def check_refused(folder, row):
    _, text, wanted = row
    try:
        read(folder, text)
    except FormatError as err:
        return "" if wanted in str(err) else f"refused with '{err}'"
    return "read, should be refused"


def check_translated(_folder, row):
    _, options, flags, config = row
    check_options(options)
    if pipit_flags(options) != flags:
        return f"flags {pipit_flags(options)}"
    return "" if nats_config(options) == config else f"configuration {nats_config(options)}"


def check_option_refused(_folder, row):
    try:
        check_options([row])
    except ValueError:
        return ""
    return "accepted"


def main():
    bad_options = [
        ("colour", "blue"),
        ("max_payload", "x"),
        ("ping_interval", "5"),
        ("proxy_protocol", "on"),
    ]
    tables = [
        (check_played, PLAYED),
        (check_refused, REFUSED),
        (check_translated, OPTIONS),
        (check_option_refused, bad_options),
    ]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="pipit-protocol-") as folder:
        for check, rows in tables:
            for row in rows:
                wrong = check(folder, row)
                passed += not wrong
                failed += bool(wrong)
                if wrong:
                    print(f"FAIL {check.__name__}: {row[0]}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
