#!/usr/bin/env python3
"""What the fanout door costs beside the NATS door of the same pipit, and whether one who stops reading
is felt by others.

    bench/fanout.py [--rounds N] [--seconds S] [--pipit PATH] [--bench PATH]

Rounds go through the rows again and again, with a server started afresh for each; printed are medians.
Cost: both doors get the same announcements at the same pace, slow enough that each is delivered before
the next: the NATS door, too, sends each by itself then. In a flood it would put many into one send,
which is what fanout clients cannot have. Stalled: fewer subscribers and so many lines that the queue of
the one who does not read fills, and it is closed on the way.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compare  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
COST_MAX = 2.0      # times the NATS door's CPU for each line
STALL_MAX = 1.2     # times the p99 without one who does not read


MANY = "--subs 1000 --size 64 --rate 100".split()
FEW = "--fanout --subs 20 --size 256 --rate 4000".split()
ROWS = {
    "1:1000 at 100/s, NATS": MANY,
    "1:1000 at 100/s, fanout": [*MANY, "--fanout"],
    "1:20 at 4000/s, fanout": FEW,
    "the same, one stalled": [*FEW, "--stalled", "1"],
}


def run(options, *arguments):
    port, fanout = compare.quiet_port(), compare.quiet_port()
    process = subprocess.Popen([options.pipit, "-a", "127.0.0.1", "-p", str(port),
                                f"--fanout=127.0.0.1:{fanout}", *options.server.split()],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        compare.wait_until_accepting(process, port)
        target = fanout if "--fanout" in arguments else port
        return compare.run_bench(options.bench, [
            "announce", "--json", "--server", f"127.0.0.1:{target}", "--pid", str(process.pid),
            "--seconds", str(options.seconds), *arguments])
    finally:
        compare.stop(process)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--server", default="", help="more flags for the server")
    parser.add_argument("--pipit", default=str(ROOT / "build" / "pipit-server"))
    parser.add_argument("--bench", default=str(ROOT / "build" / "pipit-bench"))
    options = parser.parse_args()
    reports = {row: [] for row in ROWS}
    lost = 0
    for _ in range(options.rounds):
        for row, arguments in ROWS.items():
            reports[row].append(run(options, *arguments))
            lost += reports[row][-1]["lost"]
    print(f"{'':26}{'CPU us/line':>12}{'p50 us':>10}{'p99 us':>10}")
    medians = {}
    for row, each in reports.items():
        medians[row] = [statistics.median(report[key] for report in each)
                         for key in ("server_cpu_s_per_million", "latency_p50_us", "latency_p99_us")]
        print(f"{row:26}{medians[row][0]:12.2f}{medians[row][1]:10.0f}{medians[row][2]:10.0f}")
    nats, fanout, few, stalled = medians.values()
    cost, stall = fanout[0] / nats[0], stalled[2] / few[2]
    print(f"CPU of a line, times the NATS door's: {cost:.2f} (at most {COST_MAX:g})")
    print(f"p99 with one stalled, times that without: {stall:.2f} (at most {STALL_MAX:g})")
    if lost:
        print(f"! {lost} lines lost")
    return 0 if cost <= COST_MAX and stall <= STALL_MAX and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
