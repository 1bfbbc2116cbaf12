#!/usr/bin/env python3
"""Trace the same messages on two servers and compare what becomes of them, field by field.

    trace.py --server build/pipit-server [--peer nats-server]

Without a peer it is only checked how many events there are, and their form. What a server
says of itself, times, and the ids of clients are not the same on both: they are checked for their
form, and ids for belonging to the right client. Which member of a queue group gets a message is
left to chance, so groups have one. Cases that need accounts are played where the server takes a
configuration file.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from peers import SKIPPED, missing, path_of  # noqa: E402

WITHIN_S = 60
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")

CONFIG = """
max_payload: 600
accounts {
  A {
    users [
      {user: ann, password: p}
      {user: narrow, password: p, permissions: {
        publish: {allow: ["ok.>", "T.>", "m.>"], deny: ["ok.no"]}}}
      {user: nowhere, password: p, permissions: {publish: {allow: ["ok.>"]}}}
      {user: deaf, password: p, permissions: {subscribe: {deny: ["*.secret"]}}}
    ]
    mappings = {
      "m.src": "m.dst", "m.same": "m.same", "m.deny": "ok.no", "T.map": "T.mapped",
      "m.lost": [{destination: "m.a", weight: 0%}, {destination: "m.lost", weight: 0%}]
    }
  }
  B {
    users [{user: all, password: p}]
    msg_trace: {dest: "T.acct", sampling: 100%}
  }
}
"""

DEST = "Nats-Trace-Dest: T.1\r\n"
ONLY = DEST + "Nats-Trace-Only: true\r\n"
PARENT = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%s\r\n"
RETIRED = "Nats-Trace-Origin-Account: A\r\n"
VERSION = "NATS/1.0\r\n"

# -- what is said ---------------------------------------------------------------------------------


def hpub(subject, fields, payload="x", reply="", version=VERSION, end="\r\n"):
    block = f"{version}{fields}{end}"
    reply = f" {reply}" if reply else ""
    return f"HPUB {subject}{reply} {len(block)} {len(block) + len(payload)}\r\n{block}{payload}\r\n"


class Case:
    """One message, and how many events the ears hear of it."""

    def __init__(self, title, wire, events, user=None, **connect):
        self.title, self.wire, self.events = title, wire, events
        self.user, self.connect = user, connect


PLAIN = [
    Case("dest", hpub("foo", DEST), 1),
    Case("nobody", hpub("nobody", DEST), 1),
    Case("queue group", hpub("f", DEST + "B: 1\r\nA: 2\r\nB: <3>&\r\n"), 1),
    Case("only", hpub("foo", ONLY), 1),
    *(
        Case(f"only {value!r}", hpub("foo", f"{DEST}Nats-Trace-Only:{value}\r\n"), 1)
        for value in ("1", "oN", "TRUE", " true ", "yes", "false", "0", "", "t")
    ),
    Case("only twice", hpub("foo", DEST + "Nats-Trace-Only: no\r\nNats-Trace-Only: on\r\n"), 1),
    Case("two dests", hpub("foo", DEST + "Nats-Trace-Dest: T.2\r\n"), 1),
    Case("empty dest, then one", hpub("foo", "Nats-Trace-Dest:\r\nNats-Trace-Dest: T.2\r\n"), 1),
    Case("empty dest", hpub("foo", "Nats-Trace-Dest: \r\n"), 0),
    Case("disabled", hpub("foo", "Nats-Trace-Dest: trace disabled\r\n"), 0),
    Case("disabled, then dest", hpub("foo", "Nats-Trace-Dest: trace disabled\r\n" + DEST), 0),
    Case("dest, then disabled", hpub("foo", DEST + "Nats-Trace-Dest: trace disabled\r\n"), 1),
    Case("other case", hpub("foo", "nats-trace-dest: T.1\r\n"), 0),
    Case("only in other case", hpub("foo", DEST + "nats-trace-only: true\r\n"), 1),
    Case("blanks", hpub("foo", "Nats-Trace-Dest:\t T.1 \t\r\n"), 1),
    Case("blank before the colon", hpub("foo", "Nats-Trace-Dest : T.1\r\n"), 0),
    Case("retired", hpub("foo", DEST + RETIRED), 0),
    Case("retired first", hpub("foo", RETIRED + DEST), 0),
    Case("retired alone", hpub("foo", RETIRED), 0),
    Case("hop", hpub("foo", DEST + "Nats-Trace-Hop: 1.1\r\n"), 1),
    Case("a line without a colon before", hpub("foo", "Foo\r\n" + DEST), 0),
    Case("a line without a colon behind", hpub("foo", DEST + "Foo\r\nBar: 1\r\nBaz\r\n"), 1),
    Case("empty name", hpub("foo", ": abc\r\n" + DEST), 1),
    Case("empty value", hpub("foo", "K:\r\n" + DEST), 1),
    Case("LF alone", hpub("foo", "A: b\n" + DEST), 0),
    Case("status line", hpub("foo", DEST, version="NATS/1.0 200 ok\r\n"), 0),
    Case("no empty line", hpub("foo", DEST, end=""), 1),
    Case("behind the empty line", hpub("foo", "A: 1\r\n\r\n" + DEST), 0),
    Case("bytes", hpub("foo", "A: \0\x80\xff\r\n\xc3\xbc: \xe2\x80\xa8\r\n" + DEST), 1),
    *(
        Case(f"dest {dest!r}{' only' * only}", hpub("foo", f"Nats-Trace-Dest: {dest}\r\n" + more), 0)
        for dest in ("T.*", "T.>", "T..a", ".T", "T.a b", "T.a\tb", "T.a\fb", "T.a\nb", "_GR_.x.y", "$NRG.x")
        for only, more in ((False, ""), (True, "Nats-Trace-Only: 1\r\n"))
    ),
    *(
        Case(f"dest {dest!r}", hpub("foo", f"Nats-Trace-Dest: {dest}\r\n"), 1)
        for dest in ("T.a*", "T.a>", "T.\x7f", "T.\xff", "T.\v")
    ),
    Case("reserved subject", hpub("_GR_.x.y", DEST), 1),
    Case("reserved subject, another", hpub("$NRG.x", ONLY), 1),
    Case("reserved reply", hpub("foo", DEST, reply="_R_.x"), 1),
    Case("no responders", hpub("nobody", DEST, reply="T.reply"), 1),
    Case("no responders, only", hpub("nobody", ONLY, reply="T.reply"), 1),
    Case("responder, only", hpub("foo", ONLY, reply="T.reply"), 1),
    Case("no echo", "SUB echo 5\r\nSUB echo q 6\r\n" + hpub("echo", DEST), 1, echo=False),
    Case("echo", "SUB echo 5\r\n" + hpub("echo", DEST), 1),
    Case("verbose", hpub("foo", DEST), 1, verbose=True),
    Case("verbose, dropped", hpub("foo", "Nats-Trace-Dest: T.*\r\nNats-Trace-Only: 1\r\n"), 0, verbose=True),
    Case("pedantic", hpub("foo..bar", DEST), 1, pedantic=True),
    Case("its last message", "SUB au 3\r\nUNSUB 3 1\r\n" + hpub("au", ONLY) + hpub("au", DEST) * 2, 3),
    Case("too large", hpub("foo", DEST, "y" * 700), 1),
    Case("too large, only", hpub("foo", ONLY, "y" * 700), 1),
    Case("too large, no header there yet", f"HPUB foo 34 734\r\n{VERSION}Nats-Tr", 0),
    Case("too large, wrong dest", hpub("foo", "Nats-Trace-Dest: T.*\r\n", "y" * 700), 0),
    Case("too large, reserved dest", hpub("foo", "Nats-Trace-Dest: $NRG.x\r\n", "y" * 700), 0),
    Case("too large, disabled", hpub("foo", "Nats-Trace-Dest: trace disabled\r\n", "y" * 700), 0),
    Case("too large, traceparent", hpub("foo", PARENT % "01", "y" * 700), 0),
    Case("too large, no headers", "PUB foo 700\r\n" + VERSION + DEST + "\r\n" + "y" * 666 + "\r\n", 0),
    Case("no name", hpub("foo", DEST), 1, name=""),
    Case("a name to be escaped", hpub("foo", DEST), 1, name='"<é>\u2028'),
    Case("traceparent without an account's dest", hpub("foo", PARENT % "01"), 0),
]

WITH_ACCOUNTS = [
    Case("mapped", hpub("m.src", DEST), 1, "ann"),
    Case("mapped, only", hpub("m.src", ONLY), 1, "ann"),
    Case("mapped to itself", hpub("m.same", DEST), 1, "ann"),
    Case("mapped to nowhere", hpub("m.lost", DEST), 1, "ann"),
    Case("dest is not mapped", hpub("foo", "Nats-Trace-Dest: T.map\r\n"), 1, "ann"),
    Case("denied", hpub("bad", DEST), 1, "narrow"),
    Case("denied, only", hpub("bad", ONLY), 1, "narrow"),
    Case("denied by mapping", hpub("m.deny", DEST), 1, "narrow"),
    Case("denied, verbose", hpub("bad", DEST), 1, "narrow", verbose=True),
    Case("denied, verbose, no trace", "PUB bad 1\r\nx\r\n", 0, "narrow", verbose=True),
    Case("denied by mapping, verbose", "PUB m.deny 1\r\nx\r\n", 0, "narrow", verbose=True),
    Case("dest denied", hpub("ok.1", DEST), 0, "nowhere"),
    Case("dest denied, only", hpub("ok.1", ONLY), 0, "nowhere"),
    Case("both denied", hpub("bad", DEST), 0, "nowhere"),
    Case("dest denied, too large", hpub("ok.1", DEST, "y" * 700), 0, "nowhere"),
    Case("dest denied, verbose", hpub("ok.1", DEST), 0, "nowhere", verbose=True),
    Case("may not hear", hpub("a.secret", DEST), 1, "ann"),
    Case("may not hear, only", hpub("a.secret", ONLY), 1, "ann"),
    Case("group may not hear", hpub("q.secret", DEST), 1, "ann"),
    Case("may hear", hpub("a.fine", DEST), 1, "ann"),
    *(
        Case(f"traceparent {flags!r}", hpub("foo", PARENT % flags), events, "all")
        for flags, events in {
            "01": 1, "00": 0, "03": 1, "7f": 1, "ff": 0, "81": 0, "1": 0, "001": 0, "zz": 0,
            "0G": 0, "0x": 0, "-1": 0, "01 , x": 0,
        }.items()
    ),
    Case("traceparent, upper case", hpub("foo", "TRACEPARENT:00-a-b-01\r\n"), 1, "all"),
    Case("traceparents", hpub("foo", PARENT % "00" + PARENT % "01"), 1, "all"),
    Case("traceparent is not only", hpub("foo", PARENT % "01" + "Nats-Trace-Only: 1\r\n"), 1, "all"),
    Case("traceparent and dest", hpub("foo", PARENT % "01" + ONLY), 1, "all"),
    Case("traceparent, empty dest", hpub("foo", PARENT % "01" + "Nats-Trace-Dest:\r\n"), 1, "all"),
    Case("traceparent, wrong dest", hpub("foo", PARENT % "01" + "Nats-Trace-Dest: T.*\r\n"), 0, "all"),
    Case("traceparent, disabled", hpub("foo", PARENT % "01" + "Nats-Trace-Dest: trace disabled\r\n"), 0, "all"),
    Case("traceparent, retired", hpub("foo", PARENT % "01" + RETIRED), 0, "all"),
]

# -- a client -------------------------------------------------------------------------------------


class Client:
    """A connection; `heard` holds frames as tuples of line and body."""

    def __init__(self, server, name, user=None, **connect):
        self.sock = socket.create_connection((server.host, server.port), WITHIN_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.id = json.loads(self.file.readline()[5:])["client_id"]
        fields = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        fields.update({"name": name, "protocol": 0, **connect})
        if user:
            fields.update({"user": user, "pass": "p"})
        self.say("CONNECT " + json.dumps(fields) + "\r\n")
        self.until_pong()

    def say(self, text):
        try:
            self.sock.sendall(text.encode("latin1"))
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before it closed is what counts

    def next_frame(self):
        """None at the end of the stream."""
        try:
            line = self.file.readline().decode("latin1").rstrip("\r\n")
        except ConnectionResetError:
            return None
        if not line:
            return None
        body = b""
        if line.startswith(("MSG ", "HMSG ")):
            body = self.file.read(int(line.split()[-1]) + 2)[:-2]
        return " ".join(line.split()), body

    def until_pong(self):
        self.say("PING\r\n")
        heard = []
        while frame := self.next_frame():
            if frame[0] == "PONG":
                break
            if frame[0] != "PING":
                heard.append(frame)
        else:
            heard.append(("closed", b""))
        return heard

    def until_events(self, count):
        """Frames until so many events have come, and those that have come by then."""
        heard = []
        while count and (frame := self.next_frame()):
            heard.append(frame)
            count -= is_event(frame)
        return heard + self.until_pong()

    def close(self):
        self.file.close()
        self.sock.close()


def is_event(frame):
    return frame[1].startswith(b'{"server":')


# -- playing --------------------------------------------------------------------------------------


class Server(process.Server):
    """One that is started with a configuration file, of whatever kind it is."""

    def __init__(self, path, kind, config, folder):
        if config:
            name = os.path.join(folder, "trace.conf")
            Path(name).write_text(config, encoding="utf-8")
            # Later flags win, also over the empty file that a nats-server is given there.
            super().__init__(path, kind, (), folder, ("-c", name))
        else:
            super().__init__(path, kind, (("max_payload", "600"),), folder)


def takes_config(path):
    help_text = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=WITHIN_S)
    return "--config" in help_text.stdout + help_text.stderr


def play(path, kind, cases, config):
    """What is heard of each case."""
    with tempfile.TemporaryDirectory(prefix="pipit-trace-") as folder:
        server = Server(path, kind, config, folder)
        try:
            return [play_case(server, case, config) for case in cases]
        finally:
            if not server.stop():
                raise RuntimeError(f"the server ended badly\n{server.log_tail()}")


def play_case(server, case, config):
    user = case.user or ("ann" if config else None)
    ear_user = "all" if user == "all" else "ann" if config else None
    ear = Client(server, "ear", ear_user)
    ear.say("SUB T.> 1\r\n")
    ear.until_pong()
    target = Client(server, 'target "<x>"', "deaf" if ear_user == "ann" else ear_user)
    target.say("SUB foo 1\r\nSUB f one 2\r\nSUB * two 3\r\nSUB m.dst 4\r\nSUB a.* 5\r\n")
    target.say("SUB q.* one 6\r\nSUB q.* two 7\r\n")
    target.until_pong()
    connect = dict(case.connect)
    publisher = Client(server, connect.pop("name", "publisher"), user, **connect)
    ids = {ear.id: "ear", target.id: "target", publisher.id: "publisher"}
    publisher.say(case.wire)
    heard = {"publisher": publisher.until_pong()}
    heard["ear"] = ear.until_events(case.events)
    heard["target"] = target.until_pong()
    for client in (ear, target, publisher):
        client.close()
    return {who: [show(frame, ids) for frame in sorted_events(frames)] for who, frames in heard.items()}


def sorted_events(frames):
    """The reference publishes events from another thread, so they may come before other things."""
    return [f for f in frames if not is_event(f)] + [f for f in frames if is_event(f)]


def show(frame, ids):
    """A frame in a form that is the same for both servers."""
    line, body = frame
    if not is_event(frame):
        return f"{line} | {body.decode('latin1')}" if body else line
    event = json.loads(body)
    check_server(event.pop("server"))
    for entry in event["events"]:
        if not TIME.match(entry.pop("ts")):
            raise ValueError("a time in another form")
        if "cid" in entry:
            entry["cid"] = ids[entry["cid"]]
    # Plain recipients come in no stated order.
    first = 2 if len(event["events"]) > 1 and event["events"][1]["type"] == "sm" else 1
    event["events"][first:] = sorted(event["events"][first:], key=json.dumps)
    return f"{line.rsplit(' ', 1)[0]} | {json.dumps(event)}"


def check_server(server):
    wanted = {"name": str, "host": str, "id": str, "ver": str, "jetstream": bool, "flags": int}
    wanted.update({"seq": int, "time": str})
    for key, kind in wanted.items():
        if not isinstance(server.get(key), kind):
            raise ValueError(f"server.{key} is {server.get(key)!r}")
    if not TIME.match(server["time"]) or not server["seq"]:
        raise ValueError("server.time or server.seq")


# -- judging --------------------------------------------------------------------------------------


def count_events(heard):
    return sum('"events"' in line for line in heard["ear"])


def compare(cases, results):
    failed = 0
    names = list(results)
    for at, case in enumerate(cases):
        sides = [results[name][at] for name in names]
        counts = [count_events(side) for side in sides]
        if all(side == sides[0] for side in sides) and counts[0] == case.events:
            continue
        failed += 1
        print(f"FAIL {case.title}: {case.events} events wanted")
        for name, side in zip(names, sides):
            for who, lines in side.items():
                for line in lines:
                    print(f"    {name}: {who} hears {line!r}")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--peer", help="another, to compare with; 'peer' is the fetched nats-server")
    args = parser.parse_args()
    paths = [("pipit", args.server)]
    if args.peer:
        path = path_of() if args.peer == "peer" else args.peer
        if os.access(path, os.X_OK):
            paths.append(("nats", path))
        elif missing(path) != SKIPPED:
            return 1
    paths = [(kind, os.path.abspath(path)) for kind, path in paths]
    groups = [(PLAIN, None), (WITH_ACCOUNTS, CONFIG)]
    skipped = 0
    if not takes_config(args.server):
        skipped = len(WITH_ACCOUNTS)
        groups.pop()
    failed = passed = 0
    for cases, config in groups:
        results = {kind: play(path, kind, cases, config) for kind, path in paths}
        wrong = compare(cases, results)
        failed += wrong
        passed += len(cases) - wrong
    print(f"{passed} passed, {failed} failed, {skipped} skipped (no configuration file)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
