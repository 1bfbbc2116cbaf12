#!/usr/bin/env python3
"""Those who ask without end, answer what they were not asked, or send messages round and round."""

import pathlib
import sys
import unittest

import realm
from realm import Pipit, configuration, running

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "monitor"))
from world import main  # noqa: E402

AWAITED_MAX = 65536  # of one account
ACCOUNTS = {
    "E": 'exports: [ {service: "svc.*"}, {service: "short", threshold: "300ms"},'
         ' {service: many, response: stream} ]',
    "I": 'imports: [ {service: {account: E, subject: "svc.*"}},'
         ' {service: {account: E, subject: short}}, {service: {account: E, subject: many}} ]',
    "J": 'imports: [ {service: {account: E, subject: "svc.*"}} ]',
}


def resident(server):
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def keeps_what_is_freed(server):
    """A sanitizer does."""
    with open(f"/proc/{server.process.pid}/maps", encoding="ascii") as file:
        return any("san.so" in line for line in file)


class Hostile(unittest.TestCase):
    def flood(self, client, subject, count, drain=()):
        """Requests, each with a reply of its own, that nobody answers."""
        for begin in range(0, count, 4096):
            client.send("".join(f"PUB {subject} in.{begin + n} 0\r\n\r\n"
                                for n in range(min(4096, count - begin))))
            client.flush()
            for other in drain:
                other.flush()
                other.taken()

    def test_requests_without_answers(self):
        with running(Pipit, configuration(ACCOUNTS)) as server:
            e, i, j = (server.client(n) for n in "eij")
            e.subscribe("svc.*")
            i.subscribe("in.>")
            i.flush()
            e.flush()
            self.flood(i, "svc.1", AWAITED_MAX, (e,))
            before = resident(server)
            self.flood(i, "svc.1", AWAITED_MAX, (e,))
            if not keeps_what_is_freed(server):
                self.assertLess(resident(server) - before, 8 << 20)
            # What is too many is told so; other accounts are not concerned.
            self.assertEqual(i.request("svc.1").status, "503")
            reply = j.ask("svc.1")
            e.publish(e.wait_subject("svc.1").reply, b"yes")
            self.assertEqual(j.wait_subject(reply).payload, b"yes")
            # With who asked goes what was asked.
            i.close()
            with server.client("i") as again:
                reply = again.ask("svc.1")
                e.publish(e.wait_subject("svc.1").reply, b"yes")
                self.assertEqual(again.wait_subject(reply).payload, b"yes")

    def test_time_ends_them(self):
        with running(Pipit, configuration(ACCOUNTS)) as server:
            e, i = server.client("e"), server.client("i")
            e.subscribe("short")
            i.subscribe("in.>")
            i.flush()
            e.flush()
            for _ in range(3):
                self.flood(i, "short", AWAITED_MAX, (e,))
                # As soon as there is room again.
                for _ in range(1000):
                    answer = i.ask("short")
                    i.flush()
                    e.flush()
                    if e.taken():
                        break
                    self.assertEqual(i.wait_subject(answer).status, "503")
                else:
                    self.fail("never room again")

    def test_one_by_one(self):
        """Many awaited, and subscriptions that come and go: each is looked at, and paid for."""
        with running(Pipit, configuration(ACCOUNTS)) as server:
            e, i = server.client("e"), server.client("i")
            e.subscribe("svc.*")
            i.subscribe("in.>")
            i.flush()
            e.flush()
            self.flood(i, "svc.1", 20000, (e,))
            i.send("".join(f"SUB other.{n}.* x{n}\r\nUNSUB x{n}\r\n" for n in range(200)))
            i.flush()
            e.flush()

    def test_answers_nobody_asked_for(self):
        with running(Pipit, configuration(ACCOUNTS)) as server:
            e, i, j = (server.client(n) for n in "eij")
            e.subscribe("svc.*")
            for client in (i, j):
                client.subscribe(">")
                client.flush()
            e.flush()
            i.publish("svc.1", b"q", "in.1")
            reply = e.wait_subject("svc.1").reply
            i.flush()
            i.taken()
            # From another account, to a subject one off, to odd ones.
            j.publish(reply, b"not yours")
            i.publish(reply, b"not even yours")
            realm.settle(i, (i, j))
            realm.settle(j, (i, j))
            self.assertEqual([m.subject for m in i.taken()], [reply])
            self.assertEqual([m.subject for m in j.taken()], [reply])
            off = reply[:-1] + ("0" if reply[-1] != "0" else "1")
            for subject in (off, reply + "x", reply[:-1], "_R_.", reply.swapcase(), reply + ".T",
                            "_R_." + "z" * (len(reply) - 4), reply[:11] + "zz" + reply[13:]):
                e.publish(subject, b"guess")
            realm.settle(e, (i, j))
            self.assertEqual(i.taken() + j.taken(), [])
            e.publish(reply, b"yes")
            self.assertEqual(i.wait_subject("in.1").payload, b"yes")
            # Nobody may have answers sent there.
            i.publish("svc.1", b"q", reply)
            i.flush()
            self.assertEqual(i.errors, [f'Permissions Violation for Publish with Reply of "{reply}"'])
            self.assertEqual(e.errors, [])

    def test_long_chains(self):
        """As far as messages are allowed to go, and no further."""
        for length, answered in ((20, True), (32, True), (33, False), (60, False)):
            accounts = {}
            for n in range(length + 1):
                text = 'exports: [ {service: "s"} ]\n'
                if n:
                    text += f'imports: [ {{service: {{account: A{n - 1}, subject: s}}}} ]'
                accounts[f"A{n}"] = text
            with running(Pipit, configuration(accounts)) as server:
                first, last = server.client("a0"), server.client(f"a{length}")
                first.subscribe("s")
                first.flush()
                reply = last.ask("s")
                if answered:
                    message = first.wait_subject("s")
                    self.assertIn(f'"acc":"A{length}"', message.header.decode())
                    first.publish(message.reply, b"yes")
                    self.assertEqual(last.wait_subject(reply).payload, b"yes")
                else:
                    self.assertEqual(last.wait_subject(reply).status, "503")

    def test_an_account_that_imports_from_itself(self):
        accounts = {"E": 'exports: [ {service: x}, {stream: "y.>"} ]\n'
                         'imports: [ {service: {account: E, subject: x}},'
                         ' {stream: {account: E, subject: "y.>"}} ]'}
        with running(Pipit, configuration(accounts)) as server:
            with server.client("e") as e:
                e.subscribe("x")
                e.subscribe("y.1")
                e.flush()
                e.publish("x", b"q")
                e.publish("y.1", b"q")
                e.flush()
                self.assertEqual(sorted(m.subject for m in e.taken()), ["x", "x", "y.1", "y.1"])

    def test_many_importers(self):
        """One message for each of many accounts, and each of its subscriptions."""
        accounts = {"E": 'exports: [ {stream: "s.>"} ]'}
        for n in range(300):
            accounts[f"B{n}"] = 'imports: [ {stream: {account: E, subject: "s.>"}, prefix: p} ]'
        with running(Pipit, configuration(accounts)) as server:
            e = server.client("e")
            clients = [server.client(f"b{n}") for n in range(300)]
            for client in clients:
                client.subscribe("p.s.*")
                client.subscribe("p.>")
                client.flush()
            for _ in range(10):
                e.publish("s.1", b"x")
            realm.settle(e, clients)
            self.assertEqual([len(c.taken()) for c in clients], [20] * 300)


if __name__ == "__main__":
    main()
