"""The corpus of configuration files, and what is known of each.

valid/NAME.conf         in the language; golden.txt has the digest
invalid/NAME.conf       not in the language; golden.txt has pipit's first error
differences/NAME.conf   where pipit and nats-server do not agree; differences.txt says why
*/parts/                files that others include

golden.txt and differences.txt hold one line for each file: its path, a blank, the rest.
"""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77

# What the files of the corpus find in the environment, and nothing else.
ENVIRONMENT = {
    "PIPIT_CONFIG_NUMBER": "22",
    "PIPIT_CONFIG_TEXT": "'3x'",
    "PIPIT_CONFIG_BOOL": "true",
    "PIPIT_CONFIG_LIST": "[a, b]",
    "PIPIT_CONFIG_MAP": "{ a: 1, b: $PIPIT_CONFIG_BOOL }",
    "PIPIT_CONFIG_EMPTY": "",
    "PIPIT_CONFIG_CHAIN": "$PIPIT_CONFIG_NUMBER",
    "PIPIT_CONFIG_CYCLE_A": "$PIPIT_CONFIG_CYCLE_B",
    "PIPIT_CONFIG_CYCLE_B": "[ $PIPIT_CONFIG_CYCLE_B ]",
    "PIPIT_CONFIG_BAD": "[ 1 2 ]",
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", ""),
    "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", ""),
}


def files(*folders):
    """The paths of the files in these folders, as golden.txt writes them."""
    return [f"{folder}/{path.name}" for folder in folders
            for path in sorted((HERE / folder).glob("*.conf"))]


def table(name):
    """The lines of golden.txt or differences.txt by path."""
    rows = {}
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            path, _, rest = line.partition(" ")
            rows[path] = rest
    return rows


def parse(program, paths):
    """What pipit says of each: {path: "valid DIGEST" or "invalid ERROR"}."""
    done = subprocess.run([os.path.abspath(program), *paths], cwd=HERE, env=ENVIRONMENT,
                          stdout=subprocess.PIPE, check=True, timeout=120)
    lines = done.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if len(lines) != len(paths):
        raise SystemExit(f"{len(lines)} answers for {len(paths)} files")
    return dict(zip(paths, lines))


def finish(passed, failures):
    for text in failures:
        print(text)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0
