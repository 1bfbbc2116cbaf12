#!/usr/bin/env python3
"""The page at /ui in a headless Chromium: installs what checks.mjs needs, starts the server, plays its helper.

    run.py [--shots FOLDER]

With --shots the pictures that docs/ shows are taken. Exit status 77: a tool is missing (under CI: a failure).
"""

import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from ports import quiet_port  # noqa: E402

SERVER = os.environ.get("PIPIT_SERVER") or str(HERE.parent.parent / "build/pipit-server")
BUILD = pathlib.Path(os.environ.get("PIPIT_BUILD_DIR") or HERE.parent.parent / "build").resolve() / "page"
DEADLINE_S = 600
EXIT_SKIPPED = 77

CONFIGURATION = """server_name: nest
host: 127.0.0.1
max_control_line: 16384
port: {port}
http: 127.0.0.1:{http}
websocket {{ host: 127.0.0.1, port: {ws}, no_tls: true }}
accounts {{ A {{ users: [{{user: a, password: a}}] }}, B {{}} }}
"""


def find(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    print(f"{names[0]} is missing")
    sys.exit(1 if os.environ.get("CI") else EXIT_SKIPPED)


def install(npm):
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "checks.mjs"):
        shutil.copy(HERE / name, BUILD / name)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=BUILD, check=True, timeout=DEADLINE_S)


CROWD = 10_000  # connections, of two subscriptions each; fewer where there are not so many descriptors


class Crowd:
    """Connections that are only there."""

    def __init__(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.size = min(CROWD, most - 500)
        self.sockets = []

    def come(self, port):
        for number in range(self.size):
            one = socket.create_connection(("127.0.0.1", port), 60)
            one.sendall(b'CONNECT {"verbose":false,"user":"a","pass":"a","name":"crowd-%d"}\r\n'
                        b"SUB crowd.%d 1\r\nSUB crowd.all 2\r\nPING\r\n" % (number, number))
            self.sockets.append(one)
        for one in self.sockets:
            read = b""
            while b"PONG\r\n" not in read:
                read += one.recv(65536)

    def go(self):
        while self.sockets:
            self.sockets.pop().close()


class Server:
    def __init__(self, configuration, http):
        self.configuration, self.http = configuration, http
        self.process = None

    def start(self):
        self.process = subprocess.Popen([SERVER, "-c", self.configuration], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.http), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def cpu_s(self):
        """What it has used of all cores so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) in (0, 1)


def play(server, port, process):
    """Do what the checks ask for, and count what they say."""
    passed, failed, crowd = 0, 0, Crowd()
    orders = {"STOP": server.stop, "START": server.start, "CPU": server.cpu_s,
              "CROWD": lambda: crowd.come(port) or crowd.size, "EMPTY": crowd.go}
    for line in process.stdout:
        line = line.rstrip("\n")
        if line in orders:
            process.stdin.write(f"DONE {orders[line]()}\n")
            process.stdin.flush()
            continue
        print(line, flush=True)
        passed += line.startswith("ok ")
        failed += line.startswith("not ok ")
        if line == "END":
            return passed, failed
    return passed, failed + 1  # it ended before its end


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    node, npm = find("node"), find("npm")
    chromium = find("chromium", "chromium-browser")
    install(npm)
    port, http, ws = quiet_port(), quiet_port(), quiet_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = os.path.join(folder, "page.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(port=port, http=http, ws=ws))
        server = Server(configuration, http)
        server.start()
        environment = {**os.environ, "PIPIT_HTTP": f"http://127.0.0.1:{http}", "PIPIT_WS": f"ws://127.0.0.1:{ws}",
                       "PIPIT_CHROMIUM": chromium}
        if "--shots" in sys.argv:
            environment["PIPIT_SHOTS"] = str(pathlib.Path(sys.argv[sys.argv.index("--shots") + 1]).resolve())
        process = subprocess.Popen([node, "checks.mjs"], cwd=BUILD, env=environment, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            passed, failed = play(server, port, process)
        finally:
            process.kill()
            if server.process.poll() is None:
                server.process.kill()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
