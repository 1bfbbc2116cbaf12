"""Small configuration files about single keys, and what is known of each.

valid/NAME.conf         taken by pipit-server and by nats-server
invalid/NAME.conf       refused by both; golden.txt has pipit's first sentence about it
differences/NAME.conf   taken by one of them; differences.txt says why, golden.txt has the sentence
"""
import concurrent.futures
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FOLDERS = ("valid", "invalid", "differences")
SKIPPED = 77


def files():
    """The paths of all files, as golden.txt writes them."""
    return [f"{folder}/{path.name}" for folder in FOLDERS
            for path in sorted((HERE / folder).glob("*.conf"))]


def table(name):
    """The lines of golden.txt or differences.txt by their first word."""
    rows = {}
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            first, _, rest = line.partition(" ")
            rows[first] = rest
    return rows


def verdict(program, path):
    """What a server says of a file with -t: (taken, first line, exit status)."""
    done = subprocess.run([os.path.abspath(program), "-t", "-c", path], cwd=HERE, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    first = lines[0].split("-server: ", 1)[-1] if lines else ""
    return done.returncode == 0, first, done.returncode


def verdicts(program, paths):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(paths, pool.map(lambda path: verdict(program, path), paths)))


def finish(passed, failures):
    for text in failures:
        print(text)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0
