#!/usr/bin/env python3
"""A process that writes to a store is killed with SIGKILL at random moments, again and again.

What it said was acknowledged is there when the next one opens the store, in order and as it was
written; what was deleted is gone; nothing is there that was never written.

With --losing the store is on a file system that loses what was not synced, by chance sector by sector;
each kill is a power cut, too. Exit code 77: there is no FUSE here.

usage: kill.py STORE-WRITER PIPIT-STORE [ROUNDS] [--seed N] [--dir DIR] [--losing LOSING-DISK]
"""
import argparse
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 60

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("writer")
parser.add_argument("tool")
parser.add_argument("rounds", type=int, nargs="?", default=50)
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
parser.add_argument("--dir")
parser.add_argument("--losing")
OPTIONS = parser.parse_args()
WRITER, TOOL, ROUNDS, SEED = OPTIONS.writer, OPTIONS.tool, OPTIONS.rounds, OPTIONS.seed


class LosingDisk:
    """A folder whose power can be cut."""

    def __init__(self, folder):
        self.folder = folder
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
            print("there is no FUSE here")
            sys.exit(77)
        self.process = subprocess.Popen([OPTIONS.losing, "-f", "-s", folder],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + SECONDS
        while not os.path.ismount(folder):
            if self.process.poll() is not None or time.monotonic() > end:
                print("it cannot be mounted here:", self.process.stderr.read().decode())
                sys.exit(77)
            time.sleep(0.01)

    def cut_power(self, seed):
        try:
            os.mkdir(os.path.join(self.folder, f"crash.{seed}"))
        except OSError:
            return
        raise AssertionError("the power was not cut")

    def end(self):
        subprocess.run(["fusermount3", "-u", "-z", self.folder], check=False, timeout=SECONDS)
        self.process.wait(SECONDS)


class Round:
    """One life of the writer."""

    def __init__(self, folder, sealed, acked, gone, chance):
        self.acked, self.gone, self.text = acked, gone, b""
        self.opened = False
        self.chance = chance
        self.process = subprocess.Popen(
            [WRITER, folder, *sealed, "--deletes", "--acked", str(acked), "--gone", str(gone),
             "--in-flight", str(chance.choice((1, 3, 20, 200))), "--segment",
             str(chance.choice((65536, 262144)))], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def read(self):
        """Take what it has said. False: it says no more."""
        piece = os.read(self.process.stdout.fileno(), 65536)
        *lines, self.text = (self.text + piece).split(b"\n")
        for line in lines:
            what, seq = line.split()
            if what == b"ack":
                assert int(seq) > self.acked, (line, self.acked)
                self.acked = int(seq)
            elif what == b"gone":
                self.gone = int(seq)
            else:
                self.opened = True
        return bool(piece)

    def live_and_die(self):
        """It is killed some time after it has opened the store; or, sometimes, while it recovers."""
        if self.chance.random() < 0.8:
            while not self.opened and select.select([self.process.stdout], [], [], SECONDS)[0]:
                if not self.read():
                    break
        end = time.monotonic() + self.chance.choice((0.004, 0.03, 0.1)) * (0.3 + self.chance.random())
        while (left := end - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], left)[0] and not self.read():
                break
        self.process.kill()
        while self.read():
            pass
        err = self.process.stderr.read().decode()
        code = self.process.wait(SECONDS)
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == -9, f"it ended with {code}: {err}"


def main():
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
    folder = tempfile.mkdtemp(prefix="pipit-store-kill-", dir=OPTIONS.dir)
    disk = LosingDisk(folder) if OPTIONS.losing else None
    try:
        kill_all(folder, disk, chance)
    finally:
        if disk:
            disk.end()
    shutil.rmtree(folder)


def kill_all(folder, disk, chance):
    store = os.path.join(folder, "s")
    acked = gone = 0
    idle = 0
    sealed = chance.choice(([], ["--sealed"]))
    for n in range(ROUNDS):
        if acked > 40000 and not disk:  # or every opening takes longer than the one before
            shutil.rmtree(store)
            acked = gone = 0
            sealed = chance.choice(([], ["--sealed"]))
        life = Round(store, sealed, acked, gone, chance)
        try:
            life.live_and_die()
        except AssertionError as why:
            raise AssertionError(f"seed {SEED} round {n} in {folder}: {why}") from why
        if disk:
            disk.cut_power(chance.randrange(1 << 32))
        idle += life.acked == acked
        acked, gone = life.acked, life.gone
    done = subprocess.run([WRITER, store, *sealed, "--deletes", "--acked", str(acked), "--gone", str(gone),
                           "--verify"], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"seed {SEED} in {folder}: {done.stderr}"
    done = subprocess.run([TOOL, "check", "--json", store], capture_output=True, text=True,
                          timeout=SECONDS,
                          env=dict(os.environ, **({"PIPIT_STORE_KEYS": "11" * 32} if sealed else {})))
    assert done.returncode == 0, f"seed {SEED} in {folder}: {done.stdout}"
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert idle < ROUNDS * 9 // 10 or ROUNDS < 10, "it hardly ever got to write"
    print(f"{ROUNDS} kills, {acked} acknowledged in the last store, {verdict['messages']} there, 0 lost")


main()
