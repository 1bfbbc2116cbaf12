#!/usr/bin/env python3
"""Play protocol transcripts to a server. README.md tells how they are written."""

import argparse
import concurrent.futures
import os
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import process
from exchange import Exchange, Failure, show_talk
from transcript import KINDS, FormatError, read_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import peers  # noqa: E402


@dataclass
class Result:
    case: object
    report: str = ""  # empty when it passed
    observed: list = field(default_factory=list)
    seconds: float = 0.0


def main():
    args = parse_arguments()
    try:
        cases = select_cases(args)
    except (FormatError, OSError) as err:
        print(err)
        print("0 passed, 1 failed")
        return 1
    if args.list:
        for case in cases:
            print(f"{case.title}  [{case.spec}]")
        return 0
    if args.differences:
        print_differences(cases)
        return 0
    programs = args.compare or [args.server]
    programs = [peers.path_of() if program == "peer" else program for program in programs]
    for program in programs:
        if not os.access(program, os.X_OK):
            return peers.missing(program)
    if args.compare:
        return compare(programs, cases, args)
    return summary(play_all(programs[0], args.kind or process.kind_of(programs[0]), cases, args))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="The program 'peer' is the nats-server that scripts/peers.sh has brought.",
    )
    parser.add_argument("files", nargs="*", help="transcripts; all of nats/ without any")
    parser.add_argument("--server", help="the server program to play to")
    parser.add_argument("--kind", choices=KINDS, help="what it is, when its name does not say")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="play to both and compare")
    parser.add_argument("--differences", action="store_true", help="list intended differences")
    parser.add_argument("--list", action="store_true", help="list the transcripts")
    parser.add_argument("-k", metavar="PATTERN", help="only transcripts with this in their title")
    parser.add_argument("--split", choices=("every",), help="send everything byte by byte")
    parser.add_argument("--flags", default="", help="more flags for the server, as in a shell")
    parser.add_argument("--jobs", type=int, default=4, help="servers at the same time")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on all deadlines")
    parser.add_argument("-v", "--verbose", action="store_true", help="name what passes, too")
    args = parser.parse_args()
    if not (args.server or args.compare or args.differences or args.list):
        parser.error("one of --server, --compare, --differences and --list is needed")
    return args


def select_cases(args):
    files = args.files or sorted(HERE.glob("nats/*.txt"))
    cases = [case for file in files for case in read_file(file)]
    for case in cases:
        try:
            process.check_options(case.options)
        except ValueError as err:
            raise FormatError(f"{case.path}:{case.line}: {err}") from None
    if args.k:
        cases = [case for case in cases if args.k.lower() in case.title.lower()]
    if not cases:
        raise FormatError("no transcripts")
    return cases


# -- playing ----------------------------------------------------------------------------------


def play_all(path, kind, cases, args, quiet=False):
    """Play the cases that are meant for this kind; results in the order of the cases."""
    groups = {}
    for case in cases:
        if case.only in (None, kind):
            groups.setdefault((case.options, case.title if case.alone else ""), []).append(case)
    path = os.path.abspath(path)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        played = [pool.submit(play_group, path, kind, group, args) for group in groups.values()]
        results = []
        for future in concurrent.futures.as_completed(played):
            for result in future.result():
                results.append(result)
                if quiet:
                    continue
                if result.report:
                    print(f"FAIL {result.case.title}\n{result.report}", flush=True)
                elif args.verbose:
                    print(f"ok   {result.case.title} ({result.seconds:.2f} s)", flush=True)
    order = {id(case): number for number, case in enumerate(cases)}
    return sorted(results, key=lambda result: order[id(result.case)])


def play_group(path, kind, cases, args):
    """Play cases that want the same options to one server, or to its successor if it dies."""
    results = []
    server = None
    with tempfile.TemporaryDirectory(prefix="pipit-protocol-") as folder:
        try:
            for case in cases:
                since = time.monotonic()
                try:
                    server = server or process.Server(
                        path, kind, case.options, folder, shlex.split(args.flags)
                    )
                    result = play_case(case, server, args)
                except (RuntimeError, OSError) as err:
                    result = Result(case, f"    {err}\n", [("", f"failed: {err}")])
                result.seconds = time.monotonic() - since
                results.append(result)
                if server and not case.ends_server and not server.alive():
                    end_server(server, result)
                    server = None
        finally:
            if server:
                end_server(server, results[-1] if results else None)
    return results


def end_server(server, result):
    """Stop the server; one that does not end well fails the case it played last."""
    if not server.stop() and result:
        result.report += f"    the server ended with status {server.process.returncode}\n"
        result.report += server.log_tail() + "\n"


