"""Plays one case to a server and judges every byte that comes back.

Each connection keeps what has arrived and is not yet accounted for. A step takes its bytes from the
front of that and nothing else, so a byte too many is found by the next step, or by the last check.
All waits have deadlines; none is a sleep for its own sake.
"""

import json
import select
import socket
import struct
import time

import kernel
from connection import Connection
from transcript import Step, check_info

NO_MATTER = 1e-3  # seconds a kernel question may be asked again after
# Differ between any two servers, or between two runs of one.
VOLATILE_FIELDS = ("server_id", "server_name", "version", "go", "client_id", "nonce", "port",
                   "xkey")
# Present in one server only; the transcript `info: fields of one server only` tells of them.
OWN_FIELDS = ("git_commit", "pipit_version")


class Failure(Exception):
    """A step that did not hold."""

    def __init__(self, step, expected, received):
        super().__init__(expected)
        self.step = step
        self.expected = expected
        self.received = received


class Exchange:
    """One playing of one case."""

    def __init__(self, case, server, split="", cut_at=0, nth=0, patience=1.0):
        self.case = case
        self.server = server
        self.split = split
        self.cut_at = cut_at  # offset into all bytes sent, where a send is cut in two
        self.sent_bytes = 0
        self.patience = patience
        self.within_s = case.within_s * patience
        self.shows_pings = "ping_interval" in case.option_names()
        self.steps = case.steps_for(server.kind)
        self.at = 0  # the next step
        self.conns = {}
        self.values = {"host": server.host, "port": server.port, "n": f"{nth:04}"}
        self.talk = []  # (who, connection name, bytes), for reports
        self.observed = []  # what the server said, with the volatile removed, for comparing

    def play(self):
        """Raises Failure."""
        step = self.steps[0]
        try:
            while self.at < len(self.steps):
                step = self.steps[self.at]
                self.at += 1
                getattr(self, f"_{step.kind}")(step)
            if not self.case.end_open:
                self._nothing_more()
        except TimeoutError as err:
            raise Failure(step, str(err), "nothing") from None
        finally:
            self._part()

    # -- connections --------------------------------------------------------------------------

    def _conn(self, step, name=None, rcvbuf_bytes=None):
        name = step.conn if name is None else name
        conn = self.conns.get(name)
        if conn:
            return conn
        try:
            conn = Connection(
                name, self.server.host, self.server.port, rcvbuf_bytes, self.within_s
            )
        except OSError as err:
            raise Failure(step, "a connection", str(err)) from None
        self.conns[name] = conn
        if not self._speaks_of_info(name):
            self._take_line(step, conn, b"INFO {")
        return conn

    def _speaks_of_info(self, name):
        """Whether the transcript's first word of the server on this connection is an INFO."""
        for step in self.steps:
            if step.conn != name:
                continue
            if step.kind == "connect":
                return False
            if step.source.startswith("S"):
                first = step.text.parts[0] if step.text else b""
                return step.kind == "info" or first.startswith(b"INFO")
        return False

    def _part(self):
        """Close everything, after the server has; what follows must not meet these any more."""
        deadline_s = time.monotonic() + 2
        for conn in self.conns.values():
            try:
                conn.sock.shutdown(socket.SHUT_WR)
            except OSError:
                continue
            while not conn.ended and conn.wait(deadline_s):
                conn.receive()
                conn.arrived.clear()
        for conn in self.conns.values():
            conn.hang_up()

    # -- taking bytes -------------------------------------------------------------------------

    def _deadline(self, step=None):
        if step and step.after:
            return time.monotonic() + step.after[1] * self.patience
        return time.monotonic() + self.within_s

    def _fail(self, step, conn, expected):
        conn.wait(time.monotonic())
        came = show(bytes(conn.arrived[:400]))
        if len(conn.arrived) > 400:
            came += f"... ({len(conn.arrived)} bytes)"
        if conn.ended:
            came = f"{came} <{conn.ended}>".lstrip()
        raise Failure(step, expected, came or "nothing in time")

    def _took(self, conn, length):
        data = bytes(conn.arrived[:length])
        del conn.arrived[:length]
        if data.startswith(b"PONG"):
            conn.pong_seen = True
        self.talk.append(("S", conn.name, data))
        return data

    def _skip_pings(self, conn, match):
        ping = b"PING\r\n"
        while not self.shows_pings and conn.arrived.startswith(ping) and match(ping) is False:
            del conn.arrived[: len(ping)]

    def _take(self, step, conn, match, expected, deadline_s=None):
        """Take what match accepts. match(bytes) is a length, None for "more", False for "no"."""
        deadline_s = deadline_s or self._deadline(step)
        while True:
            self._skip_pings(conn, match)
            length = match(conn.arrived)
            if length is False:
                self._fail(step, conn, expected)
            if length is not None:
                return self._took(conn, length)
            if conn.ended or not conn.wait(deadline_s):
                self._fail(step, conn, expected)
            conn.receive()

    def _take_line(self, step, conn, start, deadline_s=None):
        def match(arrived):
            if not starts_alike(arrived, start):
                return False
            end = arrived.find(b"\r\n")
            return None if end < 0 else end + 2

        return self._take(step, conn, match, show(start) + "...", deadline_s)

    def _matcher(self, text):
        """A match function for a text, literal or with patterns."""
        if not text.is_pattern():
            literal = text.render(self.values)

            def match_literal(arrived):
                if not starts_alike(arrived, literal):
                    return False
                return len(literal) if len(arrived) >= len(literal) else None

            return match_literal
        regex = text.regex(self.values)
        parts = [part for part in text.parts if isinstance(part, bytes)]
        lines = sum(part.count(b"\n") for part in parts) + text.line_end.count(b"\n")

        def match_regex(arrived):
            end = 0
            for _ in range(lines):
                end = arrived.find(b"\n", end) + 1
                if end == 0:
                    return None
            return end if regex.fullmatch(arrived[:end]) else False

        return match_regex

    # -- the client's steps -------------------------------------------------------------------

    def _send(self, step):
        """Send this line and those that stand with it."""
        conn = self._conn(step)
        data = step.text.render(self.values) * step.count
        while self.at < len(self.steps) and self.steps[self.at].argument is True:
            joined = self.steps[self.at]
            data += joined.text.render(self.values) * joined.count
            self.at += 1
        if b'"protocol":1' in data:
            conn.protocol = 1
        self.talk.append(("C", conn.name, data))
        deadline_s = self._deadline()
        if self.split == "every":
            for at in range(len(data)):
                conn.send(data[at : at + 1], deadline_s)
                conn.await_read(time.monotonic() + 1)
        else:
            cut = self.cut_at - self.sent_bytes
            if 0 < cut < len(data):
                conn.send(data[:cut], deadline_s)
                conn.await_read(time.monotonic() + 1)
                data = data[cut:]
                self.sent_bytes += cut
            conn.send(data, deadline_s)
        self.sent_bytes += len(data)

    def _connect(self, step):
        conn = self._conn(step)
        data = step.text.render(self.values)
        conn.protocol = step.argument.get("protocol", 0)
        self.talk.append(("C", conn.name, data))
        conn.send(data, self._deadline())
        if step.argument.get("verbose"):
            self._take(step, conn, literal(b"+OK\r\n"), "+OK")
        self._pong(step, conn)

    def _open(self, step):
        if step.argument != "patiently":
            self._conn(step, rcvbuf_bytes=int(step.argument.removeprefix("rcvbuf=")))
            return
        deadline_s = self._deadline()
        while True:
            conn = self._conn(step)
            conn.send(b"PING\r\n", deadline_s)
            said = self._take_line(step, conn, b"")
            if said == b"PONG\r\n":
                return
            if time.monotonic() > deadline_s:
                raise Failure(step, "to be let in", show(said))
            conn.hang_up()
            del self.conns[step.conn]

    def _cut(self, step):
        self._conn(step).await_read(self._deadline())

    def _eof(self, step):
        conn = self._conn(step)
        conn.talks = False
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has reset it; what it said before still counts
        self.talk.append(("C", conn.name, b"<eof>"))

    def _reset(self, step):
        conn = self._conn(step)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.hang_up()
        self.talk.append(("C", conn.name, b"<reset>"))
        del self.conns[step.conn]

    def _refused(self, step):
        try:
            conn = Connection(step.conn, self.server.host, self.server.port, None, self.within_s)
        except ConnectionRefusedError:
            return
        except OSError as err:
            raise Failure(step, "connection refused", str(err)) from None
        conn.hang_up()
        raise Failure(step, "connection refused", "a connection")

    # -- the server's steps -------------------------------------------------------------------

    def _observe(self, step, what=None):
        """Note what was said: as text, or an INFO as a tuple of its fields."""
        self.observed.append((step.conn, what or step.source.partition(": ")[2] or step.source))

    def _expect(self, step):
        conn = self._conn(step)
        match = self._matcher(step.text)
        for _ in range(step.count):
            self._take(step, conn, match, step.source)
        self._check_wait(step, conn)
        what = show(step.text.render(self.values)) if not step.text.is_pattern() else None
        self._observe(step, what)

    def _info(self, step):
        conn = self._conn(step)
        line = self._take_line(step, conn, b"INFO {")
        try:
            info = json.loads(line[len("INFO ") :])
        except ValueError as err:
            raise Failure(step, "INFO with JSON", f"{err}: {show(line)}") from None
        for only, checks in step.checks:
            if only not in (None, self.server.kind):
                continue
            wrong = check_info(info, checks, self.values)
            if wrong:
                raise Failure(step, step.source, f"{wrong}\n            {show(line)}")
        shown = {
            key: "*" if key in VOLATILE_FIELDS else json.dumps(value)
            for key, value in sorted(info.items())
            if key not in OWN_FIELDS
        }
        fields = tuple(f"{key}={value}" for key, value in shown.items())
        ending = line[line.rfind(b"}") + 1 :]
        self._observe(step, ("INFO", *fields, f"end={show(ending)}"))

    def _any_order(self, step):
        """Take this line and those of its run, in whatever order they come."""
        run = [self._matcher(step.text)] * step.count
        self._observe(step)
        while self.at < len(self.steps):
            other = self.steps[self.at]
            if other.kind != "any_order" or other.conn != step.conn:
                break
            run += [self._matcher(other.text)] * other.count
            self._observe(other)
            self.at += 1
        conn = self._conn(step)

        def match_any(arrived):
            verdicts = [match(arrived) for match in run]
            lengths = [length for length in verdicts if length]
            if lengths:
                run.pop(verdicts.index(max(lengths)))
                return max(lengths)
            return None if None in verdicts else False

        deadline_s = self._deadline()
        while run:
            self._take(step, conn, match_any, f"one of the {len(run)} lines left", deadline_s)

    def _one_of(self, step):
        conns = [self._conn(step, name) for name in step.conns]
        match = self._matcher(step.text)
        taken = dict.fromkeys(step.conns, 0)
        deadline_s = self._deadline()
        while sum(taken.values()) < step.count:
            for conn in conns:
                taken[conn.name] += self._take_complete(step, conn, match)
            if sum(taken.values()) >= step.count:
                break
            open_conns = [conn for conn in conns if not conn.ended]
            left_s = max(0.0, deadline_s - time.monotonic())
            ready = select.select([conn.sock for conn in open_conns], [], [], left_s)[0]
            if not ready:
                raise Failure(step, step.source, f"in time only {taken}")
            for conn in open_conns:
                if conn.sock in ready:
                    conn.receive()
        if sum(taken.values()) > step.count:
            raise Failure(step, step.source, f"too many of '{step.source}': {taken}")
        low, high = step.each or (0, step.count)
        if not all(low <= count <= high for count in taken.values()):
            raise Failure(step, step.source, f"shared as {taken}")
        self._observe(step)

    def _take_complete(self, step, conn, match):
        """Take as many whole messages as have arrived; how many."""
        count = 0
        while conn.arrived:
            self._skip_pings(conn, match)
            length = match(conn.arrived) if conn.arrived else None
            if length is False:
                self._fail(step, conn, step.source)
            if length is None:
                break
            self._took(conn, length)
            count += 1
        return count

    def _some(self, step):
        """Take as many as there are before the PONG."""
        conn = self._conn(step)
        conn.send(b"PING\r\n", self._deadline())
        match = self._matcher(step.text)
        pong = literal(b"PONG\r\n")

        def match_either(arrived):
            ends = pong(arrived)
            return match(arrived) if ends is False else ends

        count = 0
        while self._take(step, conn, match_either, step.source) != b"PONG\r\n":
            count += 1
        if not step.some[0] <= count <= step.some[1]:
            raise Failure(step, step.source, f"{count} of them")
        self._observe(step)

    def _nothing(self, step):
        conn = self._conn(step)
        self._observe(step)
        self.talk.append(("C", conn.name, b"PING\r\n"))
        conn.send(b"PING\r\n", self._deadline())
        self._pong(step, conn)

    def _pong(self, step, conn):
        """Take a PONG, and the INFO that follows the first one of a protocol 1 client."""
        first = not conn.pong_seen
        self._take(step, conn, literal(b"PONG\r\n"), "PONG and nothing before it")
        if first and conn.protocol >= 1:
            self._take_line(step, conn, b"INFO {")

    def _close(self, step):
        conn = self._conn(step)
        self._await_end(step, conn)
        if conn.arrived:
            self._fail(step, conn, "the stream to end, with nothing before")
        self.talk.append(("S", conn.name, b"<close>"))
        self._observe(step)

    def _silent_close(self, step):
        conn = self._conn(step)
        self._await_end(step, conn)
        said = bytes(conn.arrived)
        if said and self.server.kind == "pipit":
            is_error = said.startswith(b"-ERR '") and said.endswith(b"'\r\n")
            if is_error and said.count(b"\n") == 1:
                conn.arrived.clear()
        if conn.arrived:
            self._fail(step, conn, "the stream to end, with nothing before")
        self.talk.append(("S", conn.name, said + b"<close>"))
        self._observe(step, show(said) + "<close>")

    def _cut_off(self, step):
        conn = self._conn(step)
        self._await_end(step, conn)
        if b"-ERR" in conn.arrived:
            raise Failure(step, step.source, show(bytes(conn.arrived[-200:])))
        self.talk.append(("S", conn.name, f"<{len(conn.arrived)} bytes><close>".encode()))
        conn.arrived.clear()
        self._observe(step)

    def _await_end(self, step, conn):
        deadline_s = self._deadline(step)
        while not conn.ended:
            if not conn.wait(deadline_s):
                self._fail(step, conn, "the stream to end")
            conn.receive()
            self._skip_pings(conn, literal(b""))
        self._check_wait(step, conn)

    @staticmethod
    def _check_wait(step, conn):
        waited_s = time.monotonic() - conn.last_word_s
        if step.after and waited_s < step.after[0]:
            raise Failure(step, step.source, f"the same, but after {waited_s:.3f} seconds")

    def _gone(self, step):
        conn = self._conn(step)
        deadline_s = self._deadline(step)
        while True:
            end = kernel.server_end(*conn.addresses)
            if end is None or end.state != kernel.ESTABLISHED:
                self._observe(step)
                return
            if time.monotonic() > deadline_s:
                raise Failure(step, "the server to close", "still open")
            select.select([], [], [], NO_MATTER)

    def _busy(self, step):
        conn = self._conn(step)
        deadline_s = time.monotonic() + step.argument
        while time.monotonic() < deadline_s:
            conn.send(b"PUB busy 0\r\n\r\nPING\r\n", self._deadline())
            self._pong(step, conn)
            if conn.wait(time.monotonic() + 0.02):
                conn.receive()
                self._fail(step, conn, "PONGs and nothing else")
        self._observe(step)

    def _nothing_more(self):
        """Twice over all connections: the first round settles everything that was sent."""
        end = Step("end", self.steps[-1].line, "(the end: nothing more is said)")
        for _ in range(2):
            for conn in self.conns.values():
                if conn.ended or not conn.reads or not conn.talks:
                    continue
                conn.send(b"PING\r\n", self._deadline())
                self._pong(end, conn)

    # -- acts upon the server -----------------------------------------------------------------

    def _signal(self, step):
        self.server.signal(step.argument)

    def _exit(self, step):
        status = self.server.wait_exit(self.within_s)
        if status != int(step.argument):
            raise Failure(step, f"exit status {step.argument}", str(status))
        self._observe(step)


