#!/usr/bin/env python3
"""The same service and the same clients at both servers: the same requests, the same verdicts."""

import json
import time
import unittest

from callout_servers import TIMEOUT_S, both, main
from keys import Key
from service import BOX, ISSUER, STRANGER, Box, Guest, Service, let_in

# What differs from one request to the next.
FRESH = {("exp",), ("iat",), ("jti",), ("iss",), ("nats", "user_nkey"), ("nats", "server_id", "id"),
         ("nats", "server_id", "version"), ("nats", "server_id", "xkey"),
         ("nats", "client_info", "id"), ("nats", "client_info", "nonce")}
OTHER_USER = Key("U")
OTHER_SERVER = Key("N")


def shape(claims, path=()):
    """Claims with their types in place of what is fresh."""
    if path in FRESH:
        return type(claims).__name__
    if isinstance(claims, dict):
        return {key: shape(value, (*path, key)) for key, value in claims.items()}
    return claims


class Requests(unittest.TestCase):
    """What the service is told."""

    maxDiff = None
    shown = {
        "nothing": {},
        "user": {"user": "joe", "pass": "secret"},
        "token": {"auth_token": "hush"},
        "name": {"user": "joe", "name": "a <client> & \"more\"", "lang": "x", "version": "9"},
        "nkey": {"nkey": OTHER_USER.text, "sig": "AAAA"},
        "jwt is not for configured users": {"jwt": "eyJ", "user": "joe"},
        "all at once": {"user": "joe", "pass": "p", "auth_token": "t", "nkey": OTHER_USER.text},
        "protocol": {"user": "joe", "protocol": 0},
        "bytes": {"user": "j\u00e9\u2028\x01e", "pass": "\x7f"},
    }

    def ask(self, server, options):
        with Service(server.port) as service:
            guest = Guest(server.port, **options)
            guest.close()
            self.assertEqual(guest.verdict(), ("in", []), options)
            return service.wait(1)

    def test_requests_are_the_same(self):
        with both() as (ours, theirs):
            for what, options in self.shown.items():
                with self.subTest(what):
                    one, other = self.ask(ours, options), self.ask(theirs, options)
                    self.assertEqual(one.header, other.header)
                    self.assertEqual(shape(one.claims), shape(other.claims))
                    self.assertEqual(list(one.claims), list(other.claims))
                    self.assertEqual(one.claims["iss"], ours.id)
                    self.assertEqual(one.claims["sub"], ISSUER.text)
                    self.assertEqual(one.claims["exp"] - one.claims["iat"], TIMEOUT_S)
                    self.assertLess(abs(one.claims["iat"] - time.time()), 60)

    def test_each_request_has_its_own_key(self):
        with both() as servers:
            for server in servers:
                with Service(server.port) as service:
                    for _ in range(20):
                        Guest(server.port, "joe").close()
                    service.wait(20)
                    self.assertEqual(len({r.user for r in service.requests}), 20)
                    self.assertEqual(len({r.reply for r in service.requests}), 20)

    def test_with_an_nkey_there_is_a_nonce(self):
        user = Key("U")
        with both(accounts=f"KEYS {{ users: [ {{nkey: {user.text}}} ] }}") as servers:
            for server in servers:
                with Service(server.port) as service:
                    Guest(server.port, nkey=user.text, sig="AAAA").close()
                    request = service.wait(1)
                    self.assertEqual(len(request.nats["client_info"]["nonce"]), 15)
                    self.assertEqual(request.nats["client_info"]["user"], user.text)

    def test_sealed_requests_name_both_keys(self):
        with both(callout=f", xkey: {BOX.text}") as servers:
            for server in servers:
                with Service(server.port, box=BOX) as service:
                    guest = Guest(server.port, "joe", "p")
                    self.assertEqual(guest.verdict(), ("in", []))
                    request = service.wait(1)
                    self.assertTrue(request.sealed)
                    self.assertEqual(request.server_xkey, guest.infos[0]["xkey"])
                    self.assertEqual(request.nats["server_id"]["xkey"], request.server_xkey)
                    guest.close()


