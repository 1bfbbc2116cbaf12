"""Where tokens of accounts come from: a folder, a web server, the configuration."""

import http.server
import os
import pathlib
import shutil
import signal
import ssl
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from tenants import Key, Operator, Pipit, both, eventually, let_it_look_again, main

FULL = "{ type: full, dir: '@DIR@/jwt', allow_delete: true }"
SOFT = "{ type: full, dir: '@DIR@/jwt', limit: 3 }"
CACHE = "{ type: cache, dir: '@DIR@/jwt', limit: 2, ttl: 1h }"


class Folder(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.o = Operator()

    def request(self, server, subject, payload=""):
        o = self.o
        with server.show(o.system_user_token, o.system_user) as client:
            return client.request(subject, payload)

    def folder(self, server):
        return pathlib.Path(server.folder.name) / "jwt"

    def test_files(self):
        """They are named and protected as nats-server does it, and so it finds ours."""
        o = self.o
        with both(o.configuration(FULL)) as servers:
            seen = []
            for server in servers:
                self.request(server, "$SYS.REQ.CLAIMS.UPDATE", o.account_token())
                folder = self.folder(server)
                files = sorted((f.name, oct(stat.S_IMODE(f.stat().st_mode)))
                               for f in folder.iterdir())
                seen.append((files, oct(stat.S_IMODE(folder.stat().st_mode))))
            self.assertEqual(*seen)
            self.assertEqual(*[(self.folder(server) / f"{o.system_key}.jwt").read_text()
                               for server in servers])

    def test_is_read_again_after_the_end(self):
        """Also when the end was sudden."""
        o = self.o
        with Pipit(o.configuration(FULL)) as server:
            self.request(server, "$SYS.REQ.CLAIMS.UPDATE", o.account_token())
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.killed = True
            folder = self.folder(server)
            (folder / f"{Key('A')}.jwt").write_text("nonsense")
            (folder / f"{Key('A')}.jwt").write_text(o.account_token())
            half = folder / f"{Key('A')}.jwt.new"
            half.write_text("eyJ")
            (folder / "readme.txt").write_text("left alone")
            (folder / ".jwt").write_text("left alone")
            again = Pipit("")
            again.write(o.configuration(FULL).replace("@DIR@", server.folder.name))
            with again:
                again.wait_line("2 files in .* are no account JWTs")
                self.assertEqual(again.verdict(o.user_token(), o.user), "in")
                self.assertFalse(half.exists())
                self.assertTrue((folder / "readme.txt").exists())

    def test_no_name_leads_out(self):
        """What is no key is no file, whatever its dots and slashes."""
        o = self.o
        names = ["..", "../x", "..%2fx", "/etc/passwd", "A" * 55 + "B", f"{o.account}/../x",
                 f"{o.account}.jwt", str(o.account).lower(), str(o.user), ">", "*",
                 f"{o.account}\u0000"]
        with Pipit(o.configuration(FULL)) as server:
            folder = self.folder(server)
            parent = sorted(os.listdir(folder.parent))
            for name in names:
                token = o.key.token("account", o.account, name="x", sub=str(o.account))
                subject = name.replace(" ", "").replace("\u0000", "")
                if ".." in subject or subject in (">", "*"):
                    subject = "x"
                self.request(server, f"$SYS.REQ.ACCOUNT.{subject}.CLAIMS.LOOKUP")
                self.request(server, f"$SYS.REQ.ACCOUNT.{subject}.CLAIMS.UPDATE", token)
                with server.show(o.system_user_token, o.system_user) as system:
                    request = o.key.token("generic", o.key, nats={"accounts": [name]})
                    reply = system.request("$SYS.REQ.CLAIMS.DELETE", request).json()
                    self.assertIn("error" if name != str(o.account) else "data", reply)
            for entry in folder.iterdir():
                self.assertRegex(entry.name, r"^A[A-Z2-7]{55}\.jwt$")
            self.assertEqual(sorted(os.listdir(folder.parent)), parent)

    def test_users_cannot_name_files(self):
        o = self.o
        with Pipit(o.configuration(FULL)) as server:
            for account in ("../x", "/etc/passwd", "", str(o.user)):
                token = o.user_token({"issuer_account": account})
                self.assertIn("Authorization Violation", server.verdict(token, o.user))

    def test_full_is_full(self):
        o = self.o
        with both(o.configuration(SOFT)) as servers:
            said = []
            for server in servers:
                answers = []
                for _ in range(4):
                    reply = self.request(server, "$SYS.REQ.CLAIMS.UPDATE",
                                         o.account_token(key=Key("A"))).json()
                    answers.append("data" in reply)
                said.append(answers)
            self.assertEqual(*said)
            self.assertEqual(said[0], [True, True, False, False])

    def test_a_cache_keeps_what_is_used(self):
        o = self.o
        with both(o.configuration(CACHE, preload={o.account: o.account_token()})) as servers:
            said = []
            for server in servers:
                one = self.request(server, "$SYS.REQ.CLAIMS.UPDATE",
                                   o.account_token(key=Key("A"))).json()["data"]["message"]
                self.assertEqual(server.verdict(o.user_token(), o.user), "in")
                two = self.request(server, "$SYS.REQ.CLAIMS.UPDATE",
                                   o.account_token()).json()["data"]["message"]
                said.append((one, two, len(list(self.folder(server).iterdir()))))
            self.assertEqual(*said)

    def test_expired_tokens_go(self):
        o = self.o
        fresh = Key("A")
        with Pipit(o.configuration(FULL)) as server:
            token = o.account_token(key=fresh, exp=int(time.time()) + 6)
            self.request(server, "$SYS.REQ.CLAIMS.UPDATE", token)
            file = self.folder(server) / f"{fresh}.jwt"
            self.assertTrue(file.exists())
            eventually(lambda: not file.exists(), "the file goes", 75)

    def test_a_preload_does_not_undo_an_update(self):
        o = self.o
        now = int(time.time())
        old = o.key.token("account", o.account, name="old", at=now - 1000)
        new = o.account_token(name="new")
        with Pipit(o.configuration(FULL, preload={o.account: old})) as server:
            self.request(server, "$SYS.REQ.CLAIMS.UPDATE", new)
            server.stop()
            server.process.wait()
            again = Pipit("")
            again.write(o.configuration(FULL, preload={o.account: old})
                        .replace("@DIR@", server.folder.name))
            with again:
                kept = self.request(again, f"$SYS.REQ.ACCOUNT.{o.account}.CLAIMS.LOOKUP")
                self.assertEqual(kept.payload.decode(), new)


class Memory(unittest.TestCase):
    def test_updates_hold_until_the_end(self):
        o = Operator()
        text = o.configuration(preload={o.account: o.account_token()})
        with both(text) as servers:
            said = []
            for server in servers:
                self.assertEqual(server.verdict(o.user_token(), o.user), "in")
                let_it_look_again(server)
                with server.show(o.system_user_token, o.system_user) as system:
                    token = o.account_token({"revocations": {"*": int(time.time()) + 60}})
                    reply = system.request(f"$SYS.REQ.ACCOUNT.{o.account}.CLAIMS.UPDATE", token)
                    listed = system.request("$SYS.REQ.CLAIMS.LIST")
                said.append((reply.json()["data"], listed.status,
                             server.verdict(o.user_token(), o.user)))
            self.assertEqual(*said)

    def test_a_reload_brings_accounts(self):
        o = Operator()
        fresh = Key("A")
        with both(o.configuration(preload={o.account: o.account_token()})) as servers:
            for server in servers:
                client = server.show(o.user_token(), o.user)
                self.assertNotEqual(server.verdict(o.user_token(by=fresh), o.user), "in")
                server.reload(o.configuration(preload={o.account: o.account_token(),
                                                       fresh: o.account_token(key=fresh)}))
                self.assertEqual(server.verdict(o.user_token(by=fresh), o.user), "in")
                client.flush()
                self.assertEqual(client.errors, [])
                client.close()


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        token = self.server.tokens.get(self.path.rsplit("/", 1)[-1])
        if self.path == "/accounts/":
            token = "ok"
        self.server.asked.append(self.path)
        self.send_response(200 if token else 404)
        self.end_headers()
        self.wfile.write((token or "").encode())

    def log_message(self, *_):
        pass


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def make_certificates(folder):
    """An authority, and a server and a client that it vouches for; and another of the same name."""
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", "/CN=authority")
    for name in ("web", "server"):
        openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        with open(os.path.join(folder, "names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1\n")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", "names")


@unittest.skipUnless(shutil.which("openssl"), "openssl is missing")
class ByHttps(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pipit-resolver-")
        self.addCleanup(shutil.rmtree, self.folder)
        make_certificates(self.folder)
        self.o = o = Operator()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.path("ca.pem"))
        context.load_cert_chain(self.path("web.pem"), self.path("web.key"))
        context.verify_mode = ssl.CERT_REQUIRED
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        web.socket = context.wrap_socket(web.socket, server_side=True)
        web.tokens = {str(o.account): o.account_token(), str(o.system_key): o.system_token}
        web.asked = []
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        self.text = o.configuration(f"URL(https://127.0.0.1:{web.server_port}/accounts/)", False)

    def path(self, name):
        return os.path.join(self.folder, name)

    def tls(self, ca="ca", me="server"):
        return (f"resolver_tls {{ ca_file: '{self.path(ca)}.pem', cert_file: '{self.path(me)}.pem', "
                f"key_file: '{self.path(me)}.key' }}\n")

    def test_each_knows_the_other(self):
        with both(self.text + self.tls()) as servers:
            for server in servers:
                self.assertEqual(server.verdict(self.o.user_token(), self.o.user), "in")

    def test_a_reload_changes_who_is_trusted(self):
        with Pipit(self.text + self.tls()) as server:
            server.reload(self.text + self.tls(ca="stranger"))
            self.assertNotEqual(server.verdict(self.o.user_token(), self.o.user), "in")
            server.reload(self.text + self.tls())
            eventually(lambda: server.verdict(self.o.user_token(), self.o.user) == "in",
                       "let in again")

    def test_strangers_are_not_asked(self):
        """Nor does a server answer that knows us not."""
        for tls in ("", self.tls(ca="stranger"), self.tls(me="stranger"),
                    f"resolver_tls {{ ca_file: '{self.path('ca.pem')}' }}\n"):
            with self.subTest(tls), self.assertRaises(AssertionError):
                with Pipit(self.text + tls):
                    pass


class ByUrl(unittest.TestCase):
    def test_accounts_are_asked_for_when_needed(self):
        o = Operator()
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        web.tokens = {str(o.account): o.account_token(), str(o.system_key): o.system_token}
        web.asked = []
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        text = o.configuration(f"URL(http://127.0.0.1:{web.server_port}/accounts/)", False)
        with both(text) as servers:
            for server in servers:
                web.asked.clear()
                for _ in range(2):
                    self.assertEqual(server.verdict(o.user_token(), o.user), "in")
                self.assertEqual(web.asked, [f"/accounts/{o.account}"])
                self.assertNotEqual(server.verdict(o.user_token(by=Key("A")), o.user), "in")

    def test_nobody_there_is_no_start(self):
        o = Operator()
        text = o.configuration("URL(http://127.0.0.1:1/accounts/)", False)
        with self.assertRaises(AssertionError):
            with Pipit(text):
                pass


if __name__ == "__main__":
    main()
