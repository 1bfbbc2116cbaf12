#!/usr/bin/env python3
"""Certificates of clients that their authorities are asked about (OCSP), beside nats-server."""

import base64
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import unittest

import support
from responder import Responder
from support import DEADLINE_S, PEER, Folder, Server, main

NUMBERS = {"ann": 0x31, "bob": 0x32, "between": 0x33, "carl": 0x34}
LONG = "ca_timeout: 60"  # on a busy machine


class OcspPeer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.responder = Responder(cls.folder, {number: name for name, number in NUMBERS.items()})
        asked = f"authorityInfoAccess=OCSP;URI:{cls.responder.url}/"
        cls.certificate("ann", asked + "ca\n")
        cls.certificate("bob", asked + "ca\n")
        cls.certificate("plain", number=0x40)
        cls.certificate("odd", "authorityInfoAccess=OCSP;URI:ldap://127.0.0.1/ca\n", number=0x41)
        cls.certificate("helper", "extendedKeyUsage=OCSPSigning\n", number=0x42)
        cls.certificate("stranger", number=0x43)
        # One that is signed by an authority between.
        cls.certificate("between", f"basicConstraints=critical,CA:TRUE\n{asked}ca\n")
        cls.certificate("carl", asked + "between\n", ca="between")
        with open(cls.folder.file("carl.pem"), "a", encoding="ascii") as file, \
                open(cls.folder.file("between.pem"), encoding="ascii") as issuer:
            file.write(issuer.read())

    @classmethod
    def tearDownClass(cls):
        cls.responder.close()
        cls.folder.close()

    @classmethod
    def certificate(cls, name, extensions="", ca="ca", number=None):
        folder = cls.folder
        folder.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=pipit/CN={name}")
        folder.write(f"{name}.ext", f"subjectAltName=DNS:{name}\n{extensions}")
        folder.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                   "-set_serial", str(number or NUMBERS[name]), "-days", "30", "-out",
                   f"{name}.pem", "-extfile", f"{name}.ext")

    def setUp(self):
        self.responder.forget()
        self.store = self.folder.file("store")
        self.addCleanup(shutil.rmtree, self.store, True)

    # --- servers and clients ------------------------------------------------------------------

    def text(self, peer=LONG, rest="ocsp_cache: false", tls=""):
        if peer not in ("true", "false", ""):
            peer = f"{{ verify: true, {peer} }}"
        file = self.folder.file
        return (f"http: 127.0.0.1:-1\n{rest.replace('@', self.store)}\n"
                f'tls {{ cert_file: "{file("server.pem")}", key_file: "{file("server.key")}", '
                f'ca_file: "{file("ca.pem")}", verify: true, timeout: 60\n{tls}\n'
                f'{f"ocsp_peer: {peer}" if peer else ""} }}\n')

    def start(self, *text, program=None, **more):
        server = Server(self.folder, self.text(*text, **more), program=program)
        self.addCleanup(self.finish, server, program)
        return server

    def finish(self, server, program=None):
        """One that a test has stopped has been looked at there; one that has gone by itself has not."""
        if not server.process.stderr.closed:
            self.assertTrue(server.stop() == 0 or program, server.lines)

    def context(self, name, **settings):
        return support.client_context(self.folder, name, **settings)

    def begin(self, server, name, **settings):
        """A client that has shaken hands, as it thinks."""
        return support.connect(server, self.context(name, **settings))[0]

    def visit(self, server, name="ann", **settings):
        """How it ends: "PONG", or what the alert says."""
        try:
            with self.begin(server, name, **settings) as sock:
                return support.ping(sock) or "closed"
        except ssl.SSLError as error:
            return error.reason
        except ConnectionError:
            return "closed"

    def assert_in(self, server, name="ann", **settings):
        self.assertEqual(self.visit(server, name, **settings), "PONG")

    def assert_out(self, server, name="ann", **settings):
        self.assertIn(self.visit(server, name, **settings),
                      ("SSLV3_ALERT_BAD_CERTIFICATE", "closed"))

    # --- what is said -------------------------------------------------------------------------

    def test_standings(self):
        """As nats-server does in all of these."""
        cases = [  # the standing, more rules, does it come in?
            ("V", "", True), ("R", "", False), ("U", "", False),
            ("U", "unknown_is_good: true", True), ("R", "unknown_is_good: true", False),
            ("R", "warn_only: true", True), ("U", "warn_only: true", True),
            ("R", "allow_when_ca_unreachable: true", False),
            ("gone", "", False), ("gone", "allow_when_ca_unreachable: true", True),
            ("gone", "warn_only: true", True), ("gone", "unknown_is_good: true", False),
        ]
        programs = [None] + ([PEER] if os.access(PEER, os.X_OK) else [])
        if len(programs) == 1:
            print("no nats-server to compare with")
        for rules in dict.fromkeys(rules for _, rules, _ in cases):
            for program in programs:
                server = self.start(f"{LONG}, {rules}", program=program)
                for state in (state for state, same, _ in cases if same == rules):
                    wanted = next(w for s, r, w in cases if (s, r) == (state, rules))
                    with self.subTest(state=state, rules=rules, program=program):
                        self.responder.status = 500 if state == "gone" else 200
                        self.responder.states = {"ann": state} if state in "VRU" else {}
                        self.assertEqual(self.visit(server) == "PONG", wanted)
                self.assertEqual(server.stop(), 0 if program is None else server.process.returncode)

    def test_it_is_told_why(self):
        server = self.start()
        self.responder.states = {"ann": "R"}
        self.assertEqual(self.visit(server), "SSLV3_ALERT_BAD_CERTIFICATE")
        self.assertTrue(server.wait_line("OCSP of [CN=ann,O=pipit]: OCSP verify fail, "
                                         "CA status [revoked]"))
        self.assertTrue(server.wait_line("TLS handshake error: client not OCSP valid"))

    def test_with_tls_1_2(self):
        server = self.start()
        old = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        self.assert_in(server, **old)
        self.responder.states = {"ann": "R"}
        self.assert_out(server, **old)

    def test_a_switch(self):
        self.responder.states = {"ann": "R"}
        self.assert_out(self.start("true"))
        self.assert_in(self.start("false"))
        self.assert_in(self.start(""))
        self.assertEqual(self.responder.asked, ["ann"])

    def test_handshake_first(self):
        server = self.start(tls="handshake_first: true")
        for state, wanted in ("V", True), ("R", False):
            self.responder.states = {"ann": state}
            try:
                sock, _ = support.connect(server, self.context("ann"), first=True)
                with sock:
                    self.assertEqual(support.ping(sock) == "PONG", wanted)
            except (AssertionError, ssl.SSLError, ConnectionError):
                self.assertFalse(wanted)

    # --- answers ------------------------------------------------------------------------------

    def test_nobody_to_ask(self):
        server = self.start()
        self.assert_in(server, "plain")
        self.assert_in(server, "odd")
        self.assertEqual(self.responder.asked, [])

    def test_each_of_the_chain_is_asked_about(self):
        server = self.start()
        self.assert_in(server, "carl")
        self.assertEqual(self.responder.asked, ["carl", "between"])
        self.responder.states = {"between": "R"}
        self.assert_out(server, "carl")
        self.responder.asked.clear()
        self.responder.states = {"carl": "R"}
        self.assert_out(server, "carl")
        self.assertEqual(self.responder.asked, ["carl"])  # that is enough

    def test_times(self):
        cases = [  # from, until, rules, does it come in?
            (-600, -300, "", False), (-600, -10, "", True), (300, 600, "", False),
            (10, 600, "", True), (-600, -10, "allowed_clockskew: 0", False),
            (-600, None, "", True), (-7200, None, "", False),
            (-7200, None, "cache_ttl_when_next_update_unset: 3h", True),
        ]
        for since, until, rules, wanted in cases:
            with self.subTest(since=since, until=until, rules=rules):
                self.responder.since, self.responder.until = since, until
                server = self.start(f"{LONG}, {rules}")
                (self.assert_in if wanted else self.assert_out)(server)
                server.stop()

    def test_who_may_sign(self):
        server = self.start()
        for signer, wanted in ("helper", True), ("stranger", False), ("between", False), \
                ("ann", False):
            with self.subTest(signer=signer):
                self.responder.signer = signer
                (self.assert_in if wanted else self.assert_out)(server)

    def test_answers_that_are_none(self):
        server = self.start(f"{LONG}, allow_when_ca_unreachable: true, unknown_is_good: true")
        cases = [
            lambda _: b"", lambda _: b"hello", lambda answer: answer[:-1],
            lambda answer: answer + b"x", lambda _: bytes.fromhex("30030a0106"),  # unauthorized
        ]
        for spoil in cases:
            self.responder.spoil = spoil
            self.assert_out(server)
        self.responder.spoil, self.responder.other = None, True
        self.assert_out(server)
        self.responder.other, self.responder.spoil = None, lambda _: bytes(1 << 20)
        self.assert_in(server)  # that is nobody who answers

    # --- waiting ------------------------------------------------------------------------------

    def test_an_answer_that_is_late(self):
        for rules, wanted in ("", False), ("allow_when_ca_unreachable: true", True), \
                ("warn_only: true", True):
            server = self.start(f"ca_timeout: 200ms, {rules}")
            with self.responder.lock:  # nobody is answered
                (self.assert_in if wanted else self.assert_out)(server)
            server.stop()

    def test_the_handshakes_time_runs_on(self):
        server = Server(self.folder, self.text().replace("timeout: 60", "timeout: 0.5", 1))
        self.addCleanup(self.finish, server)
        with self.responder.lock:
            self.assertNotEqual(self.visit(server), "PONG")
        self.assertTrue(server.wait_line("TLS handshake error: timeout"))

    def test_others_are_served_meanwhile(self):
        """Of those who wait only a few are asked about at a time."""
        server = self.start(LONG, rest="ocsp_cache { local_store: '@' }")
        self.assert_in(server, "bob")
        with self.responder.lock:
            waiting = [self.begin(server, "ann") for _ in range(100)]
            for sock in waiting:
                sock.sendall(b"CONNECT {}\r\nPING\r\n")
            self.assertTrue(self.responder.wait_asked(17))
            self.assert_in(server, "bob")
            self.assert_in(server, "plain")
            for sock in waiting[50:]:
                sock.close()
        for sock in waiting[:50]:
            with sock:
                while (line := support.read_line(sock)).startswith((b"INFO", b"+OK")):
                    pass
                self.assertEqual(line, b"PONG\r\n")
        self.assertLessEqual(len(self.responder.asked), 1 + 100)
        support.wait_until(lambda: len(server.connz()) == 0)

    def test_stopping_while_it_asks(self):
        server = self.start()
        with self.responder.lock:
            with self.begin(server, "ann"):
                self.assertTrue(self.responder.wait_asked(1))
                self.assertEqual(server.stop(), 0)

    def test_who_leaves_meanwhile(self):
        server = self.start()
        with self.responder.lock:
            with self.begin(server, "ann"):
                self.assertTrue(self.responder.wait_asked(1))
        self.assert_in(server)
        support.wait_until(lambda: len(server.connz()) == 0)

    def test_an_answer_is_kept_although_its_client_has_left(self):
        """Else nobody gets in where each answer comes when the handshake's time is over."""
        server = Server(self.folder,
                        self.text(LONG, self.KEPT).replace("timeout: 60", "timeout: 3", 1))
        self.addCleanup(self.finish, server)
        with self.responder.lock:
            self.assertNotEqual(self.visit(server), "PONG")
            self.assertTrue(server.wait_line("TLS handshake error: timeout"))
        support.wait_until(lambda: self.cache(server).get("cached_responses") == 1)
        support.wait_until(lambda: self.visit(server) == "PONG")
        self.assertEqual(self.responder.asked, ["ann"])

    def rush(self, server, version):
        """Say everything with the handshake's last words, in one piece."""
        context = self.context("ann", minimum_version=version, maximum_version=version)
        inwards, outwards = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(inwards, outwards, server_hostname="localhost")
        sock = server.dial()
        support.read_info(sock)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outwards.read())
                inwards.write(sock.recv(65536))
        tls.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        sock.sendall(outwards.read())
        with sock:
            while True:
                try:
                    return tls.read()
                except ssl.SSLWantReadError:
                    inwards.write(sock.recv(65536) or self.fail("closed"))

    def test_who_does_not_wait(self):
        """What comes at the same time is kept until it may be read, whoever has to be asked."""
        for kept in "ocsp_cache: false", self.KEPT:
            server = self.start(LONG, kept)
            for version in ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2:
                with self.subTest(version=version, kept=kept):
                    self.assertEqual(self.rush(server, version), b"PONG\r\n")

    # --- sessions -----------------------------------------------------------------------------

    def resume(self, server, session):
        """How a client that shows a session ends, and whether it was taken up."""
        context = session[0]
        sock = server.dial()
        support.read_info(sock)
        try:
            with context.wrap_socket(sock, server_hostname="localhost",
                                     session=session[1]) as sock:
                return support.ping(sock) == "PONG", sock.session_reused
        except (ssl.SSLError, ConnectionError):
            return False, None

    def session(self, server, **settings):
        context = self.context("ann", **settings)
        with support.connect(server, context)[0] as sock:
            self.assertEqual(support.ping(sock), "PONG")
            return context, sock.session

    def test_a_session_is_no_way_around(self):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            self.responder.forget()
            old = {"minimum_version": version, "maximum_version": version}
            server = self.start("")
            before = self.session(server, **old)
            self.assertEqual(self.resume(server, before), (True, True))
            self.assertTrue(server.reload(self.text()))
            self.responder.states = {"ann": "R"}
            self.assertFalse(self.resume(server, before)[0])
            self.responder.states = {}
            after = self.session(server, **old)
            self.responder.states = {"ann": "R"}
            self.assertFalse(self.resume(server, after)[0])
            self.responder.states = {}
            asked = len(self.responder.asked)
            self.assertEqual(self.resume(server, after)[0], True)
            self.assertEqual(len(self.responder.asked), asked + 1)
            server.stop()

    # --- what is kept -------------------------------------------------------------------------

    KEPT = "ocsp_cache { local_store: '@' }"

    def cache(self, server):
        return server.varz().get("ocsp_peer_cache")

    def test_who_is_known_is_not_asked_about_again(self):
        server = self.start(LONG, self.KEPT)
        for _ in range(3):
            self.assert_in(server)
        self.responder.states = {"bob": "R"}
        for _ in range(2):
            self.assert_out(server, "bob")
        self.assertEqual(self.responder.asked, ["ann", "bob"])
        self.assertEqual(self.cache(server), {
            "cache_type": "local", "cache_hits": 3, "cache_misses": 2, "cached_responses": 2,
            "cached_revoked_responses": 1, "cached_good_responses": 1})

    def test_nothing_is_kept(self):
        server = self.start(LONG, "ocsp_cache { type: NONE }")
        for _ in range(2):
            self.assert_in(server)
        self.assertEqual(self.responder.asked, ["ann"] * 2)
        self.assertIsNone(self.cache(server))

    def test_an_answer_whose_time_is_over(self):
        self.responder.since, self.responder.until = -3600, 20
        server = self.start(f"{LONG}, allowed_clockskew: 0", self.KEPT)
        self.assert_in(server)
        self.responder.until = 600

        def asked_again():
            self.assert_in(server)
            return len(self.responder.asked) == 2

        support.wait_until(asked_again)

    def test_it_outlives_the_server(self):
        server = self.start(LONG, self.KEPT)
        self.responder.states = {"bob": "R"}
        self.assert_in(server)
        self.assert_out(server, "bob")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(os.listdir(self.store), ["standings"])
        server = self.start(LONG, self.KEPT)
        self.assertEqual(self.cache(server)["cached_responses"], 2)
        self.responder.states = {"ann": "R"}
        for _ in range(2):
            self.assert_in(server)
            self.assert_out(server, "bob")
        self.assertEqual(self.responder.asked, ["ann", "bob"])

    def test_it_is_written_now_and_then(self):
        server = self.start(LONG, "ocsp_cache { local_store: '@', save_interval: 1 }")
        self.assert_in(server)
        support.wait_until(lambda: os.path.exists(os.path.join(self.store, "standings")))
        server.process.kill()
        server.stop()
        server = self.start(LONG, self.KEPT)
        self.assert_in(server)
        self.assertEqual(self.responder.asked, ["ann"])

    def test_a_file_that_is_damaged(self):
        server = self.start(LONG, self.KEPT)
        self.assert_in(server)
        server.stop()
        path = os.path.join(self.store, "standings")
        with open(path, "rb") as file:
            whole = file.read()
        for text in b"", b"hello", whole[:-1], whole + b"x", whole[:60] + b"x" + whole[61:]:
            with open(path, "wb") as file:
                file.write(text)
            self.responder.asked.clear()
            server = self.start(LONG, self.KEPT)
            self.assertTrue(server.wait_line("is damaged"))
            self.assert_in(server)
            self.assertEqual(self.responder.asked, ["ann"])
            server.stop()
            with open(path, "rb") as file:
                self.assertGreater(len(file.read()), len(whole) - 8)  # signatures vary

    def test_a_file_that_somebody_else_has_written(self):
        """What it holds is believed only as far as the authority has signed it."""
        server = self.start(LONG, self.KEPT)
        self.responder.states = {"ann": "R"}
        self.assert_out(server)
        server.stop()
        path = os.path.join(self.store, "standings")
        with open(path, "rb") as file:
            text = bytearray(file.read()[:-32])
        text[16 + 48:16 + 52] = (1).to_bytes(4, "little")  # good, it says
        with open(path, "wb") as file:
            file.write(text + hashlib.sha256(text).digest())
        server = self.start(LONG, self.KEPT)
        self.assertEqual(self.cache(server)["cached_good_responses"], 1)
        self.assert_out(server)
        self.assertEqual(self.responder.asked, ["ann"])
        self.assertEqual(self.cache(server)["cached_revoked_responses"], 1)

    def test_revocations_are_remembered(self):
        rules = f"{LONG}, allowed_clockskew: 0, allow_when_ca_unreachable: true"
        self.responder.states, self.responder.since, self.responder.until = {"ann": "R"}, -3600, 20
        server = self.start(rules, "ocsp_cache { local_store: '@', preserve_revoked: true }")
        self.assert_out(server)
        asked = len(self.responder.asked)
        self.responder.status = 500

        def over():
            self.assertIsNone(server.process.poll(), server.lines)
            self.assert_out(server)
            return len(self.responder.asked) > asked

        support.wait_until(over)
        self.assert_out(server)  # still
        self.assertEqual(self.cache(server)["cached_revoked_responses"], 1)
        server.stop()
        server = self.start(rules, "ocsp_cache { local_store: '@', preserve_revoked: true }")
        self.assert_out(server)
        server.stop()
        # Where they are not, it is remembered once more, and then no more.
        server = self.start(rules, self.KEPT)
        self.assert_out(server)
        self.assert_in(server)

    def test_a_store_that_cannot_be_written(self):
        with open(self.store, "w", encoding="ascii"):
            pass
        self.addCleanup(os.unlink, self.store)
        server = self.start(LONG, self.KEPT)
        self.assertTrue(server.wait_line("what was known of certificates cannot be read"))
        self.assert_in(server)
        self.assert_in(server)
        self.assertEqual(self.responder.asked, ["ann"])
        server.stop()
        self.assertTrue(server.wait_line("what is known of certificates cannot be written"))

    # --- reload, monitoring, events, other doors ------------------------------------------------

    def test_reload(self):
        self.responder.states = {"ann": "R"}
        server = self.start("")
        self.assert_in(server)
        self.assertNotIn("tls_ocsp_peer_verify", server.varz())
        self.assertTrue(server.reload(self.text()))
        self.assertTrue(server.wait_line("Reloaded: tls.ocsp_peer.verify = true"))
        self.assertIs(server.varz()["tls_ocsp_peer_verify"], True)
        self.assert_out(server)
        self.assertTrue(server.reload(self.text(f"{LONG}, warn_only: true")))
        self.assert_in(server)
        self.assertTrue(server.reload(self.text(LONG, self.KEPT)))
        self.assert_out(server)
        self.assertEqual(self.cache(server)["cached_responses"], 1)
        self.assertTrue(server.reload(self.text("false", self.KEPT)))
        self.assertIsNone(self.cache(server))
        self.assert_in(server)

    def test_a_reload_that_moves_the_store(self):
        """Nothing is lost where it was, and nobody has to come for it to be where it is then."""
        other = self.folder.file("other")
        self.addCleanup(shutil.rmtree, other, True)
        server = self.start(LONG, "ocsp_cache { local_store: '@', save_interval: 1h }")
        self.assert_in(server)
        self.assertTrue(server.reload(self.text(
            LONG, f"ocsp_cache {{ local_store: '{other}', save_interval: 1 }}")))
        for store in self.store, other:
            support.wait_until(lambda: os.path.exists(os.path.join(store, "standings")))

    def test_who_is_asked_about_at_a_reload(self):
        server = self.start()
        with self.responder.lock:
            sock = self.begin(server, "ann")
            self.assertTrue(self.responder.wait_asked(1))
            pins = ", ".join(f'"{self.folder.pin(name)}"' for name in ("bob",))
            self.assertTrue(server.reload(self.text(tls=f"pinned_certs: [ {pins} ]")))
        with sock:
            self.assertEqual(support.rest(sock), b"")
        self.assertTrue(server.wait_line("TLS handshake error: certificate not pinned"))

    def test_a_handshake_that_a_reload_overtakes(self):
        """It began when nobody was asked, and it is asked about all the same."""
        server = self.start("")
        self.responder.states = {"ann": "R"}
        inwards, outwards = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context("ann").wrap_bio(inwards, outwards, server_hostname="localhost")
        sock = server.dial()
        support.read_info(sock)
        self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
        sock.sendall(outwards.read())
        inwards.write(sock.recv(65536))
        self.assertTrue(server.reload(self.text()))
        with sock:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    inwards.write(sock.recv(65536))
            tls.write(b"CONNECT {}\r\nPING\r\n")
            sock.sendall(outwards.read())
            self.assertTrue(server.wait_line("TLS handshake error: client not OCSP valid"))
        self.assertEqual(self.responder.asked, ["ann"])

    def test_it_needs_certificates(self):
        text = self.text().replace("verify: true, timeout", "timeout")
        with self.assertRaises(RuntimeError) as caught:
            Server(self.folder, text)
        self.assertIn("OCSP peer verification for client connections requires TLS verify (mTLS) to "
                      "be enabled", str(caught.exception))

    def listen_to_events(self, server):
        sock = support.connect(server, self.context("plain"))[0]
        sock.sendall(b'CONNECT {"user":"sys","pass":"sys"}\r\nSUB $SYS.SERVER.*.OCSP.PEER.> 1\r\n'
                     b"PING\r\n")
        while not (line := support.read_line(sock)).startswith(b"PONG"):
            self.assertTrue(line)
        return sock

    def read_event(self, sock):
        while not (line := support.read_line(sock)).startswith(b"MSG"):
            self.assertTrue(line)
        subject, size = line.split()[1].decode(), int(line.split()[-1])
        body = b""
        while len(body) < size + 2:
            body += sock.recv(size + 2 - len(body))
        return subject.split(".", 3)[3], json.loads(body)

    USERS = ("ocsp_cache: false\naccounts { SYS { users: [ { user: sys, password: sys } ] }\n"
             "A { users: [ { user: a, password: a } ] } }\nsystem_account: SYS\nno_auth_user: a\n")

    def events(self, program=None):
        server = self.start(LONG, self.USERS, program=program)
        self.responder.states = {"carl": "V", "between": "R"}
        with self.listen_to_events(server) as sock:
            self.assertNotEqual(self.visit(server, "carl"), "PONG")
            seen = [self.read_event(sock) for _ in range(2)]
        server.stop()
        for _, event in seen:
            for field in "id", "timestamp", "server":
                self.assertTrue(event.pop(field))
        return seen

    def test_events(self):
        """As nats-server tells of it."""
        seen = self.events()
        (link, invalid), (conn, rejected) = seen
        self.assertEqual((link, conn), ("OCSP.PEER.LINK.INVALID", "OCSP.PEER.CONN.REJECT"))
        self.assertEqual(invalid["link"]["subject"], "CN=between,O=pipit")
        self.assertEqual(invalid["peer"]["subject"], "CN=carl,O=pipit")
        self.assertEqual(base64.b64decode(invalid["peer"]["raw"]),
                         self.responder.certificate("carl"))
        self.assertEqual(invalid["reason"], "Invalid OCSP response status: revoked")
        self.assertEqual((rejected["kind"], rejected["reason"]),
                         ("Client", "client not OCSP valid"))
        if os.access(PEER, os.X_OK):
            self.assertEqual(seen, self.events(PEER))

    def test_websocket(self):
        file = self.folder.file
        text = (f"http: 127.0.0.1:-1\nocsp_cache: false\nwebsocket {{ listen: '127.0.0.1:-1'\n"
                f'tls {{ cert_file: "{file("server.pem")}", key_file: "{file("server.key")}", '
                f'ca_file: "{file("ca.pem")}", verify: true, timeout: 60, '
                f"ocsp_peer: {{ verify: true, {LONG} }} }} }}\n")
        server = Server(self.folder, text)
        self.addCleanup(self.finish, server)
        port = server.find(r"wss://127\.0\.0\.1:(\d+)")
        self.assertIs(server.varz()["websocket"]["tls_ocsp_peer_verify"], True)
        for state, wanted in ("V", True), ("R", False):
            self.responder.states = {"ann": state}
            sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
            try:
                with self.context("ann").wrap_socket(sock, server_hostname="localhost") as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                 b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                    self.assertEqual(sock.recv(12) == b"HTTP/1.1 101", wanted)
            except (ssl.SSLError, ConnectionError):
                self.assertFalse(wanted)

    def test_fanout(self):
        file = self.folder.file
        server = Server(self.folder, (
            f"http: 127.0.0.1:-1\nocsp_cache: false\nfanout {{ listen: '127.0.0.1:-1'\n"
            f'tls {{ cert_file: "{file("server.pem")}", key_file: "{file("server.key")}", '
            f'ca_file: "{file("ca.pem")}", verify: true, timeout: 60, '
            f"ocsp_peer: {{ verify: true, {LONG} }} }} }}\n"))
        self.addCleanup(self.finish, server)
        port = server.find(r"fanout.*127\.0\.0\.1:(\d+)")
        for state, wanted in ("V", b"debug!connected...\n"), ("R", b""):
            self.responder.states = {"ann": state}
            sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
            with self.context("ann").wrap_socket(sock, server_hostname="localhost") as sock:
                try:
                    self.assertEqual(support.read_line(sock), wanted)
                except (ssl.SSLError, ConnectionError):
                    self.assertFalse(wanted)

    def test_who_cannot_ask_says_so_at_once(self):
        """Without libcurl each client would be refused."""
        with open(self.folder.file("libcurl.so.4"), "w", encoding="ascii"):
            pass  # this is none, and it is found first
        self.addCleanup(os.unlink, self.folder.file("libcurl.so.4"))
        self.folder.write("try.conf", self.text(LONG, self.KEPT))
        for flags in (["-t"], ["-a", "127.0.0.1", "-p", "-1"]):
            done = subprocess.run([support.SERVER, *flags, "-c", self.folder.file("try.conf")],
                                  env={**os.environ, "LD_LIBRARY_PATH": self.folder.path},
                                  capture_output=True, check=False, timeout=DEADLINE_S)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"libcurl is not to be had", done.stderr)

    def test_trying_a_configuration_asks_nobody(self):
        self.folder.write("try.conf", self.text(LONG, self.KEPT))
        done = subprocess.run([support.SERVER, "-t", "-c", self.folder.file("try.conf")],
                              capture_output=True, check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(self.store))


if __name__ == "__main__":
    main()
