"""Credentials under a moved clock, in a running server: not yet valid, valid, expired. The clock of the
day is moved by tests/support/moved_clock.c; timers go on as ever."""

import os
import pathlib
import ssl
import struct
import sys
import time
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "callout"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tls"))
from tenants import Closed, Key, Operator, Pipit, main, missing
import callout_servers
import service
import support
import test_ocsp

HOUR = 3600


class Clock:
    """Starts servers whose clock it moves."""

    def __init__(self, test):
        if os.environ.get("PIPIT_SANITIZED"):
            raise unittest.SkipTest("a sanitizer wants to be loaded before anything else")
        self.file = support.tempfile.NamedTemporaryFile()
        test.addCleanup(self.file.close)
        self.move(0)
        self.environment = {"LD_PRELOAD": os.environ["PIPIT_MOVED_CLOCK"],
                            "PIPIT_CLOCK": self.file.name}

    def move(self, hours):
        """So many hours from now."""
        os.pwrite(self.file.fileno(), struct.pack("=q", hours * HOUR), 0)

    def start(self, test, server):
        with mock.patch.dict(os.environ, self.environment):
            server.__enter__()
        test.addCleanup(server.__exit__, None, None, None)
        return server


class Tokens(unittest.TestCase):
    """Of operator mode."""

    def setUp(self):
        self.clock = Clock(self)
        self.now = int(time.time())
        self.o = Operator()

    def start(self, account=None, **claims):
        o = self.o
        text = o.configuration(preload={o.account: account or o.account_token(**claims)})
        return self.clock.start(self, Pipit(text))

    def verdicts(self, server, *shown):
        """What server says an hour before, between and after what begins in one hour and ends in
        three."""
        said = []
        for hours in (0, 2, 4):
            self.clock.move(hours)
            said.append(server.verdict(*shown))
        self.clock.move(0)
        return ["in" if word == "in" else "refused" for word in said]

    def between(self):
        return {"nbf": self.now + HOUR, "exp": self.now + 3 * HOUR}

    def test_user(self):
        o = self.o
        server = self.start()
        self.assertEqual(self.verdicts(server, o.user_token(**self.between()), o.user),
                         ["refused", "in", "refused"])
        self.assertEqual(self.verdicts(server, o.user_token(), o.user), ["in"] * 3)
        bearer = o.user_token({"bearer_token": True}, **self.between())
        self.assertEqual(self.verdicts(server, bearer), ["refused", "in", "refused"])

    def test_account(self):
        o = self.o
        server = self.start(exp=self.now + 3 * HOUR)
        self.assertEqual(self.verdicts(server, o.user_token(), o.user), ["in", "in", "refused"])

    def test_times_of_the_day(self):
        o = self.o
        begin, end = (time.strftime("%H:%M:%S", time.gmtime(self.now + h * HOUR)) for h in (1, 3))
        token = o.user_token({"times": [{"start": begin, "end": end}], "times_location": "UTC"})
        self.assertEqual(self.verdicts(self.start(), token, o.user), ["refused", "in", "refused"])

    def test_revocation_is_about_when_a_token_was_made(self):
        """And not about when it is shown."""
        o = self.o
        account = o.account_token({"revocations": {str(o.user): self.now + HOUR}})
        server = self.start(account)
        old, new = o.user_token(), o.user_token(at=self.now + 2 * HOUR)
        self.assertEqual(self.verdicts(server, old, o.user), ["refused"] * 3)
        self.assertEqual(self.verdicts(server, new, o.user), ["in"] * 3)

    def test_whoever_is_in_goes_when_that_is_looked_at(self):
        o = self.o
        server = self.start()
        client = server.show(o.user_token(exp=self.now + 3 * HOUR), o.user)
        forever = server.show(o.user_token(key=Key("U"), nats={"bearer_token": True}))
        self.clock.move(2)
        server.reload(o.configuration(preload={o.account: o.account_token()},
                                      more="max_payload: 100000"))
        client.flush()
        self.clock.move(4)
        server.reload(o.configuration(preload={o.account: o.account_token()},
                                      more="max_payload: 100001"))
        try:
            client.flush()
            client.wait_closed()
        except (Closed, OSError):
            pass
        self.assertEqual(client.errors, ["User Authentication Expired"])
        forever.flush()
        forever.close()
        client.close()

    def test_a_clock_that_goes_back(self):
        """What has ended once is not for ever."""
        o = self.o
        server = self.start()
        token = o.user_token(exp=self.now + HOUR)
        self.clock.move(2)
        self.assertNotEqual(server.verdict(token, o.user), "in")
        self.clock.move(0)
        self.assertEqual(server.verdict(token, o.user), "in")


