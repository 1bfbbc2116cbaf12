#!/usr/bin/env python3
"""Users of the system on the Unix socket: who connects is known without a password, and only there."""

import os
import socket
import sys

from world import DEADLINE_S, PIPIT, Connection, Server, finish

UID, GID = os.getuid(), os.getgid()
CONFIG = f"""
unix: UNIX_PATH
accounts {{
    A {{ users: [{{user: other, uid: {UID + 1}}}, {{user: both, uid: {UID}, gid: {GID + 1}}}] }}
    B {{ users: [{{user: me, uid: {UID}, allowed_connection_types: [STANDARD]}}] }}
    C {{ users: [{{user: ann, password: one}}, {{user: open}}] }}
}}
"""


def over_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE_S)
    sock.connect(path)
    return Connection(sock)


def outcome(connection, **shown):
    with connection:
        said = connection.log_in(**shown)
        if said is not None:
            return said
        who = connection.who()
        return who["user"], who["account"]


def check(failures, what, got, wanted):
    if got != wanted:
        failures.append(f"{what}: {got}, not {wanted}")


def main():
    failures = []
    refused = ["-ERR 'Authorization Violation'"]
    path = f"/tmp/pipit-peers-{os.getpid()}.sock"
    config = CONFIG.replace("UNIX_PATH", path)
    with Server(PIPIT, config) as server:
        check(failures, "the peer", outcome(over_unix(path)), ("me", "B"))
        with over_unix(path) as first:
            first.send("PING\r\n")
            check(failures, "the peer without CONNECT", first.until("PONG")[0], "PONG")
        check(failures, "who says who it is",
              outcome(over_unix(path), user="ann", **{"pass": "one"}), ("ann", "C"))
        check(failures, "and says it wrong",
              outcome(over_unix(path), user="ann", **{"pass": "two"}), refused)
        check(failures, "the name alone is no proof", outcome(over_unix(path), user="me"), refused)
        check(failures, "nor by TCP", outcome(server.connect(), user="me"), refused)
        check(failures, "nothing by TCP", outcome(server.connect()), refused)
        check(failures, "others have their empty password", outcome(server.connect(), user="open"),
              ("open", "C"))
    with Server(PIPIT, config.replace(f"user: me, uid: {UID}", f"user: me, uid: {UID + 2}")):
        check(failures, "another's peer", outcome(over_unix(path)), refused)
    with Server(PIPIT, "no_auth_user: open\n" + config):
        check(failures, "before no_auth_user", outcome(over_unix(path)), ("me", "B"))
    finish(failures, 10)


if __name__ == "__main__":
    sys.exit(main())
