"""An authorization service for the tests: it listens as a client does, and answers as it is told."""

import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from client import Client, Closed  # noqa: E402
from keys import Box, Key, token, verify  # noqa: E402

SUBJECT = "$SYS.REQ.USER.AUTH"
ISSUER = Key("A", b"\x01" * 32)
STRANGER = Key("A", b"\x02" * 32)
BOX = Box(b"\x03" * 32)


class Request:
    """One question, checked for what no question may lack."""

    def __init__(self, message, box=None):
        payload = message.payload
        self.sealed = not payload.startswith(b"eyJ")
        self.server_xkey = message.field("Nats-Server-Xkey") if message.header else None
        if self.sealed:
            payload = box.open(payload, self.server_xkey)
        self.reply = message.reply
        self.token = payload.decode()
        self.header, self.claims = verify(self.token)
        self.nats = self.claims["nats"]
        self.user = self.nats["user_nkey"]
        self.server = self.nats["server_id"]["id"]
        self.options = self.nats["connect_opts"]

    def user_token(self, *, key=ISSUER, account="APP", name=None, nats=None, **claims):
        """A user's token that fits; whatever is given replaces, None takes away."""
        body = {"sub": self.user, "aud": account, "name": name,
                "nats": {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
                         "type": "user", "version": 2, **(nats or {})}, **claims}
        return token({k: v for k, v in body.items() if v is not None}, key)

    def answer(self, user=None, error=None, *, key=ISSUER, nats=None, **claims):
        """An answer that fits, as bytes."""
        body = {"sub": self.user, "aud": self.server,
                "nats": {"jwt": user, "error": error, "type": "authorization_response",
                         "version": 2, **(nats or {})}, **claims}
        body["nats"] = {k: v for k, v in body["nats"].items() if v is not None}
        return token({k: v for k, v in body.items() if v is not None}, key).encode()

    def seal(self, answer, box=BOX):
        return box.seal(answer, self.server_xkey)


def let_in(request):
    return request.answer(request.user_token())


class Service:
    """Answers on a thread of its own: with what handler returns, bytes or several, or not at all."""

    def __init__(self, port, handler=let_in, user="auth", box=None, **options):
        self.handler = handler
        self.box = box
        self.requests = []
        self.failure = None
        self._news = threading.Condition()
        self.client = Client(port, user, user, **options)
        self.client.subscribe(SUBJECT)
        self.client.flush()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while True:
                self._serve(self.client.wait(lambda m: m.subject == SUBJECT, 3600))
        except (Closed, OSError, ValueError) as error:
            self.failure = error

    def _serve(self, message):
        request = Request(message, self.box)
        answers = self.handler(request)
        if isinstance(answers, bytes):
            answers = [answers]
        with self._news:  # before who is let in may look
            self.requests.append(request)
            self._news.notify_all()
        for answer in answers or ():
            self.client.publish(request.reply, answer)

    def wait(self, count, within_s=60):
        """Until it has been asked so often; the last request."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.requests) >= count, within_s):
                raise AssertionError(f"{len(self.requests)} of {count} requests; {self.failure}")
            return self.requests[-1]

    def close(self):
        self.client.socket.shutdown(2)
        self._thread.join(60)
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Guest(Client):
    """A client that may be refused."""

    def __init__(self, port, user=None, password=None, **options):
        self.refused = False
        began = time.monotonic()
        try:
            super().__init__(port, user, password, **options)
        except Closed:
            self.refused = True
        self.took_s = time.monotonic() - began

    def who(self):
        """What the server says of it. Where the service is asked nothing may be published: that has
        a test of its own, and is taken away here, and empty permissions with it. Of what runs
        out it is told whether it does so within the thousand seconds that tests give."""
        data = json.loads(self.request("$SYS.REQ.USER.INFO").payload)["data"]
        permissions = data.pop("permissions", {})
        publish = permissions.get("publish", {})
        publish["deny"] = [s for s in publish.get("deny", []) if s != SUBJECT]
        for rules in permissions.values():
            for kind in ("allow", "deny"):
                if not rules.get(kind, True):
                    del rules[kind]
                elif kind in rules:
                    rules[kind] = sorted(rules[kind])
        if "expires" in data:  # the servers round differently, and time goes by between them
            data["expires"] = 900 < data["expires"] / 1e9 <= 1000
        data["permissions"] = {name: rules for name, rules in permissions.items() if rules}
        return data

    def verdict(self):
        return ("refused", self.errors) if self.refused else ("in", self.errors)
