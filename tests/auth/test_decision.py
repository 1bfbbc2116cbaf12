#!/usr/bin/env python3
"""Who may come in: both servers decide the same, for every configuration and all that is shown.

usage: test_decision.py [PATTERN]    only configurations whose names match
"""

import re
import sys

from keys import Key, bcrypt
from world import PIPIT, Refused, Server, finish, peer

ANN, BOB, STRANGER = Key(b"a" * 32), Key(b"b" * 32), Key(b"s" * 32)
PROXY, OTHER_PROXY = Key(b"p" * 32, "A"), Key(b"q" * 32)
LONG = "0123456789" * 7 + "ab"  # 72 bytes
HASHED = bcrypt("hush")
USERS = f"""
    {{user: ann, password: one}}
    {{user: bob, password: "{HASHED}"}}
    {{user: y, password: "{bcrypt("hush", version="2y")}"}}
    {{user: x, password: "{bcrypt("hüsh", version="2x")}"}}
    {{user: long, password: "{bcrypt(LONG)}"}}
    {{user: none}}
    {{user: web, password: one, allowed_connection_types: [WEBSOCKET]}}
    {{user: std, password: one, allowed_connection_types: [websocket, standard]}}
    {{user: behind, password: one, proxy_required: true}}
    {{user: broken, password: "$2a$04$short"}}
"""
NKEYS = f"""
    {{nkey: {ANN.public}}}
    {{nkey: {BOB.public}, allowed_connection_types: MQTT}}
"""
NKEY_BEHIND = f"{{nkey: {BOB.public}, proxy_required: true}}"
PROXIES = f"proxies {{ trusted: [{{key: {PROXY.public}}}] }}"

CONFIGURATIONS = {
    "nothing": "",
    "empty": "authorization { users: [] }",
    "user": "authorization { user: ann, password: one }",
    "user-without-password": "authorization { user: ann }",
    "user-hashed": f'authorization {{ user: ann, password: "{HASHED}" }}',
    "token": "authorization { token: one }",
    "token-hashed": f'authorization {{ token: "{HASHED}" }}',
    "users": f"authorization {{ users: [{USERS}] }}",
    "nkeys": f"authorization {{ users: [{NKEYS}] }}",
    "both": f"authorization {{ users: [{USERS} {NKEYS}] }}",
    "both-no-auth-user": f"no_auth_user: none\nauthorization {{ users: [{USERS} {NKEYS}] }}",
    "both-no-auth-nkey": f"no_auth_user: {ANN.public}\nauthorization {{ users: [{USERS} {NKEYS}] }}",
    "nkeys-no-auth-nkey": f"no_auth_user: {ANN.public}\nauthorization {{ users: [{NKEYS}] }}",
    "nkeys-no-auth-mqtt": f"no_auth_user: {BOB.public}\nauthorization {{ users: [{NKEYS}] }}",
    "users-no-auth-hashed": f"no_auth_user: bob\nauthorization {{ users: [{USERS}] }}",
    "users-no-auth-behind": f"no_auth_user: behind\nauthorization {{ users: [{USERS}] }}",
    "users-no-auth-web": f"no_auth_user: web\nauthorization {{ users: [{USERS}] }}",
    "proxies-users": f"{PROXIES}\nauthorization {{ users: [{USERS}] }}",
    "proxies-users-behind": f"{PROXIES}\nno_auth_user: behind\nauthorization {{ users: [{USERS}] }}",
    "proxies-nkeys": f"{PROXIES}\nauthorization {{ users: [{{nkey: {ANN.public}}}, {NKEY_BEHIND}] }}",
    "proxies-user": f"{PROXIES}\nauthorization {{ user: ann, password: one, proxy_required: true }}",
    "proxies-token": f"{PROXIES}\nauthorization {{ token: one, proxy_required: true }}",
    "proxies-users-required": f"{PROXIES}\nauthorization {{ proxy_required: true, users: [{USERS}] }}",
    "proxies-alone": PROXIES,
    "required-without-proxies": "authorization { user: ann, password: one, proxy_required: true }",
    "accounts": f"accounts {{ A {{ users: [{USERS}] }}, B {{ users: [{NKEYS}] }} }}",
    "accounts-beside-users": f"accounts {{ A {{ users: [{NKEYS}] }} }}\n"
                             f"authorization {{ users: [{USERS}] }}",
    "accounts-without-users": "accounts { A {} }",
    "accounts-nkeys-beside-user": f"accounts {{ A {{ users: [{NKEYS}] }} }}\n"
                                  "authorization { user: ann, password: one }",
    "accounts-nkeys-beside-token": f"accounts {{ A {{ users: [{NKEYS}] }} }}\n"
                                   "authorization { token: one }",
    "system-only": "accounts { SYS { users: [{user: ann, password: one}] } }\nsystem_account: SYS",
    "system-only-nkey": f"accounts {{ SYS {{ users: [{{nkey: {ANN.public}}}] }} }}\n"
                        "system_account: SYS",
}


