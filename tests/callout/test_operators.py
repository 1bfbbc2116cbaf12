#!/usr/bin/env python3
"""Callouts of accounts in operator mode: the same service and clients at both servers."""

import time
import unittest

from callout_servers import main, servers
from keys import Key, token
from service import BOX, Guest, Service

OPERATOR = Key("O", b"\x11" * 32)
SYSTEM, HOME, GUESTS, ELSEWHERE = (Key("A", bytes([n]) * 32) for n in (0x21, 0x22, 0x23, 0x24))
SIGNER, SCOPED, STRANGER = (Key("A", bytes([n]) * 32) for n in (0x31, 0x32, 0x33))
AUTH, SYS, SENTINEL, AIDE = (Key("U", bytes([n]) * 32) for n in (0x41, 0x42, 0x43, 0x44))

LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1,
          "leaf": -1, "wildcards": True}


def account(key, name, **nats):
    return token({"sub": key.text, "name": name,
                  "nats": {"limits": LIMITS, "type": "account", "version": 2, **nats}}, OPERATOR)


def user(key, of, name="user", **nats):
    return token({"sub": key.text, "name": name,
                  "nats": {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
                           "type": "user", "version": 2, **nats}}, of)


def configuration(xkey=None, allowed=(GUESTS.text,), sentinel=False):
    authorization = {"auth_users": [AUTH.text], "allowed_accounts": list(allowed)}
    if xkey:
        authorization["xkey"] = xkey
    scope = {"kind": "user_scope", "key": SCOPED.text, "role": "r",
             "template": {"pub": {"allow": ["scoped.>", "$SYS.REQ.USER.INFO"]}, "sub": {},
                          "subs": -1, "data": -1, "payload": -1}}
    operator = token({"sub": OPERATOR.text, "name": "op",
                      "nats": {"type": "operator", "version": 2,
                               "system_account": SYSTEM.text}}, OPERATOR)
    preload = {
        SYSTEM: account(SYSTEM, "SYS"),
        HOME: account(HOME, "HOME", authorization=authorization, signing_keys=[SIGNER.text]),
        GUESTS: account(GUESTS, "GUESTS", signing_keys=[scope]),
        ELSEWHERE: account(ELSEWHERE, "ELSEWHERE"),
    }
    lines = "\n".join(f"  {key.text}: {text}" for key, text in preload.items())
    extra = f"default_sentinel: {sentinel_token()}" if sentinel else ""
    return f"""
server_name: watched
authorization {{ timeout: 20 }}
operator: {operator}
resolver: MEMORY
resolver_preload: {{
{lines}
}}
{extra}
"""


def sentinel_token():
    return user(SENTINEL, HOME, "sentinel", bearer_token=True, tags=["a:b"])


def server_of(kind, **options):
    server = kind()
    server.first_user = None
    server.write(configuration(**options))
    return server


class both:
    """One of each, with a service."""

    def __init__(self, handler, **options):
        self.servers = [server_of(kind, **options) for kind in (servers.Pipit, servers.Reference)]
        self.handler = handler
        self.box = BOX if options.get("xkey") else None

    def __enter__(self):
        self.services = []
        for server in self.servers:
            server.__enter__()
            self.services.append(Service(server.port, self.handler, user=None, box=self.box,
                                         jwt=user(AUTH, HOME, "auth", bearer_token=True)))
        return list(zip(self.servers, self.services))

    def __exit__(self, *exception):
        for service in self.services:
            service.close()
        for server in self.servers:
            server.__exit__(*exception)


def guest_token(request, key=GUESTS, name="guest", **nats):
    return request.user_token(key=key, account=None, name=name, nats=nats)


def let_in(request):
    return request.answer(guest_token(request), key=HOME)


def outcome(server, **options):
    guest = Guest(server.port, **{"user": "joe", "jwt": sentinel_token(), **options})
    who = {} if guest.refused else guest.who()
    guest.close()
    return guest.verdict(), {key: who.get(key) for key in ("account", "permissions", "expires")}


