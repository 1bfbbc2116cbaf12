#!/usr/bin/env python3
"""Certificates shown with what their authority says of them (OCSP stapling), beside nats-server."""

import base64
import http.server
import os
import re
import subprocess
import threading
import unittest
import urllib.parse

import support
from support import DEADLINE_S, PEER, Folder, Server, main

NUMBERS = {"plain": "10", "must": "11", "deep": "12"}


class Responder:
    """Answers for the authority, by openssl; and as it is told to by spoil(answer)."""

    def __init__(self, folder):
        self.folder, self.states, self.asked = folder, {}, 0
        self.signer, self.authority, self.more = "ca", "ca", ["-nmin", "10"]
        self.spoil = None
        self.lock, self.reached = threading.Lock(), threading.Event()
        responder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                request = base64.b64decode(urllib.parse.unquote(self.path.rpartition("/")[2]))
                self.answer(request)

            def do_POST(self):
                self.answer(self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, request):
                responder.reached.set()
                with responder.lock:
                    answer = responder.answer(request)
                self.send_response(200)
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # too long, or it has gone meanwhile

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request):
        self.asked += 1
        lines = []
        for name, number in NUMBERS.items():
            state = self.states.get(name, "V")
            end = "250101000000Z,keyCompromise" if state == "R" else ""
            if state != "U":
                lines.append(f"{state}\t391231235959Z\t{end}\t{number}\tunknown\t/CN={name}\n")
        self.folder.write("index.txt", "".join(lines))
        with open(self.folder.file("request.der"), "wb") as file:
            file.write(request)
        self.folder.run("ocsp", "-index", "index.txt", "-CA", f"{self.authority}.pem", "-rsigner",
                        f"{self.signer}.pem", "-rkey", f"{self.signer}.key", "-reqin",
                        "request.der", "-respout", "answer.der", *self.more)
        with open(self.folder.file("answer.der"), "rb") as file:
            answer = file.read()
        return self.spoil(answer) if self.spoil else answer

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Stapling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.certificate("plain")
        cls.certificate("must", "tlsfeature=status_request\n")
        cls.certificate("helper", "extendedKeyUsage=OCSPSigning\n", number="20")
        cls.certificate("nobody", number="21")
        # An authority between, whose certificate stands behind that of the server.
        cls.certificate("between", "basicConstraints=critical,CA:TRUE\n", number="22")
        cls.certificate("deep", ca="between")
        with open(cls.folder.file("deep.pem"), "a", encoding="ascii") as file, \
                open(cls.folder.file("between.pem"), encoding="ascii") as issuer:
            file.write(issuer.read())

    @classmethod
    def tearDownClass(cls):
        cls.folder.close()

    @classmethod
    def certificate(cls, name, extensions="", ca="ca", number=None):
        folder = cls.folder
        folder.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        folder.write(f"{name}.ext", f"subjectAltName=DNS:localhost,IP:127.0.0.1\n{extensions}")
        folder.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                   "-set_serial", "0x" + (number or NUMBERS[name]), "-days", "30", "-out",
                   f"{name}.pem", "-extfile", f"{name}.ext")

    def setUp(self):
        self.responder = Responder(self.folder)
        self.addCleanup(self.responder.close)
        self.addCleanup(self.forget)

    def forget(self):
        """What nats-server keeps where it runs."""
        subprocess.run(["rm", "-rf", self.folder.file("ocsp"), self.folder.file("jetstream")],
                       check=True)

    def text(self, name, ocsp):
        return (f"{ocsp.replace('@', self.responder.url)}\n"
                f'tls {{ cert_file: "{self.folder.file(name)}.pem", '
                f'key_file: "{self.folder.file(name)}.key", '
                f'ca_file: "{self.folder.file("ca.pem")}", handshake_first: true }}\n')

    def start(self, name, ocsp, program=None):
        server = Server(self.folder, self.text(name, ocsp), program=program)
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        return server

    def refused(self, name, ocsp):
        with self.assertRaises(RuntimeError) as caught:
            self.start(name, ocsp)
        return str(caught.exception)

    def visit(self, server, *more):
        return subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-status", "-CAfile",
             self.folder.file("ca.pem"), *more], input="", capture_output=True, text=True,
            check=False, timeout=DEADLINE_S).stdout

    def subject_and_status(self, server):
        said = self.visit(server)
        status = re.search(r"Cert Status: (\w+)", said)
        return re.search(r"subject=CN ?= ?(\w+)", said)[1], status and status[1]

    def shown(self, server, *more):
        done = self.visit(server, *more)
        if "OCSP response: no response sent" in done:
            return None
        return re.search(r"Cert Status: (\w+)", done)[1]

    def outcome(self, name, ocsp, program=None):
        """What is shown, or that it does not start."""
        try:
            server = self.start(name, ocsp, program)
        except RuntimeError as error:
            said = re.search(r"(bad OCSP|found existing)[^\n]*?certificate at '[^']*': "
                             r"(exhausted ocsp servers|[^\n]*)", str(error))
            return said[1], said[2]
        shown = self.shown(server)
        server.stop()
        self.forget()
        return shown

    MODES = ("", "ocsp: true", "ocsp: false", *(f"ocsp {{ mode: {mode}, url: '@' }}" for mode in
                                                ("auto", "always", "must", "never")))

    def test_modes(self):
        """As nats-server does in all of them."""
        expected = {  # of auto, always, must for a certificate that demands it; always for one not
            "V": ("good", "good", "good", "good"),
            "R": ("revoked", *[("found existing", "revoked")] * 3),
            "U": ("unknown", *[("found existing", "unknown")] * 3),
        }
        for state, wanted in expected.items():
            self.responder.states = {"plain": state, "must": state}
            for name in "plain", "must":
                for ocsp in self.MODES:
                    with self.subTest(state=state, name=name, ocsp=ocsp):
                        ours = self.outcome(name, ocsp)
                        if os.path.exists(PEER) and (state == "R" or name == "must"):
                            self.assertEqual(ours, self.outcome(name, ocsp, PEER))
                        mode = re.search(r"mode: (\w+)", ocsp)
                        if name == "plain":
                            wants = wanted[3] if mode and mode[1] == "always" else None
                        elif not mode:
                            wants = None if "false" in ocsp else ("bad OCSP",
                                                                  "no available ocsp servers")
                        else:
                            at = ("auto", "always", "must", "never").index(mode[1])
                            wants = wanted[at] if at < 3 else None
                        self.assertEqual(ours, wants)

    def test_nobody_answers(self):
        url = self.responder.url
        self.responder.server.server_close()
        for name, mode in ("plain", "always"), ("must", "auto"), ("must", "must"):
            said = self.refused(name, f"ocsp {{ mode: {mode}, url: '{url}' }}")
            self.assertIn(f"exhausted ocsp servers: {url}", said)

    def test_the_next_who_may_be_asked(self):
        server = self.start("plain", "ocsp { mode: always, urls: [ 'http://127.0.0.1:1', '@' ] }")
        self.assertEqual(self.shown(server), "good")

    def test_whom_the_certificate_names(self):
        self.certificate("plain", f"authorityInfoAccess=OCSP;URI:{self.responder.url}\n")
        server = self.start("plain", "ocsp { mode: always }")
        self.assertEqual(self.shown(server), "good")
        self.assertEqual(self.shown(server, "-tls1_2"), "good")

    def test_an_authority_between(self):
        self.responder.signer = self.responder.authority = "between"
        server = self.start("deep", "ocsp { mode: always, url: '@' }")
        self.assertEqual(self.shown(server), "good")

    def test_who_may_sign(self):
        self.responder.signer = "helper"  # whom the authority has named for that
        server = self.start("plain", "ocsp { mode: always, url: '@' }")
        self.assertEqual(self.shown(server), "good")
        for signer in "nobody", "between":
            self.responder.signer = signer
            self.assertIn("not signed by the issuer",
                          self.refused("plain", "ocsp { mode: always, url: '@' }"))

    def test_answers_that_are_none(self):
        self.responder.more.append("-resp_no_certs")  # the signature is the end then
        changed = lambda answer: answer[:-5] + bytes([answer[-5] ^ 1]) + answer[-4:]
        cases = {
            lambda _: b"": "no OCSP response",
            lambda _: b"hello": "no OCSP response",
            lambda answer: answer[:-1]: "no OCSP response",
            lambda answer: answer + b"x": "no OCSP response",
            changed: "not signed by the issuer",
            lambda _: bytes.fromhex("30030a0106"): "cannot tell",  # unauthorized
            lambda _: bytes(1 << 20): "not to be had",
        }
        for spoil, wanted in cases.items():
            self.responder.spoil = spoil
            self.assertIn(wanted, self.refused("plain", "ocsp { mode: always, url: '@' }"))

    def test_an_answer_about_another_certificate(self):
        first = []

        def once(answer):
            first.append(answer)
            return first[0]

        self.responder.spoil = once
        self.start("plain", "ocsp { mode: always, url: '@' }").stop()
        self.assertIn("about another certificate",
                      self.refused("must", "ocsp { mode: always, url: '@' }"))

    def test_a_certificate_that_is_revoked_meanwhile(self):
        for name, mode in ("plain", "always"), ("must", "must"):
            self.responder.states = {}
            server = self.start(name, f"ocsp {{ mode: {mode}, url: '@' }}")
            self.assertEqual(self.shown(server), "good")
            self.responder.states = {name: "R"}
            self.assertTrue(server.reload())
            self.assertTrue(server.wait_line("status for certificate"))
            self.assertEqual(server.process.wait(DEADLINE_S), 0)
            server.stop()

    def test_it_is_asked_anew_at_a_reload(self):
        server = self.start("must", "ocsp { url: '@' }")
        self.assertEqual(self.shown(server), "good")
        self.responder.states = {"must": "R"}
        self.assertTrue(server.reload())
        support.wait_until(lambda: self.shown(server) == "revoked")
        # Who cannot be had keeps what was said before.
        self.responder.spoil = lambda _: b""
        asked = self.responder.asked
        self.assertTrue(server.reload())
        support.wait_until(lambda: self.responder.asked > asked)
        self.assertEqual(self.shown(server), "revoked")
        # Another certificate, and none that is asked about.
        self.responder.spoil = None
        self.assertTrue(server.reload(self.text("plain", "ocsp { mode: always, url: '@' }")))
        support.wait_until(lambda: self.shown(server) == "good")
        self.assertTrue(server.reload(self.text("plain", "ocsp: false")))
        self.assertIsNone(self.shown(server))
        asked = self.responder.asked
        self.assertTrue(server.reload())
        self.assertEqual(self.responder.asked, asked)

    def test_a_new_certificate_is_not_shown_without_an_answer(self):
        """A reload waits for the first one; until then clients see the certificate before."""
        server = self.start("must", "ocsp { url: '@' }")
        self.responder.reached.clear()
        with self.responder.lock:  # nobody is answered
            reloading = threading.Thread(target=server.reload, args=(
                self.text("plain", "ocsp { mode: always, url: '@' }"),))
            reloading.start()
            self.assertTrue(self.responder.reached.wait(DEADLINE_S))
            self.assertEqual(self.subject_and_status(server), ("must", "good"))
        seen = [self.subject_and_status(server) for _ in range(3)]
        reloading.join(DEADLINE_S)
        seen.append(self.subject_and_status(server))
        self.assertLessEqual(set(seen), {("must", "good"), ("plain", "good")})
        self.assertEqual(seen[-1], ("plain", "good"))

    def test_two_certificates(self):
        self.certificate("must", "tlsfeature=status_request\nsubjectAltName=DNS:other.example\n")
        self.addCleanup(self.certificate, "must", "tlsfeature=status_request\n")
        pairs = ", ".join(f"{{ cert_file: '{self.folder.file(name)}.pem', "
                          f"key_file: '{self.folder.file(name)}.key' }}"
                          for name in ("plain", "must"))
        server = Server(self.folder, f"ocsp {{ url: '{self.responder.url}' }}\n"
                        f"tls {{ certs: [ {pairs} ], ca_file: '{self.folder.file('ca.pem')}', "
                        "handshake_first: true }\n")
        self.addCleanup(server.stop)
        self.assertIsNone(self.shown(server, "-servername", "localhost"))
        self.assertEqual(self.shown(server, "-servername", "other.example"), "good")

    def test_stopping_while_it_asks(self):
        server = self.start("must", "ocsp { url: '@' }")
        with self.responder.lock:  # nobody is answered
            self.assertTrue(server.reload())
            self.assertEqual(server.stop(), 0)

    def test_without_an_issuer(self):
        text = self.text("plain", "ocsp { mode: always, url: '@' }").replace("ca_file: ", "# ")
        text = text.replace('ca.pem", handshake_first', 'ca.pem"\nhandshake_first')
        with self.assertRaises(RuntimeError) as caught:
            Server(self.folder, text)
        self.assertIn("its issuer is neither in that file nor in ca_file", str(caught.exception))

    def test_trying_a_configuration_asks_nobody(self):
        self.folder.write("try.conf", self.text("must", "ocsp { mode: always, url: '@' }"))
        done = subprocess.run([support.SERVER, "-t", "-c", self.folder.file("try.conf")],
                              capture_output=True, check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.responder.asked, 0)


if __name__ == "__main__":
    main()
