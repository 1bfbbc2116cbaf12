#!/usr/bin/env python3
"""Run unmodified NATS clients against a server, pipit-server unless told otherwise.

    run.py [--server PATH] [--client NAME]... [--deadline SECONDS]

Each client has a folder here with one small program that makes the same named checks and prints
`ok NAME` or `not ok NAME reason`; README.md lists them. This script builds the program under
$PIPIT_BUILD_DIR/clients/<name>, starts the servers it needs, runs it and collects the checks. A
check that a program leaves out fails, and so does a server that does not end cleanly.

A missing toolchain skips its client; when the variable CI is set it is a failure. Exit status: 0
when nothing failed, 1 after a failure, 77 when everything was skipped.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from ports import quiet_port  # noqa: E402

REPO = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("PIPIT_BUILD_DIR") or REPO / "build").resolve()
PEERS = pathlib.Path(os.environ.get("PIPIT_PEERS_DIR") or REPO / "build/peers/bin").resolve()

EXIT_SKIPPED = 77
BUILD_DEADLINE_S = 900
SERVER_DEADLINE_S = 60
LOG_LINES_SHOWN = 25

USER, PASSWORD, TOKEN = "clientuser", "clientpassword", "clienttoken"

LIBRARY_CHECKS = (
    "connect", "wildcards", "queue_group", "headers", "request_reply", "request_timeout",
    "no_responders", "drain_subscription", "drain_connection", "auto_unsubscribe", "payload_max",
    "payload_over_max", "ping", "user_password", "token", "wrong_credentials", "tls",
    "nkey", "creds", "certificate_map", "unix_socket", "restart",
)
CLI_CHECKS = (
    "pub_sub", "wildcards", "queue_group", "headers", "request_reply", "request_timeout",
    "no_responders", "sub_count", "payload_max", "payload_over_max", "rtt", "bench_pub_sub",
    "bench_fan_out", "bench_request_reply", "user_password", "token", "wrong_credentials", "tls",
    "nkey", "creds", "certificate_map", "websocket", "restart",
)

WEBSOCKET_CHECKS = (
    "connect", "wildcards", "many", "headers", "request_reply", "no_responders", "payload_max",
    "drain_connection", "ping", "user_password", "token", "wrong_credentials", "nkey", "creds",
    "restart",
)


class Missing(Exception):
    """A tool this client needs is not on the machine; the text says which."""


class Broken(Exception):
    """Something that should have worked did not; the text goes into the report."""


def tail(lines):
    return "".join(f"    {line.rstrip()}\n" for line in list(lines)[-LOG_LINES_SHOWN:])


# --- Servers ------------------------------------------------------------------------------------


class Server:
    """One server process on loopback; may be stopped and started again on its port."""

    def __init__(self, path, *flags, port=-1, websocket_port=None, text=""):
        self.path, self.flags, self.port = path, flags, port
        self.text = text  # of its configuration
        self.websocket_port = websocket_port  # -1: any; None: it does not listen there
        self.configuration = None
        self.process, self.log = None, []

    def start(self):
        command = [self.path, "-a", "127.0.0.1", "-p", str(self.port), *self.flags,
                   *self._configure()]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                        errors="replace", stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)
        lines = queue.Queue()
        threading.Thread(target=self._read_log, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + SERVER_DEADLINE_S
        while True:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Broken(f"server not ready after {SERVER_DEADLINE_S} s") from None
            if line is None:
                raise Broken(f"server ended at start:\n{tail(self.log)}")
            if listening := re.search(r"Listening for client connections on \S+:(\d+)", line):
                self.port = int(listening.group(1))
            if listening := re.search(r"websocket clients on ws://\S+:(\d+)", line):
                self.websocket_port = int(listening.group(1))
            if "Server is ready" in line:
                return

    def _configure(self):
        """What has no flag stands in a file."""
        if self.websocket_port is None and not self.text:
            return []
        self.configuration = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.configuration.write(self.text)
        if self.websocket_port is not None:
            self.configuration.write(f"websocket {{ host: 127.0.0.1, port: {self.websocket_port}, "
                                     "no_tls: true, compression: true }\n")
        self.configuration.flush()
        return ["-c", self.configuration.name]

    def _read_log(self, lines):
        for line in self.process.stderr:
            self.log.append(line)
            lines.put(line)
        lines.put(None)

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    @property
    def websocket_url(self):
        return f"ws://127.0.0.1:{self.websocket_port}"

    def stop(self):
        """End the server; raise Broken unless it was still running and exits with status 0."""
        if self.process is None:
            return
        process, self.process = self.process, None
        ended_early = process.poll() is not None
        try:
            process.terminate()
            status = process.wait(SERVER_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise Broken(f"server still running {SERVER_DEADLINE_S} s after SIGTERM") from None
        finally:
            kill_group(process)
        if ended_early or status != 0:
            how = "by itself " if ended_early else ""
            raise Broken(f"server ended {how}with status {status}:\n{tail(self.log)}")


def kill_group(process):
    """Leave nothing behind of a process that was started as the leader of its own session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start_on_quiet_port(path, *flags, websocket=False):
    """Start a server on a port that it can take again later; another process may be faster."""
    for attempt in range(5):
        server = Server(path, *flags, port=quiet_port(),
                        websocket_port=quiet_port() if websocket else None)
        try:
            server.start()
            return server
        except Broken:
            kill_group(server.process)
            if attempt == 4 or "in use" not in "".join(server.log):
                raise
    raise AssertionError("unreachable")


