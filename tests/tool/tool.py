"""Running the tool: in an environment of its own, against a server of either kind."""

import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path[:0] = [str(HERE.parent / "process"), str(HERE.parent / "support")]
from children import die_with_parent  # noqa: E402
from server import Server  # noqa: E402

PIPIT = os.path.abspath(os.environ.get("PIPIT_SERVER", REPO / "build/pipit-server"))
TOOL = os.path.abspath(os.environ.get("PIPIT_TOOL", REPO / "build/pipit"))
PEERS = pathlib.Path(os.environ.get("PIPIT_PEERS_DIR") or REPO / "build/peers/bin").resolve()
NATS_SERVER, NATS = PEERS / "nats-server", PEERS / "nats"
WAIT_S = float(os.environ.get("TOOL_WAIT_S", 60))

# What others may put into a name, a subject, a header or a payload. None of it may reach a terminal.
HOSTILE = ["<b onclick=alert(1)>x</b>", "\x1b[2J\x1b]0;owned\x07", "a\x00b", "\x9b31m",
           "\u202etxt.exe", "\u200bhidden", "\x7f\x08\x08", "n" * 4096]


def bad_characters(text):
    """Characters that a terminal obeys, in what was printed."""
    return {c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7f <= ord(c) < 0xa0 or
            c in "\u202e\u200b\u202d"}


class Running:
    """The tool at work: its lines as they come."""

    def __init__(self, arguments, env, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen([TOOL, *arguments], env=env, stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=die_with_parent)
        self.out, self.err = [], []
        self._queue = queue.Queue()
        self._threads = [threading.Thread(target=self._read, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self.out),
                                      (self.process.stderr, self.err))]
        for thread in self._threads:
            thread.start()

    def _read(self, stream, lines):
        for raw in stream:
            line = raw.decode(errors="surrogateescape").rstrip("\n")
            lines.append(line)
            self._queue.put(line)
        self._queue.put(None)

    def await_line(self, text):
        ended = 0
        while ended < 2:
            line = self._queue.get(timeout=WAIT_S)
            if line is None:
                ended += 1
            elif text in line:
                return line
        raise AssertionError(f"no {text!r} in {self.out} {self.err}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self):
        status = self.process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        if not self.process.stdout.closed:
            self.wait()


class ToolTest(unittest.TestCase):
    """Tests with a home of their own."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.home = pathlib.Path(cls.folder.name)
        cls.environ = {name: value for name, value in os.environ.items()
                       if not name.startswith(("NATS_", "XDG_")) and name not in ("COLUMNS",)}
        cls.environ.update(HOME=str(cls.home), XDG_CONFIG_HOME=str(cls.home / "config"),
                           TERM="xterm", NATS_TIMEOUT="30s")  # longer than a busy machine may take

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def tool(self, *arguments, status=0, stdin="", text=True, **env):
        """Run it to its end. Returns what it has printed on standard output; self.said is what was
        on standard error."""
        if text and stdin is not None and isinstance(stdin, str):
            stdin = stdin.encode("utf-8", "surrogateescape")
        done = subprocess.run([TOOL, *arguments], env={**self.environ, **env}, input=stdin,
                              capture_output=True, timeout=WAIT_S, check=False)
        self.said = done.stderr.decode("utf-8", "surrogateescape")
        out = done.stdout.decode("utf-8", "surrogateescape") if text else done.stdout
        self.assertEqual(done.returncode, status, f"{arguments}: {self.said}\n{out}")
        return out

    def start(self, *arguments, **env):
        running = Running(arguments, {**self.environ, **env})
        self.addCleanup(running.__exit__)
        return running


class OnServer(ToolTest):
    """Tests against a server. Subclasses are made for pipit-server and for nats-server by
    on_both()."""

    program = PIPIT
    flags = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not os.access(cls.program, os.X_OK):
            cls.folder.cleanup()
            raise unittest.SkipTest(f"{cls.program} is not there: scripts/peers.sh builds it")
        cls.serve()
        cls.environ["NATS_URL"] = f"nats://127.0.0.1:{cls.server.port}"

    @classmethod
    def serve(cls):
        cls.server = Server(cls.program, *cls.flags)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()


def on_both(cls, module):
    """Have a class of tests run against either server."""
    cls.__test__ = False
    servers = {"Pipit": PIPIT, "NatsServer": str(NATS_SERVER)}
    if os.environ.get("PIPIT_BUILD") == "sanitized":  # the tool does the same with either
        del servers["NatsServer"]
    for name, program in servers.items():
        module[f"{cls.__name__}On{name}"] = type(f"{cls.__name__}On{name}", (cls,),
                                                 {"program": program, "__module__": "__main__"})
