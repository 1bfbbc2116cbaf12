#!/usr/bin/env python3
"""Every test that docs/security-notes.md names exists, and every note has one or is of something that
is not built. usage: test_notes.py SOURCE BUILD"""

import json
import pathlib
import re
import subprocess
import sys

# What a sanitizer or a missing tool leaves out of a build.
OPTIONAL = ("secrets.", "clients.", "fuzz")


def words_exist(source, name, words):
    """Words behind a name choose scenarios: they stand in the test's source."""
    label, _, noun = name.partition(".")
    for path in (source / "tests" / label / f"test_{noun}.py",
                 source / "tests" / label / f"test_{noun}.c"):
        if path.exists():
            text = path.read_text(encoding="utf-8")
            return all(word in text for word in words.split())
    return False


def main():
    source, build = pathlib.Path(sys.argv[1]), sys.argv[2]
    listed = json.loads(subprocess.run(["ctest", "--show-only=json-v1", "--test-dir", build],
                                       stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    tests = {test["name"] for test in listed["tests"]}
    text = (source / "docs/security-notes.md").read_text(encoding="utf-8")
    text = text.split("## nats-server", 1)[1]
    wrong, last = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[-1] not in ("closed by", "test") and \
                "`" not in cells[-1] and "all tests" not in cells[-1] and "not built" not in line:
            wrong.append(f"no test for {cells[0]}: one")
    for quoted in re.findall(r"`([^`]+)`", text):
        name, _, words = quoted.partition(" ")
        if name.startswith("fuzz/"):
            if not (source / f"{name}.c").exists():
                wrong.append(quoted)
        elif re.fullmatch(r"[a-z]+\.[a-z_.]+", name) and name.partition(".")[0] in \
                {test.partition(".")[0] for test in tests}:
            last = name
            if name not in tests and not name.startswith(OPTIONAL):
                wrong.append(quoted)
            elif words and not words_exist(source, name, words):
                wrong.append(quoted)
        elif last and re.fullmatch(r"[a-z]+(_[a-z]+)+|[a-z]+loris", quoted):
            if not words_exist(source, last, quoted):  # a further scenario of the one before
                wrong.append(f"{last} {quoted}")
    for name in wrong:
        print(f"docs/security-notes.md names {name}, which does not exist")
    print("0 passed, 1 failed" if wrong else "1 passed, 0 failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
