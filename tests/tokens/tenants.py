"""Operator mode on either server: keys, tokens, and clients that show them."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "monitor"))
sys.path.insert(0, str(ROOT / "system"))
from client import DEADLINE_S, Client, Closed  # noqa: E402
import servers  # noqa: E402
from world import eventually, main, missing, tool  # noqa: E402

__all__ = ["Closed", "Key", "Operator", "Pipit", "Reference", "TokenClient", "both", "credentials",
           "errors_of", "eventually", "let_it_look_again", "main", "missing", "nsc", "tool"]


def let_it_look_again(server):
    """nats-server looks at the claims of an account once a second at most, and does not tell."""
    if server.kind == "nats":
        time.sleep(1.05)


class Maker:
    """tests/tokens/main.go, once per test program."""

    def __init__(self):
        self.process = None

    def __call__(self, make, **request):
        if self.process is None:
            self.process = subprocess.Popen([tool("tokens")], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps({"make": make, **request}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{make}: {answer['error']}")
        return answer


nsc = Maker()


class Key:
    """A fresh key of a kind; its text is what it is called by."""

    def __init__(self, kind):
        made = nsc("key", kind=kind)
        self.seed, self.public = made["seed"], made["public"]

    def __str__(self):
        return self.public

    def sign(self, text):
        return nsc("sig", seed=self.seed, text=text)["sig"]

    def token(self, kind, subject, nats=None, at=0, **claims):
        """A token of kind about subject, signed by this key."""
        if nats is not None:
            claims["nats"] = nats
        return nsc(kind, seed=self.seed, subject=str(subject), claims=claims, at=at)["token"]


class Operator:
    """An operator, its system account, and an account with a user."""

    def __init__(self, nats=None, **claims):
        self.key, self.system_key, self.system_user = Key("O"), Key("A"), Key("U")
        self.account, self.user = Key("A"), Key("U")
        self.token = self.key.token("operator", self.key, name="op",
                                    nats={"system_account": str(self.system_key), **(nats or {})},
                                    **claims)
        self.system_token = self.key.token("account", self.system_key, name="SYS")
        self.system_user_token = self.system_key.token("user", self.system_user, name="sys")

    def account_token(self, nats=None, key=None, by=None, **claims):
        return (by or self.key).token("account", key or self.account, nats=nats,
                                      **{"name": "acc", **claims})

    def user_token(self, nats=None, key=None, by=None, kind="user", **claims):
        return (by or self.account).token(kind, key or self.user, nats=nats,
                                          **{"name": "joe", **claims})

    def configuration(self, resolver="MEMORY", preload=None, more=""):
        """preload False: there is none."""
        known = {} if preload is False else {self.system_key: self.system_token,
                                             **(preload or {})}
        lines = [f"server_name: watched\noperator: {self.token}",
                 f"system_account: {self.system_key}", f"resolver: {resolver}"]
        if known:
            lines += ["resolver_preload {", *[f"  {k}: {t}" for k, t in known.items()], "}"]
        if "authorization" not in more:  # keys sign in a process of their own
            lines.append("authorization { timeout: 20 }")
        lines += [more, ""]
        return "\n".join(lines)


def credentials(path):
    """The token and the key of a .creds file."""
    blocks = re.findall(r"-----BEGIN[^\n]*\n([^\n]+)\n", pathlib.Path(path).read_text())

    class Seed:
        @staticmethod
        def sign(text):
            return nsc("sig", seed=blocks[1], text=text)["sig"]

    return blocks[0], Seed


class TokenClient(Client):
    """Shows a token, and signs what it is asked to; seed None: it does not."""

    def __init__(self, port, token, key=None, sig=None, **options):
        self.errors, self.infos, self._messages = [], [], []
        self._bytes, self._sids, self._pongs, self._requests = b"", 0, 0, 0
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self._pump(lambda: self.infos, DEADLINE_S, "INFO")
        connect = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                   "protocol": 1, "lang": "python", "version": "1.0", **options}
        if token is not None:
            connect["jwt"] = token
        if key is not None:
            sig = key.sign(self.infos[0].get("nonce", ""))
        if sig is not None:
            connect["sig"] = sig
        self.send(f"CONNECT {json.dumps(connect)}\r\n")
        self.flush()
        self._inbox = f"_INBOX.{self.infos[0]['client_id']}x{time.monotonic_ns()}"
        self._inbox_sid = self.subscribe(self._inbox + ".*")


class Configured:
    """A server of a configuration that is known before it starts."""

    first_user = None
    id = None

    def __init__(self, text, *flags):
        super().__init__(*flags)
        self.write(text.replace("@DIR@", self.folder.name))

    def show(self, token, key=None, **options):
        return TokenClient(self.port, token, key, **options)

    def verdict(self, token, key=None, **options):
        """ "in", or what is said before the door closes. """
        try:
            with self.show(token, key, **options):
                return "in"
        except (Closed, ConnectionError, BrokenPipeError) as error:
            return str(error).partition("errors: ")[2]


class Pipit(Configured, servers.Pipit):
    pass


class Reference(Configured, servers.Reference):
    pass


def each(text):
    return servers.each(Pipit(text), Reference(text))


@contextlib.contextmanager
def both(text):
    with Pipit(text) as ours, Reference(text) as theirs:
        yield ours, theirs


def errors_of(client):
    """What is said until the connection ends."""
    client.wait_closed()
    return client.errors
