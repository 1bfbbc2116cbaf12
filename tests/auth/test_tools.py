#!/usr/bin/env python3
"""What people have at hand: the nats tool with a seed, with a password, and the hashes it makes; keys
and signatures of nk."""

import os
import subprocess
import sys
import tempfile

from keys import Key
from world import DEADLINE_S, PIPIT, Server, finish, peer

ANN, BOB = Key(b"a" * 32), Key(b"b" * 32)
PASSWORD = "a password that is long enough"


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE_S, check=False, **options)
    return done.returncode, done.stdout


def main():
    nats = peer("nats")
    if not nats:
        print("no nats tool: scripts/peers.sh brings one")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder}
        code, hashed = run(nats, "server", "passwd", "--pass", PASSWORD, "--cost", "5", env=env)
        if code or not hashed.strip().startswith("$2a$05$"):
            failures.append(f"nats server passwd: {hashed}")
        config = (f'authorization {{ users: [ {{user: joe, password: "{hashed.strip()}"}},\n'
                  f"  {{nkey: {ANN.public}}} ] }}")
        with Server(PIPIT, config) as server:
            for who, flags, right in (
                    ("a seed", seed(folder, ANN), True), ("another seed", seed(folder, BOB), False),
                    ("a password", ["--user", "joe", "--password", PASSWORD], True),
                    ("no password", ["--user", "joe", "--password", "x"], False)):
                code, said = run(nats, "-s", f"nats://127.0.0.1:{server.port}", "--timeout", "30s", *flags, "pub", "a", "b",
                                 env=env)
                if (code == 0) != right:
                    failures.append(f"{who}: {code}: {said}")
    finish(failures + keys_of_nk(peer("nk")), 7)


def keys_of_nk(nk):
    """It makes a user, as the documentation tells, and signs what the server gives."""
    failures = []
    if not nk:
        print("no nk: scripts/peers.sh brings it")
        return failures
    with tempfile.TemporaryDirectory() as folder:
        said, seeds = os.path.join(folder, "nonce"), []
        for name in "known", "other":
            seeds.append(os.path.join(folder, name))
            with open(seeds[-1], "w", encoding="ascii") as file:
                file.write(run(nk, "-gen", "user")[1])
        public = run(nk, "-inkey", seeds[0], "-pubout")[1].strip()
        with Server(PIPIT, f"authorization {{ users: [ {{nkey: {public}}} ] }}") as server:
            for of, right in (seeds[0], True), (seeds[1], False):
                with server.connect() as client:
                    with open(said, "w", encoding="ascii") as file:
                        file.write(client.info["nonce"])
                    signed = run(nk, "-sign", said, "-inkey", of)[1].strip()
                    refusal = client.log_in(nkey=public, sig=signed)
                    if (refusal is None) != right:
                        failures.append(f"nk -sign with {os.path.basename(of)}: {refusal}")
    return failures


def seed(folder, key):
    path = os.path.join(folder, key.public)
    with open(path, "w", encoding="ascii") as file:
        file.write(key.seed_text + "\n")
    return ["--nkey", path]


if __name__ == "__main__":
    main()
