"""A server with a system account and a monitoring port, and connections to it."""

import json
import re
import socket
import tempfile

from tool import HOSTILE, OnServer

CONFIG = """
server_name: "%s"
http: "127.0.0.1:-1"
accounts {
  SYS: { users: [{user: sys, password: s}] }
  APP: { users: [{user: app, password: a}
                 {user: few, password: f, permissions: {publish: {deny: ["$SYS.>"]}}}] }
}
system_account: SYS
"""


# As a CONNECT can hold them.
NAMES = [name.encode("utf-8", "replace").decode()[:3000] for name in HOSTILE]


# A check that a loaded machine passes.
PATIENT = tuple(word for what in ("connect", "rtt", "req") for grade in ("warn", "critical")
                for word in (f"--{what}-{grade}", "1h"))


class Client:
    """A connection that says what it is told to."""

    def __init__(self, port, **connect):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b"CONNECT " + json.dumps({"verbose": False, **connect}).encode() +
                            b"\r\n")
        self.ping()

    def send(self, text):
        self.socket.sendall(text.encode())
        self.ping()

    def ping(self):
        self.socket.sendall(b"PING\r\n")
        line = b""
        while not line.startswith(b"PONG"):
            line = self.file.readline()
            assert line and not line.startswith(b"-ERR"), line

    def close(self):
        self.file.close()
        self.socket.close()


class MonitoredTest(OnServer):
    name = "demo"

    @classmethod
    def setUpClass(cls):
        config = cls.config_file()
        cls.flags = ("-c", config)
        super().setUpClass()
        cls.monitor = next("http://127.0.0.1:" + re.search(r":(\d+)$", line)[1]
                           for line in cls.server.lines if "http monitor" in line)
        cls.environ["NATS_URL"] = f"nats://sys:s@127.0.0.1:{cls.server.port}"
        cls.app = f"nats://app:a@127.0.0.1:{cls.server.port}"

    @classmethod
    def config_file(cls):
        cls.config_folder = tempfile.TemporaryDirectory()
        path = cls.config_folder.name + "/server.conf"
        with open(path, "w") as file:
            file.write(CONFIG % cls.name)
        return path

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.config_folder.cleanup()

    def client(self, **connect):
        client = Client(self.server.port, user="app", **{"pass": "a"}, **connect)
        self.addCleanup(client.close)
        return client
