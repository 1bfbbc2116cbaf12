#!/usr/bin/env python3
"""How long responses take: every status, every field, and which headers ask, beside nats-server."""

import json
import pathlib
import re
import sys
import unittest

import realm
from realm import Pipit, Reference, configuration, running

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitor"))
from world import main  # noqa: E402

ACCOUNTS = {
    "E": 'exports: [ {service: "svc.*", latency: {subject: lat, sampling: 100}},'
         ' {service: "slow", threshold: "200ms", latency: lat},'
         ' {service: "h", latency: {subject: lat, sampling: headers}},'
         ' {service: "none", latency: {subject: lat, sampling: 1}} ]',
    "I": 'imports: [ {service: {account: E, subject: "svc.*"}},'
         ' {service: {account: E, subject: slow}}, {service: {account: E, subject: h}},'
         ' {service: {account: E, subject: none}} ]',
    "J": 'imports: [ {service: {account: E, subject: "svc.*"}, share: true} ]',
}
DURATIONS = ("service", "system", "total")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# What each header makes of a request that is measured only if headers ask.
HEADERS = [
    {"Uber-Trace-Id": "1:2:3:1", "Uberctx-A": "x"}, {"Uber-Trace-Id": "1:2:3:0"},
    {"Uber-Trace-Id": "1:2:3"}, {"Uber-Trace-Id": "1:2:3:03"}, {"Uber-Trace-Id": "1:2:3:zz"},
    {"Uber-Trace-Id": "1:2:3:0", "X-B3-Sampled": "1"},
    {"X-B3-Sampled": "1"}, {"X-B3-Sampled": "0"},
    {"X-B3-TraceId": "80f198ee56343ba864fe8b2a57d3eff7", "X-B3-SpanId": "e457b5a2e4d86bd1"},
    {"X-B3-TraceId": "8", "X-B3-Sampled": "0"},
    {"B3": "0"}, {"B3": "1"}, {"B3": "8-e-1-0"}, {"B3": "8-e-0"}, {"B3": "8-e"},
    {"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate": "a=b"},
    {"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
    {"Traceparent": "00-4bf9-01"}, {"Other": "1"},
]


def shape(value, path=""):
    """Fields in order, with what both servers must say; times and names of chance are checked."""
    if isinstance(value, dict):
        return [(k, shape(v, f"{path}.{k}")) for k, v in value.items()]
    last = path.rsplit(".", 1)[-1]
    if last in ("timestamp", "start"):
        assert TIME.fullmatch(value), (path, value)
        return "TIME"
    if path == ".id":
        assert re.fullmatch(r"[0-9A-Za-z]{22}", value), value
        return "ID"
    if last in ("rtt", "id", *DURATIONS):
        assert isinstance(value, int) and value >= 0, (path, value)
        return "NUMBER"
    return value


class Latency(unittest.TestCase):
    maxDiff = None

    def each(self):
        return realm.each_server(configuration(ACCOUNTS))

    def listen(self, server, *subjects):
        e = server.client("e", name="responder")
        for subject in ("lat", *subjects):
            e.subscribe(subject)
        e.flush()
        return e

    def ask(self, e, client, subject, headers=None, answered=True):
        reply = client.ask(subject, b"q", headers)
        if answered:
            message = e.wait_subject(subject)
            e.publish(message.reply, b"a")
            client.wait_subject(reply)

    def same(self, script):
        """What script(server) yields is the same for both."""
        ours, theirs = (list(script(server)) for server in self.each())
        self.assertEqual(ours, theirs)
        return ours

    def test_answered(self):
        def script(server):
            e = self.listen(server, "svc.*")
            for user in ("i", "j"):
                with server.client(user, name=f"asks for {user}") as client:
                    self.ask(e, client, "svc.1")
                    result = json.loads(e.wait_subject("lat").payload)
                    self.assertGreaterEqual(
                        result["total"],
                        result["service"] + result["system"] + result["requestor"]["rtt"])
                    yield shape(result)
            e.close()

        plain, shared = self.same(script)
        self.assertEqual(dict(dict(plain)["requestor"])["acc"], "I")
        self.assertEqual(dict(dict(shared)["requestor"])["name"], "asks for j")

    def test_not_answered(self):
        def script(server):
            e = self.listen(server, "slow", "svc.*")
            i = server.client("i", name="asks")
            i.publish("svc.1", b"no reply")
            yield shape(json.loads(e.wait_subject("lat").payload))
            self.ask(e, i, "slow", answered=False)
            yield shape(json.loads(e.wait_subject("lat").payload))
            sid = i.subscribe("in.1")
            i.flush()
            i.publish("svc.2", b"", "in.1")
            e.wait_subject("svc.2")
            i.send(f"UNSUB {sid}\r\n")
            yield shape(json.loads(e.wait_subject("lat").payload))
            e.send("UNSUB 3\r\n")
            e.flush()
            self.ask(e, i, "slow", answered=False)
            yield shape(json.loads(e.wait_subject("lat").payload))
            i.close()
            e.close()

        results = self.same(script)
        self.assertEqual([dict(r)["status"] for r in results], [400, 504, 408, 503])

    def test_gone(self):
        """Who asks leaves before the answer."""
        def script(server):
            e = self.listen(server, "svc.*")
            i = server.client("i")
            self.ask(e, i, "svc.1", answered=False)
            message = e.wait_subject("svc.1")
            i.close()
            yield shape(json.loads(e.wait_subject("lat").payload))
            e.publish(message.reply, b"late")
            e.flush()
            yield [m.subject for m in e.taken()]
            e.close()

        (result, rest) = self.same(script)
        self.assertEqual((dict(result)["status"], rest), (408, []))

    def test_headers(self):
        def script(server):
            e = self.listen(server, "h")
            i = server.client("i")
            for headers in HEADERS:
                self.ask(e, i, "h", headers)
                e.flush()
                results = [json.loads(m.payload) for m in e.taken(lambda m: m.subject == "lat")]
                yield headers, [r.get("header") for r in results]
            i.close()
            e.close()

        measured = [bool(r) for _, r in self.same(script)]
        self.assertIn(True, measured)
        self.assertIn(False, measured)

    def test_sampling(self):
        """One in a hundred of many."""
        with running(Pipit, configuration(ACCOUNTS)) as server:
            e = self.listen(server, "none")
            i = server.client("i")
            for _ in range(3000):
                i.publish("none", b"q", "in.1")
            i.flush()
            e.wait(lambda m: m.subject == "none")
            e.flush()
            for message in e.taken(lambda m: m.subject == "none"):
                e.publish(message.reply, b"a")
            e.flush()
            results = e.taken(lambda m: m.subject == "lat")
            self.assertTrue(2 <= len(results) <= 90, len(results))

    def test_without_system_account(self):
        """Nobody measures then; requests are answered all the same."""
        text = configuration(ACCOUNTS).replace("system_account: SYS", "no_system_account: true")
        with running(Pipit, text) as server:
            e = self.listen(server, "svc.*")
            with server.client("i") as i:
                self.ask(e, i, "svc.1")
            e.flush()
            self.assertEqual(e.taken(), [])


if __name__ == "__main__":
    main()
