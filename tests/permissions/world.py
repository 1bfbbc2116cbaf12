"""Servers under a configuration, clients by hand, and a list of tests to run."""

import contextlib
import json
import os
import pathlib
import socket
import sys
import tempfile
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reload"))
sys.dont_write_bytecode = True
from harness import Client, Server  # noqa: E402

__all__ = ["Client", "PIPIT", "Server", "authorization", "expect", "main", "peer", "served", "user"]

PIPIT = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None


def peer():
    """The nats-server that scripts/peers.sh brings, or None."""
    folder = os.environ.get("PIPIT_PEERS_DIR") or HERE.parents[1] / "build/peers/bin"
    path = os.path.join(folder, "nats-server")
    return path if os.path.exists(path) else None


@contextlib.contextmanager
def served(config, *flags, path=None):
    """A server that lives as long as the block; path None: pipit-server."""
    with tempfile.TemporaryDirectory(prefix="pipit-permissions-") as folder:
        server = Server(path or PIPIT, folder, config, flags)
        try:
            yield server
        except BaseException:
            server.process.kill()
            server.process.wait()
            raise
        server.stop()


def user(name, permissions=None, password="p"):
    more = f", permissions: {permissions}" if permissions else ""
    return f"{{ user: {name}, password: {password}{more} }}"


def authorization(*users, more=""):
    return "authorization { users: [ " + ", ".join(users) + f" ] {more} }}\n"


def expect(what, got, wanted):
    assert got == wanted, f"{what}: {got!r}, wanted {wanted!r}"


def main(tests):
    """Run those whose names hold one of the arguments behind the server's; all without any."""
    wanted = sys.argv[2:]
    failed = 0
    chosen = [(name, test) for name, test in tests.items()
              if name.startswith("test_") and callable(test)
              and (not wanted or any(word in name for word in wanted))]
    for name, test in chosen:
        try:
            test()
            print(f"ok    {name}", flush=True)
        except (AssertionError, OSError, json.JSONDecodeError, socket.timeout):
            failed += 1
            print(f"FAIL  {name}", flush=True)
            traceback.print_exc()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0