class Verdicts(unittest.TestCase):
    """Every answer of the service, and what comes of it."""

    maxDiff = None

    @staticmethod
    def answers():
        """name: (handler, whether it lets in)."""
        now = int(time.time())

        def user(**claims):
            return lambda r: r.answer(r.user_token(**claims))

        def answer(**claims):
            return lambda r: r.answer(r.user_token(), **claims)

        return {
            "right": (let_in, True),
            "nothing": (lambda r: b"", False),
            "no token": (lambda r: b"hello", False),
            "half a token": (lambda r: let_in(r)[:-20], False),
            "changed": (lambda r: let_in(r).replace(b".", b".e", 1), False),
            "an error": (lambda r: r.answer(error="not today"), False),
            "error and user": (lambda r: r.answer(r.user_token(), error="but"), False),
            "neither": (lambda r: r.answer(), False),
            "the request": (lambda r: r.token.encode(), False),
            "the user alone": (lambda r: r.user_token().encode(), False),
            "for another user": (answer(sub=OTHER_USER.text), False),
            "for nobody": (answer(sub=None), False),
            "for another server": (answer(aud=OTHER_SERVER.text), False),
            "for no server": (answer(aud=None), False),
            "by a stranger": (answer(key=STRANGER), False),
            "by a user": (answer(key=OTHER_USER), False),
            "expired": (answer(exp=now - 10), False),
            "not yet valid": (answer(nbf=now + 100), False),
            "issuer account": (answer(nats={"issuer_account": ISSUER.text}), True),
            "issuer account of a stranger": (answer(nats={"issuer_account": STRANGER.text}), True),
            "user by a stranger": (user(key=STRANGER), False),
            "user of another key": (user(sub=OTHER_USER.text), False),
            "user of an account's key": (user(sub=ISSUER.text), False),
            "user with issuer account": (user(nats={"issuer_account": ISSUER.text}), False),
            "user in no account": (user(account=None), False),
            "user in an account that is not there": (user(account="NOWHERE"), False),
            "user in an account's key": (user(account=ISSUER.text), False),
            "user in the callout account": (user(account="AUTH"), True),
            "user in the global account": (user(account="$G"), True),
            "user in the system account": (user(account="SYS"), True),
            "user expired": (user(exp=now - 10), False),
            "user not yet valid": (user(nbf=now + 100), False),
            "user for a while": (user(exp=now + 1000), True),
            "user with a bad subject": (user(nats={"pub": {"allow": ["a..b"]}}), False),
            "user for websocket": (user(nats={"allowed_connection_types": ["WEBSOCKET"]}), False),
            "user for standard": (user(nats={"allowed_connection_types": ["standard"]}), True),
            "user for what is unknown": (user(nats={"allowed_connection_types": ["X"]}), False),
            "user for some that is known": (
                user(nats={"allowed_connection_types": ["X", "STANDARD"]}), True),
            "user by proxy": (user(nats={"proxy_required": True}), False),
            "user at no time": (
                user(nats={"times": [{"start": "00:00:00", "end": "00:00:00"}]}), None),
            "user without limits": (user(nats={"subs": None, "payload": None, "data": None}), True),
            "user that bears": (user(nats={"bearer_token": True}), True),
            "a generic token": (
                lambda r: r.answer(r.user_token(nats={"type": "generic"})), False),
            "version 3": (answer(nats={"version": 3}), False),
            "first wrong, then right": (
                lambda r: [r.answer(error="no"), let_in(r)], False),
        }

    def outcome(self, server, service, handler):
        service.handler = handler
        count = len(service.requests)
        guest = Guest(server.port, "joe", "p")
        service.wait(count + 1)
        outcome = guest.verdict(), (None if guest.refused else guest.who())
        guest.close()
        return outcome

    def compare(self, cases, **options):
        with both(**options) as (ours, theirs):
            with Service(ours.port, box=BOX) as one, Service(theirs.port, box=BOX) as other:
                for what, (handler, admits) in cases.items():
                    with self.subTest(what):
                        mine = self.outcome(ours, one, handler)
                        self.assertEqual(mine, self.outcome(theirs, other, handler))
                        if admits is not None:
                            self.assertEqual(mine[0][0], "in" if admits else "refused")
                self.assertIsNone(one.failure)

    def test_answers(self):
        self.compare(self.answers())

    def test_answers_that_are_sealed(self):
        cases = {f"sealed: {what}": ((lambda r, h=handler: self.seal(r, h(r))), None)
                 for what, (handler, _) in self.answers().items()}
        cases["in plain"] = (let_in, True)
        cases["in plain, by a stranger"] = (
            lambda r: r.answer(r.user_token(), key=STRANGER), False)
        cases["sealed by another key"] = (lambda r: r.seal(let_in(r), Box()), False)
        cases["a box that was changed"] = (
            lambda r: self.change_last(r.seal(let_in(r))), False)
        cases["a short box"] = (lambda r: r.seal(let_in(r))[:40], False)
        cases["no box"] = (lambda r: b"xkv1", False)
        self.compare(cases, callout=f", xkey: {BOX.text}")

    @staticmethod
    def change_last(data):
        return data[:-1] + bytes([data[-1] ^ 1])

    @staticmethod
    def seal(request, answers):
        answers = [answers] if isinstance(answers, bytes) else answers
        return [request.seal(answer) for answer in answers]

    def test_permissions_are_the_tokens(self):
        def limited(account):
            return lambda r: r.answer(r.user_token(account=account, name="limited", nats={
                "pub": {"allow": ["$SYS.REQ.USER.INFO", "a.>"], "deny": ["a.b"]},
                "sub": {"allow": ["_INBOX.>", "a.> q"]}, "resp": {"max": 3, "ttl": 1000000000}}))

        self.compare({account: (limited(account), True) for account in ("APP", "AUTH", "$G")})


