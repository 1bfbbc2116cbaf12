#!/usr/bin/env python3
"""The image is built from, and holds, the packages that the program needs.

usage: check_container.py CONTAINERFILE DEPS.SH PROGRAM
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

# In deps.sh for tests alone.
TESTS_ONLY = {"libcmocka-dev", "libfuse3-dev", "libwslay-dev", "libclang-rt-14-dev"}
# What is loaded only when it is asked for does not show in the program.
LOADED = {"libcurl4": "getting accounts by URL", "libssl3": "TLS"}
# In every image.
ALWAYS = {"libc6"}


def installed_by(text):
    """The packages of each `apt-get install` in turn."""
    text = text.replace("\\\n", " ")
    return [{word for word in found.split() if not word.startswith("-")}
            for found in re.findall(r"apt-get install ([^&\n]*)", text)]


def owner(path):
    """The package that a file came with; Debian moves folders, so look for its name alone."""
    found = subprocess.run(["dpkg", "-S", "*/" + os.path.basename(path)], capture_output=True,
                           text=True, check=True).stdout
    return found.split(":")[0]


def main():
    container, deps, program = sys.argv[1:]
    if not shutil.which("dpkg"):
        print("dpkg is missing: this is no Debian")
        return 77
    build, run = installed_by(pathlib.Path(container).read_text(encoding="utf-8"))
    wrong = []
    for package, purpose in LOADED.items():
        if package not in run:
            wrong.append(f"{purpose} needs {package}, which the image does not hold")
    wanted = set(re.findall(r"\b(lib[\w.+-]+-dev)\b", pathlib.Path(deps).read_text(encoding="utf-8")))
    for package in sorted(wanted - TESTS_ONLY - build):
        wrong.append(f"deps.sh has {package}, the build of the image not")
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if re.search(r"lib[atu]b?san\.", libraries):
        print("built with a sanitizer, which no image is")
        return 77
    needed = {owner(path) for path in re.findall(r"=> (\S+) \(", libraries)}
    for package in sorted(needed - ALWAYS - run):
        wrong.append(f"the program needs {package}, which the image does not hold")
    for line in wrong:
        print(line)
    print(f"{int(not wrong)} passed, {int(bool(wrong))} failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
