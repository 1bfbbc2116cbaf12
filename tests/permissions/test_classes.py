#!/usr/bin/env python3
"""One test for each class of mistake that other servers have made in what users may do; which test
stands for which is told in docs/security-notes.md. usage: test_classes.py PIPIT_SERVER [WORD...]"""

import itertools
import json
import sys

from world import Client, authorization, expect, main, peer, served, user


def subscribe_refused(subject, queue=None):
    using = f' using queue "{queue}"' if queue else ""
    return f'-ERR \'Permissions Violation for Subscription to "{subject}"{using}\''


def heard(permissions, subs, subjects, path=None):
    """What of the subjects each subscription hears, by its sid; or that it was refused."""
    with served(authorization(user("res", permissions), user("pub")), path=path) as server:
        res, pub = Client(server, "res", "p"), Client(server, "pub", "p")
        got = {}
        for sid, (subject, queue) in enumerate(subs, 1):
            res.send(f"SUB {subject} {queue + ' ' if queue else ''}{sid}")
            told = res.until_pong()
            if told:
                expect("refusal", told, [subscribe_refused(subject, queue)])
            got[sid] = None if told else []
        for subject in subjects:
            pub.send(f"PUB {subject} 1", "x")
            expect("published", pub.until_pong(), [])
            for line in res.until_pong():
                if line.startswith("MSG "):
                    _, on, sid, _ = line.split(" ")
                    expect("subject", on, subject)
                    got[int(sid)].append(on)
        return list(got.values())


DENIALS = [
    # permissions; subscriptions (subject, queue); what is published; what each hears, or None
    ('{ subscribe: { deny: "s.x" } }',
     [("s.*", None), ("s.*", "q"), ("s.>", None), (">", "q2"), ("*.x", None), ("s.x", "q")],
     ["s.x", "s.y"], [["s.y"], ["s.y"], ["s.y"], ["s.y"], [], None]),
    ('{ subscribe: { deny: "s.x q" } }',
     [("s.*", "q"), ("s.*", "r"), ("s.*", None), ("s.x", "q"), ("s.x", "r2")],
     ["s.x"], [[], ["s.x"], ["s.x"], None, ["s.x"]]),
    ('{ subscribe: { deny: "s.x >" } }',
     [("s.x", "a"), ("s.x", "a..b"), ("s.x", "."), ("s.x", "a."), ("s.x", ">"), ("s.*", "a..b"),
      ("s.x", None)], ["s.x"], [None, None, None, None, None, [], ["s.x"]]),
    ('{ subscribe: { allow: "s.*" } }',
     [("s.>", None), ("s.>", "q"), (">", None), ("*.x", None), ("s.*", "q"), ("s.*", None)],
     ["s.x", "s.x.y"], [None, None, None, None, ["s.x"], ["s.x"]]),
    ('{ subscribe: { allow: "s.* q" } }',
     [("s.x", None), ("s.x", "r"), ("s.x", "q"), ("s.*", "q"), ("s.>", "q")],
     ["s.y"], [None, None, [], ["s.y"], None]),
    ('{ subscribe: { allow: "s.>", deny: ["s.*.x", "s.y.>"] } }',
     [("s.>", None), ("s.*.*", "q"), ("s.y.*", None), ("s.*.x", None)],
     ["s.a.x", "s.y.a", "s.y.x", "s.a.a"], [["s.a.a"], ["s.a.a"], None, None]),
]


def test_denials_cannot_be_got_around():
    """By a queue group, by a wildcard that overlaps, by one that is wider, by a strange name."""
    for permissions, subs, subjects, wanted in DENIALS:
        expect(permissions, heard(permissions, subs, subjects), wanted)


def test_denied_publishes_by_any_way():
    """PUB and HPUB, verbose and not, by a mapping, again and again; and nobody is told 503."""
    config = authorization(user("pub", '{ publish: { deny: ["s.>", "*.no"] } }'), user("wit")) + \
        'mappings { "to.*": "s.$1", "from.no": "fine" }\n'
    with served(config) as server:
        wit = Client(server, "wit", "p")
        wit.send("SUB > 1")
        wit.until_pong()
        for verbose in False, True:
            pub = Client(server, "pub", "p", verbose=verbose, headers=True, no_responders=True)
            pub.send("SUB i 1")
            pub.until_pong()
            for subject, mapped in (("s.x", "s.x"), ("a.no", "a.no"), ("to.x", "s.x")):
                for _ in range(3):
                    pub.send(f"PUB {subject} i 1", "x", f"HPUB {subject} i 12 13",
                             "NATS/1.0", "", "x")
                    expect(subject, pub.until_pong(),
                           [f'-ERR \'Permissions Violation for Publish to "{mapped}"\''] * 2)
            expect("nothing was heard", wit.until_pong(), [])
            pub.send("PUB from.no 1", "x")
            expect("by what it is mapped to", pub.until_pong(), ["+OK"] if verbose else [])
            expect("heard", wit.until_pong(), ["MSG fine 1 1", "x"])


SPOOFS = ["Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO", "Nats-Request-Info ",
          " Nats-Request-Info", "Nats-Requestor"]


