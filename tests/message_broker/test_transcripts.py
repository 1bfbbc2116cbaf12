#!/usr/bin/env python3
"""Play transcripts.txt to a server: as it is, and cut at every byte; in memory and on disk.

usage: test_transcripts.py [TITLE...]
"""
import pathlib
import re
import sys

import broker

HERE = pathlib.Path(__file__).resolve().parent


def to_bytes(text):
    parts = re.findall(r"'([^']*)'|([0-9a-f]+)", text)
    return b"".join(bytes.fromhex(number) if number else quoted.encode() for quoted, number in parts)


def conversations():
    """(title, keys, [(client, what, text)])."""
    found = []
    for number, line in enumerate((HERE / "transcripts.txt").read_text().split("\n"), 1):
        if line.startswith("# "):
            found.append((line[2:], [], []))
        elif line.startswith("["):
            found[-1][1].append(line[1:-1])
        elif line:
            match = re.fullmatch(r"(\w)([+\-!]|[<>] (.*))", line)
            assert match, f"transcripts.txt:{number}: {line}"
            found[-1][2].append((match[1], match[2][0], match[3] or ""))
    return [entry for entry in found if entry[2]]


def send(client, raw, bytewise):
    for piece in [raw[i:i + 1] for i in range(len(raw))] if bytewise else [raw]:
        client.send(piece)


def step(clients, port, name, what, text, bytewise):
    if what == "+":
        clients[name] = broker.Client(port)
    elif what == "-":
        clients.pop(name).close()
    elif what == "!":
        gone = clients.pop(name)
        gone.socket.shutdown(broker.socket.SHUT_WR)
        assert gone.ended() and not gone.bytes, f"{name} got {gone.bytes!r}"
    elif what == ">":
        send(clients[name], to_bytes(text), bytewise)
    else:
        clients[name].expect(to_bytes(text))


def play(keys, steps, bytewise):
    clients = {}
    with broker.Broker("\n".join(keys)) as server:
        for name, what, text in steps:
            step(clients, server.port, name, what, text, bytewise)
        publishers = {name for name, what, text in steps if what == ">" and text.startswith("0003")}
        for name, client in clients.items():
            if name not in publishers:
                client.expect_nothing()
            assert not client.bytes, f"{name} got {client.bytes!r}"
            client.close()


def main():
    failed, played = 0, 0
    for title, keys, steps in conversations():
        if sys.argv[1:] and title not in sys.argv[1:]:
            continue
        for store, bytewise in (("memory", False), ("file", True)):
            played += 1
            try:
                play([*keys, f"store: {store}"], steps, bytewise)
            except (AssertionError, OSError) as err:
                failed += 1
                print(f"FAILED {title}{' (bytewise)' if bytewise else ''}: {err}")
    print(f"{played - failed} passed, {failed} failed")
    return 1 if failed or not played else 0


if __name__ == "__main__":
    sys.exit(main())
