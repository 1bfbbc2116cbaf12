#!/usr/bin/env python3
"""pipit-server as a process: signals, files, logs, and what its service manager sees.

usage: checks.py GROUP [unittest options]     PIPIT_SERVER names the program.
Where nats-server is there (scripts/peers.sh), what it says is compared with what pipit says.
"""
import contextlib
import datetime
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from server import WAIT_S, Server

HERE = pathlib.Path(__file__).resolve().parent
PIPIT = os.environ["PIPIT_SERVER"]


def peer():
    """The nats-server that scripts/peers.sh brings, or None."""
    folder = os.environ.get("PIPIT_PEERS_DIR") or HERE.parents[1] / "build" / "peers" / "bin"
    path = pathlib.Path(folder) / "nats-server"
    if path.exists():
        return str(path)
    if os.environ.get("CI"):
        raise AssertionError(f"{path} is missing: run scripts/peers.sh")
    return None


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def await_true(self, what, message):
        """Files tell nobody when they change, so they are looked at again and again."""
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=WAIT_S)
        while not what():
            self.assertLess(datetime.datetime.now(), deadline, message)
            select.select([], [], [], 0.005)

    def require_in_order(self, lines, wanted):
        at = 0
        for text in wanted:
            found = [i for i in range(at, len(lines)) if text in lines[i]]
            self.assertTrue(found, f"{text!r} in order in:\n" + "\n".join(lines))
            at = found[0] + 1