class Whom(unittest.TestCase):
    """Whom the service has a say about."""

    maxDiff = None
    clients = [(None, None), ("joe", "p"), ("auth", "auth"), ("auth", "wrong"), ("auth", ""),
               ("sys", "sys"), ("aide", "aide"), ("aide", "wrong"), ("listed", "listed"),
               ("listed", "wrong"), ("other", "other"), ("other", "wrong"), ("ghost", "ghost")]

    def asked(self, server):
        """Of each client: was the service asked, and what came of it?"""
        found = {}
        with Service(server.port) as service:
            for user, password in self.clients:
                count = len(service.requests)
                guest = Guest(server.port, user, password)
                who = None if guest.refused else guest.who()
                found[user, password] = guest.verdict(), len(service.requests) - count, who
                guest.close()
        return found

    def compare(self, **options):
        with both(**options) as (ours, theirs):
            mine, others = self.asked(ours), self.asked(theirs)
        self.assertEqual(mine, others)
        return {who: outcome[1] for who, outcome in mine.items()}

    def test_all_but_the_service_itself(self):
        asked = self.compare()
        self.assertEqual(asked["auth", "wrong"], 0)
        self.assertEqual(asked["listed", "listed"], 1)
        self.assertEqual(asked[None, None], 1)

    def test_only_some_accounts(self):
        asked = self.compare(callout=", allowed_accounts: [APP]")
        self.assertEqual(asked["listed", "listed"], 1)
        self.assertEqual(asked["other", "other"], 0)
        self.assertEqual(asked["other", "wrong"], 1)

    def test_no_auth_user(self):
        for user in ("listed", "auth"):
            with self.subTest(user):
                self.compare(more=f"no_auth_user: {user}")

    def test_nobody_may_ask_in_the_servers_name(self):
        with both() as servers:
            for server in servers:
                with Service(server.port) as service:
                    service.handler = lambda r: r.answer(r.user_token(account="AUTH"))
                    for user in ("aide", "auth"):
                        client = Guest(server.port, user, user)
                        client.publish("$SYS.REQ.USER.AUTH", "hello")
                        client.flush()
                        self.assertIn("Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"",
                                      client.errors, user)
                        client.close()


if __name__ == "__main__":
    main()