class Certificates:
    """An authority, and what it signs: the server's, a client's."""

    def __init__(self, folder):
        self.folder = folder
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj",
                      "/CN=authority")
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for name in "server", "client":
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                          "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
                          "/CN=localhost")
            self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                          "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile",
                          "names")
        self._openssl("pkcs12", "-export", "-in", "client.pem", "-inkey", "client.key", "-passout",
                      "pass:password", "-out", "client.p12")

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True,
                       timeout=SERVER_DEADLINE_S)

    def path(self, name):
        return str(self.folder / name)

    def mapping(self):
        """A configuration in which the client's certificate stands for the only user."""
        return (f'tls {{ cert_file: "{self.path("server.pem")}", key_file: '
                f'"{self.path("server.key")}", ca_file: "{self.path("ca.pem")}", '
                "verify_and_map: true, timeout: 60 }\nauthorization { users: [ {user: localhost} ] }\n")

    def flags(self):
        return ["--tlscert", self.path("server.pem"), "--tlskey", self.path("server.key"),
                "--tlscacert", self.path("ca.pem"), "--tlsverify"]

    def environment(self):
        return {"NATS_TLS_CA": self.path("ca.pem"), "NATS_TLS_CERT": self.path("client.pem"),
                "NATS_TLS_KEY": self.path("client.key"), "NATS_TLS_P12": self.path("client.p12")}


class Keys:
    """Keys and tokens as NATS's own libraries make them, in files."""

    def __init__(self, folder, maker):
        self.folder, self.maker = folder, maker
        operator, account, stranger = (self._make("key", kind=kind) for kind in "OAA")
        self.issuer, self.box = (self._make("key", kind=kind) for kind in "AX")
        self.user, other = self._make("key", kind="U"), self._make("key", kind="U")
        self.operator = self._make("operator", seed=operator["seed"], subject=operator["public"],
                                   claims={"name": "op"})["token"]
        self.account = account["public"]
        self.account_token = self._make("account", seed=operator["seed"], subject=self.account,
                                        claims={"name": "acc"})["token"]
        for name, issuer in ("user", account), ("stranger", stranger):
            token = self._make("user", seed=issuer["seed"], subject=self.user["public"],
                               claims={"name": name})["token"]
            creds = self._make("creds", token=token, seed=self.user["seed"])["text"]
            (folder / f"{name}.creds").write_text(creds)
        (folder / "user.nk").write_text(self.user["seed"])
        (folder / "stranger.nk").write_text(other["seed"])
        (folder / "issuer.nk").write_text(self.issuer["seed"])
        (folder / "box.nk").write_text(self.box["seed"])

    def _make(self, make, **request):
        answer = subprocess.run([self.maker], input=json.dumps({"make": make, **request}) + "\n",
                                text=True, capture_output=True, check=True,
                                timeout=SERVER_DEADLINE_S)
        return json.loads(answer.stdout)

    def of_keys(self):
        """A configuration that knows the user's key."""
        return f"authorization {{ users: [ {{nkey: {self.user['public']}}} ], timeout: 60 }}\n"

    def of_tokens(self):
        """One in operator mode."""
        return (f"operator: {self.operator}\nresolver: MEMORY\n"
                f"resolver_preload {{ {self.account}: {self.account_token} }}\n")

    def of_callout(self):
        """One whose users a service knows."""
        return ("accounts { AUTH { users: [ {user: service, password: service} ] }, GUESTS {} }\n"
                f"authorization {{ timeout: 60, auth_callout {{ issuer: {self.issuer['public']}, account: AUTH, "
                f"auth_users: [ service ], xkey: {self.box['public']} }} }}\n")

    def environment(self):
        return {"NATS_CALLOUT_SEED": str(self.folder / "issuer.nk"),
                "NATS_CALLOUT_XKEY": str(self.folder / "box.nk"),
                "NATS_NKEY_SEED": str(self.folder / "user.nk"),
                "NATS_NKEY_PUBLIC": self.user["public"],
                "NATS_NKEY_WRONG": str(self.folder / "stranger.nk"),
                "NATS_CREDS": str(self.folder / "user.creds"),
                "NATS_CREDS_WRONG": str(self.folder / "stranger.creds")}