class Operators(unittest.TestCase):
    maxDiff = None

    def test_requests_are_the_same(self):
        fresh = ("exp", "iat", "jti", "iss")
        with both(let_in) as pairs:
            seen = []
            for server, service in pairs:
                self.assertEqual(outcome(server)[0], ("in", []))
                claims = service.wait(1).claims
                self.assertEqual(claims["sub"], HOME.text)
                for key in fresh:
                    claims.pop(key)
                claims["nats"]["server_id"].update(id="", version="")
                claims["nats"]["client_info"].pop("id")
                claims["nats"].pop("user_nkey")
                claims["nats"]["connect_opts"].pop("jwt")
                seen.append(claims)
            self.assertEqual(seen[0], seen[1])

    @staticmethod
    def answers():
        now = int(time.time())
        return {
            "right": (let_in, True),
            "by a signing key": (lambda r: r.answer(
                guest_token(r), key=SIGNER, nats={"issuer_account": HOME.text}), True),
            "by a signing key that does not say so": (
                lambda r: r.answer(guest_token(r), key=SIGNER), True),
            "by a stranger": (lambda r: r.answer(guest_token(r), key=STRANGER), False),
            "for another account": (lambda r: r.answer(
                guest_token(r), key=HOME, nats={"issuer_account": GUESTS.text}), False),
            "into the account itself": (
                lambda r: r.answer(guest_token(r, key=HOME), key=HOME), True),
            "into one that is not allowed": (
                lambda r: r.answer(guest_token(r, key=ELSEWHERE), key=HOME), False),
            "user by a stranger": (
                lambda r: r.answer(guest_token(r, key=STRANGER), key=HOME), False),
            "user by a stranger for the account": (lambda r: r.answer(
                guest_token(r, key=STRANGER, issuer_account=GUESTS.text), key=HOME), False),
            "user by a scoped key": (lambda r: r.answer(r.user_token(
                key=SCOPED, account=None, name="s", nats={
                    "issuer_account": GUESTS.text, "subs": None, "data": None, "payload": None,
                    "pub": None, "sub": None}), key=HOME), None),
            "user by a scoped key with limits": (lambda r: r.answer(
                guest_token(r, key=SCOPED, issuer_account=GUESTS.text), key=HOME), False),
            "user expired": (lambda r: r.answer(
                r.user_token(key=GUESTS, account=None, exp=now - 5), key=HOME), False),
            "user for the websocket": (lambda r: r.answer(
                guest_token(r, allowed_connection_types=["WEBSOCKET"]), key=HOME), False),
            "without a name": (lambda r: r.answer(guest_token(r, name=None), key=HOME), True),
            "an error": (lambda r: r.answer(error="no", key=HOME), False),
        }

    def compare(self, cases, **options):
        with both(let_in, **options) as pairs:
            for server, _ in pairs:
                outcome(server)  # by now the accounts are known
            for what, (handler, admits) in cases.items():
                with self.subTest(what):
                    found = []
                    for server, service in pairs:
                        service.handler = handler
                        found.append(outcome(server))
                    self.assertEqual(found[0], found[1])
                    if admits is not None:
                        self.assertEqual(found[0][0][0], "in" if admits else "refused")

    def test_answers(self):
        self.compare(self.answers())

    def test_any_account_is_allowed(self):
        self.compare({"elsewhere": (
            lambda r: r.answer(guest_token(r, key=ELSEWHERE), key=HOME), True)}, allowed=["*"])

    def test_sealed(self):
        def sealed(request):
            assert request.sealed
            return request.seal(let_in(request))

        self.compare({"sealed": (sealed, True), "open": (let_in, True)}, xkey=BOX.text)

    def test_whom_the_service_has_a_say_about(self):
        whom = {
            "the sentinel": {},
            "the service": {"jwt": user(AUTH, HOME, bearer_token=True)},
            "another": {"jwt": user(AIDE, HOME, bearer_token=True)},
            "of an account without a service": {"jwt": user(AIDE, GUESTS, bearer_token=True)},
            "nobody": {"jwt": ""},
            "of a stranger": {"jwt": user(AIDE, STRANGER, bearer_token=True)},
        }
        with both(let_in) as pairs:
            for what, options in whom.items():
                with self.subTest(what):
                    found = []
                    for server, service in pairs:
                        count = len(service.requests)
                        found.append((outcome(server, **options), len(service.requests) - count))
                    self.assertEqual(found[0], found[1])

    def test_tokens_that_are_no_good_reach_no_service(self):
        """nats-server asks the service about those, too."""
        with both(let_in) as pairs:
            server, service = pairs[0]
            for jwt in (user(AIDE, HOME),
                        user(AIDE, STRANGER, issuer_account=HOME.text, bearer_token=True)):
                self.assertEqual(outcome(server, jwt=jwt)[0][0], "refused")
            self.assertEqual(service.requests, [])

    def test_default_sentinel(self):
        with both(let_in, sentinel=True) as pairs:
            found = [outcome(server, jwt="") for server, _ in pairs]
            self.assertEqual(found[0], found[1])
            self.assertEqual(found[0][0], ("in", []))

    def test_nobody_may_ask_in_the_servers_name(self):
        with both(lambda r: r.answer(guest_token(r, key=HOME), key=HOME)) as pairs:
            for server, _ in pairs:
                for options in ({"jwt": sentinel_token()},
                                {"jwt": user(AUTH, HOME, bearer_token=True)}):
                    client = Guest(server.port, **options)
                    client.publish("$SYS.REQ.USER.AUTH", "hello")
                    client.flush()
                    self.assertIn('Permissions Violation for Publish to "$SYS.REQ.USER.AUTH"',
                                  client.errors)
                    client.close()


if __name__ == "__main__":
    main()