class Signals(Case):
    def test_start_and_end_lines(self):
        with Server(PIPIT) as server:
            self.assertEqual(server.stop(), 0)
        for line in server.lines:
            self.assertRegex(line, r"^\[%d\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} "
                                   r"\[(INF|WRN)\] " % server.pid)
        self.require_in_order(server.texts(), [
            "[INF] Starting pipit-server", "[INF]   Version:  ", "[INF]   Git:      [",
            "[INF]   Name:     N", "[INF]   ID:       N",
            "[INF] Listening for client connections on 127.0.0.1:", "[INF] Server is ready",
            '[INF] Trapped "terminated" signal', "[INF] Initiating Shutdown...",
            "[INF] Server Exiting.."])

    def test_lines_as_the_peer_says_them(self):
        if not peer():
            self.skipTest("no nats-server to compare with")

        def life(path):
            with Server(path, "--user", "u", "--pass", "p") as server:
                for name, answer in (("HUP", "Failed to reload"), ("USR1", "re-open ignored"),
                                     ("USR2", "Entering lame duck")):
                    server.signal(name)
                    server.await_line(answer)
                self.assertEqual(server.wait(), 0)
            texts = [re.sub(r"Version: .*|\bN[A-Z2-7]{55}|:\d+$", "...", text)
                     for text in server.texts() if "Threads:" not in text and "Memory limit:" not in text]
            return [text.replace("nats-server", "pipit-server") for text in texts]

        self.assertEqual(life(PIPIT), life(peer()))

    def test_interrupt_ends(self):
        with Server(PIPIT) as server:
            server.signal("INT")
            self.assertEqual(server.wait(), 0)
        self.require_in_order(server.texts(), ['Trapped "interrupt" signal', "Server Exiting.."])

    def test_quit_is_the_systems(self):
        with Server(PIPIT) as server:
            server.signal("QUIT")
            self.assertEqual(server.wait(), -signal.SIGQUIT)

    def test_lame_duck_hears_no_term(self):
        with Server(PIPIT, "--lame_duck_duration=1h", "--lame_duck_grace_period=30m") as server:
            client = server.connect()
            client.send(b'CONNECT {"protocol":1}\r\n')
            client.ping()
            server.signal("USR2")
            while b'"ldm":true' not in (line := client.line()):
                self.assertTrue(line, "it is told")
            server.signal("TERM")
            server.await_line('Trapped "terminated" signal')
            server.signal("USR1")  # it is heard after TERM, so TERM has had its time
            server.await_line("re-open ignored")
            client.ping()
            server.signal("INT")
            self.assertEqual(server.wait(), 0)
            client.close()

    def test_exit_codes(self):
        taken = socket.create_server(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        at_port = ("-a", "127.0.0.1", "-p", port)
        for flags, address, text in [
                ((), at_port, f'[FTL] Error listening on port: 127.0.0.1:{port}, "listen tcp '
                              f'127.0.0.1:{port}: bind: address already in use"'),
                (("-P", "/nonexistent/p"), at_port,
                 "[FTL] Could not write pidfile: open /nonexistent/p: no such file or directory"),
                (("-l", "/nonexistent/l"), at_port, "pipit-server: error opening file: open "
                                                    "/nonexistent/l: no such file or directory"),
                (("-r", "foo://x"), at_port, 'pipit-server: error invalid network type: "foo"'),
                (("--no_such_flag",), at_port, "there is no flag --no_such_flag")]:
            with self.subTest(text), Server(PIPIT, *flags, address=address, wait=None) as server:
                self.assertEqual(server.wait(), 1)
                self.assertIn(text, "\n".join(server.texts()))
        taken.close()


class SignalCommand(Case):
    """--signal. Processes are found by name, so the program is run under a name of its own."""

    def setUp(self):
        super().setUp()
        self.name = f"pp{os.getpid()}"[:15]
        self.program = self.link(PIPIT)

    def link(self, path):
        link = self.path(self.name)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(path, link)
        return link

    def tell(self, *arguments, program=None):
        done = subprocess.run([program or self.program, *arguments], capture_output=True,
                              text=True, timeout=WAIT_S)
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_each_command(self):
        for command, line, status in [("reload", 'Trapped "hangup" signal', None),
                                      ("reopen", 'Trapped "user defined signal 1" signal', None),
                                      ("ldm", 'Trapped "user defined signal 2" signal', 0),
                                      ("term", 'Trapped "terminated" signal', 0),
                                      ("quit", 'Trapped "interrupt" signal', 0),
                                      ("stop", None, -signal.SIGKILL)]:
            with self.subTest(command), Server(self.program) as server:
                self.assertEqual(self.tell("--signal", f"{command}={server.pid}"), (0, ""))
                if line:
                    server.await_line(line)
                if status is None:
                    status = server.stop() and None
                else:
                    self.assertEqual(server.wait(), status)

    def test_who_is_meant(self):
        with Server(self.program, "-P", self.path("pid")) as first:
            self.assertEqual(self.tell("-sl", "reload"), (0, ""))
            first.await_line('Trapped "hangup" signal')
            self.assertEqual(self.tell("-sl", "reopen=" + self.path("pid")), (0, ""))
            first.await_line('Trapped "user defined signal 1" signal')
            with Server(self.program) as second:
                status, said = self.tell("-sl", "reload")
                lines = said.splitlines()
                self.assertEqual((status, lines[0]),
                                 (1, f"{self.name}: multiple {self.name} processes running:"))
                self.assertLessEqual({str(first.pid), str(second.pid)}, set(lines[1:]))
                self.assertEqual(self.tell(f"--signal=reload={second.pid}*"), (0, ""))
                second.await_line('Trapped "hangup" signal')
                self.assertEqual(second.stop(), 0)
            self.assertEqual(first.stop(), 0)

    ERRORS = ["foo", "stop=abc", "quit=1=2", "reload=", "term=99999999", "foo=99999999", "=99999999",
              "reload=99999999*", "reopen=/nonexistent", "ldm=x*"]

    def test_errors(self):
        for argument, text in zip(self.ERRORS, [
                f"no {self.name} processes running", "invalid pid: abc",
                "invalid signal parameters: [2]", f"no {self.name} processes running",
                '\nsignal "term" 99999999: no such process', 'unknown signal "foo"',
                'unknown signal ""', f"no {self.name} processes running",
                "invalid pid: /nonexistent", "invalid pid: x"]):
            with self.subTest(argument):
                self.assertEqual(self.tell("--signal", argument),
                                 (1, f"{self.name}: {text}\n"))

    def test_groups_are_not_meant(self):
        for pid in ("0", "-1", "-5", "+5", "", " 5"):
            if pid:
                self.assertEqual(self.tell("--signal", f"quit={pid}"),
                                 (1, f"{self.name}: invalid pid: {pid}\n"))

    def test_a_pid_file_is_taken_as_it_is(self):
        with open(self.path("pid"), "w", encoding="utf-8") as file:
            file.write("99999998\n")
        self.assertEqual(self.tell("--signal", "reload=" + self.path("pid")),
                         (1, f"{self.name}: invalid pid: 99999998\n\n"))

    def test_errors_as_the_peer_says_them(self):
        if not peer():
            self.skipTest("no nats-server to compare with")
        # Those that look for a process by name might find one that is not ours.
        for argument in ("stop=abc", "quit=1=2", "term=99999999", "foo=99999999", "=99999999",
                         "reopen=/nonexistent"):
            with self.subTest(argument):
                status, said = self.tell("--signal", argument, program=peer())
                said = re.sub(r"\bnats-server\b", self.name, said)
                self.assertEqual(self.tell("--signal", argument), (status, said))


class Files(Case):
    def test_pid_file(self):
        os.umask(0)
        with Server(PIPIT, "-P", self.path("pid")) as server:
            self.assertEqual(self.read("pid"), str(server.pid))
            self.assertEqual(os.stat(self.path("pid")).st_mode & 0o7777, 0o600)
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.read("pid"), str(server.pid))

    def ports(self, server):
        name = f"pipit-server_{server.pid}.ports"
        self.await_true(lambda: os.path.exists(self.path(name)), "a ports file")
        return json.loads(self.read(name))

    def test_ports_file(self):
        flags = ("--ports_file_dir", self.folder)
        with Server(PIPIT, *flags) as server:
            self.assertEqual(self.ports(server), {"nats": [f"nats://127.0.0.1:{server.port}"]})
            self.assertEqual(server.stop(), 0)
        self.assertEqual(os.listdir(self.folder), [])
        with Server(PIPIT, *flags, "-m", "-1") as server:
            url, = self.ports(server)["monitoring"]
            self.assertEqual(url, f"http://127.0.0.1:{server.http_port}")
            self.assertIn(b" 200 OK\r\n", ask(server.http_port))
            self.assertEqual(server.stop(), 0)
        with Server(PIPIT, *flags, address=("-a", "::", "-p", "-1")) as server:
            urls = self.ports(server)["nats"]
            self.assertIn(f"nats://127.0.0.1:{server.port}", urls)
            self.assertIn(f"nats://[::1]:{server.port}", urls)
            for url in urls:
                host = re.fullmatch(r"nats://\[?([0-9a-f.:]+?)\]?:\d+", url)[1]
                socket.create_connection((host, server.port), WAIT_S).close()
            self.assertEqual(server.stop(), 0)

    def test_ports_file_cannot_be_written(self):
        with Server(PIPIT, "--ports_file_dir", "/nonexistent") as server:
            server.await_line("[ERR] Error writing ports file (/nonexistent/pipit-server_")
            self.assertEqual(server.stop(), 0)

    def test_secrets_are_not_shown(self):
        with Server(PIPIT, "-DV", "--user", "u", "--pass", "s3cret-word") as server:
            with open(f"/proc/{server.pid}/cmdline", "rb") as file:
                self.assertNotIn(b"s3cret-word", file.read())
            client = server.connect()
            client.send(b'CONNECT {"user":"u","pass":"s3cret-word","name":"n"}\r\nPING\r\n')
            while client.line() != b"PONG\r\n":
                pass
            client.close()
            server.await_line('"n" - "$G/user:u" - Client connection closed')
            self.assertEqual(server.stop(), 0)
        self.assertNotIn("s3cret-word", "\n".join(server.lines))


