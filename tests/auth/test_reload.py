#!/usr/bin/env python3
"""What becomes of those inside when users, keys, hashes and proxies change: as with nats-server."""

import signal
import sys

from keys import Key, bcrypt
from world import PIPIT, Server, finish, peer

ANN, BOB, PROXY = Key(b"a" * 32), Key(b"b" * 32), Key(b"p" * 32, "A")
HASH, OTHER = bcrypt("hush"), bcrypt("hash")
BEFORE = f"""
proxies {{ trusted: [{{key: {PROXY.public}}}] }}
accounts {{
    A {{ users: [{{user: kept, password: "{HASH}"}}, {{user: changed, password: "{HASH}"}},
                 {{user: gone, password: plain}}, {{user: typed, password: plain}},
                 {{user: behind, password: plain}}, {{user: plain, password: plain}}] }}
    B {{ users: [{{nkey: {ANN.public}}}, {{nkey: {BOB.public}}}] }}
}}
"""
AFTER = f"""
proxies {{ trusted: [{{key: {BOB.public}}}] }}
accounts {{
    A {{ users: [{{user: kept, password: "{HASH}"}}, {{user: changed, password: "{OTHER}"}},
                 {{user: typed, password: plain, allowed_connection_types: [MQTT]}},
                 {{user: behind, password: plain, proxy_required: true}},
                 {{user: plain, password: plain}}] }}
    B {{ users: [{{nkey: {ANN.public}}}] }}
}}
"""


def shown(name, nonce):
    if name in ("ann", "bob"):
        key = ANN if name == "ann" else BOB
        return {"nkey": key.public, "sig": key.sig(nonce)}
    word = "hush" if name in ("kept", "changed") else "plain"
    proxied = {"proxy_sig": PROXY.sig(nonce)} if name == "plain" else {}
    return {"user": name, "pass": word, **proxied}


NAMES = ("kept", "changed", "gone", "typed", "behind", "plain", "ann", "bob")


def fates(program):
    """What each is told at a reload; the proxy of "plain" goes with it."""
    told = {}
    with Server(program, BEFORE) as server:
        clients = {}
        for name in NAMES:
            client = clients[name] = server.connect()
            said = client.log_in(**shown(name, client.info["nonce"]))
            assert said is None, (name, said)
        since = len(server.log)
        server.write(AFTER)
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("Reloaded server configuration", since)
        for name, client in clients.items():
            client.send("PING\r\n")
            line, said = client.until("PONG")
            told[name] = line or [text for text in said if text.startswith("-ERR")]
            client.socket.close()
    return told


def main():
    if not peer():
        print("no nats-server to compare with: scripts/peers.sh brings one")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    ours, theirs = fates(PIPIT), fates(peer())
    finish([f"{name}:\n  pipit: {ours[name]}\n  nats:  {theirs[name]}"
            for name in NAMES if ours[name] != theirs[name]], len(NAMES))


if __name__ == "__main__":
    main()
