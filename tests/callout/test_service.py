#!/usr/bin/env python3
"""Services and clients that do not behave, reloads, and what is logged."""

import contextlib
import json
import re
import socket
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from callout_servers import Pipit, Reference, configuration, each, main
from service import BOX, ISSUER, STRANGER, SUBJECT, Client, Guest, Service, let_in

SHORT_S = 5  # until a client is refused that nobody decides on


def crowd(port, count, prefix="g"):
    """So many clients at once; those that got in."""
    guests = [None] * count

    def come(i):
        guests[i] = Guest(port, f"{prefix}{i}", "p")

    threads = [threading.Thread(target=come, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inside = [g for g in guests if not g.refused]
    for guest in guests:
        guest.close()
    return inside


class Silence(unittest.TestCase):
    """Nobody answers: refused when the time is over, not before."""

    def check_refused_in_time(self, server):
        guest = Guest(server.port, "joe", "p")
        self.assertEqual(guest.verdict(), ("refused", ["Authorization Violation"]))
        self.assertGreater(guest.took_s, 0.9 * SHORT_S)

    def check_at_once(self, servers):
        with ThreadPoolExecutor(len(servers)) as threads:
            list(threads.map(self.check_refused_in_time, servers))

    def test_without_a_service(self):
        with each(timeout=SHORT_S) as servers:
            self.check_at_once(servers)

    def test_service_that_says_nothing(self):
        with each(timeout=SHORT_S) as servers, contextlib.ExitStack() as services:
            for server in servers:
                services.enter_context(Service(server.port, lambda r: None))
            self.check_at_once(servers)

    def test_service_that_goes_away(self):
        with Pipit(timeout=SHORT_S) as server:
            service = Service(server.port, lambda r: None)
            verdict = []
            thread = threading.Thread(
                target=lambda: verdict.append(Guest(server.port, "joe").verdict()))
            thread.start()
            service.wait(1)
            service.close()
            with Service(server.port) as another:
                self.assertEqual(Guest(server.port, "jim").verdict(), ("in", []))
                thread.join()
                self.assertEqual(len(another.requests), 1)
            self.assertEqual(verdict, [("refused", ["Authorization Violation"])])

    def test_late_answers_are_nothing(self):
        with Pipit(timeout=SHORT_S) as server:
            with Service(server.port, lambda r: None) as service:
                self.check_refused_in_time(server)
                request = service.requests[0]
                service.client.publish(request.reply, let_in(request))
                service.handler = let_in
                self.assertEqual(Guest(server.port, "jim").verdict(), ("in", []))


class Crowds(unittest.TestCase):
    def test_many_at_once_and_a_slow_service(self):
        with Pipit() as server:
            held = []

            def slow(request):
                held.append(request)
                if len(held) < 200:
                    return None
                for late in held:
                    service.client.publish(late.reply, let_in(late))
                return None

            with Service(server.port, slow) as service:
                self.assertEqual(len(crowd(server.port, 200)), 200)

    def test_clients_that_do_not_wait(self):
        with Pipit() as server:
            with Service(server.port, lambda r: None) as service:
                for i in range(100):
                    with socket.create_connection(("127.0.0.1", server.port)) as gone:
                        gone.recv(4096)
                        gone.sendall(b'CONNECT {"user":"g","verbose":false}\r\n')
                        service.wait(i + 1)
                for request in service.requests[:50]:
                    service.client.publish(request.reply, let_in(request))
                service.handler = let_in
                self.assertEqual(Guest(server.port, "jim").verdict(), ("in", []))
                # Those that nobody has answered are still there when the server stops.

    def test_rubbish_in_the_inbox(self):
        with Pipit() as server:
            with Service(server.port) as service:
                Guest(server.port, "first").close()
                inbox = service.wait(1).reply.rsplit(".", 1)[0]
                noise = [Client(server.port, "auth", "auth") for _ in range(2)]
                for client in noise:
                    for i in range(2000):
                        client.publish(f"{inbox}.U{i}", b"x" * (i * 10))
                    client.publish(f"{inbox}.{'U' * 2000}", b"x")
                self.assertEqual(len(crowd(server.port, 20)), 20)
                for client in noise:
                    client.flush()
                    client.close()

    def test_answers_of_any_size(self):
        with Pipit() as server:
            with Service(server.port) as service:
                for size in (1, 3, 100, 4096, 100_000, 1_000_000):
                    for begin in (b"", b"eyJ", b"eyJ.eyJ.", b"\x00"):
                        service.handler = lambda r, s=size, b=begin: b + b"A" * s
                        self.assertTrue(Guest(server.port, "joe").refused)
                many = [f"a.{i}.>" for i in range(2000)]
                service.handler = lambda r: r.answer(
                    r.user_token(nats={"pub": {"allow": many}, "sub": {"allow": [">"]}}))
                guest = Guest(server.port, "joe")
                self.assertFalse(guest.refused)
                guest.publish("a.1999.x")
                guest.publish("b")
                guest.flush()
                self.assertEqual(guest.errors, ['Permissions Violation for Publish to "b"'])
                guest.close()

    def test_the_first_of_two_services_decides(self):
        """And what the other says is nothing any more. (nats-server may obey both, and has been seen
        to let somebody into an account where nothing it asked for was answered.)"""
        with Pipit() as server:
            with Service(server.port, lambda r: r.answer(r.user_token(account="APP"))) as one, \
                    Service(server.port, lambda r: r.answer(r.user_token(account="OTHER"))) as two:
                for i in range(50):
                    guest = Guest(server.port, "joe")
                    self.assertEqual(guest.verdict(), ("in", []))
                    one.wait(i + 1)
                    two.wait(i + 1)
                    guest.flush()  # INFO comes after the first PONG
                    account = guest.infos[-1]["remote_account"]
                    self.assertIn(account, ("APP", "OTHER"))
                    self.assertEqual(guest.who()["account"], account)
                    guest.close()


class Sessions(unittest.TestCase):
    maxDiff = None

    def test_a_second_connect_asks_again(self):
        with each() as servers:
            for server in servers:
                with Service(server.port) as service:
                    guest = Guest(server.port, "joe")
                    service.handler = lambda r: r.answer(r.user_token(account="OTHER", name="new"))
                    guest.send(f"CONNECT {json.dumps({'user': 'jim', 'headers': True})}\r\n")
                    guest.flush()
                    guest.subscribe(guest._inbox + ".*")
                    self.assertEqual(guest.who(), {"user": "new", "account": "OTHER",
                                                   "account_name": "OTHER", "permissions": {}})
                    service.handler = lambda r: r.answer(error="no")
                    guest.send(f"CONNECT {json.dumps({'user': 'bad', 'headers': True})}\r\n")
                    guest.wait_closed()
                    self.assertEqual(guest.errors, ["Authorization Violation"])

    def test_who_is_let_in_for_a_while_goes_when_it_is_over(self):
        with each() as servers:
            guests = []
            for server in servers:
                with Service(server.port, lambda r: r.answer(
                        r.user_token(exp=int(time.time()) + 6))):
                    guests.append(Guest(server.port, "joe"))
                    self.assertFalse(guests[-1].refused)
            for guest in guests:
                guest.wait_closed()
                self.assertEqual(guest.errors, ["User Authentication Expired"])

    def test_the_service_needs_no_more_than_to_answer(self):
        text = configuration().replace(
            "{user: auth, password: auth}",
            "{user: auth, password: auth, permissions: "
            f"{{ subscribe: [\"{SUBJECT}\", \"_INBOX.>\"], allow_responses: true }} }}")
        with each() as servers:
            for server in servers:
                server.reload(text)
                with Service(server.port):
                    self.assertEqual(Guest(server.port, "joe").verdict(), ("in", []))

    def test_each_user_keeps_its_own_permissions(self):
        """Where the service is asked everybody is denied something more, and nobody else is."""
        def users(account, *denied):
            return ", ".join(
                f"{{user: {account}{i}, password: p"
                + (f", permissions: {{ publish: {{ deny: {subject} }} }}" if subject else "")
                + "}" for i, subject in enumerate(denied))
        names = [f"{account}{i}" for account in "gabc" for i in range(3)]
        text = f"""
            accounts {{
              A {{ default_permissions: {{ publish: {{ deny: da }} }}, users: [ {users("a", "", "x", "")} ] }}
              B {{ users: [ {users("b", "", "x", "x")} ] }}
              C {{ users: [ {users("c", "x", "", "y")} ] }}
              SYS {{ users: [ {{user: sys, password: sys}} ] }}
            }}
            system_account: SYS
            authorization {{
              users: [ {users("g", "", "x", "")} ]
              auth_callout {{ issuer: {ISSUER.text}, account: ACCOUNT, auth_users: [sys, {", ".join(names)}] }}
            }}"""
        for account in ("A", "B", "C", "$G"):
            found = []
            for server in (Pipit(), Reference()):
                server.write(text.replace("ACCOUNT", f'"{account}"'))
                with server:
                    found.append({name: self.denied(server, name) for name in names})
            self.assertEqual(*found)
            for name, denied in found[0].items():
                self.assertEqual(SUBJECT in denied, ("$G" if name[0] == "g" else name[0].upper())
                                 == account, (account, name, denied))

    def denied(self, server, name):
        guest = Guest(server.port, name, "p")
        for subject in (SUBJECT, "x", "y", "da", "free"):
            guest.publish(subject, "hello")
        guest.flush()
        guest.close()
        return {re.search('"(.*)"', error)[1] for error in guest.errors}

    def test_reload_keeps_who_is_in(self):
        with Pipit() as server:
            with Service(server.port, lambda r: r.answer(
                    r.user_token(account="OTHER", nats={"pub": {"deny": ["no"]}}))) as service:
                guest = Guest(server.port, "joe")
                for i in range(3):
                    server.reload(configuration(more=f"max_payload: {100_000 + i}"))
                    guest.publish("no")
                    guest.flush()
                    self.assertEqual(guest.who()["account"], "OTHER")
                self.assertEqual(guest.errors,
                                 ['Permissions Violation for Publish to "no"'] * 3)
                self.assertEqual(len(service.requests), 1)
                # Its account goes, and it with it.
                gone = configuration().replace("OTHER {", "ELSE {")
                server.reload(gone)
                guest.wait_closed()
                self.assertTrue(Guest(server.port, "joe").refused)
                server.reload(configuration())
                self.assertEqual(Guest(server.port, "joe").verdict(), ("in", []))

    def test_reload_while_one_waits(self):
        with Pipit() as server:
            with Service(server.port, lambda r: None) as service:
                guests = []
                thread = threading.Thread(target=lambda: guests.append(Guest(server.port, "joe")))
                thread.start()
                first = service.wait(1)
                server.reload(configuration(more="max_payload: 100000"))
                service.handler = let_in
                service.client.publish(first.reply, let_in(first))
                thread.join()
                self.assertEqual(guests[0].verdict(), ("in", []))
                self.assertEqual(len(service.requests), 2)
                guests[0].close()

    def test_reload_does_not_change_who_is_asked(self):
        for text in (configuration().replace(ISSUER.text, STRANGER.text),
                     configuration(callout=f", xkey: {BOX.text}"),
                     configuration(callout=", allowed_accounts: [APP]"),
                     configuration().replace("auth_users: [auth, sys]", "auth_users: [auth]"),
                     configuration().replace("account: AUTH", "account: APP"),
                     "authorization { timeout: 20 }"):
            with Pipit() as ours, Reference() as theirs:
                for server in (ours, theirs):
                    with Service(server.port):
                        since = len(server.log)
                        server.write(text)
                        server.process.send_signal(1)
                        server.wait_line("config reload not supported for", since)
                        self.assertEqual(Guest(server.port, "joe").verdict(), ("in", []))

    def test_no_system_account_nobody_is_asked(self):
        server = Pipit()
        server.write(configuration().replace("system_account: SYS", "no_system_account: true"))
        server.first_user = None
        with server:
            with Service(server.port) as service:
                self.assertTrue(Guest(server.port, "joe").refused)
                self.assertEqual(service.requests, [])

    def test_an_account_that_is_not_there(self):
        server = Pipit()
        server.write(configuration().replace("account: AUTH", "account: NOWHERE"))
        with server:
            with Service(server.port) as service:
                self.assertTrue(Guest(server.port, "joe").refused)
                self.assertEqual(service.requests, [])


class Log(unittest.TestCase):
    """The sentences of nats-server, and no secrets."""

    def sentences(self, server):
        cases = {
            r"Auth callout violation: \"no reason supplied\" on account \"AUTH\"": lambda r: b"",
            r"Auth callout violation: auth callout response is not for expected user":
                lambda r: r.answer(r.user_token(), sub=_other("U")),
            r"Auth callout violation: auth callout response is not for server":
                lambda r: r.answer(r.user_token(), aud=_other("N")),
            r"Auth callout service returned an error: not today":
                lambda r: r.answer(error="not today"),
            r"Auth callout signing key is unknown": lambda r: r.answer(r.user_token(), key=STRANGER),
            r"Wrong issuer for auth callout response on account \"AUTH\", expected \"A\w+\" got":
                lambda r: r.answer(r.user_token(key=STRANGER)),
            r"No valid account \"NOWHERE\" for auth callout response on account \"AUTH\"":
                lambda r: r.answer(r.user_token(account="NOWHERE")),
            r"Expected authorized user of \"U\w+\" but got \"U\w+\" on account \"AUTH\"":
                lambda r: r.answer(r.user_token(sub=_other("U"))),
            r"attempted to use issuer_account":
                lambda r: r.answer(r.user_token(nats={"issuer_account": ISSUER.text})),
            r"Error validating user JWT: ": lambda r: r.answer(
                r.user_token(nats={"pub": {"allow": ["a..b"]}})),
            r"Authorization response had validation errors: ": lambda r: r.answer(),
        }
        with Service(server.port) as service:
            for pattern, handler in cases.items():
                service.handler = handler
                since = len(server.log)
                self.assertTrue(Guest(server.port, "joe", "hunter2", auth_token="s3same",
                                      sig="AbCdEf").refused)
                server.wait_line(r"\[WRN\].*" + pattern, since)
                self._wait_for_the_next_line()
        self.assertNotIn("hunter2", "".join(server.log))
        self.assertNotIn("s3same", "".join(server.log))

    @staticmethod
    def _wait_for_the_next_line():
        """One line a second: what a client can cause is limited."""
        end = time.monotonic() + 1.05
        while (left := end - time.monotonic()) > 0:
            threading.Event().wait(left)

    def test_sentences(self):
        with each("-D") as servers:
            threads = []
            failures = []

            def run(server):
                try:
                    self.sentences(server)
                except BaseException as error:  # pylint: disable=broad-except
                    failures.append(error)

            for server in servers:
                threads.append(threading.Thread(target=run, args=(server,)))
                threads[-1].start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]

    def test_without_a_service_that_is_said(self):
        with Pipit(timeout=SHORT_S) as server:
            Guest(server.port, "joe")
            server.wait_line('No auth callout service takes requests on account "AUTH"')


def _other(kind):
    from keys import Key  # pylint: disable=import-outside-toplevel
    return Key(kind).text


if __name__ == "__main__":
    main()