REFUSED = {"accounts-nkeys-beside-user", "accounts-nkeys-beside-token"}


def credentials(nonce):
    """All that a client may show, by name."""
    shown = {
        "nothing": {},
        "user": {"user": "ann", "pass": "one"},
        "user-wrong": {"user": "ann", "pass": "two"},
        "user-longer": {"user": "ann", "pass": "one\x00"},
        "user-without": {"user": "ann"},
        "password-alone": {"pass": "one"},
        "user-unknown": {"user": "nobody", "pass": "one"},
        "user-hashed": {"user": "bob", "pass": "hush"},
        "user-hashed-wrong": {"user": "bob", "pass": "hush!"},
        "user-hash-itself": {"user": "bob", "pass": HASHED},
        "user-hashed-nul": {"user": "bob", "pass": "hush\x00more"},
        "user-2y": {"user": "y", "pass": "hush"},
        "user-2x": {"user": "x", "pass": "hüsh"},
        "user-72": {"user": "long", "pass": LONG},
        "user-71": {"user": "long", "pass": LONG[:71]},
        "user-73": {"user": "long", "pass": LONG + "c"},
        "user-100": {"user": "long", "pass": LONG + "c" * 28},
        "user-600": {"user": "long", "pass": LONG + "c" * 528},
        "user-none": {"user": "none"},
        "user-none-password": {"user": "none", "pass": "x"},
        "user-web": {"user": "web", "pass": "one"},
        "user-std": {"user": "std", "pass": "one"},
        "user-behind": {"user": "behind", "pass": "one"},
        "user-broken": {"user": "broken", "pass": "x"},
        "user-broken-itself": {"user": "broken", "pass": "$2a$04$short"},
        "token": {"auth_token": "one"},
        "token-hashed": {"auth_token": "hush"},
        "token-wrong": {"auth_token": "two"},
        "token-as-user": {"user": "one"},
        "token-as-password": {"pass": "hush"},
        "user-and-token": {"user": "ann", "pass": "one", "auth_token": "one"},
        "nkey": {"nkey": ANN.public, "sig": ANN.sig(nonce)},
        "nkey-standard": {"nkey": ANN.public, "sig": ANN.sig_standard(nonce)},
        "nkey-of-other": {"nkey": ANN.public, "sig": BOB.sig(nonce)},
        "nkey-of-no-nonce": {"nkey": ANN.public, "sig": ANN.sig("")},
        "nkey-alone": {"nkey": ANN.public},
        "nkey-bad": {"nkey": ANN.public, "sig": "!!!"},
        "nkey-mqtt": {"nkey": BOB.public, "sig": BOB.sig(nonce)},
        "nkey-unknown": {"nkey": STRANGER.public, "sig": STRANGER.sig(nonce)},
        "nkey-lower": {"nkey": ANN.public.lower(), "sig": ANN.sig(nonce)},
        "nkey-no-key": {"nkey": "ann", "sig": ANN.sig(nonce)},
        "nkey-and-user": {"nkey": ANN.public, "sig": ANN.sig(nonce), "user": "ann", "pass": "two"},
        "nkey-unknown-and-user": {"nkey": STRANGER.public, "user": "ann", "pass": "one"},
        "sig-alone": {"sig": ANN.sig(nonce)},
        "jwt": {"jwt": "eyJ", "sig": ANN.sig(nonce)},
        "jwt-and-user": {"jwt": "eyJ", "user": "ann", "pass": "one"},
        "account": {"user": "ann", "pass": "one", "account": "A"},
        "new-account": {"user": "ann", "pass": "one", "new_account": True},
        "nkey-as-user": {"user": ANN.public},
    }
    for name in ("nothing", "user", "user-behind", "token", "nkey", "nkey-mqtt", "user-wrong"):
        shown[f"proxy-{name}"] = {**shown[name], "proxy_sig": PROXY.sig(nonce)}
        shown[f"other-proxy-{name}"] = {**shown[name], "proxy_sig": OTHER_PROXY.sig(nonce)}
    shown["proxy-bad"] = {**shown["user"], "proxy_sig": "?"}
    shown["proxy-standard"] = {**shown["user"], "proxy_sig": PROXY.sig_standard(nonce)}
    return shown


