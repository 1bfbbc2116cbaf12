#!/usr/bin/env python3
"""The message-broker door, durable, beside the original, which keeps messages in memory only.

    bench/broker.py [--rounds N] [--pipit PATH] [--bench PATH] [--original PATH] [--dir FOLDER]

Eight publishers, each with a topic of its own; the clock stops when a subscriber of each topic has been
given its last message, which was on disk before. In the rows "delivered" every message goes to a
subscriber, who answers it before the next comes, as the protocol has it: there the clients' turns
count more than the server. The original expects each frame in one piece and loses its place when more than a
segment is under way: it is given one write for each message, and 100 messages at a time, which it has read
before the next come. pipit is given the same, and what it can take: one message after another, and 64 KiB
at once. --original is the server of willdot/message-broker;
it is called with the address to listen on. Without it, only pipit is measured. FOLDER is where topics
are kept; beside the rows stands what that disk does: syncs of 4 KiB in preallocated space, one after
another.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FACTOR_MIN = 10
BATCH = "--batch=65536"
WINDOW = "--window=100"
DELIVERED = [WINDOW, "--deliver", "--messages=2000"]
ROWS = [
    ("64 B, durable, 64 KiB at once", "file", ["--size=64", BATCH]),
    ("256 B, durable, 64 KiB at once", "file", ["--size=256", BATCH]),
    ("64 B, durable, one by one", "file", ["--size=64"]),
    ("64 B, durable, in windows", "file", ["--size=64", WINDOW]),
    ("64 B, in memory, in windows", "memory", ["--size=64", WINDOW]),
    ("64 B, original, in windows", "original", ["--size=64", WINDOW]),
    ("64 B, durable, delivered", "file", ["--size=64", *DELIVERED]),
    ("64 B, original, delivered", "original", ["--size=64", *DELIVERED]),
]


def start(options, kind, folder, port):
    if kind == "original":
        command = [options.original, f"127.0.0.1:{port}"]
    else:
        config = os.path.join(folder, "bench.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'no_listen: true\nmessage_broker {{ listen: "127.0.0.1:{port}", store: {kind},'
                       f' store_dir: "{folder}" }}\n')
        command = [options.pipit, "-c", config]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until_accepting(process, port):
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the server does not accept")


def run(options, kind, arguments):
    port = compare.quiet_port()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        process = start(options, kind, folder, port)
        try:
            wait_until_accepting(process, port)
            done = subprocess.run([options.bench, str(port), f"--pid={process.pid}", *arguments],
                                  stdout=subprocess.PIPE, timeout=300, check=True)
            return json.loads(done.stdout)
        finally:
            compare.stop(process)


def disk_syncs(folder, seconds=0.5):
    """A second's worth of 4 KiB, each on disk before the next."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, 64 << 20)
        os.fsync(file.fileno())
        count, begin = 0, time.monotonic()
        while time.monotonic() - begin < seconds:
            os.pwrite(file.fileno(), b"x" * 4096, count * 4096 % (64 << 20))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipit", default=str(ROOT / "build" / "pipit-server"))
    parser.add_argument("--bench", default=str(ROOT / "build" / "pipit-bench-broker"))
    parser.add_argument("--original")
    parser.add_argument("--dir", default=str(ROOT / "build"))
    options = parser.parse_args()
    rows = [row for row in ROWS if row[1] != "original" or options.original]
    rates, costs, syncs = {}, {}, []
    for _ in range(options.rounds):
        for title, kind, arguments in rows:
            report = run(options, kind, arguments)
            rates.setdefault(title, []).append(report["messages_per_s"])
            costs.setdefault(title, []).append(report["server_cpu_s_per_million"])
        syncs.append(disk_syncs(options.dir))
    print(f"{'8 publishers':34}{'msgs/s':>12}{'CPU s/M':>10}")
    for title, _, _ in rows:
        print(f"{title:34}{statistics.median(rates[title]):12.0f}"
              f"{statistics.median(costs[title]):10.2f}")
    print(f"syncs of 4 KiB a second, one after another: {statistics.median(syncs):.0f}")
    if not options.original:
        return 0

    def factor_of(title, original="64 B, original, in windows"):
        return statistics.median(a / b for a, b in zip(rates[title], rates[original]))

    factor = factor_of("64 B, durable, 64 KiB at once")
    print(f"delivered and answered one at a time, durable, times the original in memory: "
          f"{factor_of('64 B, durable, delivered', '64 B, original, delivered'):.1f}")
    print(f"durable, times the original in memory: {factor:.1f} (at least {FACTOR_MIN}); one by one "
          f"{factor_of('64 B, durable, one by one'):.1f}, in windows "
          f"{factor_of('64 B, durable, in windows'):.1f}; server CPU of the original, times that of "
          f"pipit, in windows: {statistics.median(a / b for a, b in zip(costs['64 B, original, in windows'], costs['64 B, durable, in windows'])):.1f}")
    return 0 if factor >= FACTOR_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
