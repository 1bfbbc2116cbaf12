"""A server under test: its options in the words of either server, its process, its log."""

import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from children import die_with_parent  # noqa: E402

START_S = 60
STOP_S = 60

# Options a transcript may ask for, with the kind of their value. pipit-server takes each as a flag
# of the same name; nats-server takes most of them from its configuration file only.
OPTIONS = {
    "max_payload": "number",
    "max_pending": "number",
    "max_memory": "number",
    "slow_consumer": "text",
    "max_control_line": "number",
    "max_connections": "number",
    "max_subscriptions": "number",
    "max_subscription_tokens": "number",
    "ping_interval": "duration",
    "ping_max": "number",
    "write_deadline": "duration",
    "auth_timeout": "duration",
    "lame_duck_duration": "duration",
    "lame_duck_grace_period": "duration",
    "proxy_protocol": "switch",
    "no_header_support": "switch",
    "no_fast_producer_stall": "switch",
    "client_advertise": "text",
    "name": "text",
    "user": "text",
    "pass": "text",
    "auth": "text",  # a token
}
_AUTHORIZATION_KEYS = {
    "user": "user",
    "pass": "password",
    "auth": "token",
    "auth_timeout": "timeout",
}
_OTHER_KEYS = {"name": "server_name"}


def check_options(options):
    """Raises ValueError for an option that no server would understand."""
    for name, value in options:
        kind = OPTIONS.get(name)
        if kind is None:
            raise ValueError(f"no such option: {name}")
        if kind == "number" and not re.fullmatch(r"-?\d+", value):
            raise ValueError(f"{name} needs a number")
        if kind == "duration" and not re.fullmatch(r"\d+(ms|s|m)", value):
            raise ValueError(f"{name} needs a duration such as 500ms")
        if kind == "switch" and value:
            raise ValueError(f"{name} takes no value")


def pipit_flags(options):
    flags = []
    for name, value in options:
        flags.append(f"--{name}")
        if OPTIONS[name] != "switch":
            flags.append(value)
    return flags


def nats_config(options):
    """The options as a nats-server configuration file."""
    lines, authorization = [], []
    for name, value in options:
        kind = OPTIONS[name]
        if kind == "switch":
            value = "true"
        elif kind != "number":
            value = f'"{value}"'
        if name in _AUTHORIZATION_KEYS:
            authorization.append(f"  {_AUTHORIZATION_KEYS[name]}: {value}")
        else:
            lines.append(f"{_OTHER_KEYS.get(name, name)}: {value}")
    if authorization:
        lines += ["authorization {", *authorization, "}"]
    return "\n".join(lines) + "\n"


def kind_of(path):
    """Which kind of server a program is, by its name."""
    return "nats" if "nats" in os.path.basename(path) else "pipit"


class Server:
    """One server process on a free port of 127.0.0.1."""

    host = "127.0.0.1"

    def __init__(self, path, kind, options, folder, extra_flags=()):
        """Start the server and wait until it is ready; folder is an empty one for its files."""
        self.kind = kind
        self.log = collections.deque(maxlen=400)
        self.port = None
        self._ready = threading.Event()
        flags = ["-a", self.host, "-p", "-1"]
        if kind == "nats":
            config = os.path.join(folder, "server.conf")
            with open(config, "w", encoding="utf-8") as file:
                file.write(nats_config(options))
            flags += ["-c", config]
        else:
            flags += pipit_flags(options)
        self.command = [path, *flags, *extra_flags]
        self.process = subprocess.Popen(
            self.command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._ready.wait(START_S)
        if self.port is None or not self.alive():
            self.stop()
            raise RuntimeError(f"{' '.join(self.command)} did not get ready\n{self.log_tail()}")

    def _read_log(self):
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip("\n")
            self.log.append(line)
            if match := re.search(r"Listening for client connections on .*:(\d+)$", line):
                self.port = int(match[1])
            if "Server is ready" in line:
                self._ready.set()
        self._ready.set()

    def alive(self):
        return self.process.poll() is None

    def signal(self, name):
        self.process.send_signal(getattr(signal, f"SIG{name}"))

    def wait_exit(self, within_s):
        """The exit status, or None when the server still runs after that time."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        """End the process, by force when it does not go by itself; True when it went well."""
        deadline = time.monotonic() + STOP_S
        if self.alive():
            self.signal("TERM")
        status = self.wait_exit(deadline - time.monotonic())
        if status is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_S)
        self.process.stderr.close()
        return status == 0

    def log_tail(self, lines=25):
        return "\n".join(list(self.log)[-lines:])
