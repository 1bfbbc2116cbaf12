#!/usr/bin/env python3
"""Permission to answer: publishing where a message that was heard is to be answered.
usage: test_answers.py PIPIT_SERVER [WORD...]"""

import json
import sys
import time

from world import Client, authorization, expect, main, peer, served, user

REMEMBERED = 16384  # PP_GRANTS_MAX


def refused(subject):
    return [f'-ERR \'Permissions Violation for Publish to "{subject}"\'']


def asked(requester, responder, subject="req", reply="rep.1"):
    """A request has reached the responder."""
    requester.send(f"PUB {subject} {reply} 1", "x")
    requester.until_pong()
    got = responder.until_pong()
    assert any(line.startswith("MSG ") and f" {reply} " in line for line in got), got


def both_clients(server, **connect):
    responder, requester = Client(server, "res", "p", **connect), Client(server, "req", "p")
    responder.send("SUB req 1")
    requester.send("SUB rep.> 1")
    expect("ready", responder.until_pong() + requester.until_pong(), [])
    return responder, requester


def say(client, subject):
    client.send(f"PUB {subject} 1", "y")
    return client.until_pong()


def attempts(permissions, path):
    """What becomes of publishes of a responder, in an order in which both servers must agree."""
    config = authorization(user("res", permissions), user("req"))
    with served(config, path=path) as server:
        responder, requester = both_clients(server)
        got = [say(responder, "rep.1")]
        asked(requester, responder)
        got += [say(responder, subject) for subject in
                ("rep.1", "rep.1", "rep.1", "other", "mine", "rep.2", "rep.1.x", "rep")]
        asked(requester, responder, reply="star.*")
        got += [say(responder, "star.x"), say(responder, "star.*")]
        asked(requester, responder, reply="$SYS.x")
        got += [say(responder, "$SYS.x")]
        got += [[line for line in requester.until_pong() if not line.startswith("y")]]
        return got


def test_as_in_nats_server():
    for permissions in ("{ allow_responses: true }",
                        "{ allow_responses: false }",
                        "{ allow_responses: { max: 2 } }",
                        "{ allow_responses: { max: -1 } }",
                        "{ publish: mine, allow_responses: true }",
                        "{ publish: {}, allow_responses: true }",
                        '{ publish: { deny: "rep.>" }, allow_responses: true }',
                        '{ publish: { allow: [mine, "rep.>"], deny: other }, '
                        "allow_responses: true }"):
        ours = attempts(permissions, None)
        if permissions == "{ allow_responses: true }":
            expect(permissions, ours[:4], [refused("rep.1"), [], refused("rep.1"),
                                           refused("rep.1")])
        if peer():
            expect(permissions, ours, attempts(permissions, peer()))


def test_the_answer_arrives():
    for threads in "1", "4":
        config = authorization(user("res", "{ allow_responses: true }"), user("req"))
        with served(config, "--threads", threads) as server:
            pairs = [both_clients(server) for _ in range(4)]
            heard = [0] * len(pairs)
            for at, (responder, requester) in enumerate(pairs):
                others = [other for other, _ in pairs if other is not responder]
                requester.send("PUB req rep.z 1", "x")
                heard[at] += requester.until_pong().count("MSG rep.z 1 1")
                # All four have heard it, and each may answer once, whatever loop it is on.
                for one in [responder, *others]:
                    assert any(" rep.z " in line for line in one.until_pong())
                    expect("once", say(one, "rep.z"), [])
                    expect("only once", say(one, "rep.z"), refused("rep.z"))
            for at, (_, requester) in enumerate(pairs):
                heard[at] += requester.until_pong().count("MSG rep.z 1 1")
            expect("all heard", heard, [16] * 4)


def test_time_ends_it():
    config = authorization(
        user("res", '{ allow_responses: { max: -1, expires: "3s" } }'), user("req"))
    with served(config) as server:
        responder, requester = both_clients(server)
        begun = time.monotonic()
        asked(requester, responder)
        expect("at once", say(responder, "rep.1"), [])
        while not say(responder, "rep.1"):
            assert time.monotonic() - begun < 20, "it never ended"
        assert time.monotonic() - begun >= 2.9, "it ended too early"
        asked(requester, responder)
        expect("once more", say(responder, "rep.1"), [])


def test_the_oldest_is_forgotten():
    config = authorization(user("res", "{ allow_responses: true }"), user("req"))
    with served(config) as server:
        responder, requester = both_clients(server)
        for start in range(0, REMEMBERED + 10, 1000):
            requester.send(*[line for n in range(start, start + 1000)
                             for line in (f"PUB req rep.{n} 1", "x")])
            requester.until_pong()
            responder.until_pong()
        last = start + 999
        expect("the first", say(responder, "rep.0"), refused("rep.0"))
        expect("the last", say(responder, f"rep.{last}"), [])
        expect("one that is still known", say(responder, f"rep.{last - REMEMBERED + 2}"), [])


