#!/usr/bin/env python3
"""$SYS.REQ.SERVER: every answer beside that of nats-server."""

import gzip
import json
import time

from servers import Beside, main
from shape import differences

ENDPOINTS = ("VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ",
             "IPQUEUESZ", "RAFTZ", "EXPVARZ")
# Known flags of JetStream, which is not here; what a connection is told apart by.
ONLY_THEIRS = ("server.feature_flags", "data.feature_flags", "data.git_commit")
SAME = ("jetstream", "flags", "num_connections", "total", "offset", "limit", "kind", "type", "ip",
        "name", "lang", "version", "status", "status_code", "error", "num_routes", "leafnodes",
        "in_msgs", "in_bytes", "code", "system_account", "authorized_user", "account", "server_name")


class Requests(Beside):
    more = 'server_tags: ["Far", cold]\nserver_metadata: { rack: "7" }'

    def ask(self, subject, body=b"", user="sys", **options):
        return [getattr(server, user).request(subject.format(id=server.id), body, **options)
                for server in (self.ours, self.theirs)]

    def compare(self, subject, body=b"", user="sys", same=SAME, only_theirs=(), only_ours=()):
        ours, theirs = self.ask(subject, body, user)
        self.assertEqual(ours.header, theirs.header, subject)
        ours, theirs = ours.json(), theirs.json()
        self.assertEqual(list(ours), list(theirs), (subject, body))
        found = differences(ours, theirs, same, ONLY_THEIRS + only_theirs, only_ours)
        self.assertEqual(found, [], (subject, body))
        return ours

    def test_what_nats_surveyor_asks(self):
        """Its round: these subjects, bodies and header, and answers told apart by the end of the reply subject."""
        round_ = (
            ("$SYS.REQ.SERVER.PING", b""),
            ("$SYS.REQ.SERVER.PING.GATEWAYZ", b'{"name":"","accounts":false,"account_name":""}'),
            ("$SYS.REQ.SERVER.PING.RAFTZ", b'{"account":"","group":"_meta_"}'),
            ("$SYS.REQ.ACCOUNT.PING.STATZ", b'{"accounts":null,"include_unused":true}'),
            ("$SYS.REQ.SERVER.PING.JSZ", b'{"accounts":true,"streams":true,"consumer":true,'
                                         b'"config":true,"limit":10000,"raft":true}'))
        for subject, body in round_:
            with self.subTest(subject=subject):
                pages = []
                for server in (self.ours, self.theirs):
                    server.sys.subscribe("_INBOX.surveyor.*")
                    reply = f"_INBOX.surveyor.{time.time_ns()}"
                    server.sys.publish(subject, body, reply, {"Accept-Encoding": "snappy"})
                    answer = server.sys.wait_subject(reply)
                    # pipit has no snappy and says so by naming no encoding; surveyor reads that.
                    plain = server is self.ours or b"snappy" not in answer.header
                    pages.append(answer.json() if plain else None)
                ours, theirs = pages
                self.assertEqual(ours["server"]["id"], self.ours.id)
                if subject == "$SYS.REQ.SERVER.PING":
                    for name in ("start", "mem", "cores", "cpu", "connections", "total_connections",
                                 "active_accounts", "subscriptions", "sent", "received",
                                 "slow_consumers"):
                        self.assertIn(name, ours["statsz"])
                elif subject.endswith("STATZ"):
                    for account in ours["data"]["account_statz"]:
                        self.assertLessEqual({"acc", "conns", "total_conns", "leafnodes", "num_subscriptions",
                                              "sent", "received", "slow_consumers"}, set(account))
                elif theirs is not None:
                    self.assertEqual(list(ours), list(theirs))

    def test_endpoints(self):
        for name in ENDPOINTS:
            for form in ("PING", "{id}"):
                with self.subTest(name=name, form=form):
                    subject = f"$SYS.REQ.SERVER.{form}.{name}"
                    if name == "EXPVARZ":  # Go's runtime
                        ours, theirs = self.ask(subject)
                        self.assertEqual(set(ours.json()["data"]), {"cmdline", "memstats"})
                        for key in ("Alloc", "TotalAlloc", "Sys", "HeapAlloc"):
                            self.assertIsInstance(ours.json()["data"]["memstats"][key], int)
                    elif name == "IPQUEUESZ":  # insides of theirs
                        self.assertIsInstance(self.ask(subject)[0].json()["data"], dict)
                    elif name == "SUBSZ":
                        self.compare(subject, same=("total", "offset", "limit"))
                    elif name == "CONNZ":
                        self.compare(subject, same=SAME)
                    elif name == "ACCOUNTZ":
                        answers = [m.json()["data"] for m in self.ask(subject)]
                        self.assertEqual(answers[0]["system_account"], "SYS")
                        self.assertEqual(*(sorted(a["accounts"]) for a in answers))
                    elif name == "VARZ":
                        self.compare(subject, same=("proto", "auth_required", "max_connections",
                                                    "ping_interval", "max_payload", "connections",
                                                    "system_account", "server_name", "name"),
                                     only_theirs=("data.gomemlimit", "data.http_req_stats"))
                    else:
                        self.compare(subject)

    def test_identity(self):
        for form in ("PING", "{id}"):
            for body in (b"", b"{bad", b'{"server_name":"other"}'):
                answers = [m.json() for m in self.ask(f"$SYS.REQ.SERVER.{form}.IDZ", body)]
                for answer, server in zip(answers, (self.ours, self.theirs)):
                    self.assertEqual(answer, {"name": "watched", "host": "127.0.0.1",
                                              "id": server.id})

    def test_statistics(self):
        for subject in ("PING", "PING.STATSZ", "{id}.STATSZ"):
            answer = self.compare(
                "$SYS.REQ.SERVER." + subject, same=("connections", "active_accounts",
                                                    "active_servers", "slow_consumers", "cores"),
                only_theirs=("statsz.gomemlimit",))
            self.assertEqual(answer["statsz"]["connections"], 3)
            self.assertEqual(answer["statsz"]["active_accounts"], 3)

    def test_statistics_for_everybody(self):
        for server in (self.ours, self.theirs):
            listener = server.client("sys")
            listener.subscribe("$SYS.SERVER.*.STATSZ")
            listener.flush()
            server.sys.publish("$SYS.REQ.SERVER.PING.STATSZ")
            message = listener.wait_subject(f"$SYS.SERVER.{server.id}.STATSZ")
            self.assertEqual(list(message.json()), ["server", "statsz"])
            listener.close()

    def test_sequence_counts_on(self):
        seen = [self.ask("$SYS.REQ.SERVER.PING")[0].json()["server"]["seq"] for _ in range(3)]
        self.assertEqual(sorted(set(seen)), seen)

    def test_unknown_endpoint_has_no_responders(self):
        for message in self.ask("$SYS.REQ.SERVER.PING.NOPE"):
            self.assertEqual(message.status, "503")

    def test_options(self):
        for name, body in (
                ("CONNZ", {"auth": True, "acc": "A", "subscriptions": True}),
                ("CONNZ", {"auth": True, "sort": "bytes_to", "limit": 1}),
                ("CONNZ", {"state": 1, "sort": "stop"}),
                ("CONNZ", {"acc": "NOPE"}),
                ("CONNZ", {"user": "b", "auth": True}),
                ("CONNZ", {"acc": "A", "filter_subject": "_INBOX.>", "subscriptions": True}),
                ("CONNZ", {"Limit": 2, "OFFSET": 1}),  # keys match whatever their case
                ("CONNZ", None),
                ("SUBSZ", {"account": "B"}),
                ("LEAFZ", {"subscriptions": True}),
                ("HEALTHZ", {"details": True}),
                ("HEALTHZ", {"stream": "S"}),
                ("HEALTHZ", {"account": "A", "consumer": "c"}),
                ("JSZ", {"accounts": True, "streams": True, "raft": True}),
                ("ROUTEZ", {"subscriptions_detail": True}),
        ):
            with self.subTest(name=name, body=body):
                text = json.dumps(body)
                same = ("total", "offset", "limit") if name == "SUBSZ" else SAME
                if "acc" in text or "sort" in text:  # their clients' traffic is their own
                    same = ("total", "offset", "limit", "num_connections", "authorized_user")
                self.compare(f"$SYS.REQ.SERVER.PING.{name}", text, same=same,
                             only_theirs=("data.connections[].subscriptions_list",))

    def test_errors(self):
        """The codes are theirs; the words of the JSON library are its own."""
        for name, body, code in (
                ("CONNZ", "{bad", 400), ("CONNZ", "[1]", 400), ("CONNZ", '"text"', 400),
                ("CONNZ", '{"limit":"x"}', 400), ("CONNZ", '{"auth":1}', 400),
                ("CONNZ", '{"server_name":7}', 400), ("VARZ", "nonsense", 400),
                ("STATSZ", "{bad", 400), ("CONNZ", '{"sort":"zzz"}', 500),
                ("CONNZ", '{"sort":"stop"}', 500), ("CONNZ", '{"filter_subject":"x"}', 500),
                ("SUBSZ", '{"subscriptions":true,"test":"a.*"}', 500),
                ("ACCOUNTZ", '{"account":"NOPE"}', 500),
        ):
            with self.subTest(name=name, body=body):
                same = ("code",) if code == 400 else ("code", "description", "data")
                answer = self.compare(f"$SYS.REQ.SERVER.PING.{name}", body, same=same)
                self.assertEqual(answer["error"]["code"], code)

    def test_a_body_that_is_too_large(self):
        answer = self.ask("$SYS.REQ.SERVER.PING.CONNZ", b" " * 70000)[0].json()
        self.assertEqual(answer["error"]["code"], 400)

    def test_filters(self):
        """Who is not meant stays silent."""
        meant = ({"server_name": "watch"}, {"server_name": "watched", "exact_match": True},
                 {"host": "127"}, {"tags": []}, {"tags": ["FAR", "cold"]}, {"cluster": ""}, {"domain": ""})
        others = ({"server_name": "other"}, {"server_name": "watch", "exact_match": True},
                  {"host": "10."}, {"cluster": "c"}, {"domain": "d"}, {"tags": ["t"]}, {"tags": ["far", "t"]})
        for server in (self.ours, self.theirs):
            for body in meant:
                answer = server.sys.request("$SYS.REQ.SERVER.PING", json.dumps(body)).json()
                self.assertIn("statsz", answer, body)
            replies = [server.sys.ask("$SYS.REQ.SERVER.PING", body) for body in others]
            last = server.sys.ask("$SYS.REQ.SERVER.PING")
            server.sys.wait_subject(last)  # answers come in the order of requests
            self.assertEqual([m.payload for m in server.sys.taken(lambda m: m.subject in replies)],
                             [])

    def test_encodings(self):
        for accepted, ours, theirs in (("gzip", "gzip", "gzip"), ("GZIP", "gzip", "gzip"),
                                       ("br", "identity", "identity"),
                                       # docs/compatibility.md: no snappy
                                       ("snappy", "identity", "snappy"),
                                       ("gzip, s2", "gzip", "snappy")):
            answers = self.ask("$SYS.REQ.SERVER.PING.VARZ", headers={"Accept-Encoding": accepted})
            self.assertEqual([m.field("Content-Encoding") for m in answers], [ours, theirs])
            text = answers[0].payload
            if ours == "gzip":
                text = gzip.decompress(text)
            self.assertIn(b'"server_id"', text)

    def test_requests_without_reply_are_passed_over(self):
        for server in (self.ours, self.theirs):
            for name in ENDPOINTS:
                server.sys.publish(f"$SYS.REQ.SERVER.PING.{name}")
        self.ask("$SYS.REQ.SERVER.PING")

    def test_profiles(self):
        answer = self.ask("$SYS.REQ.SERVER.PING.PROFILEZ", '{"name":"none"}')[0].json()
        self.assertEqual(set(answer["data"]), {"profile", "error"})


if __name__ == "__main__":
    main()
