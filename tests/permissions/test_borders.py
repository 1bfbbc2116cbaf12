#!/usr/bin/env python3
"""Permissions where messages pass between accounts: each account's users are judged by the names
that messages have in their own account. usage: test_borders.py PIPIT_SERVER [WORD...]"""

import itertools
import json
import sys

from world import Client, expect, main, peer, served, user


def accounts(exporter_users, importer_users, exports, imports):
    return (f"accounts {{ E: {{ users: [ {', '.join(exporter_users)} ], exports: [ {exports} ] }},"
            f" I: {{ users: [ {', '.join(importer_users)} ], imports: [ {imports} ] }} }}\n")


def both_servers():
    return filter(None, (None, peer()))


STREAM = ("{ stream: 'news.>' }",
          "{ stream: { account: E, subject: 'news.>' }, prefix: 'from.e' }")
SERVICE = ("{ service: 'svc.*' }", "{ service: { account: E, subject: 'svc.x' }, to: 'ask' }")


def lines_until_pong(client):
    """Empty payloads, too: until_pong takes an empty line for the end."""
    client.send("PING")
    lines = []
    while not lines or lines[-1] != "PONG":
        lines.append(client.line())
        assert lines[-1] or not client.ended, lines
    return [line for line in lines[:-1] if not line.startswith(("INFO ", "PING"))]


def test_streams_are_denied_by_their_local_name():
    for path in both_servers():
        for permissions, subs, heard in (
                ('{ subscribe: { deny: "from.e.news.x" } }',
                 ["from.e.>", "from.e.news.* q", ">"], {"from.e.news.y"}),
                ('{ subscribe: { deny: "news.x" } }',
                 ["from.e.>", "from.e.news.* q", ">"], {"from.e.news.x", "from.e.news.y"}),
                ('{ subscribe: { deny: "from.e.news.x q" } }',
                 ["from.e.news.* q"], {"from.e.news.y"}),
                ('{ subscribe: { allow: "from.e.news.y" } }', ["from.e.news.y"],
                 {"from.e.news.y"})):
            config = accounts([user("pub")], [user("sub", permissions)], *STREAM)
            with served(config, path=path) as server:
                pub, sub = Client(server, "pub", "p"), Client(server, "sub", "p")
                for sid, one in enumerate(subs):
                    sub.send(f"SUB {one} {sid}")
                expect("subscribed", sub.until_pong(), [])
                for subject in ("news.x", "news.y"):
                    pub.send(f"PUB {subject} 1", "x")
                pub.until_pong()
                got = {line.split(" ")[1] for line in sub.until_pong() if line.startswith("MSG ")}
                expect(f"{permissions} {path}", got, heard)


def test_services_are_asked_by_their_local_name():
    for path in both_servers():
        for permissions, may in (("{ publish: ask }", True), ('{ publish: "svc.x" }', False),
                                 ("{ publish: { deny: ask } }", False),
                                 ('{ publish: { deny: "svc.x" } }', True)):
            config = accounts([user("res")], [user("req", permissions)], *SERVICE)
            with served(config, path=path) as server:
                res, req = Client(server, "res", "p"), Client(server, "req", "p")
                res.send("SUB svc.* 1")
                res.until_pong()
                req.send("SUB i 1", "PUB ask i 1", "x")
                told = req.until_pong()
                heard = any(line.startswith("MSG svc.x ") for line in res.until_pong())
                expect(f"{permissions} {path}", heard, may)
                expect("told", told,
                       [] if may else ['-ERR \'Permissions Violation for Publish to "ask"\''])


def test_services_are_answered_with_permission():
    """The reply subject that a responder is given is its own account's, and granted to it."""
    for path in both_servers():
        for permissions, answers in (("{ allow_responses: true }", 1), ("{ publish: x }", 0),
                                     ("{ publish: x, allow_responses: { max: 2 } }", 1),
                                     ("{ publish: { deny: '>' }, allow_responses: true }", 1)):
            config = accounts([user("res", permissions)], [user("req")], *SERVICE)
            with served(config, path=path) as server:
                res, req = Client(server, "res", "p"), Client(server, "req", "p")
                res.send("SUB svc.* 1")
                res.until_pong()
                req.send("SUB i 1", "PUB ask i 1", "x")
                req.until_pong()
                line = next(line for line in res.until_pong() if line.startswith("MSG svc.x "))
                reply = line.split(" ")[3]
                assert reply.startswith("_R_."), line
                for _ in range(2):
                    res.send(f"PUB {reply} 1", "y")
                res.send(f"PUB {reply}x 1", "y", "PUB i 1", "y")
                told = res.until_pong()
                assert len(told) >= 2, told
                expect(f"{permissions} {path}", req.until_pong().count("MSG i 1 1"), answers)


def test_spoofed_request_info_stops_at_the_border():
    """The responder sees one Nats-Request-Info at most, the server's, whatever was sent."""
    names = ["Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO", "NatS-RequesT-InfO"]
    lie = '{"acc":"SYS","user":"admin","spoof":1}'
    config = accounts([user("res")], [user("req")], *SERVICE)
    shared = accounts([user("res")], [user("req")], SERVICE[0],
                      SERVICE[1].replace("to: 'ask'", "to: 'ask', share: true"))
    for text in (config, shared):
        with served(text) as server:
            res, req = Client(server, "res", "p", headers=True), \
                Client(server, "req", "p", headers=True)
            res.send("SUB svc.* 1")
            res.until_pong()
            for one, other in itertools.product(names, [*names, "X"]):
                for space in (" ", "", "  "):
                    head = (f"NATS/1.0\r\nA: 1\r\n{one}:{space}{lie}\r\nB: 2\r\n"
                            f"{other}:{space}{lie}\r\n\r\n")
                    req.send(f"HPUB ask i {len(head)} {len(head) + 1}", head + "x")
                    expect("asked", req.until_pong(), [])
                    fields = [line.split(":", 1) for line in lines_until_pong(res)
                              if ":" in line and not line.startswith("HMSG")]
                    infos = [value for name, value in fields
                             if name.strip().lower() == "nats-request-info"]
                    assert len(infos) == 1 and "spoof" not in infos[0], f"{head!r}: {fields}"
                    expect("account", json.loads(infos[0])["acc"], "I")
                    expect("the others are there", [name for name, _ in fields
                                                    if name in ("A", "B", "X")],
                           ["A", "B"] + (["X"] if other == "X" else []))


if __name__ == "__main__":
    sys.exit(main(globals()))