def test_spoofed_headers_are_not_believed():
    """What a client says of itself in the headers of servers is nothing to the server."""
    config = ("accounts { A { users: [ " + user("ann") + " ] }, B { users: [ " + user("bob") +
              " ] }, SYS { users: [ " + user("sys") + " ] } }\nsystem_account: SYS\n")
    lie = json.dumps({"acc": "SYS", "account": "B", "user": "sys", "host": "localhost", "id": 1,
                      "kind": "System", "svc": "x", "nametag": "sys"})
    with served(config) as server:
        ann = Client(server, "ann", "p", headers=True, no_responders=True)
        ann.send("SUB i 1")
        ann.until_pong()
        for first, second in itertools.product(SPOOFS, SPOOFS):
            head = f"NATS/1.0\r\n{first}: {lie}\r\n{second}: {lie}\r\n\r\n"
            ann.send(f"HPUB $SYS.REQ.USER.INFO i {len(head)} {len(head)}", head)
            while True:
                line = ann.line()
                assert not line.startswith("-ERR"), line
                if line.startswith("{"):
                    break
            said = json.loads(line)["data"]
            expect(f"{first}, {second}", (said["user"], said["account"]), ("ann", "A"))
            for subject in ("$SYS.REQ.ACCOUNT.B.CONNZ", "$SYS.REQ.SERVER.PING.VARZ",
                            "$SYS.REQ.ACCOUNT.SYS.INFO"):
                ann.send(f"HPUB {subject} i {len(head)} {len(head)}", head)
            ann.send("PING")
            answers = []
            while not answers or answers[-1] != "PONG":
                answers.append(ann.line())
            assert not any('"B"' in one or "bob" in one or '"SYS"' in one or "mem" in one
                           for one in answers), answers


def test_traces_go_only_where_their_sender_may():
    """Whatever case, however often, beside what a server would have said."""
    config = authorization(user("pub", '{ publish: "t.x" }'), user("wit"))
    with served(config) as server:
        pub, wit = Client(server, "pub", "p", headers=True), Client(server, "wit", "p", headers=True)
        wit.send("SUB > 1")
        wit.until_pong()
        lines = ["Nats-Trace-Dest: secret", "nats-trace-dest: secret", "NATS-TRACE-DEST: secret",
                 "Nats-Trace-Only: true", "Nats-Trace-Hop: 1", "Nats-Trace-Origin-Account: SYS",
                 "Nats-Trace-Dest: $SYS.x", "Nats-Trace-Dest: secret\r\nNats-Trace-Dest: t.x"]
        for one, other in itertools.product(lines, lines):
            head = f"NATS/1.0\r\n{one}\r\n{other}\r\n\r\n"
            pub.send(f"HPUB t.x {len(head)} {len(head) + 1}", head + "x")
            pub.until_pong()
            wit.send("PING")
            line = wit.line()
            while line != "PONG":
                assert not line.startswith(("MSG secret", "HMSG secret", "MSG $SYS", "HMSG $SYS")), \
                    f"{head!r}: {line}"
                line = wit.line()


def test_subjects_hold_no_lines():
    """What would be a line of its own in the stream of another client never gets there."""
    with served("max_payload: 1000\n") as server:
        wit = Client(server)
        wit.send("SUB > 1")
        wit.until_pong()
        for text in ("PUB a\rMSG 1\r\n!\r\n", "PUB a\r-ERR 1\r\n!\r\n", "PUB a b\rc 1\r\n!\r\n",
                     "SUB a\rb 1\r\n", "SUB a q\rr 1\r\n", "UNSUB 1\r2\r\n"):
            client = Client(server)
            client.sock.sendall(text.encode())
            expect(repr(text), client.until_end(), ["-ERR 'Unknown Protocol Operation'"])
            expect(repr(text), wit.until_pong(), [])


def test_who_shows_nothing_comes_by_an_allowed_way():
    """The user for those who show nothing may be one for other kinds of connection."""
    refused = ["-ERR 'Authorization Violation'"]
    for kinds, open_ in (("[WEBSOCKET]", False), ("[WEBSOCKET, MQTT]", False),
                         ("[STANDARD]", True), ("[websocket, standard]", True)):
        config = ("authorization { users: [ { user: guest, password: g, "
                  f"allowed_connection_types: {kinds} }}, {user('ann')} ] }}\n"
                  "no_auth_user: guest\n")
        for path in filter(None, (None, peer())):
            with served(config, path=path) as server:
                for first in ("", "PUB a 1\r\nx", "SUB a 1", "PING", "CONNECT {}",
                              'CONNECT {"user":"guest","pass":"g"}'):
                    client = Client(server)
                    got = client.until_pong() if open_ else client.until_end()
                    expect(f"{kinds}, CONNECT without anything", got, [] if open_ else refused)
                    expect("ann", Client(server, "ann", "p").until_pong(), [])
                    raw = Raw(server)
                    raw.send(first)
                    got = [line for line in raw.until_pong() if not line.startswith("+OK")]
                    expect(f"{kinds}, {first!r} first, {path}",
                           got[:1] == refused, not open_)


class Raw(Client):
    """One that says nothing by itself."""

    def __init__(self, server):
        self.silent = True
        super().__init__(server)
        self.silent = False

    def send(self, *lines):
        if not self.silent:
            super().send(*lines)


def test_nats_server_agrees_on_groups():
    """In the other rows it lets a wider wildcard in, or refuses one that only overlaps."""
    if peer():
        permissions, subs, subjects, wanted = DENIALS[1]
        expect(permissions, heard(permissions, subs, subjects, peer()), wanted)


if __name__ == "__main__":
    sys.exit(main(globals()))
