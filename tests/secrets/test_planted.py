#!/usr/bin/env python3
"""Secrets are planted wherever a server meets one: in configuration files and what they include, in the
environment, on command lines, in what clients say. Everything that the server tells is then searched:
log, output, files, HTTP answers, protocol, and the command line that ps shows."""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
import unittest

from broken import COMMAND_LINES, CONFIGURATIONS, PARTS
from plants import CORE, Plants
from server import PIPIT, WAIT_S, Client, Server, exchange, run

PAGES = ("/", "/varz", "/connz", "/connz?auth=1&subs=detail&state=all", "/connz?state=closed&auth=true",
         "/routez?subs=1", "/gatewayz?accs=1", "/leafz?subs=1", "/subsz?subs=1", "/accountz",
         "/accountz?acc=A", "/accountz?acc=$G", "/accstatz?unused=1", "/jsz?accounts=1&config=1",
         "/healthz?details=1", "/ipqueuesz?all=1", "/raftz", "/stacksz", "/debug/vars", "/metrics",
         "/reloadz", "/none")


# What those inside may ask.
QUESTIONS = [f"SERVER.PING.{page}" for page in (
    "STATSZ", "IDZ", "VARZ", "CONNZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ",
    "HEALTHZ", "PROFILEZ", "EXPVARZ", "IPQUEUESZ", "RAFTZ")]
QUESTIONS += ["ACCOUNT.A.CONNZ", "ACCOUNT.A.SUBSZ", "ACCOUNT.A.LEAFZ", "ACCOUNT.A.INFO",
              "ACCOUNT.A.STATZ", "ACCOUNT.A.CONNS", "ACCOUNT.PING.STATZ", "USER.INFO"]


def fill(plants, text, where):
    """Put secrets where @@, @2 and ## stand."""
    for mark, digits in (("@@", False), ("@2", False), ("##", True)):
        if mark in text:
            text = text.replace(mark, plants.new(f"{mark} of {where}", digits=digits))
    return text


