#!/usr/bin/env python3
"""pipit-store on stores that are whole, damaged, in use, or none.

usage: tool.py PIPIT-STORE STORE-WRITER
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOOL, WRITER = sys.argv[1:3]
MESSAGES = 3000
SECONDS = 60


def tool(*arguments):
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, done.stdout, done.stderr


def check(folder):
    code, out, err = tool("check", "--json", folder)
    assert not err, err
    lines = [json.loads(line) for line in out.splitlines()]
    verdict = lines.pop()
    assert verdict["whole"] == (code == 0), verdict
    return code, {line["finding"] for line in lines}, verdict


def digest(folder):
    """What the files of a folder are, to see that nothing touches them."""
    return {name: open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder))}


def segments(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".seg"))


def flip(folder, name, at):
    with open(os.path.join(folder, name), "r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


class Stores:
    def __init__(self, root):
        self.root = root
        self.whole = os.path.join(root, "whole")
        subprocess.run([WRITER, self.whole, "--count", str(MESSAGES), "--segment", "131072",
                        "--in-flight", "100"], check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
        self.copies = 0

    def copy(self):
        self.copies += 1
        folder = os.path.join(self.root, f"copy{self.copies}")
        shutil.copytree(self.whole, folder)
        return folder


def test_whole(stores):
    before = digest(stores.whole)
    assert len(segments(stores.whole)) > 5
    code, findings, verdict = check(stores.whole)
    assert code == 0 and not findings and verdict["messages"] == MESSAGES, verdict
    code, out, _ = tool("stats", "--json", stores.whole)
    stats = json.loads(out)
    assert code == 0 and stats["last_seq"] == MESSAGES and stats["subjects"] == 11, stats
    assert sum(s["messages"] for s in stats["segments"]) == MESSAGES
    assert all(s["footer"] for s in stats["segments"][:-1])
    code, out, _ = tool("dump", "--filter", "kill.*", "--from", "100", "--count", "7", stores.whole)
    assert code == 0 and len(out.splitlines()) == 7 and out.startswith("100 "), out
    code, out, _ = tool("dump", "--json", "--payloads", "--filter", "kill.3", stores.whole)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["seq"] for line in lines] == [n for n in range(1, MESSAGES + 1) if n % 11 == 3]
    assert tool("repair", "--dry-run", stores.whole)[0] == 0
    assert digest(stores.whole) == before, "it was changed"


def test_refusals(stores):
    assert tool()[0] == 2
    assert tool("eat", stores.whole)[0] == 2
    assert tool("dump", "--from", "x", stores.whole)[0] == 2
    code, _, err = tool("check", os.path.join(stores.root, "none"))
    assert code == 3 and "no store" in err, err
    writer = subprocess.Popen([WRITER, stores.copy()], stdout=subprocess.PIPE)
    folder = os.path.join(stores.root, f"copy{stores.copies}")
    try:
        writer.stdout.readline()
        for verb in "check", "dump", "stats", "repair":
            code, _, err = tool(verb, folder)
            assert code == 3 and "another process" in err, err
    finally:
        writer.kill()
        writer.wait(SECONDS)
    folder = stores.copy()
    for name in segments(folder) + ["manifest"]:
        with open(os.path.join(folder, name), "r+b") as file:
            file.write(b"something else")
    code, _, err = tool("check", folder)
    assert code == 3 and "neither" in err, err


def test_repair(stores, damage, expected, options=(), lost=0, harm=1):
    """What damage does is found, told by a dry run that changes nothing, and repaired. harm: 0, it is only
    what a crash leaves, too."""
    folder = stores.copy()
    damage(folder)
    before = digest(folder)
    code, findings, verdict = check(folder)
    assert code == harm and findings == set(expected), (findings, expected)
    code, out, err = tool("repair", "--dry-run", *options, folder)
    assert code == harm and "would" in out, (code, out, err)
    assert digest(folder) == before, "check or a dry run changed it"
    code, out, err = tool("repair", *options, folder)
    assert code == 0, (code, out, err)
    code, findings, verdict = check(folder)
    assert code == 0 and not findings, findings
    assert verdict["messages"] >= MESSAGES - lost, verdict
    if not lost:
        subprocess.run([WRITER, folder, "--acked", str(MESSAGES), "--count", "10", "--segment", "131072"],
                       check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
        assert check(folder)[2]["messages"] == MESSAGES + 10
    return folder


def test_keys(stores):
    folder = os.path.join(stores.root, "sealed")
    subprocess.run([WRITER, folder, "--sealed", "--count", "500", "--segment", "65536"], check=True,
                   stdout=subprocess.DEVNULL, timeout=SECONDS)
    code, _, err = tool("check", folder)
    assert code == 3 and "encrypted" in err, err
    keys = os.path.join(stores.root, "keys")
    with open(keys, "w") as file:
        file.write("# new\n" + "22" * 32 + "\n" + "11" * 32 + "\n")
    os.chmod(keys, 0o644)
    code, _, err = tool("check", "--key-file", keys, folder)
    assert code == 3 and "owner" in err, err
    os.chmod(keys, 0o600)
    code, out, err = tool("dump", "--key-file", keys, "--payloads", folder)
    assert code == 0 and len(out.splitlines()) == 500, (code, err)
    flip(folder, segments(folder)[1], 20)
    flip(folder, segments(folder)[1], -20)
    code, out, err = tool("repair", "--key-file", keys, folder)
    assert code == 0 and "whole" in out, (out, err)


def test_snapshot(stores):
    folder = os.path.join(stores.root, "restored")
    made = subprocess.run([TOOL, "snapshot", stores.whole], capture_output=True, timeout=SECONDS)
    assert made.returncode == 0 and b"3000 messages" in made.stderr, made.stderr
    done = subprocess.run([TOOL, "restore", "--compress", folder], input=made.stdout,
                          capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    subprocess.run([WRITER, folder, "--verify", "--acked", str(MESSAGES)], check=True, timeout=SECONDS)
    done = subprocess.run([TOOL, "restore", folder], input=made.stdout, capture_output=True,
                          timeout=SECONDS)
    assert done.returncode == 3 and b"there already" in done.stderr, done.stderr
    done = subprocess.run([TOOL, "restore", folder + "2"], input=made.stdout[:-1], capture_output=True,
                          timeout=SECONDS)
    assert done.returncode == 3 and b"not a whole" in done.stderr, done.stderr
    assert not os.path.exists(folder + "2")


def test_lost_stays_known(stores):
    folder = stores.copy()
    flip(folder, segments(folder)[2], 5000)
    code, findings, verdict = check(folder)
    assert code == 1 and findings == {"messages"} and verdict["lost"] == 1, (findings, verdict)
    assert tool("repair", folder)[0] == 1, "what is lost is not forgotten unless told so"
    assert check(folder)[2]["lost"] == 1


def main():
    with tempfile.TemporaryDirectory(prefix="pipit-store-tool-") as root:
        stores = Stores(root)
        second = segments(stores.whole)[1]
        newest = segments(stores.whole)[-1]
        test_whole(stores)
        test_refusals(stores)
        test_repair(stores, lambda folder: os.remove(os.path.join(folder, "manifest")), {"manifest"})
        test_repair(stores, lambda folder: flip(folder, "manifest", 30), {"manifest"})
        test_repair(stores, lambda folder: flip(folder, second, 20), {"header"})
        test_repair(stores, lambda folder: flip(folder, second, -20), {"footer"}, harm=0)
        test_repair(stores, lambda folder: flip(folder, second, -400), {"index"})
        test_lost_stays_known(stores)
        test_keys(stores)
        test_snapshot(stores)
        test_repair(stores, lambda folder: flip(folder, second, 5000), {"messages"}, ["--forget-lost"], 1)
        test_repair(stores, lambda folder: flip(folder, newest, 4200), {"messages"},
                    ["--forget-lost"], 1)
        test_repair(stores, lambda folder: flip(folder, newest, 4100), {"bytes", "messages"},
                    ["--forget-lost"], 1)
        test_repair(stores, lambda folder: os.remove(os.path.join(folder, second)),
                             {"files", "messages"}, ["--forget-lost"], MESSAGES // 2)
        test_repair(stores, lambda folder: os.remove(os.path.join(folder, newest)), {"newest"}, [],
                    MESSAGES // 2)
        doubled = "%010d.seg" % (int(newest[:10]) + 1)
        folder = test_repair(
            stores, lambda folder: shutil.copy(os.path.join(folder, second),
                                               os.path.join(folder, doubled)), {"foreign", "newest"})
        assert os.path.exists(os.path.join(folder, doubled + ".foreign.1")), os.listdir(folder)
    print("ok")


main()
