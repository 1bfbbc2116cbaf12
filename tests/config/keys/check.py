#!/usr/bin/env python3
"""Give every file of the corpus to pipit-server -t and compare what it says with golden.txt.

usage: check.py PIPIT-SERVER [--golden]    --golden writes golden.txt anew
"""
import sys

import corpus

# Values that stand for secrets in the corpus: no sentence may hold one.
SECRETS = ("s3cret", "V1qrpBVZdnNLQ9Ov")


def judge(path, said, golden):
    """None, or what is wrong."""
    taken, first, status = said
    if status not in (0, 1):
        return f"{path}: exit status {status}: {first}"
    if any(secret in first for secret in SECRETS):
        return f"{path}: shows a secret: {first}"
    if taken:
        expected = f"configuration file {path} is valid (sha256:"
        if path in golden or not first.startswith(expected):
            return f"{path}: was not expected to be valid: {first}"
        return None
    if golden.get(path) != first:
        return f"{path}:\n  expected: {golden.get(path)}\n  said:     {first}"
    return None


def write_golden(said):
    with open(corpus.HERE / "golden.txt", "w", encoding="utf-8") as file:
        print("# What pipit-server says first of each file that it refuses: check.py --golden", file=file)
        for path, (taken, first, _) in said.items():
            if not taken:
                print(path, first, file=file)


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    said = corpus.verdicts(sys.argv[1], corpus.files())
    if sys.argv[2:] == ["--golden"]:
        write_golden(said)
    golden = corpus.table("golden.txt")
    failures = [wrong for path in said if (wrong := judge(path, said[path], golden))]
    failures += [f"{path}: in golden.txt, but there is no such file"
                 for path in golden if path not in said]
    failures += [f"{path}: is refused" for path in said
                 if path.startswith("valid/") and not said[path][0]]
    failures += [f"{path}: is taken" for path in said
                 if path.startswith("invalid/") and said[path][0]]
    return corpus.finish(len(said) - len(failures), failures)


if __name__ == "__main__":
    sys.exit(main())
