"""A NATS client as small as the tests need it: no threads, everything with a deadline."""

import json
import socket
import time

DEADLINE_S = 60


class Closed(Exception):
    """The server closed the connection."""


class Message:
    """One MSG or HMSG: header names are kept as they came."""

    def __init__(self, subject, sid, reply, header, payload):
        self.subject = subject
        self.sid = sid
        self.reply = reply
        self.header = header
        self.payload = payload

    @property
    def status(self):
        """The status of a message without payload ("503"), or None."""
        first = self.header.split(b"\r\n", 1)[0].split()
        return first[1].decode() if len(first) > 1 else None

    def field(self, name):
        for line in self.header.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode() == name:
                return value.strip().decode()
        return None

    def json(self):
        return json.loads(self.payload)


class Client:
    """Connects, and by then the server has answered its CONNECT."""

    def __init__(self, port, user=None, password=None, **options):
        self.errors = []
        self.infos = []
        self._messages = []
        self._bytes = b""
        self._sids = 0
        self._pongs = 0
        self.socket = self._dial(port)
        connect = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                   "protocol": 1, "lang": "python", "version": "1.0", **options}
        if user is not None:
            connect.update(user=user, **{"pass": password})
        self.send(f"CONNECT {json.dumps(connect)}\r\n")
        self.flush()
        self._inbox = f"_INBOX.{self.infos[0]['client_id']}x{time.monotonic_ns()}"
        self._inbox_sid = self.subscribe(self._inbox + ".*")
        self._requests = 0

    @staticmethod
    def _dial(port):
        return socket.create_connection(("127.0.0.1", port), DEADLINE_S)

    @property
    def cid(self):
        return self.infos[0]["client_id"]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def flush(self, within_s=DEADLINE_S):
        """Wait until the server has done all that was sent so far."""
        wanted = self._pongs + 1
        self.send("PING\r\n")
        self._pump(lambda: self._pongs >= wanted, within_s, "PONG")

    def gone(self):
        """Has the server closed the connection? It answers a PING otherwise."""
        try:
            self.flush()
        except (Closed, OSError):
            return True
        return False

    def subscribe(self, subject, queue=None):
        self._sids += 1
        self.send(f"SUB {subject} {queue + ' ' if queue else ''}{self._sids}\r\n")
        return self._sids

    def publish(self, subject, payload=b"", reply=None, headers=None):
        payload = payload.encode() if isinstance(payload, str) else payload
        where = f"{subject} {reply}" if reply else subject
        if headers:
            block = b"NATS/1.0\r\n" + b"".join(
                f"{name}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n"
            head = f"HPUB {where} {len(block)} {len(block) + len(payload)}\r\n".encode()
            self.send(head + block + payload + b"\r\n")
        else:
            self.send(f"PUB {where} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def wait(self, wanted, within_s=DEADLINE_S, what="a message"):
        """The first message, waiting or to come, for which wanted(message) is true."""
        found = []

        def look():
            for message in self._messages:
                if wanted(message):
                    self._messages.remove(message)
                    found.append(message)
                    return True
            return False

        self._pump(look, within_s, what)
        return found[0]

    def wait_subject(self, subject, within_s=DEADLINE_S):
        return self.wait(lambda m: m.subject == subject, within_s, subject)

    def taken(self, wanted=lambda m: True):
        """Messages that have come already."""
        taken = [m for m in self._messages if wanted(m)]
        self._messages = [m for m in self._messages if m not in taken]
        return taken

    def request(self, subject, payload=b"", headers=None, within_s=DEADLINE_S):
        """The first answer; its status is "503" when nobody listens."""
        reply = self.ask(subject, payload, headers)
        return self.wait_subject(reply, within_s)

    def ask(self, subject, payload=b"", headers=None):
        """Send a request; the subject at which answers will come."""
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        payload = json.dumps(payload) if isinstance(payload, (dict, list)) else payload
        self.publish(subject, payload, reply, headers)
        return reply

    def wait_closed(self, within_s=DEADLINE_S):
        try:
            self._pump(lambda: False, within_s, "the end of the connection")
        except Closed:
            return

    # --- reading ------------------------------------------------------------------------------

    def _pump(self, done, within_s, what):
        deadline = time.monotonic() + within_s
        while not done():
            if self._take():
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what} did not come; errors: {self.errors}")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(1 << 16)
            except socket.timeout:
                continue
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(f"waiting for {what}; errors: {self.errors}")
            self._bytes += more

    def _take(self):
        """Take one operation off what was read; False: there is none."""
        line, end, rest = self._bytes.partition(b"\r\n")
        if not end:
            return False
        words = line.split()
        verb = words[0].upper() if words else b""
        if verb in (b"MSG", b"HMSG"):
            return self._take_message(words, rest)
        self._bytes = rest
        if verb == b"PING":
            self._pong()
        elif verb == b"PONG":
            self._pongs += 1
        elif verb == b"INFO":
            self.infos.append(json.loads(line[5:]))
        elif verb == b"-ERR":
            self.errors.append(line[5:].decode().strip("'"))
        return True

    def _pong(self):
        """Answer a PING. A server that is closing may have sent one just before: that it is gone is for the reader to
        find, behind what else it said."""
        try:
            self.send("PONG\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _take_message(self, words, rest):
        with_header = words[0].upper() == b"HMSG"
        sizes = 2 if with_header else 1
        total = int(words[-1])
        if len(rest) < total + 2:
            return False
        names = [w.decode() for w in words[1:-sizes]]
        header_len = int(words[-2]) if with_header else 0
        self._messages.append(Message(
            names[0], int(names[1]), names[2] if len(names) > 2 else None,
            rest[:header_len], rest[header_len:total]))
        self._bytes = rest[total + 2:]
        return True
