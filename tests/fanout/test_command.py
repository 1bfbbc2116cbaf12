#!/usr/bin/env python3
"""`pipit fanout`: the command line of the original.

usage: test_command.py PIPIT [NAME...]
"""
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from ports import quiet_port  # noqa: E402
from world import WAIT_S, Client, check, run, until  # noqa: E402

PIPIT = os.path.abspath(sys.argv[1])
FOLDER = tempfile.TemporaryDirectory(prefix="pipit-fanout-command-")


def path(name):
    return os.path.join(FOLDER.name, name)


def refused(*args, says, status=1):
    done = subprocess.run([PIPIT, "fanout", *args], timeout=WAIT_S, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    check(done.returncode == status, args, "ended with", done.returncode, done.stdout)
    check(says in done.stdout, args, "said", done.stdout)


def connect(port, process=None):
    """A client, as soon as somebody listens; not once the process is gone."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            return Client(port)
        except ConnectionRefusedError:
            if process and process.poll() is not None:
                raise AssertionError(f"it ended: {process.stdout.read()}") from None
            check(time.monotonic() < end, "nobody listens on", port)
            time.sleep(0.01)


class Fanout:
    """In the foreground; by_name: called as fanout."""

    def __init__(self, *args, by_name=False, limit=None):
        self.port = quiet_port("")
        program = [PIPIT, "fanout"]
        if by_name:
            if not os.path.exists(path("fanout")):
                os.symlink(PIPIT, path("fanout"))
            program = [path("fanout")]
        if limit:
            program = ["prlimit", f"--nofile={limit}", *program]
        self.process = subprocess.Popen([*program, f"--port={self.port}", *args], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.client = connect(self.port, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.said, _ = self.process.communicate(timeout=WAIT_S)
        check(self.process.returncode == 0, self.process.returncode, self.said)


def test_bad_usage():
    refused("x", "y", says="ERROR invalid args: x y")
    refused("--port=1986", "z", says="ERROR invalid args: z")
    refused("--nonsense", says="nonsense")
    refused("--p=1", says="ambiguous")
    for port in ("0", "-1", "x", "", "65536", "123456"):
        refused(f"--port={port}", says="ERROR invalid port")
    for limit in ("0", "-5", "x"):
        refused(f"--client-limit={limit}", says=f"invalid client limit: {limit}")
    refused("--run-as=nobody-of-that-name", says="ERROR invalid user")
    refused("--run-as=root:no-such-group", says="ERROR invalid group")
    refused("--logfile=/nowhere/log", says="ERROR cannot open logfile")
    refused("--help", says="--max-logfile-size", status=0)


def test_the_tool():
    for args, status in (((), 2), (("help",), 0), (("--help",), 0), (("help", "fanout"), 0),
                         (("help", "x"), 2), (("x",), 2), (("version",), 0)):
        done = subprocess.run([PIPIT, *args], timeout=WAIT_S, capture_output=True, check=False)
        check(done.returncode == status, args, done.returncode)


def test_foreground():
    with Fanout("--debug-level", "2", by_name=True) as fanout:
        check(os.readlink(f"/proc/{fanout.process.pid}/cwd") == "/", "the folder is /")
        fanout.client.send("announce all hi\n")
        fanout.client.expect("all!hi\n")
        info = fanout.client.info()
    for line in fanout.said.splitlines():
        check(re.match(r"\[\d+\] (INFO|WARNING): ", line), line)
    check("Listening for fanout clients" in fanout.said, fanout.said)
    check(info["current connections"] == "1", info)


def test_quiet_by_default():
    with Fanout() as fanout:
        fanout.client.ping()
    check(fanout.said == "", fanout.said)


def test_limits():
    with Fanout(limit="20000:20000") as fanout:
        check(fanout.client.info()["client-limit"] == "19984", fanout.client.info())
    with Fanout(f"--logfile={path('limit.log')}", limit="20000:20000") as fanout:
        check(fanout.client.info()["client-limit"] == "19983", fanout.client.info())
    with Fanout("--client-limit=1", limit="100:20000") as fanout:
        check(fanout.client.info()["rlimits"] == "Soft=100 Hard=20000", fanout.client.info())
        Client(fanout.port, greeted=False).expect("debug!busy\n")
    with Fanout("--client-limit=1000", limit="100:20000") as fanout:
        info = fanout.client.info()
        check((info["client-limit"], info["rlimits"]) == ("1000", "Soft=1016 Hard=20000"), info)


def test_log_file_begins_anew():
    log = path("small.log")
    with open(log, "w", encoding="ascii") as file:
        file.write("x" * (1 << 20))
    with Fanout(f"--logfile={log}", "--max-logfile-size=1", "--debug-level=2") as fanout:
        until(lambda: os.path.getsize(log) < 100000, "the log to be emptied")
    check("ready" in open(log, encoding="ascii").read(), "lines after that")


def daemon(*args, program=(PIPIT, "fanout")):
    """Returns (port, pid) of one; it is ended by the caller."""
    port, pid_file = quiet_port(""), path("fanout.pid")
    if os.path.exists(pid_file):
        os.unlink(pid_file)
    done = subprocess.run([*program, "--daemon", f"--port={port}", f"--pidfile={pid_file}", *args],
                          timeout=WAIT_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    check(done.returncode == 0 and done.stdout == "", done.returncode, done.stdout)
    with open(pid_file, encoding="ascii") as file:
        text = file.read()
    check(re.fullmatch(r"\d+\n", text), "pid file holds", text)
    return port, int(text)


def end(pid):
    os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{pid}") or
          open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "Z", "the daemon's end")


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_daemon():
    port, pid = daemon("--debug-level=2", f"--logfile={path('daemon.log')}")
    try:
        Client(port).ping()
        for fd in range(3):
            check(os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null", fd)
        status = status_of(pid)
        check(status["Umask"] == "0027", status["Umask"])
        check(os.getsid(pid) == pid, "a session of its own")
        check("Server is ready" in open(path("daemon.log"), encoding="ascii").read(), "logged")
    finally:
        end(pid)


def test_daemon_that_fails_says_so():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        refused("--daemon", f"--port={taken.getsockname()[1]}", f"--pidfile={path('no.pid')}",
                says="ERROR cannot listen on port")
    check(not os.path.exists(path("no.pid")), "no pid file")
    refused("--daemon", f"--port={quiet_port('')}", "--pidfile=/nowhere/pid",
            says="ERROR cannot open pidfile")


def test_run_as():
    if os.geteuid() != 0:
        print("  needs root")
        return
    nobody = pwd.getpwnam("nobody")
    os.chmod(FOLDER.name, 0o755)
    port, pid = daemon("--run-as=nobody:daemon", f"--logfile={path('run-as.log')}",
                       "--debug-level=2")
    try:
        Client(port).ping()
        status = status_of(pid)
        check(status["Uid"].split() == [str(nobody.pw_uid)] * 4, status["Uid"])
        check(set(status["Gid"].split()) == {"1"}, status["Gid"])
        check(status["Groups"].strip() == "", status["Groups"])
    finally:
        end(pid)


if __name__ == "__main__":
    sys.exit(run([value for name, value in list(globals().items()) if name.startswith("test_")],
                 sys.argv[2:]))
