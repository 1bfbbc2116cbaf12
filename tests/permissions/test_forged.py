#!/usr/bin/env python3
"""Every field of CONNECT may be forged: none but a right pair of user and password, or a token,
decides who somebody is. usage: test_forged.py PIPIT_SERVER [WORD...]

Each case is one connection that says a CONNECT with fields of any name, type, case and number, true
to the grammar of JSON or nearly. The model knows who that may be. Who it became is seen from
outside: it publishes, and a witness in every account tells where that was heard; and it asks the
server who it is. PIPIT_FORGED_CASES and PIPIT_SEED choose how much and what."""

import json
import os
import random
import socket
import sys

from world import Client, expect, main, served

CASES = int(os.environ.get("PIPIT_FORGED_CASES", "1500"))
ACCOUNTS = {"A": ["ann", "amy"], "B": ["bob"], "SYS": ["sys"]}
PASSWORDS = {user: f"{user}-secret" for users in ACCOUNTS.values() for user in users}
FIELDS = ["user", "pass", "auth_token", "nkey", "sig", "jwt", "proxy_sig", "account",
          "new_account", "name", "lang", "version", "protocol", "verbose", "pedantic", "echo",
          "headers", "no_responders", "tls_required"]
TEXTS = {"user", "pass", "auth_token", "nkey", "sig", "jwt", "proxy_sig", "account", "name",
         "lang", "version"}
FLAGS = {"new_account", "verbose", "pedantic", "echo", "headers", "no_responders", "tls_required"}
STRANGE = ["permissions", "acc", "Account_name", "username", "password", "users", "id", "kind",
           "is_system", "system_account", "remote_account", "client_ip", "role", "groups", "", "$G",
           "issuer_account", "allowed_connection_types", "import", "no_auth_user", "trusted"]


def spelled(dice, name):
    """The name as a key of JSON: in any case, with any letter escaped."""
    if dice.random() < 0.3:
        name = "".join(dice.choice([c.lower(), c.upper()]) for c in name)
    return '"' + "".join(f"\\u{ord(c):04x}" if dice.random() < 0.05 else c for c in name) + '"', name


def random_value(dice, name):
    """A value and its JSON."""
    roll = dice.random()
    if roll < 0.06:
        value = dice.choice([None, 5, -1, True, False, 1.5, [], {}, ["ann"], {"user": "ann"}, ""])
    elif name == "user":
        value = dice.choice([*PASSWORDS, "ANN", "ann ", " ann", "ann\0", "nobody", "$G", "SYS"])
    elif name == "pass":
        value = dice.choice([*PASSWORDS.values(), "", "x", "ann-secret\0", "ann-secre"])
    elif name in FLAGS:
        value = dice.random() < (0.1 if name in ("new_account", "verbose") else 0.5)
    elif name == "protocol":
        value = dice.choice([0, 1, 1, 1, 2, -1, 1 << 40])
    elif name == "account":
        value = dice.choice(["", "", "A", "B", "SYS", "$G", "$SYS"])
    else:
        value = dice.choice([*ACCOUNTS, *PASSWORDS, *PASSWORDS.values(), "x" * 300, "token", "$SYS"])
    return value, json.dumps(value)


def random_connect(dice):
    """JSON text, and the fields that a reader must have seen last, by their true names."""
    parts, seen = [], []
    names = [dice.choice(FIELDS + STRANGE) for _ in range(dice.randint(0, 10))]
    if dice.random() < 0.8:
        names += ["user", "pass"]
    dice.shuffle(names)
    user = dice.choice(list(PASSWORDS))
    right = dice.random() < 0.6
    for name in names:
        key, name = spelled(dice, name)
        value, text = random_value(dice, name.lower())
        if right and name.lower() == "user" and isinstance(value, str):
            value, text = user, json.dumps(user)
        if right and name.lower() == "pass" and isinstance(value, str):
            value, text = PASSWORDS[user], json.dumps(PASSWORDS[user])
        parts.append(f"{key}:{text}")
        seen.append((name, value))
    return "{" + ",".join(parts) + "}", seen


