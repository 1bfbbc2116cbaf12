#!/usr/bin/env python3
"""Ten thousand clients that have not said who they are, and send what they like: memory stays flat."""

import os
import resource
import selectors
import socket
import sys
import time

from world import DEADLINE_S, PIPIT, Server, finish

SANITIZED = "PIPIT_SANITIZED" in os.environ  # their memory is another matter
CLIENTS = 10000
ROUNDS = 3
PER_CLIENT_KIB = 12  # a connection, and the beginning of a line of at most 4 KiB
CONFIG = "authorization { user: ann, password: one, timeout: 600 }\nmax_control_line: 4KB\n"
BEGINNING = b'CONNECT {"user":"' + b"x" * 3900


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def allowed_files():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def open_all(port, count):
    clients = []
    for n in range(count):
        client = socket.socket()
        client.settimeout(DEADLINE_S)
        client.bind((f"127.0.0.{n % 200 + 2}", 0))
        client.connect(("127.0.0.1", port))
        client.sendall(BEGINNING)
        clients.append(client)
    return clients


def wait_closed(clients):
    """Each is told that its line is too long."""
    selector = selectors.DefaultSelector()
    for client in clients:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
    end = time.monotonic() + DEADLINE_S * 3
    left = set(clients)
    while left and time.monotonic() < end:
        for key, _ in selector.select(0.5):
            try:
                more = key.fileobj.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                left.discard(key.fileobj)
    return len(left)


def main():
    count = min(CLIENTS, allowed_files() - 100)
    failures, after = [], []
    with Server(PIPIT, CONFIG) as server:
        before = memory_kib(server.process.pid)
        for _ in range(ROUNDS):
            clients = open_all(server.port, count)
            with server.connect() as friend:  # all before it have been read
                assert friend.log_in(user="ann", **{"pass": "one"}) is None
            grown = memory_kib(server.process.pid) - before
            if grown > count * PER_CLIENT_KIB and not SANITIZED:
                failures.append(f"{count} half-open clients hold {grown} KiB")
            for client in clients:
                client.sendall(b"x" * 4096)
            left = wait_closed(clients)
            if left:
                failures.append(f"{left} may go on and on")
            after.append(memory_kib(server.process.pid))
        if after[-1] > after[0] + 8 * 1024 and not SANITIZED:
            failures.append(f"memory grows from round to round: {after} KiB")
        print(f"{count} clients; {before} KiB at first, then {after} KiB after each round")
    finish(failures, 2 * ROUNDS + 1)


if __name__ == "__main__":
    sys.exit(main())
