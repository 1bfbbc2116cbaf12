#!/usr/bin/env python3
"""Whether a hostile client is felt by the others: their p99 while it does its worst.

    bench/hostile.py [--rounds N] [--seconds S] [--rate R] [--pipit PATH] [--bench PATH] [FLOOD ...]

A witness publishes and subscribes at a steady rate and counts latency from when each message was due.
Each flood runs twice a round: against a second server, and against the witness's own. Both take the
same cores from the witness; the difference is what the flooded server itself does to it. Printed are
medians; a ratio says how many times worse the p99 is beside the flood (at most 2).
"""
import argparse
import pathlib
import socket
import statistics
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATIO_MAX = 2.0
CONNECT = b'CONNECT {"verbose":false,"pedantic":true}\r\n'


def dial(port, first=CONNECT):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(first)
    return client


def deaf(client):
    """Read what comes and forget it, so that the flood goes on."""
    def read():
        try:
            while client.recv(1 << 20):
                pass
        except OSError:
            pass
    threading.Thread(target=read, daemon=True).start()
    return client


def again(attack):
    """A flood that is thrown out comes back."""
    def flood(port):
        while True:
            try:
                attack(port)
            except OSError:
                pass
    return flood


@again
def malformed(port):
    client = dial(port)
    client.sendall(b"BOGUS foo bar\r\n" * 50)
    while client.recv(65536):
        pass


@again
def bad_subjects(port):
    client = deaf(dial(port))
    while True:
        client.sendall(b"PUB a..b 1\r\nx\r\n" * 4000)


@again
def churn(port):
    client = deaf(dial(port))
    subscribe = b"".join(b"SUB churn.%d.c %d\r\n" % (i, i) for i in range(20000))
    unsubscribe = b"".join(b"UNSUB %d\r\n" % i for i in range(20000))
    while True:
        client.sendall(subscribe)
        client.sendall(unsubscribe)


@again
def new_subjects(port):
    client, n = deaf(dial(port)), 0
    client.sendall(b"".join(b"SUB *.*.%d.> %d\r\n" % (i, i) for i in range(3000)))
    while True:
        client.sendall(b"".join(b"PUB z.%d.%d.q 0\r\n\r\n" % (i, i % 3000) for i in range(n, n + 4000)))
        n += 4000


@again
def never_reads(port):
    sleeper = dial(port, CONNECT + b"SUB full.load 1\r\n")
    publisher = deaf(dial(port))
    batch = b"PUB full.load 1024\r\n" + b"x" * 1024 + b"\r\n"
    try:
        while True:
            publisher.sendall(batch * 500)
    finally:
        sleeper.close()


def slowloris(port):
    clients = [dial(port, b"") for _ in range(2000)]
    while True:
        for client in clients:
            try:
                client.send(b"C")
            except OSError:
                pass


@again
def half_open(port):
    clients = [dial(port, b"") for _ in range(2000)]
    for client in clients:
        client.close()


FLOODS = {flood: globals()[flood] for flood in
          ("malformed", "bad_subjects", "churn", "new_subjects", "never_reads", "slowloris")}
FLOODS["half_open"] = half_open


def start_server(options):
    port = compare.quiet_port()
    process = subprocess.Popen([options.pipit, "-a", "127.0.0.1", "-p", str(port)],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    compare.wait_until_accepting(process, port)
    return process, port


def p99_us(options, flood, beside):
    """The witness's p99 with the flood at its server, or at another."""
    servers = [start_server(options), start_server(options)]
    flooder = None
    try:
        (process, port), (_, elsewhere) = servers
        flooder = subprocess.Popen([sys.executable, __file__, "--flood-port",
                                    str(port if beside else elsewhere), flood])
        report = compare.run_bench(options.bench, [
            "paced", "--json", "--server", f"127.0.0.1:{port}", "--pid", str(process.pid),
            "--size", "128", "--rate", str(options.rate), "--seconds", str(options.seconds)])
        if flooder.poll() is not None:
            sys.exit(f"the flood {flood} ended by itself")
        if report["lost"]:
            sys.exit(f"{flood}: the witness lost {report['lost']} messages")
        return report["latency_p99_us"]
    finally:
        if flooder:
            flooder.kill()
            flooder.wait()
        for process, _ in servers:
            compare.stop(process)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--pipit", default=str(ROOT / "build" / "pipit-server"))
    parser.add_argument("--bench", default=str(ROOT / "build" / "pipit-bench"))
    parser.add_argument("--flood-port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    options = parser.parse_args()
    names = options.floods or list(FLOODS)
    for name in names:
        if name not in FLOODS:
            parser.error(f"no flood {name}; there are {', '.join(FLOODS)}")
    if options.flood_port:
        FLOODS[names[0]](options.flood_port)
    times = {(name, beside): [] for name in names for beside in (False, True)}
    for _ in range(options.rounds):
        for name, beside in times:
            times[name, beside].append(p99_us(options, name, beside))
    print(f"{'p99 of the others, us':24}{'elsewhere':>12}{'beside':>12}{'ratio':>8}")
    worst = 0.0
    for name in names:
        away, here = (statistics.median(times[name, beside]) for beside in (False, True))
        worst = max(worst, here / away)
        print(f"{name:24}{away:12.0f}{here:12.0f}{here / away:8.2f}")
    print(f"worst ratio {worst:.2f} (at most {RATIO_MAX:g})")
    return 0 if worst <= RATIO_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
