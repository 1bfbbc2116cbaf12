#!/usr/bin/env python3
"""A thousand logins with hashed passwords at once: others notice nothing, and all are answered."""

import json
import os
import resource
import selectors
import socket
import sys
import time

from keys import bcrypt
from world import DEADLINE_S, PIPIT, Server, finish

SANITIZED = "PIPIT_SANITIZED" in os.environ  # memory and time are other matters then
LOGINS = 1000
COST = 5  # some 2 ms each, but the threads that hash give way to all else on the machine
PATIENCE_S = 60  # for the next answer, on a machine that does much else
LOOPS_SHARE = 0.5  # of the processor time; one that hashes would take nearly all of it
STOP_CPU_S = 5  # all that wait would take a minute
CONFIG = f"""
authorization {{ users: [
    {{user: ann, password: "{bcrypt("hush", COST)}"}}
    {{user: quick, password: quick}}
] }}
"""


def cpu_s(pid):
    """Processor time of the server's loops, and of its threads that hash, which are nice. It is what
    it is on a busy machine, too."""
    spent = {True: 0, False: 0}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as stat:
            words = stat.read().rpartition(")")[2].split()
        spent[int(words[16]) > 0] += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return spent[False], spent[True]


def reaped_s():
    """Processor time of processes that have ended, all their threads."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
                end = time.monotonic() + PATIENCE_S
        loops_s, hashers_s = cpu_s(server.process.pid)
        if said:
            failures.append(f"{len(said)} of {LOGINS} wait, and none had an answer for "
                            f"{PATIENCE_S} s")
        if loops_s > LOOPS_SHARE * (loops_s + hashers_s) and not SANITIZED:
            failures.append(f"loops took {loops_s:.2f} s, threads that hash {hashers_s:.2f} s")
        if peak - before > 32 * 1024 and not SANITIZED:
            failures.append(f"memory grew by {peak - before} KiB")
        print(f"slowest PONG of another: {slowest * 1000:.1f} ms; memory grew by {peak - before} "
              f"KiB; loops {loops_s:.2f} s, threads that hash {hashers_s:.2f} s")
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
        before_s = sum(cpu_s(server.process.pid)) + reaped_s()
        server.process.terminate()
        if server.process.wait(DEADLINE_S) != 0:
            failures.append(f"the server ended with {server.process.returncode}")
        took_s = reaped_s() - before_s
        print(f"stopping took {took_s:.2f} s of processor time")
        if took_s > STOP_CPU_S:
            failures.append(f"stopping took {took_s:.1f} s of processor time")
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