def last_of_each(seen):
    """Of a key that stands there twice, letter for letter, only the last value counts, at the place
    of the first (as the JSON library keeps them)."""
    kept = {}
    for name, value in seen:
        kept[name] = value
    return kept.items()


def who(seen):
    """The user that this CONNECT makes of who says it; None: refused, in whatever way."""
    fields = {}
    for name, value in last_of_each(seen):
        name = name.lower()
        if value is None:
            continue
        if name in TEXTS and not isinstance(value, str) or \
                name in FLAGS and not isinstance(value, bool) or \
                name == "protocol" and (isinstance(value, bool) or not isinstance(value, int)):
            return None
        fields[name] = value
    if fields.get("account") or fields.get("new_account"):
        return None
    if fields.get("protocol", 0) not in (0, 1):
        return None
    if fields.get("no_responders") and not fields.get("headers"):
        return None
    user = fields.get("user", "")
    if user not in PASSWORDS or fields.get("pass", "") != PASSWORDS[user]:
        return None
    return user


def configuration(more=""):
    return "accounts { " + ", ".join(
        f"{account}: {{ users: [ " + ", ".join(
            f'{{ user: {user}, password: "{PASSWORDS[user]}" }}' for user in users) + " ] }"
        for account, users in ACCOUNTS.items()) + " }\nsystem_account: SYS\n" + more


class Witnesses:
    """One in each account, who hears everything that those who come in say."""

    def __init__(self, server):
        self.all = {}
        for account, users in ACCOUNTS.items():
            self.all[account] = Client(server, users[0], PASSWORDS[users[0]])
            self.all[account].send("SUB whoami.> 1")
            expect("witness", self.all[account].until_pong(), [])

    def of(self, number):
        """In which accounts whoami.<number> was heard."""
        return [account for account, client in self.all.items()
                if any(line.startswith(f"MSG whoami.{number} ") for line in client.until_pong())]