def test_mapped_requests_and_answers():
    config = authorization(user("res", "{ allow_responses: true }"), user("req")) + \
        'mappings { "ask": req, "rep.in": "rep.out" }\n'
    with served(config) as server:
        responder, requester = both_clients(server)
        asked(requester, responder, "ask", "rep.out")
        expect("by the mapping", say(responder, "rep.in"), [])
        expect("spent", say(responder, "rep.out"), refused("rep.out"))
        expect("heard", requester.until_pong(), ["MSG rep.out 1 1", "y"])


def test_with_headers_and_in_verbose_mode():
    config = authorization(user("res", "{ allow_responses: true }"), user("req"))
    with served(config) as server:
        responder, requester = both_clients(server, headers=True)
        asked(requester, responder)
        responder.send("HPUB rep.1 12 13", "NATS/1.0\r\n\r\ny")
        expect("taken", responder.until_pong(), [])
        expect("heard", requester.until_pong(), ["MSG rep.1 1 1", "y"])
        responder.send('CONNECT {"verbose":true,"pedantic":true,"user":"res","pass":"p"}',
                       "SUB req 1")
        expect("anew", responder.until_pong(), ["+OK", "+OK"])
        asked(requester, responder)
        expect("+OK", say(responder, "rep.1"), ["+OK"])
        expect("spent", say(responder, "rep.1"), refused("rep.1"))


def test_not_where_a_trace_may_go():
    """Traces need a permission that lasts (nats-server asks the static ones, too)."""
    config = authorization(user("res", "{ publish: mine, allow_responses: true }"), user("req"))
    with served(config) as server:
        responder, requester = both_clients(server, headers=True)
        asked(requester, responder)
        head = "NATS/1.0\r\nNats-Trace-Dest: rep.1\r\n\r\n"
        responder.send(f"HPUB mine {len(head)} {len(head) + 1}", head + "y")
        expect("refused", responder.until_pong(), refused("rep.1"))


def test_reserved_subjects_stay_reserved():
    config = authorization(user("res", "{ allow_responses: true }"), user("req"))
    with served(config) as server:
        responder, requester = both_clients(server)
        asked(requester, responder, reply="$NRG.x")
        expect("reserved", say(responder, "$NRG.x"), refused("$NRG.x"))
        requester.send("PUB req _R_.x 1", "x")
        expect("as a reply", requester.until_pong(),
               ['-ERR \'Permissions Violation for Publish with Reply of "_R_.x"\''])


def test_reloads():
    def config(permissions):
        return authorization(user("res", permissions), user("req"))

    with served(config("{ publish: mine }")) as server:
        responder, requester = both_clients(server)
        asked(requester, responder)
        expect("not allowed", say(responder, "rep.1"), refused("rep.1"))
        server.reload(config("{ publish: mine, allow_responses: true }"))
        expect("that was before", say(responder, "rep.1"), refused("rep.1"))
        asked(requester, responder)
        expect("allowed", say(responder, "rep.1"), [])
        asked(requester, responder, reply="rep.2")
        server.reload(config("{ publish: mine, allow_responses: { max: 2 } }"))
        expect("on new terms", say(responder, "rep.2") + say(responder, "rep.2"), [])
        expect("spent", say(responder, "rep.2"), refused("rep.2"))
        asked(requester, responder, reply="rep.3")
        server.reload(config("{ publish: mine }"))
        expect("no more", say(responder, "rep.3"), refused("rep.3"))


def test_another_account_was_not_asked():
    accounts = ("accounts { A { users: [ " + user("res", "{ allow_responses: true }") + ", " +
                user("req") + " ] }, B { users: [ " + user("spy", "{ allow_responses: true }") +
                " ] } }\n")
    with served(accounts) as server:
        responder, requester = both_clients(server)
        asked(requester, responder)
        responder.send("CONNECT " + json.dumps({"verbose": False, "user": "spy", "pass": "p"}))
        expect("gone over", responder.until_pong(), [])
        expect("not in B", say(responder, "rep.1"), refused("rep.1"))
        responder.send("CONNECT " + json.dumps({"verbose": False, "user": "res", "pass": "p"}))
        expect("nor back again", responder.until_pong() + say(responder, "rep.1"),
               refused("rep.1"))


def test_what_is_said_of_it():
    # Only who may publish it can ask $SYS.REQ.USER.INFO.
    config = authorization(
        user("res", '{ publish: "$SYS.REQ.USER.INFO", allow_responses: { max: 3, ttl: "5s" } }'))
    for path in filter(None, (peer(), None)):
        with served(config, path=path) as server:
            client = Client(server, "res", "p")
            client.send("SUB i 1", "PUB $SYS.REQ.USER.INFO i 0", "")
            while True:
                line = client.line()
                if line.startswith("{"):
                    break
                assert line, "no answer"
            expect("responses", json.loads(line)["data"]["permissions"]["responses"],
                   {"max": 3, "ttl": 5000000000})


if __name__ == "__main__":
    sys.exit(main(globals()))
