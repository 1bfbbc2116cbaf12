"""Who may come in, by what tokens say, beside nats-server."""

import time
import unittest

from tenants import Key, Operator, both, main


def times(start, end, zone="UTC"):
    return {"times": [{"start": start, "end": end}], "times_location": zone}


class Verdicts(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        o = cls.o = Operator()
        cls.now = int(time.time())
        cls.signing, cls.scoped, cls.other = Key("A"), Key("A"), Key("A")
        cls.revoked, cls.strict, cls.foreign = Key("U"), Key("A"), Key("O")
        cls.unknown, cls.limited = Key("A"), Key("A")
        account = o.account_token({
            "signing_keys": [str(cls.signing), {
                "kind": "user_scope", "key": str(cls.scoped), "role": "r", "template": {
                    "pub": {"allow": ["app.{{name()}}.>"]},
                    "sub": {"allow": ["app.{{tag(team)}}.>", "_INBOX.>"]}, "subs": 10}}],
            "revocations": {str(cls.revoked): cls.now - 100},
        })
        limited = o.account_token({"limits": {"subs": -1, "payload": -1, "data": -1, "conn": 0,
                                              "imports": -1, "exports": -1,
                                              "disallow_bearer": True}}, key=cls.limited)
        foreign = o.account_token(key=cls.other, by=cls.foreign)
        text = o.configuration(preload={o.account: account, cls.other: foreign,
                                        cls.limited: limited})
        cls.context = both(text)
        cls.ours, cls.theirs = cls.context.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.context.__exit__(None, None, None)

    def same(self, token, key="user", wanted=None, **options):
        key = self.o.user if key == "user" else key
        ours = self.ours.verdict(token, key, **options)
        theirs = self.theirs.verdict(token, key, **options)
        self.assertEqual(ours, theirs)
        if wanted is not None:
            self.assertEqual(ours == "in", wanted, ours)

    def test_users(self):
        o = self.o
        self.same(o.user_token(), wanted=True)
        self.same(o.user_token(), Key("U"), wanted=False)
        self.same(o.user_token(), None, wanted=False)
        self.same(None, wanted=False)
        self.same("eyJx.y.z", wanted=False)
        self.same("nonsense", wanted=False)
        self.same("", wanted=False)
        self.same(o.user_token() + "A", wanted=False)

    def test_signatures(self):
        o = self.o
        token = o.user_token()
        for sig in ("", "x", "A" * 86, o.user.sign("something else")):
            self.same(token, None, sig=sig, wanted=False)

    def test_time(self):
        o = self.o
        for claims, wanted in (({"exp": self.now + 1000}, True), ({"exp": self.now - 10}, False),
                               ({"nbf": self.now - 10}, True), ({"nbf": self.now + 1000}, False)):
            with self.subTest(claims):
                self.same(o.user_token(**claims), wanted=wanted)

    def test_times_of_the_day(self):
        o = self.o
        hour = time.gmtime().tm_hour

        def at(offset):
            return f"{(hour + offset) % 24:02}:00:00"

        for limits, wanted in ((times(at(-1), at(2)), True), (times(at(2), at(3)), False),
                               (times(at(2), at(1)), True), (times("x", at(1)), False),
                               (times(at(-1), at(2), "No/Where"), False),
                               (times(at(-1), at(2), "../../etc/passwd"), False)):
            with self.subTest(limits):
                self.same(o.user_token(limits), wanted=wanted)

    def test_zones(self):
        o = self.o
        for zone, shift in (("Asia/Tokyo", 9), ("Etc/GMT+5", -5)):
            hour = int(time.time() // 3600 + shift) % 24
            inside = times(f"{(hour - 1) % 24:02}:00:00", f"{(hour + 2) % 24:02}:00:00", zone)
            outside = times(f"{(hour + 3) % 24:02}:00:00", f"{(hour + 4) % 24:02}:00:00", zone)
            self.same(o.user_token(inside), wanted=True)
            self.same(o.user_token(outside), wanted=False)

    def test_sources(self):
        o = self.o
        for sources, wanted in ((["127.0.0.0/8"], True), (["10.0.0.0/8"], False),
                                (["10.0.0.0/8", "127.0.0.1/32"], True), ("127.0.0.1/32", True),
                                ("10.0.0.0/8,127.0.0.1/32", True), (["127.0.0.1"], False),
                                (["::/0"], None), (["::ffff:127.0.0.1/128"], None),
                                (["nonsense"], False), ([], True)):
            with self.subTest(sources):
                self.same(o.user_token({"src": sources}), wanted=wanted)

    def test_connection_types(self):
        o = self.o
        for types, wanted in ((["STANDARD"], True), (["standard"], True), (["WEBSOCKET"], False),
                              (["WEBSOCKET", "STANDARD"], True), (["X", "STANDARD"], True),
                              (["X"], False), ([""], False), ([], True), (["IN_PROCESS"], False)):
            with self.subTest(types):
                self.same(o.user_token({"allowed_connection_types": types}), wanted=wanted)

    def test_bearers(self):
        o = self.o
        self.same(o.user_token({"bearer_token": True}), None, wanted=True)
        self.same(o.user_token({"bearer_token": True}, by=self.limited), None, wanted=False)

    def test_limit_of_connections(self):
        self.same(self.o.user_token(by=self.limited), wanted=False)

    def test_signing_keys(self):
        o = self.o
        named = {"issuer_account": str(o.account)}
        self.same(o.user_token(named, by=self.signing), wanted=True)
        self.same(o.user_token(by=self.signing), wanted=False)
        self.same(o.user_token(named, by=Key("A")), wanted=False)
        self.same(o.user_token({"issuer_account": str(self.limited)}, by=self.signing),
                  wanted=False)

    def test_scopes(self):
        o = self.o
        named = {"issuer_account": str(o.account)}
        self.same(o.user_token(named, by=self.scoped, kind="scoped"), wanted=True)
        self.same(o.user_token(named, by=self.scoped), wanted=False)
        for more in ({"subs": 5}, {"pub": {"allow": ["x"]}}, {"src": ["0.0.0.0/0"]},
                     {"bearer_token": True}):
            with self.subTest(more):
                self.same(o.user_token({**named, **more}, by=self.scoped, kind="scoped"),
                          wanted=False)

    def test_who_is_trusted(self):
        o = self.o
        self.same(o.user_token(by=self.other), wanted=False)
        self.same(o.user_token(by=self.unknown), wanted=False)

    def test_revocations(self):
        o = self.o
        for at, wanted in ((self.now - 200, False), (self.now - 100, False), (self.now, True)):
            self.same(o.user_token(key=self.revoked, at=at), self.revoked, wanted=wanted)

    def test_proxies(self):
        self.same(self.o.user_token({"proxy_required": True}), wanted=False)

    def test_other_ways_in_are_closed(self):
        for options in ({"user": "a", "pass": "b"}, {"auth_token": "x"},
                        {"nkey": str(self.o.user)}):
            self.same(None, None, wanted=False, **options)
        with self.ours.show(self.o.user_token(), self.o.user) as client:
            self.assertTrue(client.infos[0]["auth_required"])

    def test_permissions(self):
        o = self.o
        token = o.user_token({"pub": {"allow": ["a.>"], "deny": ["a.b"]},
                              "sub": {"allow": ["c.>", "_INBOX.>", "d q"], "deny": ["c.x"]}})
        self.compare(token, ["a.c", "a.b", "x"], [("c.y", None), ("c.x", None), ("d", "q"),
                                                  ("d", "p"), ("d", None)])

    def test_scoped_permissions(self):
        o = self.o
        token = o.user_token({"issuer_account": str(o.account), "tags": ["team:a", "team:b"]},
                             by=self.scoped, kind="scoped")
        self.compare(token, ["app.joe.x", "app.bob.x"],
                     [("app.a.x", None), ("app.b.>", None), ("app.c.x", None)])

    def test_empty_allow(self):
        o = self.o
        for rules in ({"allow": [], "deny": ["z"]}, {"allow": []}, {"deny": ["z"]}):
            with self.subTest(rules):
                self.compare(o.user_token({"pub": rules, "sub": rules}), ["a", "z"],
                             [("a", None), ("z", None)])

    def test_limits(self):
        o = self.o
        for nats in ({"subs": 2}, {"payload": 4}, {"payload": 0}):
            with self.subTest(nats):
                self.compare(o.user_token(nats), ["p"], [("a", None), ("b", None), ("c", None)])

    def compare(self, token, publishes, subscribes):
        """What may be done, and what is said where it may not."""
        said = []
        for server in (self.ours, self.theirs):
            try:
                with server.show(token, self.o.user) as client:
                    for subject, queue in subscribes:
                        client.subscribe(subject, queue)
                    client.flush()
                    for subject in publishes:
                        client.publish(subject, "payload")
                        client.flush()
                    said.append(client.errors)
            except Exception as error:  # pylint: disable=broad-except
                said.append(str(error))
        self.assertEqual(*said)


class Strict(unittest.TestCase):
    def test_signing_keys_only(self):
        signer, user_signer = Key("O"), Key("A")
        o = Operator({"strict_signing_key_usage": True, "signing_keys": [str(signer)]})
        o.system_token = signer.token("account", o.system_key, name="SYS")
        loose = Key("A")
        account = o.account_token({"signing_keys": [str(user_signer)]}, by=signer)
        text = o.configuration(preload={o.account: account,
                                        loose: o.account_token(key=loose)})
        with both(text) as servers:
            for token, wanted in ((o.user_token(), False),
                                  (o.user_token({"issuer_account": str(o.account)},
                                                by=user_signer), True),
                                  (o.user_token(by=loose), False)):
                verdicts = [server.verdict(token, o.user) for server in servers]
                self.assertEqual(*verdicts)
                self.assertEqual(verdicts[0] == "in", wanted)


class Pinned(unittest.TestCase):
    def test_only_these_accounts(self):
        o, other = Operator(), Key("A")
        text = o.configuration(
            preload={o.account: o.account_token(), other: o.account_token(key=other)},
            more=f"resolver_pinned_accounts: [{o.account}]")
        with both(text) as servers:
            for token, key, wanted in ((o.user_token(), o.user, True),
                                       (o.user_token(by=other), o.user, False),
                                       (o.system_user_token, o.system_user, True)):
                verdicts = [server.verdict(token, key) for server in servers]
                self.assertEqual(*verdicts)
                self.assertEqual(verdicts[0] == "in", wanted)
            said = []
            for server in servers:
                with server.show(o.system_user_token, o.system_user) as system:
                    page = system.request("$SYS.REQ.SERVER.PING.VARZ").json()["data"]
                said.append([page.get(key) for key in ("pinned_account_fails", "system_account",
                                                       "trusted_operators_jwt")])
            self.assertEqual(*said)


class Sentinel(unittest.TestCase):
    def test_stands_in_for_none(self):
        o = Operator()
        sentinel = o.user_token({"bearer_token": True})
        text = o.configuration(preload={o.account: o.account_token()},
                               more=f"default_sentinel: {sentinel}")
        with both(text) as servers:
            for token in (None, "", "nonsense"):
                verdicts = [server.verdict(token, None) for server in servers]
                self.assertEqual(verdicts, ["in", "in"])
            verdicts = [server.verdict(o.user_token(), None) for server in servers]
            self.assertEqual(*verdicts)
            self.assertNotEqual(verdicts[0], "in")


if __name__ == "__main__":
    main()