def became(server, number, *connects):
    """Connect, say all of these, then something; the user as the server sees it, or None."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        sock.sendall(b"".join(b"CONNECT " + text.encode() + b"\r\n" for text in connects) +
                     b"SUB info 1\r\nPUB $SYS.REQ.USER.INFO info 0\r\n\r\n"
                     b"PUB whoami.%d 1\r\n!\r\nPING\r\n" % number)
        said, seen = b"", None
        while True:
            at = said.find(b'"user":"')
            if at >= 0 and said.find(b'"', at + 8) >= 0:
                seen = said[at + 8:said.find(b'"', at + 8)].decode()
            if seen is not None and b"PONG\r\n" in said:
                return seen
            try:
                more = sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                assert b"PONG\r\n" not in said and b"MSG" not in said, said
                return None
            said += more


def play(server, dice, cases, connects_of, wanted_of):
    witnesses = Witnesses(server)
    let_in = 0
    for number in range(cases):
        connects, models = connects_of(dice)
        wanted = wanted_of(models)
        got = became(server, number, *connects)
        expect(f"{connects}", got, wanted)
        where = [account for account, users in ACCOUNTS.items() if wanted in users]
        expect(f"{connects}: heard in", witnesses.of(number), where)
        let_in += wanted is not None
    print(f"{let_in} of {cases} came in", flush=True)
    assert cases < 50 or cases * 0.1 < let_in < cases * 0.9, "one outcome is not tried"


def dice_of(test):
    seed = int(os.environ.get("PIPIT_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"{test} PIPIT_SEED={seed}", flush=True)
    return random.Random(seed)


def test_one_connect():
    def connects_of(dice):
        text, seen = random_connect(dice)
        return [text], seen

    with served(configuration()) as server:
        play(server, dice_of("one"), CASES, connects_of, who)


def test_a_second_connect():
    """It starts over: the fields of the first stay where the second names none, but no secret does,
    and identity changes only by credentials of its own."""
    def connects_of(dice):
        first, seen_first = random_connect(dice)
        while who(seen_first) is None:
            first, seen_first = random_connect(dice)
        text, seen = random_connect(dice)
        return [first, text], (seen_first, seen)

    dice = dice_of("two")
    with served(configuration()) as server:
        witnesses = Witnesses(server)
        for number in range(CASES // 2):
            connects, (first, second) = connects_of(dice)
            got = became(server, number, *connects)
            shown = {name.lower(): value for name, value in last_of_each(second) if value}
            pairs = [who(first)]
            if "pass" in shown and isinstance(shown["pass"], str):
                pairs.append(next((user for user, password in PASSWORDS.items()
                                   if password == shown["pass"]), None))
                pairs.pop(0)
            elif any(name in shown for name in ("user", "auth_token", "nkey", "sig", "jwt",
                                                "proxy_sig")):
                pairs = [None]  # other credentials, without a password
            expect(f"{connects}: {got}", got in [None, *pairs], True)
            expect(f"{connects}: heard in", witnesses.of(number),
                   [account for account, users in ACCOUNTS.items() if got in users])


def test_a_token():
    """One token for all: only it lets in, under whatever other fields."""
    dice = dice_of("token")
    with served("authorization { token: token-secret }\n") as server:
        for number in range(CASES // 3):
            text, seen = random_connect(dice)
            right = dice.random() < 0.5
            if right:
                text = text[:-1] + ("," if seen else "") + '"auth_token":"token-secret"}'
                seen = [*seen, ("auth_token", "token-secret")]
            fields = dict((name.lower(), value) for name, value in last_of_each(seen)
                          if value is not None)
            got = became_any(server, text)
            if fields.get("auth_token") != "token-secret":
                expect(text, got, False)
            elif right and len(seen) == 1:
                expect(text, got, True)


def became_any(server, text):
    with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        sock.sendall(b"CONNECT " + text.encode() + b"\r\nPING\r\n")
        said = b""
        while b"PONG\r\n" not in said:
            try:
                more = sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return False
            said += more
        return True


def test_nobody_comes_in_without_a_user():
    """Whatever is shown, no accounts block makes anonymous access appear."""
    dice = dice_of("nobody")
    users = 'users: [ { user: ann, password: "ann-secret" } ]'
    for config, open_ in (
            ("accounts { A { %s } }\n" % users, False),
            ("accounts { $SYS { %s }, B { } }\n" % users, False),
            ("accounts { SYS { %s }, A { } }\nsystem_account: SYS\n" % users, False),
            ("accounts { A { }, B { %s } }\n" % users, False),
            ('accounts { A { mappings { x: y } }, B { %s } }\n' % users, False),
            ("accounts { A { default_permissions { publish: a } }, B { %s } }\n" % users, False),
            ("accounts { A { limits { max_conn: 5 } }, B { %s } }\n" % users, False),
            ("authorization { users: [ { user: ann, password: ann-secret } ] }\n"
             "accounts { $SYS { } }\n", False),
            ("authorization { user: ann, password: ann-secret }\naccounts { A { } }\n", False),
            ("accounts { A { } }\n", True),
            ("accounts { A { users: [] } }\n", True)):
        with served(config) as server:
            for text in ("{}", "null", '{"user":""}', '{"user":"","pass":""}', '{"user":"$G"}',
                         '{"user":"A"}', '{"user":"B","pass":""}', '{"account":""}'):
                expect(f"{config}{text}", became_any(server, text), open_)
            for _ in range(20):
                text, seen = random_connect(dice)
                fields = dict((name.lower(), value) for name, value in last_of_each(seen))
                if not open_ and fields.get("user") != "ann":
                    expect(f"{config}{text}", became_any(server, text), False)


if __name__ == "__main__":
    sys.exit(main(globals()))
