#!/usr/bin/env python3
"""Give every file of the corpus to both servers: the same verdict, but for what is known.

usage: compare.py PIPIT-SERVER [NATS-SERVER]
       compare.py --differences [FILE]    write them as Markdown; or look whether FILE holds them
NATS-SERVER is by default the one that scripts/peers.sh brings.

differences.txt names a group for each file in differences/. A file of the group `start` is also
given to nats-server to run with, which has to end by itself.
"""
import os
import subprocess
import sys

import corpus

sys.path.insert(0, str(corpus.HERE.parents[1] / "support"))
import peers  # noqa: E402

GROUPS = {
    "missing": "**Keys of features that are not there yet** are refused by pipit-server, each by "
               "name; what asks for nothing, such as `jetstream: false`, is taken.",
    "start": "**Found by `-t`.** nats-server takes these with `-t` and ends when it starts with "
             "them.",
    "sense": "**Values without sense** that nats-server takes, and what it then does.",
    "own": "**Keys of pipit**, which nats-server does not know.",
}


# nats-server's verdict depends on the order in which it happens to walk a map: it refuses most times.
UNSTEADY = {"passages-stream-thr.conf"}


def starts(program, path):
    """Does nats-server run with a file? On ports of its own, unless the file is about ports."""
    text = (corpus.HERE / path).read_text(encoding="utf-8")
    flags = ["-a", "127.0.0.1"]
    if "port:" not in text.replace("http_port:", "") and "listen:" not in text:
        flags += ["-p", "-1"]
    try:
        subprocess.run([program, "-c", path, *flags], cwd=corpus.HERE, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return True
    return False


def judge(path, ours, theirs, groups, program):
    """None, or what is wrong."""
    both = f"{path}:\n  pipit:       {ours[1]}\n  nats-server: {theirs[1]}"
    name = os.path.basename(path)
    if name in UNSTEADY:
        return both if ours[0] else None
    if not path.startswith("differences/"):
        return None if ours[0] == theirs[0] else both
    if ours[0] == theirs[0]:
        return f"{both}\n  this is no difference any more"
    group = groups.get(name, "").partition(" ")[0]
    if group not in GROUPS:
        return f"{path}: differences.txt does not say why"
    if group == "start" and starts(program, path):
        return f"{path}: nats-server starts with it"
    return None


def compare(ours_program, program):
    if not os.path.exists(program):
        return peers.missing(program)
    paths = corpus.files()
    ours, theirs = corpus.verdicts(ours_program, paths), corpus.verdicts(program, paths)
    groups = corpus.table("differences.txt")
    failures = [wrong for path in paths
                if (wrong := judge(path, ours[path], theirs[path], groups, program))]
    return corpus.finish(len(paths) - len(failures), failures)


def shown(name):
    """The lines of a file as one piece of code."""
    text = (corpus.HERE / "differences" / name).read_text(encoding="utf-8")
    return "`" + " ".join(text.split()) + "`"


def render():
    rows = corpus.table("differences.txt")
    lines = ["Made by `tests/config/keys/compare.py --differences` from the files that carry them.",
             ""]
    for group, text in GROUPS.items():
        lines.append(f"- {text}")
        for name, rest in rows.items():
            named, _, why = rest.partition(" ")
            if named == group:
                lines.append(f"  - {shown(name)}{': ' + why if why else ''}")
    return "\n".join(lines) + "\n"


def look_into(path):
    with open(path, encoding="utf-8") as file:
        if render() in file.read():
            print("1 passed, 0 failed")
            return 0
    print(f"{path} does not hold what compare.py --differences writes")
    print("0 passed, 1 failed")
    return 1


def main():
    if sys.argv[1:2] == ["--differences"]:
        if len(sys.argv) == 3:
            return look_into(sys.argv[2])
        print(render(), end="")
        return 0
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    return compare(sys.argv[1], os.path.abspath(sys.argv[2] if len(sys.argv) == 3 else peers.path_of()))


if __name__ == "__main__":
    sys.exit(main())
