#!/usr/bin/env python3
"""Look whether docs/configuration.md is what pipit-server --help-config=markdown writes.

usage: reference.py PIPIT-SERVER FILE [--write]
"""
import subprocess
import sys


def main():
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    made = subprocess.run([sys.argv[1], "--help-config=markdown"], stdout=subprocess.PIPE,
                          timeout=60, check=True).stdout
    if sys.argv[3:] == ["--write"]:
        with open(sys.argv[2], "wb") as file:
            file.write(made)
    with open(sys.argv[2], "rb") as file:
        current = file.read() == made
    if not current:
        print(f"{sys.argv[2]} is not current: run tests/config/keys/reference.py with --write")
    print("1 passed, 0 failed" if current else "0 passed, 1 failed")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
