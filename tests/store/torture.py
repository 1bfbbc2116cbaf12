#!/usr/bin/env python3
"""The store's tests, long: what they did, with which seed and of which commit, goes to a report.

usage: torture.py BUILD [--scale X] [--seed N] [--jobs N] [--report FILE] [--only NAME]

With --scale 1 the numbers are those of docs/reliability.md; it takes hours. Smaller ones are for a look.
Each part gets its own seed, made of the one given; with PIPIT_SEED=N it does the same again.
"""
import argparse
import datetime
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURE = re.compile(r"^figure: (.*): (\d+)$", re.MULTILINE)


def parts(build, scale, model_scale, seed, jobs):
    """Name, command, environment, what it is for, how many processes share the work."""
    tests = os.path.join(build, "tests", "store")
    count = lambda whole, least, part=scale: str(max(least, round(whole * part)))
    kills = count(1000, 50)
    # half of the sequences are of each kind; the allocator keeps its memory, which is half the time
    yield ("model", [f"{tests}/test_store_model"],
           {"PIPIT_STORE_SEQUENCES": str(max(300, round(500000 * model_scale / jobs))),
            "MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"},
           "random operations against a naive model, reopened at random points", jobs)
    yield ("power", [f"{tests}/test_store_power"],
           {"PIPIT_STORE_STEPS": count(1000, 150), "PIPIT_STORE_CUTS": count(100000, 300)},
           "power cuts on a disk that loses, tears and reorders what was not synced", 1)
    yield ("failures", [f"{tests}/test_store_failures"], {},
           "every call to the disk and every allocation fails once", 1)
    yield ("damage", [f"{tests}/test_store_damage"],
           {"PIPIT_STORE_STRIDE": str(min(61, max(1, round(1 / scale))))},
           "bytes flipped, files cut, sectors zeroed and stale, files missing, doubled, renamed",
           1)
    yield ("snapshot", [f"{tests}/test_store_snapshot"], {}, "snapshots and damaged snapshots", 1)
    yield ("kill", [os.path.join(HERE, "kill.py"), f"{tests}/store_writer", f"{build}/pipit-store",
                    kills, "--seed", str(seed)], {}, "SIGKILL of a process that writes", 1)
    if os.path.exists(f"{tests}/losing_disk"):
        yield ("losing", [os.path.join(HERE, "kill.py"), f"{tests}/store_writer",
                          f"{build}/pipit-store", count(200, 50), "--seed", str(seed), "--losing",
                          f"{tests}/losing_disk"], {},
               "the same on a file system that loses what was not synced, at each kill", 1)


def start(command, environment, seed):
    return subprocess.Popen(command, env=dict(os.environ, PIPIT_SEED=str(seed), **environment),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(name, command, environment, seed, jobs):
    """Each process begins with a seed far from those of the others."""
    began = time.monotonic()
    seeds = [seed + (job << 32) for job in range(jobs)]
    processes = [start(command, environment, each) for each in seeds]
    figures, passed = [], True
    for process, each in zip(processes, seeds):
        output = process.communicate()[0]
        figures += FIGURE.findall(output)
        kills = re.search(r"^(\d+) kills", output, re.MULTILINE)
        if kills:
            figures.append(("kills", kills.group(1)))
        if process.returncode:
            passed = False
            print(output[-4000:])
            print(f"{name}: FAILED with {process.returncode}, seed {each}: " +
                  " ".join(f"{k}={v}" for k, v in {**environment, "PIPIT_SEED": each}.items()) +
                  " " + " ".join(command))
    return passed, figures, time.monotonic() - began


def sum_up(figures):
    sums = {}
    for what, number in figures:
        sums[what] = sums.get(what, 0) + int(number)
    return sums


def report(rows, seed, scale, commit):
    yield f"Commit {commit}, seed {seed}, scale {scale:g}, {datetime.date.today()}."
    yield ""
    yield "| part | what | how much | went wrong | seconds |"
    yield "|---|---|---|---|---|"
    for name, what, passed, figures, seconds in rows:
        amount = "; ".join(f"{number} {text}" for text, number in sum_up(figures).items()) or "once"
        yield f"| {name} | {what} | {amount} | {'nothing' if passed else 'FAILED'} | {seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--model-scale", type=float, help="that of the model's part, the longest")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 48))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1,
                        help="processes that share the model's part")
    parser.add_argument("--report")
    parser.add_argument("--only")
    options = parser.parse_args()
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short=10", "HEAD"],
                            capture_output=True, text=True).stdout.strip() or "unknown"
    print(f"seed {options.seed}", flush=True)
    rows = []
    for name, command, environment, what, jobs in parts(
            os.path.abspath(options.build), options.scale, options.model_scale or options.scale,
            options.seed, options.jobs):
        if options.only and name != options.only:
            continue
        passed, figures, seconds = run(name, command, environment, options.seed, jobs)
        rows.append((name, what, passed, figures, seconds))
        print(f"{name}: {'passed' if passed else 'FAILED'} in {seconds:.0f} s "
              f"{sum_up(figures)}", flush=True)
    text = "\n".join(report(rows, options.seed, options.scale, commit)) + "\n"
    if options.report:
        with open(options.report, "w") as file:
            file.write(text)
    print(text)
    return 0 if all(row[2] for row in rows) else 1


sys.exit(main())