def key_maker():
    """The program that makes keys and tokens; None: scripts/peers.sh has not brought it."""
    return next((path for path in (PEERS / "tokens", PEERS / "bin" / "tokens") if path.exists()),
                None)


class Servers:
    """The servers of one client: open, with user and password, with a token, with TLS; for keys,
    for tokens of operator mode, for certificates that are users."""

    def __init__(self, path, folder, websocket=False):
        self.folder, self.unix_path, self.websocket = folder, None, websocket
        self.certificates = Certificates(folder) if shutil.which("openssl") else None
        self.keys = Keys(folder, key_maker()) if key_maker() else None
        self.secure = None
        usage = subprocess.run([path, "-h"], capture_output=True, text=True, check=False)
        flags = []
        if "--unix" in usage.stdout + usage.stderr:
            self.unix_path = str(folder / "nats.sock")
            flags = ["--unix", self.unix_path]
        self.all = []
        try:
            self.open = start_on_quiet_port(path, *flags, websocket=websocket)
            self.all.append(self.open)
            self.user = self._start(path, "--user", USER, "--pass", PASSWORD)
            self.token = self._start(path, "--auth", TOKEN)
            if self.certificates:
                self.secure = self._start(path, *self.certificates.flags())
                self.mapped = self._start(path, text=self.certificates.mapping())
            if self.keys:
                self.by_key = self._start(path, text=self.keys.of_keys())
                self.by_token = self._start(path, text=self.keys.of_tokens())
                self.by_callout = self._start(path, text=self.keys.of_callout())
        except BaseException:
            self.kill()
            raise

    def _start(self, path, *flags, text=""):
        server = Server(path, *flags, websocket_port=-1 if self.websocket else None, text=text)
        self.all.append(server)
        server.start()
        return server

    def environment(self):
        names = {
            "NATS_URL": self.open.url,
            "NATS_USER_URL": self.user.url, "NATS_TEST_USER": USER, "NATS_TEST_PASS": PASSWORD,
            "NATS_TOKEN_URL": self.token.url, "NATS_TEST_TOKEN": TOKEN,
            "TMPDIR": str(self.folder),  # removed in the end, even if the client was killed
        }
        if self.secure:
            names.update(self.certificates.environment(),
                         NATS_TLS_URL=f"tls://127.0.0.1:{self.secure.port}",
                         NATS_MAP_URL=f"tls://127.0.0.1:{self.mapped.port}")
        if self.keys:
            names.update(self.keys.environment(), NATS_NKEY_URL=self.by_key.url,
                         NATS_CREDS_URL=self.by_token.url, NATS_CALLOUT_URL=self.by_callout.url)
        if self.unix_path:
            names["NATS_UNIX_PATH"] = self.unix_path
        if self.websocket:
            names.update(NATS_WS_URL=self.open.websocket_url,
                         NATS_USER_WS_URL=self.user.websocket_url,
                         NATS_TOKEN_WS_URL=self.token.websocket_url)
            if self.keys:
                names.update(NATS_NKEY_WS_URL=self.by_key.websocket_url,
                             NATS_CREDS_WS_URL=self.by_token.websocket_url)
        return names

    def stop(self):
        """End all; raise Broken with what each has to say that did not end cleanly."""
        complaints = []
        for server in self.all:
            try:
                server.stop()
            except Broken as problem:
                complaints.append(str(problem))
        if complaints:
            raise Broken("\n".join(complaints))

    def kill(self):
        for server in self.all:
            if server.process is not None:
                kill_group(server.process)
                server.process = None


