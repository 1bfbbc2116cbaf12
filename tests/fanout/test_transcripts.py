#!/usr/bin/env python3
"""Play transcripts.txt to a server: as it is, and cut at every byte.

usage: test_transcripts.py PIPIT-SERVER [TITLE...]
"""
import pathlib
import re
import sys

import world

HERE = pathlib.Path(__file__).resolve().parent
FIELDS = {"time": rb"\d{10,}", "seconds": rb"\d{1,2}", "number": rb"\d+", "soft": rb"-?\d+",
          "hard": rb"-?\d+"}


def unescape(text):
    return re.sub(rb"\\(n|r|t|0|x[0-9a-f]{2})",
                  lambda m: {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}.get(m.group(1))
                  or bytes([int(m.group(1)[1:], 16)]), text.encode())


def pattern(data):
    parts = re.split(rb"\{(\w+)\}", data)
    return b"".join(FIELDS[part.decode()] if i % 2 else re.escape(part)
                    for i, part in enumerate(parts))


def conversations():
    """(title, keys, [(client, what, text)])."""
    found = []
    for number, line in enumerate((HERE / "transcripts.txt").read_text().split("\n"), 1):
        if line.startswith("# "):
            found.append((line[2:], [], []))
        elif line.startswith("["):
            found[-1][1].append(line[1:-1])
        elif line:
            match = re.fullmatch(r"(\w)([+\-!]|[<>] ?(.*))", line)
            if not match:
                raise ValueError(f"transcripts.txt:{number}: {line}")
            found[-1][2].append((match.group(1), match.group(2)[0], match.group(3) or ""))
    return [entry for entry in found if entry[2]]


def step(clients, server, name, what, text, bytewise):
    if what == "+":
        clients[name] = world.Client(server.port, greeted=False)
    elif what == "-":
        clients.pop(name).close()
    elif what == "!":
        clients.pop(name).expect_end()
    elif what == ">":
        send = clients[name].send_bytewise if bytewise else clients[name].send
        try:
            send(unescape(text))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may be closed before all is said; what comes next tells
    else:
        expected = pattern(unescape(text))
        line = clients[name].line()
        world.check(re.fullmatch(expected, line, re.DOTALL), name, "expected", text, "got", line)


def play(program, keys, steps, bytewise):
    clients = {}
    with world.Server(program, "\n".join(keys)) as server:
        for name, what, text in steps:
            step(clients, server, name, what, text, bytewise)
        for client in clients.values():
            client.ping()
            world.check(not client.bytes, "got more than was expected:", client.bytes)


def main():
    program, failed, played = sys.argv[1], 0, 0
    for title, keys, steps in conversations():
        if sys.argv[2:] and title not in sys.argv[2:]:
            continue
        for bytewise in (False, True):
            played += 1
            try:
                play(program, keys, steps, bytewise)
            except (world.Failure, OSError) as err:
                failed += 1
                print(f"FAILED {title}{' (bytewise)' if bytewise else ''}: {err}")
    print(f"{played - failed} passed, {failed} failed")
    return 1 if failed or not played else 0


if __name__ == "__main__":
    sys.exit(main())
