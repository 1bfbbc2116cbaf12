#!/usr/bin/env python3
"""Give every file of the corpus to nats-server, too: same verdict, same digest, same line.

usage: compare.py PARSE [NATS-SERVER]
PARSE is the program made of parse.c; NATS-SERVER by default the one that scripts/peers.sh brings.

The keys of the corpus mean nothing to nats-server, which would refuse them as unknown. So it gets
each file wrapped:

    corpus { include "FILE" }
    port: $corpus
    port: -1

A key that a variable refers to may have any name and any value, and of two equal keys only the
last counts. pipit reads the same wrapper, so that the digests can be compared.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import corpus

sys.path.insert(0, str(corpus.HERE.parents[0] / "support"))
import peers  # noqa: E402

WRAPPER = 'corpus {{ include "{}" }}\nport: $corpus\nport: -1\n'

# nats-server reads these until its stack is full.
NOT_PLAYED = ("invalid/include-itself.conf", "invalid/include-cycle.conf")


def play(program, wrapper):
    """What nats-server says: "valid DIGEST" or "invalid ERROR"."""
    done = subprocess.run([program, "-t", "-c", wrapper], env=corpus.ENVIRONMENT, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode("utf-8", "replace")
    digest = re.search(r"is valid \((sha256:[0-9a-f]{64})\)", text)
    if done.returncode == 0 and digest:
        return f"valid {digest.group(1)}"
    if "error parsing include file" not in text:
        return f"nothing to compare: {text}"
    return f"invalid {text.strip()}"


def same_line(ours, theirs):
    """Compare the innermost line that either names. nats-server has read one character too many
    where that is a new line, and names the end of the file for what never ends."""
    our_line = re.findall(r":(\d+):\d+: ", ours)
    their_line = re.findall(r"on line (\d+)", theirs) or re.findall(r":(\d+):\d+\)", theirs)
    if not our_line or not their_line or "EOF" in ours or "without a value" in ours:
        return True
    return int(their_line[-1]) - int(our_line[-1]) in (0, 1)


def judge(path, ours, theirs):
    """None, or what is wrong."""
    both = f"{path}:\n  pipit:       {ours}\n  nats-server: {theirs}"
    if path.startswith("differences/"):
        return f"{both}\n  this is no difference any more" if ours == theirs else None
    if ours.split(" ")[0] != theirs.split(" ")[0]:
        return both
    if ours.startswith("valid"):
        return None if ours == theirs else both
    return None if same_line(ours, theirs) else f"{both}\n  not the same line"


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    program = sys.argv[2] if len(sys.argv) == 3 else peers.path_of()
    if not os.path.exists(program):
        return peers.missing(program)
    paths = [path for path in corpus.files("valid", "invalid", "differences")
             if path not in NOT_PLAYED]
    with tempfile.TemporaryDirectory() as folder:
        wrappers = []
        for path in paths:
            wrapper = pathlib.Path(folder).resolve() / path.replace("/", "-")
            inner = os.path.relpath(corpus.HERE / path, wrapper.parent)
            wrapper.write_text(WRAPPER.format(inner), encoding="utf-8")
            wrappers.append(str(wrapper))
        ours = corpus.parse(sys.argv[1], wrappers)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            theirs = list(pool.map(lambda wrapper: play(program, wrapper), wrappers))
    failures = [wrong for path, wrapper, said in zip(paths, wrappers, theirs)
                if (wrong := judge(path, ours[wrapper], said))]
    return corpus.finish(len(paths) - len(failures), failures)


if __name__ == "__main__":
    sys.exit(main())