class Health(Case):
    def ask(self, port):
        done = subprocess.run([PIPIT, "--health_check", "-a", "127.0.0.1", "-p", str(port)],
                              capture_output=True, text=True, timeout=WAIT_S)
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_a_server_answers(self):
        with Server(PIPIT, "--max_connections=0") as server:
            self.assertEqual(self.ask(server.port), (0, ""))
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.ask(server.port), (
            1, f"pipit-server: not healthy: port {server.port}: connection refused\n"))

    def test_something_else_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.assertEqual(self.ask(other.getsockname()[1]),
                             (1, "pipit-server: not healthy: nothing is said in 2 s\n"))
        self.assertEqual(self.ask(-1)[0], 1)


class Logs(Case):
    def flow(self, client, count=2000):
        """Publish and hear so many messages."""
        client.send(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n' + b"PUB a 2\r\nhi\r\n" * count +
                    b"PING\r\n")
        heard = 0
        while (line := client.line()) != b"PONG\r\n":
            self.assertTrue(line)
            heard += line.startswith(b"MSG")
        self.assertEqual(heard, count)

    def await_port(self, server):
        """Where the log is not to be had, the ports file tells."""
        path = self.path(f"pipit-server_{server.pid}.ports")
        self.await_true(lambda: os.path.exists(path), "the server")
        with open(path, encoding="utf-8") as file:
            port = int(json.load(file)["nats"][0].rsplit(":", 1)[1])
        server.lines.append(f"Listening for client connections on 127.0.0.1:{port}")

    def test_json_lines(self):
        with Server(PIPIT, "--log_format=json", "--logtime_utc", "-D", wait='"Server is ready"') \
                as server:
            client = server.connect()
            client.send('CONNECT {"name":"a\\"b\\\\cé"}\r\nPING\r\n'.encode())
            client.line()
            client.close()
            server.await_line("Client connection closed")
            self.assertEqual(server.stop(), 0)
        records = [json.loads(line) for line in server.lines]
        for record in records:
            self.assertEqual(list(record), ["time", "level", "pid", "msg"])
            self.assertEqual(record["pid"], server.pid)
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertIn(record["level"], ("info", "debug"))
        self.assertTrue([r for r in records if r'"a\"b\\cé"' in r["msg"]])

    def test_time_may_be_left_out(self):
        with Server(PIPIT, "-T=false") as server:
            self.assertEqual(server.stop(), 0)
        for line in server.lines:
            self.assertRegex(line, r"^\[%d\] \[INF\] " % server.pid)

    def test_file_is_reopened(self):
        with Server(PIPIT, "-l", self.path("log"), wait=None) as server:
            self.await_true(lambda: os.path.exists(self.path("log")) and
                            "Server is ready" in self.read("log"), "the log")
            os.rename(self.path("log"), self.path("old"))
            server.signal("USR1")
            self.await_true(lambda: os.path.exists(self.path("log")) and
                            "File log re-opened" in self.read("log"), "a new file")
            self.assertIn('Trapped "user defined signal 1" signal', self.read("old"))
            self.assertEqual(server.stop(), 0)
        self.assertTrue(self.read("log").endswith("[INF] Server Exiting..\n"))
        self.assertEqual(server.lines, [])
        self.assertEqual(os.stat(self.path("log")).st_mode & 0o7777, 0o640)

    def test_file_is_set_aside(self):
        with Server(PIPIT, "-l", self.path("log"), "--log_size_limit", "400", "--log_max_num",
                    "3", wait=None) as server:
            self.await_true(lambda: os.path.exists(self.path("log")), "a log")
            for _ in range(20):
                before = self.state()
                server.signal("HUP")
                self.await_true(lambda: self.state() != before, "a line")
            self.assertEqual(server.stop(), 0)
        names = sorted(os.listdir(self.folder))
        self.assertEqual(len(names), 3)
        for name in names[1:]:
            self.assertRegex(name, r"^log\.\d{4}(\.\d\d){5}\.\d{9}$")
            self.assertLess(os.path.getsize(self.path(name)), 800)

    def state(self):
        """What is there. The server may delete a file while that is asked: then once more."""
        while True:
            with os.scandir(self.folder) as entries, contextlib.suppress(FileNotFoundError):
                return sorted((e.name, e.stat().st_size) for e in entries)

    def test_nobody_reads_the_pipe(self):
        os.mkfifo(self.path("log"))
        reader = os.open(self.path("log"), os.O_RDONLY | os.O_NONBLOCK)
        with Server(PIPIT, "-DV", "-l", self.path("log"), "--ports_file_dir", self.folder,
                    wait=None) as server:
            self.await_port(server)
            for _ in range(20):  # each message is a line, of which the pipe holds a thousand
                client = server.connect()
                self.flow(client)
                client.close()
            os.set_blocking(reader, True)
            with os.fdopen(reader, encoding="utf-8") as pipe:
                for line in pipe:
                    if match := re.search(r"\[WRN\] (\d+) log lines were left out", line):
                        self.assertGreater(int(match[1]), 1000)
                        break
                else:
                    self.fail("what is left out is told")
                server.signal("TERM")
                self.assertTrue(pipe.read().endswith("[INF] Server Exiting..\n"))
            self.assertEqual(server.wait(), 0)

    def test_a_stuck_pipe_does_not_keep_it_from_ending(self):
        os.mkfifo(self.path("log"))
        with Server(PIPIT, "-DV", "-l", self.path("log"), "--ports_file_dir", self.folder,
                    wait=None) as server:
            self.await_port(server)
            client = server.connect()
            self.flow(client)
            client.close()
            self.assertEqual(server.stop(), 0)

    def test_nobody_reads_stderr(self):
        for left in (False, True):  # the reader is there and does nothing, or has gone
            reader, writer = os.pipe()
            with Server(PIPIT, "-DV", "--ports_file_dir", self.folder, stderr=writer) as server:
                os.close(writer)
                if left:
                    os.close(reader)
                self.await_port(server)
                for _ in range(5):
                    client = server.connect()
                    self.flow(client)
                    client.close()
                self.assertEqual(server.stop(), 0)
            if not left:
                os.close(reader)

    def test_remote_syslog(self):
        def inet(kind):
            s = socket.socket(socket.AF_INET, kind)
            s.bind(("127.0.0.1", 0))
            return s, "127.0.0.1:%d" % s.getsockname()[1]

        def local(kind):
            s = socket.socket(socket.AF_UNIX, kind)
            s.bind(self.path(f"s{int(kind)}"))
            return s, self.path(f"s{int(kind)}")

        remote = (r"<5>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) " +
                  re.escape(socket.gethostname()))
        near = r"<5>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d"
        for scheme, make, kind, head in [("udp://", inet, socket.SOCK_DGRAM, remote),
                                         ("tcp://", inet, socket.SOCK_STREAM, remote),
                                         ("unix:", local, socket.SOCK_STREAM, near),
                                         ("unix:", local, socket.SOCK_DGRAM, near)]:
            with self.subTest(scheme=scheme, kind=kind):
                listener, address = make(kind)
                daemon = listener
                daemon.settimeout(WAIT_S)
                if kind == socket.SOCK_STREAM:
                    daemon.listen()
                with Server(PIPIT, "-r", scheme + address, wait=None) as server:
                    if kind == socket.SOCK_STREAM:
                        daemon, _ = daemon.accept()
                        daemon.settimeout(WAIT_S)
                    text = b""
                    while b"Server is ready" not in text:
                        text += daemon.recv(65536)
                    server.signal("TERM")
                    while b"Server Exiting..\n" not in text:
                        text += daemon.recv(65536)
                    self.assertEqual(server.wait(), 0)
                lines = text.decode().splitlines()
                for line in lines:
                    self.assertRegex(line, rf"^{head} pipit-server\[{server.pid}\]: \S* *\S")
                self.require_in_order(lines, ["]: Starting pipit-server", "]:   Version:  ",
                                              "]: Server is ready", "]: Server Exiting.."])
                daemon.close()
                listener.close()

    def test_syslog_that_takes_nothing(self):
        daemon = socket.create_server(("127.0.0.1", 0))
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with Server(PIPIT, "-DV", "-r", "tcp://127.0.0.1:%d" % daemon.getsockname()[1],
                    "--ports_file_dir", self.folder, wait=None) as server:
            taken, _ = daemon.accept()
            self.await_port(server)
            for _ in range(8):  # more than sockets and ring hold
                client = server.connect()
                self.flow(client, 20000)
                client.close()
            self.assertEqual(server.stop(), 0)
        taken.close()
        daemon.close()


