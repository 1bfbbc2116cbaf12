#!/usr/bin/env python3
"""The same messages under the same configuration: who hears them, and as what, in both servers."""

import pathlib
import sys
import unittest

import realm
from realm import Pipit, Reference, configuration, running

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitor"))
from world import main  # noqa: E402

STREAMS = {
    "E": 'exports: [ {stream: "a.*.b"}, {stream: "all.>"}, {stream: lit},'
         ' {stream: "only.>", accounts: [J]}, {stream: "to.*", account_token_position: 2} ]',
    "I": 'imports: [ {stream: {account: E, subject: "a.*.b"}, to: "x.$1"},'
         ' {stream: {account: E, subject: "all.>"}, prefix: from.e},'
         ' {stream: {account: E, subject: lit}}, {stream: {account: E, subject: to.I}, to: mine} ]',
    "J": 'imports: [ {stream: {account: E, subject: "only.*.x"}, to: "here.*"},'
         ' {stream: {account: E, subject: "all.one"}, to: one} ]\n'
         'exports: [ {stream: "here.>"} ]',
    "K": 'imports: [ {stream: {account: J, subject: "here.>"}} ]',
}
# Who subscribes to what: account, subject, queue.
STREAM_SUBS = [("E", ">", None), ("I", ">", None), ("I", "x.1", None), ("I", "x.*", None),
               ("I", "from.>", None), ("I", "from.e.all.*", None), ("I", "mine", None),
               ("J", "here.1", None), ("J", "*", None), ("K", ">", None), ("I", "lit", None)]
STREAM_MESSAGES = [("E", s) for s in ("a.1.b", "a.2.b", "a.1.c", "all.one", "all.one.two", "all",
                                      "lit", "only.1.x", "only.1.y", "to.I", "to.J", "x.1")]
STREAM_MESSAGES += [("I", s) for s in ("x.1", "from.e.all.x", "lit", "mine")]
STREAM_MESSAGES += [("J", s) for s in ("here.1", "one")]

SERVICES = {
    "F": 'exports: [ {service: "deep.*"} ]',
    "E": 'exports: [ {service: "svc.*"}, {service: many, response: stream},'
         ' {service: plain}, {service: "mapped"}, {service: "mid.*"} ]\n'
         'imports: [ {service: {account: F, subject: "deep.*"}, to: "mid.$1"} ]\n'
         'mappings: { mapped: "mapped.else" }',
    "I": 'imports: [ {service: {account: E, subject: "svc.*"}, to: "my.$1"},'
         ' {service: {account: E, subject: many}}, {service: {account: E, subject: plain}, to: "p.*"},'
         ' {service: {account: E, subject: mapped}},'
         ' {service: {account: E, subject: "mid.*"}, to: "far.*", share: true} ]',
}
SERVICE_SUBS = [("E", "svc.1", None), ("E", "svc.*", "q"), ("E", "many", None), ("E", "plain", None),
                ("E", "mapped.>", None), ("E", "mapped", None), ("F", "deep.>", None),
                ("I", "my.1", None), ("I", "in.>", None)]
REQUESTS = ["my.1", "my.2", "my", "many", "p.a", "p.b", "mapped", "far.x"]


