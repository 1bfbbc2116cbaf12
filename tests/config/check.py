#!/usr/bin/env python3
"""Check what pipit says of every file of the corpus against golden.txt.

usage: check.py PARSE [--write]
PARSE is the program made of parse.c. --write makes golden.txt anew; then look at what changed, and
let compare.py look at it too.
"""
import sys

import corpus

FOLDERS = ("valid", "invalid", "differences")


def judge(path, said, golden):
    """None, or what is wrong."""
    folder = path.split("/")[0]
    if folder in ("valid", "invalid") and said.split(" ")[0] != folder:
        return f"{path}: {said}"
    if path not in golden:
        return f"{path}: golden.txt does not know it; it is: {said}"
    if golden[path] != said:
        return f"{path}:\n  golden: {golden[path]}\n  pipit:  {said}"
    return None


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    paths = corpus.files(*FOLDERS)
    said = corpus.parse(sys.argv[1], paths)
    if sys.argv[2:]:
        with open(corpus.HERE / "golden.txt", "w", encoding="utf-8") as file:
            file.writelines(f"{path} {said[path]}\n" for path in paths)
    golden = corpus.table("golden.txt")
    failures = [wrong for path in paths if (wrong := judge(path, said[path], golden))]
    failures += [f"{path}: golden.txt knows it, but it is not there"
                 for path in golden if path not in said]
    failures += [f"{path}: differences.txt does not say why"
                 for path in corpus.files("differences")
                 if path not in corpus.table("differences.txt")]
    return corpus.finish(len(paths), failures)


if __name__ == "__main__":
    sys.exit(main())
