"""The programs that scripts/peers.sh brings, and what a test says where there are none."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def path_of(name="nats-server"):
    """Where it would be."""
    return os.path.join(os.environ.get("PIPIT_PEERS_DIR") or ROOT / "build/peers/bin", name)


def missing(program):
    """Say so, and return the exit status: only CI insists on it."""
    print(f"no server program {program}; scripts/peers.sh brings nats-server")
    if os.environ.get("CI"):
        print("0 passed, 1 failed")
        return 1
    print("0 passed, 0 failed, 1 skipped")
    return SKIPPED