def literal(wanted):
    """A match function for these bytes; for none of them it always says no."""

    def match(arrived):
        if not wanted or not starts_alike(arrived, wanted):
            return False
        return len(wanted) if len(arrived) >= len(wanted) else None

    return match


def starts_alike(arrived, wanted):
    length = min(len(arrived), len(wanted))
    return arrived[:length] == wanted[:length]


def show(data):
    """Bytes as a transcript would write them."""
    out = []
    for byte in data:
        if byte in b"\r\n\t\\":
            out.append({13: "\\r", 10: "\\n", 9: "\\t", 92: "\\\\"}[byte])
        elif 32 <= byte < 127:
            out.append(chr(byte))
        else:
            out.append(f"\\x{byte:02x}")
    return "".join(out)


def show_talk(talk, width=160):
    """The exchange so far as transcript lines."""
    lines = []
    for who, name, data in talk:
        head = f"{who} {name}" if name else who
        for piece in data.splitlines(keepends=True):
            mark, text = (":", piece[:-2]) if piece.endswith(b"\r\n") else (">", piece)
            text = show(text[:width]) + (f"... ({len(text)} bytes)" if len(text) > width else "")
            lines.append(f"{head}{mark} {text}".rstrip())
    if len(lines) > 60:
        lines = lines[:20] + [f"... ({len(lines) - 50} lines)"] + lines[-30:]
    return lines