class Notify(Case):
    def manager(self, name=None):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = name or self.path("notify")
        s.bind(address)
        s.settimeout(WAIT_S)
        self.addCleanup(s.close)
        return s, {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def test_states(self):
        for name in (None, f"\0pipit-test-{os.getpid()}"):
            manager, env = self.manager(name)
            with Server(PIPIT, env=env) as server:
                said = manager.recv(4096).decode().split("\n")
                self.assertEqual(said, ["READY=1",
                                        f"STATUS=Serving clients on port {server.port}"])
                server.signal("HUP")
                said = manager.recv(4096).decode().split("\n")
                self.assertEqual(said[0], "RELOADING=1")
                self.assertRegex(said[1], r"^MONOTONIC_USEC=\d+$")
                self.assertIn("READY=1", manager.recv(4096).decode())
                server.signal("USR2")
                self.assertRegex(manager.recv(4096).decode(), "^STATUS=Lame duck")
                self.assertIn("STOPPING=1", manager.recv(4096).decode())
                self.assertEqual(server.wait(), 0)

    def test_not_ready_when_it_cannot_start(self):
        manager, env = self.manager()
        with Server(PIPIT, "-P", "/nonexistent/p", env=env, wait=None) as server:
            self.assertEqual(server.wait(), 1)
        manager.setblocking(False)
        with self.assertRaises(BlockingIOError):
            manager.recv(4096)

    def test_watchdog(self):
        manager, env = self.manager()
        with Server(PIPIT, env={**env, "WATCHDOG_USEC": "200000"}) as server:
            texts = [manager.recv(4096).decode() for _ in range(4)]
            self.assertIn("READY=1", texts[0])
            self.assertEqual(texts[1:], ["WATCHDOG=1"] * 3)
            self.assertEqual(server.stop(), 0)

    def test_watchdog_of_another_process(self):
        manager, env = self.manager()
        env |= {"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}
        with Server(PIPIT, env=env) as server:
            self.assertIn("READY=1", manager.recv(4096).decode())
            server.signal("HUP")
            self.assertIn("RELOADING=1", manager.recv(4096).decode())
            self.assertEqual(server.stop(), 0)


def ask(port, path="/healthz"):
    """What monitoring answers."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as peer:
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while got := peer.recv(65536):
            answer += got
        return answer


class Activation(Case):
    def tcp(self):
        s = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(s.close)
        return s

    def unix(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(self.path("sock"))
        s.listen()
        self.addCleanup(s.close)
        return s

    def test_tcp_and_unix(self):
        tcp, unix = self.tcp(), self.unix()
        early = socket.create_connection(tcp.getsockname(), WAIT_S)  # before there is a server
        for names in (None, "client:", "pipit-server.socket:other.socket"):
            env = {"LISTEN_FDNAMES": names} if names else {}
            # A port that cannot be had shows that it is not tried.
            with Server(PIPIT, env=env, sockets=[tcp, unix],
                        address=("-a", "192.0.2.77", "-p", "1")) as server:
                self.assertEqual(server.port, tcp.getsockname()[1])
                self.assertIn(f"[INF] Listening for client connections on unix:{self.path('sock')}",
                              server.texts())
                if early:
                    self.assertTrue(early.recv(5), b"INFO ")
                    early.close()
                    early = None
                server.connect().ping()
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.connect(self.path("sock"))
                self.assertEqual(client.recv(5), b"INFO ")
                client.close()
                self.assertEqual(server.stop(), 0)
            self.assertTrue(os.path.exists(self.path("sock")))  # it is the manager's

    def test_monitoring(self):
        tcp, http = self.tcp(), self.tcp()
        port = http.getsockname()[1]
        with Server(PIPIT, sockets=[tcp, http], env={"LISTEN_FDNAMES": "client:monitoring"}) as server:
            self.assertEqual(server.port, tcp.getsockname()[1])
            self.assertEqual(server.http_port, port)
            answer = ask(port, "/varz")
            self.assertIn(f'"http_port": {port},'.encode(), answer)
            self.assertIn(b'"http_host": "127.0.0.1",', answer)
            self.assertEqual(server.stop(), 0)
        with Server(PIPIT, "-m", "1", sockets=[http],  # a port that cannot be had
                    env={"LISTEN_FDNAMES": "monitoring"}) as server:
            self.assertNotEqual(server.port, port)
            self.assertIn(b" 200 OK\r\n", ask(port))
            self.assertEqual(server.stop(), 0)

    def test_only_unix(self):
        with Server(PIPIT, sockets=[self.unix()]) as server:
            server.connect().ping()
            self.assertEqual(server.stop(), 0)

    def test_meant_for_another_process(self):
        tcp = self.tcp()
        with Server(PIPIT, sockets=[tcp], pid_offset=1) as server:
            self.assertNotEqual(server.port, tcp.getsockname()[1])
            self.assertEqual(server.stop(), 0)

    def test_useless_sockets(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        idle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(udp.close)
        self.addCleanup(idle.close)
        for sockets, names, text in [
                ([udp], "", "it is no TCP or Unix socket that listens"),
                ([idle], "", "it is no TCP or Unix socket that listens"),
                ([self.tcp(), self.tcp()], "", "there is another one of its kind"),
                ([self.tcp(), self.tcp()], "monitoring:monitoring",
                 "there is another one of its kind"),
                ([self.unix()], "monitoring", "it is no TCP socket that listens"),
                ([self.tcp()], "websocket", "this version does not serve it")]:
            with self.subTest(text), \
                    Server(PIPIT, sockets=sockets, env={"LISTEN_FDNAMES": names},
                           wait=None) as server:
                self.assertEqual(server.wait(), 1)
                self.assertIn(text, server.lines[-1])
                self.assertIn("[FTL] Cannot use the socket fd=", server.lines[-1])


if __name__ == "__main__":
    result = unittest.main(argv=[sys.argv[0], *sys.argv[1:]], exit=False).result
    sys.exit(0 if result.wasSuccessful() else 1)