# --- Building -----------------------------------------------------------------------------------


def version_of(command):
    """Return the first dotted number a command prints, as text and as a tuple."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    number = re.search(r"(\d+)(\.\d+)+", answer.stdout + answer.stderr)
    if answer.returncode != 0 or not number:
        raise Missing(f"{' '.join(command)} does not work")
    return number.group(), tuple(map(int, number.group().split(".")))


class Workshop:
    """Where one client is built: its sources, its folder of products, the tools it found."""

    def __init__(self, name):
        self.source = HERE / name
        self.build = BUILD / "clients" / name
        self.versions = []

    def tool(self, name, *version_flags, least=()):
        path = shutil.which(name)
        wanted = f"{name} {'.'.join(map(str, least))} or newer" if least else name
        if path is None:
            raise Missing(f"needs {wanted}")
        text, number = version_of([path, *version_flags])
        if number < tuple(least):
            raise Missing(f"needs {wanted}, found {text}")
        self.versions.append(f"{path} {text}")
        return path

    def make(self, *steps):
        """Run the steps, unless the same sources were built with the same tools before."""
        self.build.mkdir(parents=True, exist_ok=True)
        stamp_file, stamp = self.build / "stamp", self._stamp(steps)
        with open(self.build / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be building the same client
            if stamp_file.exists() and stamp_file.read_text(encoding="ascii") == stamp:
                return
            stamp_file.unlink(missing_ok=True)
            for step in steps:
                self._run(step)
            stamp_file.write_text(stamp, encoding="ascii")

    def _stamp(self, steps):
        digest = hashlib.sha256(repr((self.versions, steps)).encode())
        for path in sorted(self.source.rglob("*")):
            if path.is_file():
                digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def _run(self, step):
        log = self.build / "build.log"
        environment = {**os.environ, "CGO_ENABLED": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        with open(log, "w", encoding="utf-8") as output:
            process = subprocess.Popen(step, cwd=self.build, env=environment, text=True,
                                       stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                status = process.wait(BUILD_DEADLINE_S)
            except subprocess.TimeoutExpired:
                status = f"no result after {BUILD_DEADLINE_S} s"
            finally:
                kill_group(process)
        if status != 0:
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise Broken(f"build failed ({status}): {' '.join(map(str, step))}\n{tail(said)}")


def prepare_c(shop):
    compiler = shop.tool(os.environ.get("CC", "cc"), "--version")
    finder = shop.tool("pkg-config", "--version")
    if subprocess.run([finder, "--exists", "libnats"], check=False).returncode != 0:
        raise Missing("needs the C client's development files (libnats-dev)")
    about = [subprocess.check_output([finder, *question, "libnats"], text=True).split()
             for question in (["--modversion"], ["--cflags", "--libs"])]
    shop.versions.append(f"libnats {about[0]}")
    program = shop.build / "checks"
    shop.make([compiler, "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-pthread",
               "-o", program, shop.source / "checks.c", *about[1]])
    return [program]


def prepare_go(shop):
    # Since 1.21 the go command fetches the toolchain that go.mod asks for.
    go = shop.tool("go", "version", least=(1, 21))
    program = shop.build / "checks"
    shop.make([go, "build", "-C", shop.source, "-o", program, "."])
    return [program]


def prepare_python(shop):
    try:
        import ensurepip  # pylint: disable=unused-import,import-outside-toplevel
    except ImportError:
        raise Missing("needs Python's venv module with pip (python3-venv)") from None
    shop.versions.append(sys.version)
    python = shop.build / "venv" / "bin" / "python"
    shop.make([sys.executable, "-m", "venv", "--clear", shop.build / "venv"],
              [python, "-m", "pip", "install", "--quiet", "--require-hashes",
               "-r", shop.source / "requirements.txt"])
    return [python, shop.source / "checks.py"]


def prepare_js(shop):
    node = shop.tool("node", "--version", least=(18,))
    npm = shop.tool("npm", "--version")
    sources = [shop.source / name for name in ("package.json", "package-lock.json", "checks.mjs")]
    shop.make(["cp", *sources, shop.build],
              [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
    return [node, shop.build / "checks.mjs"]


def prepare_websocket(shop):
    node = shop.tool("node", "--version", least=(18,))
    npm = shop.tool("npm", "--version")
    shop.make(["cp", *sorted(shop.source.iterdir()), shop.build],
              [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
              ["node_modules/.bin/esbuild", "page.mjs", "--bundle", "--format=esm",
               "--log-level=warning", "--outfile=page.js"])
    return [node, shop.build / "node.mjs"]


def prepare_browser(shop):
    browser = shop.tool("chromium", "--version")
    node, _ = prepare_websocket(Workshop("nats_ws"))
    return [node, BUILD / "clients" / "nats_ws" / "browser.mjs", browser]


def prepare_rust(shop):
    cargo = shop.tool("cargo", "--version")
    shop.tool("rustc", "--version", least=(1, 89))
    target = shop.build / "target"
    shop.make([cargo, "build", "--quiet", "--locked", "--target-dir", target,
               "--manifest-path", shop.source / "Cargo.toml"])
    return [target / "debug" / "checks"]


def prepare_java(shop):
    java = shop.tool("java", "-version", least=(16,))  # 16 brought Unix sockets
    compiler = shop.tool("javac", "-version", least=(16,))
    maven = shop.tool("mvn", "--version")
    jars, classes = shop.build / "jars", shop.build / "classes"
    sources = sorted(shop.source.rglob("*.java"))
    shop.make([maven, "--batch-mode", "--quiet", "--file", shop.source / "pom.xml",
               "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
              [compiler, "-Xlint:all,-processing,-path,-try", "-d", classes, "-cp", f"{jars}/*",
               *sources])
    return [java, "-cp", f"{classes}:{jars}/*", "Checks"]


def prepare_cli(shop):
    for path in (PEERS / "nats", PEERS / "bin" / "nats"):
        if path.exists():
            return [sys.executable, shop.source / "checks.py", path]
    raise Missing("needs the nats command (scripts/peers.sh brings it)")


@dataclasses.dataclass(frozen=True)
class Client:
    """How to prepare one client, what it checks, and what it has no means for."""

    prepare: object
    checks: tuple = LIBRARY_CHECKS
    cannot: dict = dataclasses.field(default_factory=dict)
    websocket: bool = False


CLIENTS = {
    "nats_c": Client(prepare_c, cannot={
        "unix_socket": "libnats connects to a host and a port only"}),
    "nats_go": Client(prepare_go, LIBRARY_CHECKS + ("callout",)),
    "nats_py": Client(prepare_python),
    "nats_js": Client(prepare_js),
    "nats_ws": Client(prepare_websocket, WEBSOCKET_CHECKS, websocket=True),
    "nats_browser": Client(prepare_browser, WEBSOCKET_CHECKS, websocket=True),
    "nats_rust": Client(prepare_rust, cannot={
        "unix_socket": "async-nats connects to a host and a port only"}),
    "nats_java": Client(prepare_java),
    "nats_cli": Client(prepare_cli, CLI_CHECKS, websocket=True),
}


# --- Running ------------------------------------------------------------------------------------


class Report:
    """Counts results and prints each as it comes."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def ok(self, client, check):
        self.passed += 1
        print(f"ok {client} {check}", flush=True)

    def fail(self, client, check, reason):
        self.failed += 1
        print(f"not ok {client} {check}: {reason.rstrip()}", flush=True)

    def skip(self, client, check, reason):
        self.skipped += 1
        print(f"skip {client} {check}: {reason}", flush=True)

    def missing(self, client, reason):
        if os.environ.get("CI"):
            self.fail(client, "toolchain", reason)
        else:
            self.skip(client, "toolchain", reason)


