#!/usr/bin/env python3
"""Whom a service has kept out is told in its account, beside nats-server."""

import threading
import time
import unittest

from callout_servers import Pipit, Reference, both, configuration, main
from keys import Key
from service import STRANGER, Client, Guest, Service
import test_operators as operators

SUBJECT = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
# Times and numbers of the server's own.
OWN = ("start", "stop", "rtt", "id")


def error(request):
    return request.answer(error='not "today"')


def listener(port, user="auth", subject=SUBJECT, **options):
    client = Client(port, user, user, **options)
    client.subscribe(subject)
    client.flush()
    return client


def come(port):
    try:
        Guest(port, "joe")
    except OSError:
        pass  # the server has gone meanwhile


def told(client):
    event = client.wait_subject(SUBJECT).json()
    return {"keys": list(event), "client keys": [k for k in event["client"] if k != "rtt"],
            "type": event["type"], "reason": event["reason"], "sent": event["sent"],
            "client": {k: v for k, v in event["client"].items() if k not in OWN}}


class Complaints(unittest.TestCase):
    maxDiff = None

    def compare(self, server_pairs, handler, *args, **options):
        """What both tell about one guest: the same."""
        events = []
        for server, service, client in server_pairs:
            service.handler = handler
            self.assertTrue(Guest(server.port, *args, **options).refused)
            events.append(told(client))
        self.assertEqual(*events)
        return events[0]

    def test_reasons(self):
        with both() as (ours, theirs), Service(ours.port) as one, Service(theirs.port) as two:
            pairs = [(ours, one, listener(ours.port)), (theirs, two, listener(theirs.port))]
            event = self.compare(pairs, error, "joe", "hunter2", name="n", lang="c", version="9")
            self.assertEqual(event["reason"],
                             'Auth callout service returned an error: not "today"')
            self.assertEqual(event["client"],
                             {"host": "127.0.0.1", "acc": "AUTH", "user": "joe", "name": "n",
                              "lang": "c", "ver": "9", "name_tag": "$G", "kind": "Client",
                              "client_type": "nats"})
            cases = {
                "Auth callout signing key is unknown":
                    lambda r: r.answer(r.user_token(), key=STRANGER),
                'No valid account "NOWHERE" for auth callout response on account "AUTH": '
                'account missing': lambda r: r.answer(r.user_token(account="NOWHERE")),
                "Error validating user JWT: claim is expired":
                    lambda r: r.answer(r.user_token(exp=int(time.time()) - 100)),
                "Expected 3 chunks": lambda r: b"abc",
            }
            for reason, handler in cases.items():
                with self.subTest(reason=reason):
                    self.assertEqual(self.compare(pairs, handler, "joe")["reason"], reason)
            for client in (pair[2] for pair in pairs):
                client.flush()
                self.assertEqual(client.taken(lambda m: m.subject == SUBJECT), [])
                client.close()

    def test_nothing_was_said(self):
        with both(timeout=5) as (ours, theirs), \
                Service(ours.port) as one, Service(theirs.port) as two:
            pairs = [(ours, one, listener(ours.port)), (theirs, two, listener(theirs.port))]
            self.assertEqual(self.compare(pairs, lambda r: None, "joe")["reason"], "")
            for pair in pairs:
                pair[2].close()

    def test_who_it_was(self):
        key = Key("U", b"\x55" * 32)
        with both() as (ours, theirs), Service(ours.port) as one, Service(theirs.port) as two:
            pairs = [(ours, one, listener(ours.port)), (theirs, two, listener(theirs.port))]
            for shown, user in (({"auth_token": "s3same"}, "[REDACTED]"), ({}, None),
                                ({"nkey": key.text, "sig": "none"}, key.text)):
                with self.subTest(shown=shown):
                    event = self.compare(pairs, error, **shown)
                    self.assertEqual(event["client"].get("user"), user)
            # Of the service's own user, which nobody is asked about.
            event = self.compare(pairs, error, "auth", "wrong")
            self.assertEqual(event["reason"], "Authentication Failure")
            self.assertEqual([len(s.requests) for s in (one, two)], [3, 3])
            for pair in pairs:
                pair[2].close()

    def test_seeds_are_not_shown(self):
        with Pipit() as server, Service(server.port, error):
            client = listener(server.port)
            self.assertTrue(Guest(server.port, nkey="SUAGC3DESEEDOFSOMEBODY", sig="x").refused)
            self.assertEqual(told(client)["client"]["user"], "[REDACTED]")
            client.close()

    def test_nobody_else_hears_it(self):
        with both() as (ours, theirs):
            for server in (ours, theirs):
                with Service(server.port) as service:
                    others = [listener(server.port, user, subject="$SYS.>")
                              for user in ("sys", "other")]
                    own = listener(server.port)
                    service.handler = error
                    self.assertTrue(Guest(server.port, "joe").refused)
                    told(own)
                    for client in others:
                        client.flush()
                        self.assertEqual(client.taken(lambda m: m.subject == SUBJECT), [])
                        client.close()
                    own.close()

    def test_whoever_comes_in_is_no_complaint(self):
        with Pipit() as server, Service(server.port):
            client = listener(server.port)
            self.assertFalse(Guest(server.port, "joe").refused)
            client.flush()
            self.assertEqual(client.taken(lambda m: m.subject == SUBJECT), [])
            client.close()

    def test_no_callout_no_event(self):
        for kind in (Pipit, Reference):
            server = kind()
            server.write(configuration().split("authorization {", 1)[0])
            with server:
                client = listener(server.port, "listed", subject="$SYS.>")
                system = listener(server.port, "sys", subject="$SYS.SERVER.*.CLIENT.AUTH.ERR")
                self.assertTrue(Guest(server.port, "listed", "wrong").refused)
                system.wait(lambda m: m.subject.endswith("AUTH.ERR"))
                client.flush()
                self.assertEqual(client.taken(), [])
                client.close()
                system.close()

    def test_stopping_while_they_are_told(self):
        for _ in range(5):
            with Pipit(timeout=20) as server:
                service = Service(server.port, lambda r: None)
                client = listener(server.port)
                crowd = [threading.Thread(target=come, args=(server.port,)) for _ in range(20)]
                for guest in crowd:
                    guest.start()
                service.wait(20)
                for request in service.requests:
                    service.client.publish(request.reply, error(request))
                server.stop()
                for guest in crowd:
                    guest.join()
                for end in (client, service.client):
                    end.close()

    def test_operator_mode(self):
        with operators.both(lambda r: r.answer(error="no", key=operators.HOME)) as pairs:
            events = []
            for server, _ in pairs:
                client = listener(server.port, None, jwt=operators.user(
                    operators.AUTH, operators.HOME, "auth", bearer_token=True))
                guest = Guest(server.port, jwt=operators.sentinel_token(), name="n")
                self.assertTrue(guest.refused)
                events.append(told(client))
                client.close()
            # nats-server tells more of the token, and the token itself, which lets in who has it.
            for where in (events[1]["client"], events[1]["client keys"]):
                for key in ("jwt", "issuer_key", "tags"):
                    where.pop(key) if isinstance(where, dict) else where.remove(key)
            self.assertEqual(*events)
            self.assertEqual(events[0]["client"]["acc"], operators.HOME.text)


if __name__ == "__main__":
    main()
