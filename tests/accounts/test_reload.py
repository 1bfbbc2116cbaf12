#!/usr/bin/env python3
"""Exports and imports that change under traffic: connections stay, and what passes is what the
configuration says, from the reload on."""

import pathlib
import sys
import threading
import unittest

import realm
from realm import Pipit, Reference, configuration, running

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitor"))
from world import eventually, main  # noqa: E402

EXPORTS = 'exports: [ {service: "svc.*", threshold: "1h"}, {stream: "a.>"} ]'
SERVICE = '{service: {account: E, subject: "svc.*"}}'
STREAM = '{stream: {account: E, subject: "a.>"}, prefix: p}'


def text(*imports, exports=EXPORTS, more=None):
    return configuration({"E": exports, "I": f'imports: [ {", ".join(imports)} ]', **(more or {})})


class Traffic(threading.Thread):
    """Publishes until it is stopped, and takes what comes; what it hears it cannot tell."""

    def __init__(self, client, work):
        super().__init__(daemon=True)
        self.client, self.work, self.stopped, self.rounds, self.error = client, work, False, 0, None

    def run(self):
        try:
            while not self.stopped:
                self.work(self.client)
                self.client.flush()
                self.client.taken()
                self.rounds += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


class Limits(unittest.TestCase):
    def left(self, kind, limits, subs, stay):
        """How many of five clients stay, once no more do than should, and what the others are
        told."""
        def text(limits):
            return configuration({"A": f"limits {{ {limits} }}"})
        with running(kind, text("max_subs: 100")) as server:
            clients = [server.client("a") for _ in range(5)]
            for client in clients:
                for n in range(subs):
                    client.subscribe(f"s.{n}")
                client.flush()
            server.reload(text(limits))
            eventually(lambda: sum(not client.gone() for client in clients) <= stay, limits)
            gone = [client for client in clients if client.gone()]
            return len(clients) - len(gone), set().union(*(client.errors for client in gone))

    def test_lower_ones_hold_for_who_is_there(self):
        for limits, subs, stay, told in (
                ("max_subs: 2", 4, 0, {"maximum subscriptions exceeded"}),
                ("max_subs: 50", 4, 5, set()),
                ("max_conn: 2", 1, 2, {"maximum account active connections exceeded"}),
                ("max_conn: 5", 1, 5, set())):
            for kind in (Pipit, Reference):
                with self.subTest(limits, kind=kind):
                    self.assertEqual(self.left(kind, limits, subs, stay), (stay, told))


class Reload(unittest.TestCase):
    def test_what_passes(self):
        for kind in (Pipit, Reference):
            with running(kind, text(SERVICE)) as server:
                i, e = server.client("i"), server.client("e")
                i.subscribe("p.a.1")
                e.subscribe("svc.1")
                i.flush()
                e.flush()

                def look():
                    e.publish("a.1")
                    i.publish("svc.1")
                    realm.settle(e, (i, e))
                    realm.settle(i, (i, e))
                    return [m.subject for m in i.taken()], [m.subject for m in e.taken()]

                self.assertEqual(look(), ([], ["svc.1"]), kind)
                for imports, wanted in (((STREAM,), (["p.a.1"], [])),
                                        ((STREAM, SERVICE), (["p.a.1"], ["svc.1"])),
                                        ((), ([], [])), ((STREAM,), (["p.a.1"], []))):
                    server.reload(text(*imports) if imports else text())
                    self.assertEqual(look(), wanted, (kind, imports))
                i.close()
                e.close()

    def test_answers_outlive_a_reload(self):
        """A request that has been sent is answered, though nobody could ask any more."""
        with running(Pipit, text(SERVICE)) as server:
            i, e = server.client("i"), server.client("e")
            e.subscribe("svc.1")
            e.flush()
            reply = i.ask("svc.1")
            message = e.wait_subject("svc.1")
            server.reload(text())
            self.assertEqual(i.request("svc.1").status, "503")
            e.publish(message.reply, b"yes")
            self.assertEqual(i.wait_subject(reply).payload, b"yes")

    def test_a_reload_that_is_refused_changes_nothing(self):
        with running(Pipit, text(SERVICE)) as server:
            i, e = server.client("i"), server.client("e")
            e.subscribe("svc.1")
            e.flush()
            since = len(server.log)
            server.write(text(SERVICE, exports=""))
            server.process.send_signal(1)
            self.assertIn("service import not authorized",
                          server.wait_line("Failed to reload server configuration", since))
            reply = i.ask("svc.1")
            e.publish(e.wait_subject("svc.1").reply, b"yes")
            self.assertEqual(i.wait_subject(reply).payload, b"yes")

    def test_accounts_come_and_go(self):
        """What imports from an account that goes, goes with it; requests that wait, too."""
        other = {"F": 'exports: [ {service: f} ]'}
        from_other = '{service: {account: F, subject: f}}'
        with running(Pipit, text(SERVICE)) as server:
            i = server.client("i")
            for _ in range(5):
                server.reload(text(SERVICE, from_other, more=other))
                with server.client("f") as f:
                    f.subscribe("f")
                    f.flush()
                    reply = i.ask("f")
                    f.publish(f.wait_subject("f").reply, b"yes")
                    self.assertEqual(i.wait_subject(reply).payload, b"yes")
                    i.ask("f")
                    f.wait_subject("f")
                    server.reload(text(SERVICE))
                    f.wait_closed()
                self.assertEqual(i.request("f").status, "503")

    def test_under_traffic(self):
        """Publishers on both sides, subscriptions that come and go, while everything is exchanged."""
        def both_ways(client):
            for n in range(20):
                client.publish(f"svc.{n % 3}", b"q", "in.1")
                client.publish(f"a.{n % 3}", b"m")

        def come_and_go(client):
            sids = [client.subscribe(s) for s in ("p.a.*", "p.a.1", "p.>", "svc.1")]
            client.flush()
            for sid in sids:
                client.send(f"UNSUB {sid}\r\n")

        def answer(client):
            client.flush()
            for message in client.taken(lambda m: m.reply):
                client.publish(message.reply, b"a")

        with running(Pipit, text(SERVICE)) as server:
            works = [("i", both_ways), ("e", both_ways), ("i", come_and_go), ("e", come_and_go)]
            threads = []
            for user, work in works:
                client = server.client(user)
                client.subscribe("in.*")
                threads.append(Traffic(client, work))
            for _ in range(2):
                responder = server.client("e")
                responder.subscribe("svc.*", "q")
                threads.append(Traffic(responder, answer))
            for thread in threads:
                thread.start()
            for n in range(30):
                server.reload(text(*[(SERVICE,), (STREAM,), (SERVICE, STREAM), ()][n % 4]))
            for thread in threads:
                thread.stopped = True
            for thread in threads:
                thread.join(30)
                self.assertIsNone(thread.error)
                self.assertGreater(thread.rounds, 0)
                self.assertEqual(thread.client.errors, [])


if __name__ == "__main__":
    main()