class Callout(unittest.TestCase):
    def test_what_a_service_answers(self):
        clock = Clock(self)
        now = int(time.time())
        server = clock.start(self, callout_servers.Pipit())
        claims = {}
        with service.Service(server.port, lambda r: r.answer(r.user_token(**claims))) as asked:
            for claims, wanted in (({"nbf": now + HOUR, "exp": now + 3 * HOUR}, [True, False, True]),
                                   ({"exp": now + 3 * HOUR}, [False, False, True])):
                refused = []
                for hours in (0, 2, 4):
                    clock.move(hours)
                    guest = service.Guest(server.port, "joe")
                    refused.append(guest.refused)
                    guest.close()
                self.assertEqual(refused, wanted)
            # The question itself says for how long it is one.
            clock.move(4)
            service.Guest(server.port, "joe").close()
            self.assertGreater(asked.requests[-1].claims["exp"], now + 4 * HOUR - 60)


class Certificates(unittest.TestCase):
    def setUp(self):
        if not support.shutil.which("openssl"):
            missing("openssl")

    def test_certificates(self):
        """Of clients, which end in a day; also where a session is resumed."""
        clock = Clock(self)
        folder = support.Folder()
        self.addCleanup(folder.close)
        folder.sign("client", "/CN=client", days="1")
        text = (f'tls {{ cert_file: "{folder.file("server.pem")}", '
                f'key_file: "{folder.file("server.key")}", ca_file: "{folder.file("ca.pem")}", '
                "verify: true, handshake_first: true }\n")
        support.SERVER = os.environ.get("PIPIT_SERVER") or support.ROOT + "/build/pipit-server"
        with mock.patch.dict(os.environ, clock.environment):
            server = support.Server(folder, text)
        self.addCleanup(server.stop)
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            context = support.client_context(folder, "client", maximum_version=version)
            clock.move(0)
            self.assertTrue(self.comes_in(server, context))
            kept = self.session
            clock.move(23)
            self.assertTrue(self.comes_in(server, context, kept))
            self.assertTrue(self.resumed)
            self.assertTrue(self.comes_in(server, context))
            kept = self.session  # which is young enough when its certificate has ended
            clock.move(25)
            self.assertFalse(self.comes_in(server, context, kept))
            self.assertFalse(self.comes_in(server, context))

    def test_what_an_authority_says(self):
        """Of the server's certificate: for ten minutes, and not longer."""
        test_ocsp.Stapling.setUpClass()
        self.addCleanup(test_ocsp.Stapling.tearDownClass)
        world = test_ocsp.Stapling("test_modes")
        world.setUp()
        self.addCleanup(world.doCleanups)
        clock = Clock(self)
        support.SERVER = os.environ.get("PIPIT_SERVER") or support.ROOT + "/build/pipit-server"
        with mock.patch.dict(os.environ, clock.environment):
            server = world.start("must", "ocsp { url: '@' }")
        self.assertEqual(world.shown(server), "good")
        clock.move(1)
        self.assertIsNone(world.shown(server))
        self.assertTrue(server.reload())
        self.assertTrue(server.wait_line("it is not valid now"))
        self.assertIsNone(world.shown(server))
        clock.move(0)
        self.assertEqual(world.shown(server), "good")

    def comes_in(self, server, context, session=None):
        self.session, self.resumed = None, False
        with server.dial() as plain:
            try:
                sock = context.wrap_socket(plain, server_hostname="localhost", session=session)
                support.read_info(sock)
                said = support.ping(sock)
                self.session, self.resumed = sock.session, sock.session_reused
                sock.close()
            except (OSError, AssertionError):
                return False
        return said == "PONG"


if __name__ == "__main__":
    main()
