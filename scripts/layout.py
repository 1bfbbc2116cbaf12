#!/usr/bin/env python3
"""Write src/layout.ld: which functions lie at the front of a program with libpipit in it.

    scripts/layout.py BUILD > src/layout.ld

BUILD is a build directory of the default build type, with tests. A server in a program, clients
over memory and a server with clients by TCP are run under callgrind, and every function that they
have called is listed: first what a server needs to start, then what its messages pass through.
Names that there are no longer do no harm, and new functions are only farther away; so it is enough
to run this now and then.
"""
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

HEAD = """/* Functions that every server calls, together, so that they share pages: the kernel maps sixteen
 * pages for each that is touched, and a server that only starts would have all of libpipit resident.
 * Written by scripts/layout.py. */
SECTIONS
{
  .text.first :
  {
"""
TAIL = """  }
}
INSERT BEFORE .text;
"""
CLIENT = (b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n'
          b"SUB a.* 1\r\nSUB a.> workers 2\r\nSUB a.b 3\r\nPING\r\n"
          b"PUB a.b 5\r\nhello\r\nPUB a.b reply 5\r\nhello\r\nPUB nobody 0\r\n\r\n"
          b"HPUB a.b 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nhello\r\n"
          b"PUB a.c 4096\r\n" + b"x" * 4096 + b"\r\nUNSUB 1 1\r\nUNSUB 2\r\nPING\r\n")


def plain(name):
    """Without what the compiler appends, and callgrind to a recursion."""
    return re.split(r"[.']", name)[0]


def called(profile):
    return {plain(name) for name in re.findall(r"^c?fn=\(\d+\) (\S+)", profile.read_text(), re.M)}


def callgrind(profile, *command):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", *command]


def program(folder, *command):
    profile = folder / "program"
    subprocess.run(callgrind(profile, *command), check=True, timeout=300, stdout=sys.stderr)
    return called(profile)


def hear_pongs(client, count):
    heard = b""
    while heard.count(b"PONG\r\n") < count:
        piece = client.recv(65536)
        assert piece, heard
        heard += piece


def server_with_clients(folder, command):
    profile, port = folder / "server", None
    with subprocess.Popen(callgrind(profile, command, "-a", "127.0.0.1", "-p", "-1"),
                          stderr=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stderr:
                found = re.search(r"client connections on .*:(\d+)", line)
                port = port or found and int(found[1])
                if "Server is ready" in line:
                    break
            clients = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2)]
            for client in clients:
                client.sendall(CLIENT)
            for client in clients:
                hear_pongs(client, 2)
                client.close()
        finally:
            server.terminate()
            server.stderr.read()
    return called(profile)


def ours(library):
    names = subprocess.run(["nm", "--defined-only", library], check=True, capture_output=True,
                           text=True).stdout
    return {plain(name) for name in re.findall(r"^\S+ [tT] (\S+)", names, re.M)}


def main():
    build = pathlib.Path(sys.argv[1])
    known = ours(build / "libpipit.so")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        start = program(folder, build / "examples/embed") & known
        messages = set()
        for example in ("chat", "request"):
            messages |= program(folder, build / "examples" / example)
        messages |= server_with_clients(folder, build / "pipit-server")
    messages = messages & known - start
    sys.stdout.write(HEAD)
    for title, names in (("starting, and stopping", start), ("messages", messages)):
        sys.stdout.write(f"    /* {title} */\n")
        for name in sorted(names):
            sys.stdout.write(f"    *(.text.{name} .text.{name}.*)\n")
    sys.stdout.write(TAIL)


if __name__ == "__main__":
    main()