class Run:
    """One client program on its way through its checks."""

    def __init__(self, name, command, servers, report):
        self.name, self.client, self.command = name, CLIENTS[name], command
        self.servers, self.report = servers, report
        self.open_checks = list(self.client.checks)
        self.chatter = []

    def skip_impossible(self):
        reasons = dict(self.client.cannot)
        if not self.servers.unix_path:
            reasons.setdefault("unix_socket", "this server has no Unix sockets")
        if not self.servers.secure:
            for check in "tls", "certificate_map":
                reasons.setdefault(check, "certificates are made by openssl, which is missing")
        if not self.servers.keys:
            for check in "nkey", "creds", "callout":
                reasons.setdefault(check, "tokens is missing: scripts/peers.sh brings it")
        for check in [check for check in self.open_checks if check in reasons]:
            self.open_checks.remove(check)
            self.report.skip(self.name, check, reasons[check])

    def go(self, deadline_s):
        """Run the program to its end or to the deadline; what was not reported then failed."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NATS_")}
        process = subprocess.Popen(self.command, text=True, errors="replace",
                                   env={**inherited, **self.servers.environment()},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        expired = threading.Event()

        def expire():
            expired.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(deadline_s, expire)
        timer.start()
        try:
            for line in process.stdout:
                self._line(line.rstrip("\n"), process)
            status = process.wait()
        finally:
            timer.cancel()
            kill_group(process)
        ending = f"deadline of {deadline_s} s passed" if expired.is_set() else f"exit status {status}"
        for check in self.open_checks:
            self.report.fail(self.name, check, f"not reported ({ending})")
        if status != 0 and not self.open_checks:
            self.report.fail(self.name, "exit", ending)

    def _line(self, line, process):
        result, _, rest = line.partition("ok ")
        check, _, reason = rest.partition(" ")
        if line == "RESTART":
            self._restart(process)
        elif result in ("", "not ") and check in self.open_checks:
            self.open_checks.remove(check)
            if result:
                self.report.fail(self.name, check, reason)
            else:
                self.report.ok(self.name, check)
        else:
            self.chatter.append(line)

    def _restart(self, process):
        answer = "RESTARTED"
        try:
            self.servers.open.stop()
            self.servers.open.start()
        except Broken as problem:
            answer = "FAILED"
            self.report.fail(self.name, "server", str(problem))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(answer + "\n")
            process.stdin.flush()


def run_client(name, server, deadline_s, report):
    failed_before = report.failed
    try:
        command = CLIENTS[name].prepare(Workshop(name))
    except Missing as problem:
        report.missing(name, str(problem))
        return
    except Broken as problem:
        report.fail(name, "build", str(problem))
        return
    with tempfile.TemporaryDirectory(prefix="pipit-clients-") as folder:
        try:
            servers = Servers(server, pathlib.Path(folder), CLIENTS[name].websocket)
        except Broken as problem:
            report.fail(name, "server", str(problem))
            return
        run = Run(name, command, servers, report)
        try:
            run.skip_impossible()
            run.go(deadline_s)
            servers.stop()
            report.ok(name, "server")
        except Broken as problem:
            report.fail(name, "server", str(problem))
        finally:
            servers.kill()
    if report.failed > failed_before and run.chatter:
        print(f"  {name} also said:\n{tail(run.chatter)}", end="", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description="Run unmodified NATS clients against a server.")
    parser.add_argument("--server", default=BUILD / "pipit-server", metavar="PATH",
                        help="the server to test (default: %(default)s)")
    parser.add_argument("--client", action="append", choices=CLIENTS, metavar="NAME",
                        help=f"one of {', '.join(CLIENTS)}; may be repeated (default: all)")
    parser.add_argument("--deadline", type=float, default=120, metavar="SECONDS",
                        help="for each client's run, after its build (default: %(default)s)")
    return parser.parse_args()


def main():
    chosen = arguments()
    server = shutil.which(str(chosen.server))
    if server is None:
        sys.exit(f"run.py: no server at {chosen.server}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended as well
    report = Report()
    for name in dict.fromkeys(chosen.client or CLIENTS):
        run_client(name, server, chosen.deadline, report)
    skipped = f", {report.skipped} skipped" if report.skipped else ""
    print(f"{report.passed} passed, {report.failed} failed{skipped}")
    if report.failed:
        sys.exit(1)
    if not report.passed:
        sys.exit(EXIT_SKIPPED)


if __name__ == "__main__":
    main()