def play_case(case, server, args):
    """Play a case as often as it wants to be played; the first failure ends it."""
    split = case.split
    # Where it matters when things come, pieces that take their time would be something else.
    if args.split and split != "no" and not any(step.after for step in case.steps):
        split = args.split
    cuts = [0]
    result = Result(case)
    played = 0
    for _ in range(case.repeat):
        at = 0
        while at < len(cuts):
            exchange = Exchange(case, server, split, cuts[at], played, args.patience)
            played += 1
            try:
                exchange.play()
            except Failure as failure:
                result.report = describe(exchange, failure, server)
                result.observed = exchange.observed + [("", "failed: " + failure.received)]
                return result
            result.observed = exchange.observed
            if split == "in two" and len(cuts) == 1:
                cuts = range(exchange.sent_bytes)
            at += 1
    return result


def describe(exchange, failure, server):
    step = failure.step
    lines = [f"    {exchange.case.path}:{step.line}, played to {' '.join(server.command)}"]
    if exchange.cut_at:
        lines.append(f"    cut after byte {exchange.cut_at}")
    lines += [f"    {line}" for line in show_talk(exchange.talk)]
    lines.append(f"  step:     {step.source}")
    if failure.expected != step.source:
        lines.append(f"  expected: {failure.expected}")
    lines.append(f"  received: {failure.received}")
    return "\n".join(lines) + "\n"


def summary(results):
    failed = sum(1 for result in results if result.report)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


# -- comparing --------------------------------------------------------------------------------


def compare(programs, cases, args):
    """Play all to both and print what they said differently."""
    sides = []
    for path in programs:
        kind = process.kind_of(path)
        results = play_all(path, kind, cases, args, quiet=True)
        sides.append({result.case.title: result for result in results})
    names = [os.path.basename(path) for path in programs]
    if names[0] == names[1]:
        names = programs
    rows = {}  # (left, right, why): transcripts
    unintended = same = 0
    for case in cases:
        left, right = (side.get(case.title) for side in sides)
        passed = not any(side and side.report for side in (left, right))
        if passed and left and right and left.observed == right.observed:
            same += 1
            continue
        intended = passed and (case.differs or case.only)
        reason = case.differs or (f"only for {case.only}" if case.only else "")
        unintended += not intended
        why = reason if intended else "**not intended**"
        rows.setdefault((*first_difference(left, right), why), []).append(case.title)
    print_table(names, rows)
    intended = len(cases) - same - unintended
    print(f"\n{same} alike, {intended} different as intended, {unintended} different otherwise")
    print(f"{same + intended} passed, {unintended} failed")
    return 1 if unintended else 0


def print_table(names, rows):
    print(f"| transcript | {names[0]} | {names[1]} | why |\n|---|---|---|---|")
    for (left, right, why), titles in rows.items():
        shown = "<br>".join(titles[:5])
        if len(titles) > 5:
            shown += f"<br>and {len(titles) - 5} more"
        cells = (cell.replace("|", "\\|") for cell in (shown, left, right, why))
        print("| " + " | ".join(cells) + " |")


def first_difference(left, right):
    """What each said where they part, as two cells."""
    if not left or not right:
        return tuple("played" if side else "not played" for side in (left, right))
    for (conn, one), (_, other) in zip(left.observed, right.observed):
        if one == other:
            continue
        if isinstance(one, tuple) and isinstance(other, tuple):
            one, other = fields_apart(one, other), fields_apart(other, one)
        return cell(conn, one), cell(conn, other)
    length = min(len(left.observed), len(right.observed))
    return tuple(
        cell(*side.observed[length]) if len(side.observed) > length else "nothing more"
        for side in (left, right)
    )


def fields_apart(info, other):
    apart = [field for field in info if field not in other]
    return "INFO with " + (", ".join(apart) if apart else "fewer fields")


def cell(conn, what):
    text = " ".join((" ".join(what) if isinstance(what, tuple) else what).split())
    text = text if len(text) <= 300 else text[:300] + "..."
    return f"`{conn}: {text}`" if conn else f"`{text}`"


def print_differences(cases):
    """The intended differences as a list for docs/compatibility.md."""
    for case in cases:
        if not case.differs:
            continue
        print(f"- **{case.name}** (`{case.path.stem}`, section {case.spec}): {case.differs}")
        for kind, name in (("nats", "nats-server"), ("pipit", "pipit-server")):
            said = [step.source.partition(": ")[2] for step in case.steps if step.only == kind]
            said += [
                ", ".join(show_check(check) for check in checks)
                for step in case.steps
                for only, checks in step.checks
                if only == kind
            ]
            if said:
                print(f"  - {name}: " + ", ".join(f"`{text}`" for text in said))


def show_check(check):
    op, key, _ = check
    return f"no {key}" if op == "absent" else key


if __name__ == "__main__":
    sys.exit(main())