class Planted(unittest.TestCase):
    def setUp(self):
        self.plants = Plants()
        self.told = {}  # by what, all that was told
        folder = tempfile.TemporaryDirectory(prefix="pipit-secrets-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tell(self, what, data):
        self.told[what] = self.told.get(what, b"") + data

    def tell_files(self):
        """All that the server has written."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix != ".conf":
                self.tell(path.name, path.read_bytes())

    def search(self):
        found = [f"{what}: {secret}" for what, data in self.told.items()
                 for secret in self.plants.find(data)]
        self.assertEqual(found, [])

    def write(self, name, text):
        """Replace a file at once."""
        path = self.folder / name
        new = self.folder / "new.conf"
        new.write_text(text)
        os.rename(new, path)
        return str(path)


class Files(Planted):
    """Configurations that are refused: by -t, at the start, at a reload."""

    def setUp(self):
        super().setUp()
        self.env = {"PLANTED": self.plants.new("PLANTED"),
                    "PLANTED_BAD": self.plants.new("PLANTED_BAD") + ": { [ 'x"}
        for name, text in PARTS.items():
            self.write(name, fill(self.plants, text, name))
        self.configurations = [fill(self.plants, text, text) for text in CONFIGURATIONS]

    def test_what_is_wrong_is_told_without_them(self):
        for text in self.configurations:
            path = self.write("wrong.conf", text)
            code, output = run("-t", "-c", path, env=self.env)
            # What a syslog is good for shows when it is opened.
            self.assertEqual(code, 0 if text.startswith("remote_syslog: \"") else 1, (text, output))
            self.tell(f"-t: {text!r}", output)
            code, output = run("-a", "127.0.0.1", "-p", "-1", "-DVV", "-c", path, env=self.env)
            self.assertEqual(code, 1, (text, output))
            self.assertIn(b"pipit-server: ", output, text)
            self.tell(f"start: {text!r}", output)
        self.search()

    def test_reloads_that_are_refused(self):
        path = self.write("server.conf", "ping_max: 3\n")
        with Server(self.folder, "-c", path, env=self.env, log_file=False) as server:
            for text in self.configurations:
                self.write("server.conf", text)
                server.signal(signal.SIGHUP, "Failed to reload server configuration")
                status, answer = server.get("/reloadz")
                self.assertEqual(status, 200)
                self.assertIn(b'"applied": false', answer)
                self.tell("/reloadz", answer)
            server.stop()
        self.tell_files()
        self.search()


class CommandLines(Planted):
    def test_those_that_are_refused(self):
        users = self.write("users.conf", fill(
            self.plants, "authorization { users: [ { user: a, password: @@ } ] }", "users.conf"))
        for line in COMMAND_LINES:
            flags = [fill(self.plants, flag, line).format(users=users) for flag in line]
            code, output = run("-a", "127.0.0.1", "-p", "-1", *flags)
            self.assertNotEqual(output, b"", line)
            if "help" not in line[-1] and "version" not in line[-1]:
                self.assertEqual(code, 1, (line, output))
            self.tell(" ".join(line), output)
        self.search()

    def test_of_one_that_serves(self):
        for flags in (["--user", "ann", "--pass", "@@"], ["--user=ann", "--pass=@@"],
                      ["--auth", "@@"], ["-auth=@@"]):
            self.serve(flags)
        self.search()

    def serve(self, flags):
        """Start with these, use them, reload, and look at the command line."""
        secret, password = self.plants.new(str(flags)), self.plants.new("http_password")
        connect = {"auth_token": secret} if "auth" in flags[0] else {"user": "ann", "pass": secret}
        config = self.write("server.conf", "ping_max: 3\n")
        with Server(self.folder, *[flag.replace("@@", secret) for flag in flags], "-c", config,
                    "--http_user", "watcher", "--http_password", password) as server:
            self.tell("ps", server.command_line())
            client = Client(server.port, verbose=False, **connect)
            self.write("server.conf", "ping_max: 4\n")
            server.signal(signal.SIGHUP, "Reloaded server configuration")
            Client(server.port, verbose=False, **connect).close()
            self.tell("ps, after a reload", server.command_line())
            for page in PAGES:
                status, answer = server.get(page, f"watcher:{password}")
                self.assertIn(status, (200, 400, 404), page)
                self.tell(page, answer)
            self.tell("client", client.told)
            client.close()
            server.stop()
        self.tell_files()

    def test_syslog_with_credentials(self):
        with socket.create_server(("127.0.0.1", 0)) as syslog, contextlib.ExitStack() as ends:
            said = []

            def listen():
                peer, _ = syslog.accept()
                peer.settimeout(WAIT_S)
                with peer:
                    while piece := peer.recv(65536):
                        said.append(piece)

            thread = threading.Thread(target=listen, daemon=True)
            thread.start()
            port = syslog.getsockname()[1]
            url = f"tcp://joe:{self.plants.new('syslog URL')}@127.0.0.1:{port}"
            server = ends.enter_context(Unwatched(self.folder, "-r", url, log_file=False))
            self.wait_pid()
            self.tell("ps", server.command_line())
            server.stop()
            thread.join(WAIT_S)
            self.tell("syslog", b"".join(said))
            self.assertIn(b"Server is ready", self.told["syslog"])
        self.tell_files()
        self.search()

    def wait_pid(self):
        pid = self.folder / "pid.config"  # the last file that a start writes
        for _ in range(WAIT_S * 100):
            if pid.exists():
                return
            threading.Event().wait(0.01)
        self.fail("no pid file")


class Unwatched(Server):
    """One that logs elsewhere."""

    def wait_log(self, pattern, since=0):
        return 0

    def _port(self, text, since):
        return 0


class Live(Planted):
    """One server and all that can be done to it."""

    USERS = ("ann", "bob", "included", "environment")

    def plant(self):
        """A whole configuration with new secrets; returns them by user."""
        new = self.plants.new
        secrets = {user: new(f"password of {user}") for user in self.USERS[:3]}
        secrets["environment"] = self.env["PLANTED"]
        secrets["watcher"] = new("http_password")
        self.write("part.conf", f"users: [ {{ user: included, password: {secrets['included']} }} ]\n")
        self.write("server.conf", f'''
            http_user: watcher, http_password: {secrets["watcher"]}
            remote_syslog: "udp://joe:{new("remote_syslog")}@127.0.0.1:9"
            BOBS: "{secrets["bob"]}"
            accounts {{
                A {{ users: [ {{ user: ann, password: "{secrets["ann"]}" }},
                              {{ user: bob, password: $BOBS, permissions: {{ subscribe: "a.>" }} }},
                              {{ user: environment, password: $PLANTED }} ] }}
                B {{ include "part.conf" }}
                SYS {{ users: [ {{ user: system, password: "{self.system_password}" }} ] }}
            }}
            system_account: SYS
        ''')
        return secrets

    def listen_inside(self, server):
        """A client of the system account, which hears what becomes of the others."""
        client = Client(server.port, user="system", verbose=False,
                        **{"pass": self.system_password})
        client.send(b"SUB $SYS.> 1\r\nSUB answers.* 2\r\nPING\r\n")
        client.until(b"PONG\r\n", 2)
        return client

    def ask_inside(self, client):
        """Everything that can be asked there, and a reload of what is wrong."""
        identity = json.loads(client.told[5:client.told.index(b"\r\n")])["server_id"]
        questions = [*QUESTIONS, f"SERVER.{identity}.RELOAD"]
        options = b'{"auth":true,"subscriptions":true,"subscriptions_detail":true,"state":2}'
        for i, question in enumerate(questions):
            client.send(b"PUB $SYS.REQ.%s answers.%d %d\r\n%s\r\n" % (
                question.encode(), i, len(options), options))
        for i, question in enumerate(questions):
            client.until(b"MSG answers.%d 2 " % i)
        for event in (b".CLIENT.AUTH.ERR", b".CONNECT ", b".DISCONNECT ", b"must be a string"):
            self.assertIn(event, client.told)

    def talk(self, server, secrets):
        """All that clients can say, right and wrong."""
        new = self.plants.new
        clients = [Client(server.port, user=user, name=user, headers=True, **{"pass": secrets[user]})
                   for user in self.USERS]
        for client in clients:
            header = f"NATS/1.0\r\nAuthorization: Bearer {new('header')}\r\n\r\n".encode()
            payload = new("payload").encode()
            client.send(b"SUB a.* 1\r\nPUB a.b %d\r\n%s\r\n" % (len(payload), payload))
            client.send(b"HPUB a.c r %d %d\r\n" % (len(header), len(header) + len(payload)))
            client.send(header + payload + b"\r\nSUB denied 2\r\nPUB a..b 1\r\nx\r\n")
            again = json.dumps({"user": "ann", "pass": secrets["ann"], "auth_token": new("again")})
            client.send(b"PING\r\n")
            client.until(b"PONG\r\n", 2)
            client.send(b"CONNECT " + again.encode() + b"\r\n")
        wrong = [{"user": "ann", "pass": new("wrong password")},
                 {"user": "ann", "pass": secrets["bob"]},
                 {"user": "nobody", "pass": new("password of nobody")},
                 {"auth_token": new("token")},
                 {"jwt": "eyJ" + new("jwt"), "sig": new("sig")},
                 {"nkey": "SU" + new("seed for nkey"), "sig": new("sig of nkey")},
                 {"user": "ann", "pass": 5, "auth_token": [new("token in an array")]}]
        lines = [f"CONNECT {json.dumps(w)}\r\nPING\r\n" for w in wrong]
        lines += [text.replace("@@", new(text)) for text in (
            'CONNECT {"user":"ann","pass":"@@"\r\n', 'CONNECT {"user":"ann","pass":"@@\r\n',
            'CONNECT @@\r\n', 'CONNEC {"pass":"@@"}\r\n', "AUTH @@\r\n", "PASS @@\r\n", "@@\r\n",
            'CONNECT {"pass":"@@"', 'CONNECT {"pass":"@@\\ud800"}\r\n',
            'CONNECT {"user":"ann","pass":"@@","x":"' + "y" * 100000 + '"}\r\n',
            "GET /varz HTTP/1.1\r\nAuthorization: Basic @@\r\n\r\n", "PING\r\nCONNECT @@\r\n")]
        for line in lines:
            self.tell("protocol", exchange(server.port, line.encode()))
        for line in (f'CONNECT {{"user":"ann","pass":"{new("CONNECT to HTTP")}"}}\r\nPING\r\n',
                     f"GET /varz HTTP/1.1\r\nHost: x\r\nAuthorization: {new('no scheme')}\r\n\r\n",
                     f"GET /varz HTTP/1.1\r\nAuthorization: Basic {new('no host')}\r\n\r\n",
                     f"GET /varz HTTP/1.1\r\nHost: x\r\nAuthorization : {new('blank')}\r\n\r\n"):
            self.tell("HTTP", exchange(server.http_port, line.encode()))
        return clients

    def ask(self, server, secrets):
        """Every page, with right and wrong credentials."""
        for page, method in itertools.product(PAGES, ("GET", "POST", "HEAD")):
            status, answer = server.get(page, f"watcher:{secrets['watcher']}", method)
            self.assertIn(status, (200, 404), (page, answer))
            self.tell(page, answer)
            wrong = f"watcher:{self.plants.new('wrong HTTP')}"
            for credentials in (None, wrong, self.plants.new("bare")):
                status, answer = server.get(page, credentials, method)
                self.assertEqual(status, 401, page)
                self.tell(page, answer)

    def reload(self, server):
        """One that is taken, one that needs a restart, one that is wrong; each told by all."""
        for text, outcome in ((None, "Reloaded server configuration"),
                              ("threads: 1\nserver_name: other\n", "Failed to reload"),
                              ("authorization { user: a, password: [ @@ ] }", "Failed to reload")):
            secrets = self.plant()
            if text:
                self.write("server.conf", fill(self.plants, text, "reload"))
            code, output = run("-t", "-c", str(self.folder / "server.conf"), "-P",
                               str(self.folder / "pid"), env=self.env)
            self.assertEqual(code, 1 if text and "[" in text else 0, output)
            self.tell("-t", output)
            server.signal(signal.SIGHUP, outcome)
            if not text:
                taken = secrets
            status, answer = server.get("/reloadz", f"watcher:{taken['watcher']}")
            self.assertEqual(status, 200)
            self.tell("/reloadz", answer)
        for what in ("-t", "/reloadz"):
            self.assertIn(b"REDACTED", self.told[what])
        return taken

    def live(self, *flags):
        self.env = {"PLANTED": self.plants.new("PLANTED")}
        self.system_password = self.plants.new("password of system")
        secrets = self.plant()
        config = str(self.folder / "server.conf")
        with Server(self.folder, "-c", config, *flags, env=self.env) as server:
            inside = self.listen_inside(server)
            clients = self.talk(server, secrets)
            self.ask(server, secrets)
            secrets = self.reload(server)
            for client in clients:  # whose passwords have changed
                for line in client.until_closed().split(b"\r\n"):
                    if not line.startswith((b"NATS/1.0", b"Authorization: ")) and len(line) != CORE:
                        self.tell("protocol", line)  # all but messages
            client = Client(server.port, user="ann", **{"pass": secrets["ann"]})
            self.ask_inside(inside)  # accounts without clients have little to tell
            client.close()
            server.signal(signal.SIGRTMIN, "loop")
            server.signal(signal.SIGUSR1, "[rR]e-?open")
            self.tell("ps", server.command_line())
            self.tell_files()  # some of them go
            server.stop()
            self.tell("system account", inside.until_closed())
            log = server.log()
        self.tell_files()
        for mark in (r"<<- \[CONNECT\]", r"<<- \[HPUB", "authentication error", "user:ann",
                     "wrong HTTP credentials"):
            self.assertRegex(log, mark)
        self.assertIn("pid.config", self.told)
        self.assertGreater(len([name for name in self.told if name.endswith(".ports")]), 0)
        self.search()

    def test_log_file(self):
        self.live()

    def test_json_lines(self):
        self.live("--log_format", "json")


class Search(unittest.TestCase):
    """The search finds what it should."""

    def test_forms(self):
        import base64
        plants = Plants()
        secret = plants.new("here", "begin-")
        plants.new("elsewhere")
        for before in range(5):
            text = b"x" * before + secret.encode() + b"yz"
            for form in (text, text.upper(), base64.b64encode(text), text.hex().encode(),
                         text[:before + 6 + 12], text[-14:], base64.b64encode(text)[:-16]):
                self.assertEqual(plants.find(b"some " + form + b" thing"), ["here"])
        self.assertEqual(plants.find(b"begin-" + b"x" * 100), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
