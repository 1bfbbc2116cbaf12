#!/usr/bin/env python3
"""systemd accepts the units, the service is as locked up as the README says, and its options exist.

usage: check_systemd.py FOLDER PROGRAM
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

EXPOSURE_MAX = 1.5


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    return done.returncode, done.stdout + done.stderr


def verify(units, program, folder):
    """What systemd-analyze says against the units, with the program where it has been built."""
    paths = []
    for unit in units:
        text = unit.read_text(encoding="utf-8").replace("/usr/bin/pipit-server", program)
        path = pathlib.Path(folder, unit.name)
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    status, said = run("systemd-analyze", "verify", "--man=no", *paths)
    said = "\n".join(line for line in said.splitlines() if "pipit" in line)
    return f"verify: exit status {status}\n{said}" if status or said else None


def exposure(unit):
    status, said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    if status or not found:
        return f"security: exit status {status}\n{said}"
    if float(found[1]) > EXPOSURE_MAX:
        return f"security: {found[0]}"
    return None


def main():
    folder, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is missing (Debian: systemd)")
        return 1 if os.environ.get("CI") else 77
    units = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        wrong = [verify(units, program, scratch), exposure(folder / "pipit-server.service")]
        # A unit with a mistake is not accepted: the check can fail.
        bad = pathlib.Path(scratch, "bad", "pipit-bad.service")
        bad.parent.mkdir()
        bad.write_text("[Service]\nType=notify\nExecStrat=/bin/true\n", encoding="utf-8")
        if not verify([bad], program, scratch):
            wrong.append("verify accepts a unit that is wrong")
    wrong = [text for text in wrong if text]
    print("\n".join(wrong) or f"{len(units)} units are accepted")
    return 1 if wrong or len(units) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
