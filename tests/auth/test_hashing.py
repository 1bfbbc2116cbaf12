#!/usr/bin/env python3
"""A thousand logins with hashed passwords at once: others notice nothing, and all are answered."""

import json
import os
import selectors
import socket
import sys
import time

from keys import bcrypt
from world import DEADLINE_S, PIPIT, Server, finish

SANITIZED = "PIPIT_SANITIZED" in os.environ  # memory and time are other matters then
LOGINS = 1000
COST = 8  # some 15 ms each; for some minutes of work without a bound
PATIENCE_S = 60  # on a machine with one free processor
SLOW_S = 0.5  # a loop that hashes would let others wait for seconds
CONFIG = f"""
authorization {{ users: [
    {{user: ann, password: "{bcrypt("hush", COST)}"}}
    {{user: quick, password: quick}}
] }}
"""


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def begin(port, n):
    """One that has said all and waits; every third is wrong."""
    sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    word = "hush" if n % 3 else "hash"
    shown = {"verbose": False, "protocol": 0, "user": "ann", "pass": word}
    sock.sendall(f"CONNECT {json.dumps(shown)}\r\nPING\r\n".encode())
    sock.setblocking(False)
    return sock


def ask(quick):
    """How long a PONG takes."""
    start = time.monotonic()
    quick.send("PING\r\n")
    assert quick.until("PONG")[0]
    return time.monotonic() - start


def main():
    failures, slowest, peak = [], 0.0, 0
    with Server(PIPIT, CONFIG) as server, server.connect() as quick:
        assert quick.log_in(user="quick", **{"pass": "quick"}) is None
        before = memory_kib(server.process.pid)
        selector = selectors.DefaultSelector()
        said = {}
        for n in range(LOGINS):
            sock = begin(server.port, n)
            said[sock] = (n, b"")
            selector.register(sock, selectors.EVENT_READ)
        end = time.monotonic() + PATIENCE_S
        while said and time.monotonic() < end:
            slowest = max(slowest, ask(quick))
            peak = max(peak, memory_kib(server.process.pid))
            for key, _ in selector.select(0.01):
                read(key.fileobj, said, selector, failures)
        if said:
            failures.append(f"{len(said)} of {LOGINS} got no answer within {PATIENCE_S} s")
        if slowest > SLOW_S and not SANITIZED:
            failures.append(f"another client waited {slowest:.3f} s for a PONG")
        if peak - before > 32 * 1024 and not SANITIZED:
            failures.append(f"memory grew by {peak - before} KiB")
        print(f"slowest PONG of another: {slowest * 1000:.1f} ms; memory grew by {peak - before} KiB")
    leave_early(failures)
    finish(failures, 5)


def leave_early(failures):
    """Clients, and then the server, do not wait for what they have begun."""
    with Server(PIPIT, CONFIG.replace(bcrypt("hush", COST), bcrypt("hush", 12))) as server:
        for n in range(100):
            begin(server.port, n).close()
        waiting = [begin(server.port, n) for n in range(100)]
        with server.connect() as quick:
            if quick.log_in(user="quick", **{"pass": "quick"}) is not None:
                failures.append("nobody comes in while others wait")
        start = time.monotonic()
        server.process.terminate()
        if server.process.wait(DEADLINE_S) != 0:
            failures.append(f"the server ended with {server.process.returncode}")
        took = time.monotonic() - start
        if took > 5:  # all that wait would take a minute
            failures.append(f"stopping took {took:.1f} s")
        for sock in waiting:
            sock.close()


def read(sock, said, selector, failures):
    n, text = said[sock]
    try:
        more = sock.recv(4096)
    except ConnectionResetError:
        more = b""
    text += more
    said[sock] = (n, text)
    if more and b"PONG" not in text:
        return
    expected = b"PONG" if n % 3 else b"-ERR 'Authorization Violation'"
    if expected not in text:
        failures.append(f"login {n}: {text[-80:]!r}")
    selector.unregister(sock)
    sock.close()
    del said[sock]


if __name__ == "__main__":
    sys.exit(main())