def outcome(server, name):
    """As whom somebody that shows this comes in, or what it is told."""
    with server.connect() as connection:
        shown = credentials(connection.info.get("nonce", ""))[name]
        said = connection.log_in(**shown)
        if said is not None:
            return "refused", *said
        who = connection.who()
        return "let in", who.get("account"), who.get("user"), shown


KNOWN = {"", "[REDACTED]", "ann", "bob", "y", "x", "long", "none", "web", "std", "behind",
         ANN.public, BOB.public}


def agree(ours, theirs):
    """The same verdict and account. nats-server shows what the client calls itself, verified or not;
    pipit shows the user that it is, or nothing."""
    if ours[:2] != theirs[:2] or ours[0] == "refused":
        return ours == theirs
    shown = ours[3]
    claimed = (shown.get("nkey") or shown.get("user")
               or ("[REDACTED]" if "auth_token" in shown else None))
    return ours[2] in KNOWN and (theirs[2] in (ours[2], claimed) or not (ours[2] or claimed))


def first_word(server):
    """What becomes of who does not say CONNECT first."""
    with server.connect() as connection:
        info = connection.info
        connection.send("PING\r\n")
        line, said = connection.until("PONG")
        return f"{info.get('auth_required')} {len(info.get('nonce', ''))} {line or said}"


def compare(name, config, failures):
    servers, refusals = [], []
    for program in (PIPIT, peer()):
        try:
            servers.append(Server(program, config))
        except Refused as refusal:
            refusals.append((program, str(refusal)))
    try:
        if len(refusals) == 2:
            if name not in REFUSED:
                failures.append(f"{name}: both refuse it: {refusals[0][1]}")
            return 1
        if refusals:
            failures.append(f"{name}: only {refusals[0][0]} refuses it: {refusals[0][1]}")
            return 1
        ours, theirs = (first_word(server) for server in servers)
        if ours != theirs:
            failures.append(f"{name}: first word:\n  pipit: {ours}\n  nats:  {theirs}")
        names = list(credentials(""))
        for shown in names:
            ours, theirs = (outcome(server, shown) for server in servers)
            if not agree(ours, theirs):
                failures.append(f"{name}: {shown}:\n  pipit: {ours}\n  nats:  {theirs}")
        return 1 + len(names)
    finally:
        for server in servers:
            server.stop()


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    if not peer():
        print("no nats-server to compare with: scripts/peers.sh brings one")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    failures, count = [], 0
    for name, config in CONFIGURATIONS.items():
        if re.search(pattern, name):
            count += compare(name, config, failures)
    finish(failures, count)


if __name__ == "__main__":
    main()