class Passages(unittest.TestCase):
    maxDiff = None

    def play(self, kind, accounts, subs, script):
        """What each account hears in script(clients), which yields a publisher for each step."""
        with running(kind, configuration(accounts)) as server:
            clients = {name: server.client(name.lower()) for name in accounts}
            for name, subject, queue in subs:
                clients[name].subscribe(subject, queue)
            for client in clients.values():
                client.flush()
            steps = []
            for publisher, what in script(clients):
                realm.settle(publisher, clients.values())
                steps.append((what, {n: realm.heard(c) for n, c in clients.items()}))
            for client in clients.values():
                self.assertEqual(client.errors, [])
                client.close()
            return steps

    def compare(self, accounts, subs, script):
        ours = self.play(Pipit, accounts, subs, script)
        theirs = self.play(Reference, accounts, subs, script)
        self.assertEqual(len(ours), len(theirs))
        for mine, other in zip(ours, theirs):
            self.assertEqual(mine, other)
        return ours

    def test_streams(self):
        def script(clients):
            for name, subject in STREAM_MESSAGES:
                clients[name].publish(subject, b"x", "re.ply", {"H": "v"})
                yield clients[name], (name, subject)

        steps = dict(self.compare(STREAMS, STREAM_SUBS, script))
        self.assertEqual([m[0] for m in steps["E", "a.1.b"]["I"]], ["x.1"] * 3)

    def test_stream_ends_with_its_subscription(self):
        def script(clients):
            i, e = clients["I"], clients["E"]
            sid = i.subscribe("x.7")
            i.flush()
            e.publish("a.7.b")
            yield e, "there"
            i.send(f"UNSUB {sid}\r\n")
            i.flush()
            e.publish("a.7.b")
            yield e, "gone"
            other = i.subscribe("x.*")
            i.flush()
            e.publish("a.8.b")
            yield e, "another"
            i.send(f"UNSUB {other}\r\n")
            i.flush()
            e.publish("a.8.b")
            yield e, "none"

        steps = dict(self.compare(STREAMS, [], script))
        self.assertEqual([len(steps[s]["I"]) for s in ("there", "gone", "another", "none")],
                         [1, 0, 1, 0])

    def test_stream_ends_by_itself(self):
        """What a subscription has asked for counts wherever messages come from; nats-server knows
        only of what it asked for before it heard its first."""
        with running(Pipit, configuration(STREAMS)) as server:
            i, e = server.client("i"), server.client("e")
            for before in (0, 1):
                sid = i.subscribe("x.8")
                i.flush()
                for _ in range(before):
                    e.publish("a.8.b")
                realm.settle(e, (i,))
                i.send(f"UNSUB {sid} 3\r\n")
                i.flush()
                for _ in range(5):
                    e.publish("a.8.b")
                realm.settle(e, (i,))
                self.assertEqual(len(i.taken()), 3)

    def test_stream_groups(self):
        """A group has one member for each message, wherever its members are."""
        for kind in (Pipit, Reference):
            with running(kind, configuration(STREAMS)) as server:
                e, i, j = (server.client(n) for n in "eij")
                i.subscribe("from.e.all.one", "q")
                j.subscribe("one", "q")
                i.subscribe("from.e.>", "other")
                i.flush()
                j.flush()
                for _ in range(200):
                    e.publish("all.one", b"x")
                realm.settle(e, (i, j))
                by_sid = [m.sid for m in i.taken()]
                here, there = by_sid.count(2), len(j.taken())
                self.assertEqual((here + there, by_sid.count(3)), (200, 200), kind)
                self.assertTrue(here and there, kind)

    def test_requests_and_responses(self):
        def script(clients):
            for number, subject in enumerate(REQUESTS):
                clients["I"].publish(subject, b"q", f"in.{number}", {"Nats-Request-Info": "{}"})
                yield clients["I"], subject
                clients["I"].publish(subject, b"no answer")
                yield clients["I"], (subject, "no answer")

        steps = dict(self.compare(SERVICES, SERVICE_SUBS, script))
        self.assertEqual([m[0] for m in steps["p.b"]["E"]], ["plain"])

    def answer(self, clients, message, *payloads, who="E"):
        for payload in payloads:
            clients[who].publish(message.reply, payload, None,
                                 {"A": "b"})
            clients[who].flush()
            yield clients[who], payload

    def test_how_often_is_answered(self):
        def script(clients):
            clients["I"].publish("my.2", b"q", "in.1")
            message = clients["E"].wait_subject("svc.2")
            yield from self.answer(clients, message, b"one", b"two")
            clients["I"].publish("many", b"q", "in.2")
            message = clients["E"].wait_subject("many")
            yield from self.answer(clients, message, b"one", b"two")
            clients["E"].publish(message.reply, b"")
            yield clients["E"], "end"
            yield from self.answer(clients, message, b"late")
            clients["I"].publish("far.x", b"q", "in.3")
            message = clients["F"].wait_subject("deep.x")
            yield from self.answer(clients, message, b"far one", b"far two", who="F")

        steps = dict(self.compare(SERVICES, SERVICE_SUBS, script))
        self.assertEqual(len(steps[b"far one"]["I"]), 1)
        self.assertEqual(len(steps[b"far two"]["I"]), 0)

    def test_nobody_answers(self):
        for server in realm.each_server(configuration(SERVICES)):
            with server.client("i") as i, server.client("e") as e:
                self.assertEqual(i.request("my.1").status, "503", server.kind)
                sid = e.subscribe("svc.*")
                e.flush()
                reply = i.ask("my.1")
                message = e.wait_subject("svc.1")
                e.publish(message.reply, b"yes")
                self.assertEqual(i.wait_subject(reply).payload, b"yes", server.kind)
                e.send(f"UNSUB {sid}\r\n")
                e.flush()
                self.assertEqual(i.request("my.1").status, "503", server.kind)

    def test_who_asks_is_not_forged(self):
        """However the header is written, whoever answers sees one, and it is the server's."""
        forms = ["Nats-Request-Info: {}", "nats-request-info: {}", "NATS-REQUEST-INFO : {}",
                 " Nats-Request-Info: {}", "Nats-Request-Info: a\r\n b", "A: b\nNats-Request-Info: {}",
                 "A: b\rNats-Request-Info: {}", "Nats-Request-Info: 1\r\nNats-Request-Info: 2"]
        with running(Pipit, configuration(SERVICES)) as server:
            i, e = server.client("i"), server.client("e")
            e.subscribe("svc.*")
            e.flush()
            for form in forms:
                block = f"NATS/1.0\r\n{form}\r\nB: c\r\n\r\n".encode()
                i.send(b"HPUB my.1 in.1 %d %d\r\n" % (len(block), len(block) + 1) + block + b"x\r\n")
                header = e.wait_subject("svc.1").header.decode()
                infos = [line for line in header.replace("\n", "\r").split("\r")
                         if "nats-request-info" in line.lower()]
                self.assertEqual(len(infos), 1, (form, header))
                self.assertTrue(infos[0].startswith('Nats-Request-Info: {"acc":"I"'), (form, header))
                self.assertIn("B: c", header)
            i.subscribe("in.1")
            i.flush()
            i.publish("my.1", b"x", "in.1")
            reply = e.wait_subject("svc.1").reply
            e.publish(reply, b"x", None, {"nats-request-info": "{}", "B": "c"})
            self.assertEqual(i.wait_subject("in.1").header, b"NATS/1.0\r\nB: c\r\n\r\n")

    def test_large_messages(self):
        """From what is copied to what is shared, with headers and without."""
        with running(Pipit, configuration(SERVICES)) as server:
            i, e = server.client("i"), server.client("e")
            e.subscribe("svc.*")
            i.subscribe("in.*")
            i.flush()
            e.flush()
            for size in (0, 1, 1800, 1990, 2048, 5000, 70000, 900000):
                payload = bytes(size % 251 for _ in range(size))
                for headers in (None, {"K": "v" * 100}):
                    i.publish("my.1", payload, "in.1", headers)
                    message = e.wait_subject("svc.1")
                    self.assertEqual(message.payload, payload)
                    self.assertEqual(message.field("K"), "v" * 100 if headers else None)
                    e.publish(message.reply, payload, None, headers)
                    self.assertEqual(i.wait_subject("in.1").payload, payload)

    def test_whoever_answers_may_be_answered(self):
        for server in realm.each_server(configuration(SERVICES)):
            with server.client("i") as i, server.client("e") as e:
                e.subscribe("svc.*")
                e.subscribe("back.>")
                i.subscribe("in.1")
                e.flush()
                i.publish("my.1", b"q", "in.1")
                message = e.wait_subject("svc.1")
                e.publish(message.reply, b"what?", "back.1")
                question = i.wait_subject("in.1")
                self.assertTrue(question.reply.startswith("_R_."), server.kind)
                i.publish(question.reply, b"that")
                self.assertEqual(e.wait_subject("back.1").payload, b"that", server.kind)

    def test_without_headers(self):
        """A client that knows no headers gets the request without any."""
        with running(Pipit, configuration(SERVICES)) as server:
            e = server.client("e", headers=False, no_responders=False)
            with server.client("i") as i:
                e.subscribe("svc.*")
                e.flush()
                i.publish("my.1", b"q", "in.1")
                message = e.wait_subject("svc.1")
                self.assertEqual((message.header, message.payload), (b"", b"q"))

    def test_permissions_hold_on_both_sides(self):
        """Publishing is judged by the subject here; hearing, by the subject there; no wildcard and no
        group gets around what is denied."""
        users = {"I": 'permissions: {publish: {deny: "my.2"}, subscribe: {deny: "x.2"}}'}
        accounts = {"E": 'exports: [ {service: "svc.*"}, {stream: "a.*.b"} ]',
                    "I": 'imports: [ {service: {account: E, subject: "svc.*"}, to: "my.$1"},'
                         ' {stream: {account: E, subject: "a.*.b"}, to: "x.$1"} ]'}
        for server in realm.each_server(configuration(accounts, users=users)):
            with server.client("i") as i, server.client("e") as e:
                e.subscribe(">")
                i.subscribe("x.>")
                i.subscribe("x.*", "q")
                e.flush()
                i.flush()
                i.publish("my.1")
                i.publish("my.2")
                e.publish("a.1.b")
                e.publish("a.2.b")
                realm.settle(i, (e, i))
                realm.settle(e, (e, i))
                self.assertEqual(sorted(m.subject for m in e.taken()), ["a.1.b", "a.2.b", "svc.1"])
                self.assertEqual([m.subject for m in i.taken()], ["x.1", "x.1"], server.kind)
                self.assertEqual(i.errors, ['Permissions Violation for Publish to "my.2"'])

    def events(self, message):
        """Of a trace, in no order but that what happens in one account stays together."""
        found = []
        for event in message.json()["events"]:
            event.pop("ts")
            event.pop("cid", None)
            found.append(tuple(sorted(event.items())))
        return sorted(found)

    def test_traces(self):
        """They follow as far as each import and export allows, with deliveries and without."""
        accounts = {
            "E": 'exports: [ {service: "open.*", allow_trace: true}, {service: "shut.*"},'
                 ' {stream: "a.>"} ]',
            "I": 'imports: [ {service: {account: E, subject: "open.*"}, to: "o.$1"},'
                 ' {service: {account: E, subject: "shut.*"}, to: "s.$1"} ]',
            "J": 'imports: [ {stream: {account: E, subject: "a.>"}, prefix: j, allow_trace: true} ]',
            "K": 'imports: [ {stream: {account: E, subject: "a.>"}, prefix: k} ]',
        }
        shown = []
        for server in realm.each_server(configuration(accounts)):
            clients = {name: server.client(name.lower(), name=name) for name in accounts}
            for name, subject in (("E", "open.*"), ("E", "shut.*"), ("E", "a.1"), ("J", "j.>"),
                                  ("J", "j.a.1"), ("K", "k.a.1"), ("E", "trace"), ("I", "trace")):
                clients[name].subscribe(subject)
            for client in clients.values():
                client.flush()
            found = []
            for only in ("false", "true"):
                for name, subject in (("I", "o.1"), ("I", "s.1"), ("E", "a.1"), ("E", "a.2"),
                                      ("I", "o.1.2")):
                    clients[name].publish(subject, b"x", "in.1", {"Nats-Trace-Dest": "trace",
                                                                  "Nats-Trace-Only": only})
                    events = self.events(clients[name].wait_subject("trace"))
                    realm.settle(clients[name], clients.values())
                    found.append((only, subject, events,
                                  {n: sorted(m.subject for m in c.taken())
                                   for n, c in clients.items()}))
            for client in clients.values():
                client.close()
            shown.append(found)
        self.assertEqual(shown[0], shown[1])

    def test_monitoring(self):
        """What is shown of it. The imports that nats-server gives every account are left out."""
        accounts = {
            "E": 'exports: [ {service: "svc.*", latency: {subject: lat, sampling: 50}},'
                 ' {stream: "a.>"}, {stream: "p.>", accounts: [I]},'
                 ' {service: "m.*", response: stream, account_token_position: 2} ]',
            "I": 'imports: [ {service: {account: E, subject: "svc.*"}, to: "my.$1", share: true},'
                 ' {stream: {account: E, subject: "a.*"}, to: "x.$1"},'
                 ' {stream: {account: E, subject: "p.>"}, prefix: y},'
                 ' {service: {account: E, subject: "m.I"}} ]',
        }
        shown = []
        for server in realm.each_server(configuration(accounts)):
            with server.client("sys") as client:
                found = {}
                for name in accounts:
                    data = client.request(f"$SYS.REQ.ACCOUNT.{name}.INFO").json()["data"]
                    for key in ("exports", "imports"):
                        found[name, key] = sorted(
                            (list(i.items()) for i in data.get(key) or ()
                             if i.get("account") != "SYS"), key=repr)
                shown.append(found)
        self.assertEqual(shown[0], shown[1])
        self.assertEqual([len(found) for found in shown[0].values()], [4, 0, 0, 4])


if __name__ == "__main__":
    main()
