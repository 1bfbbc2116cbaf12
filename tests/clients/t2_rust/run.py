#!/usr/bin/env python3
"""The original client of the T2 Bus, the crate t2_bus 0.1.0 and its tool t2, against pipit-server.

    run.py [--server PATH] [--tool PATH] [--compare [ROUNDS] [--share CORES]]

The program here is built under $PIPIT_BUILD_DIR/clients/t2_rust (build/ unless set). --compare
measures instead, with a build that is optimised: messages per second over Unix sockets and the CPU
of server and client, pipit and the original server in turn. Where that is bounded by what the client
can do, --share 0.1 gives either server the tenth of a core: then the server is the bound. It needs
to make cgroups. Exit status: 0, 1 after a failure, 77
without cargo (a failure under CI).
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent.parent
sys.path.insert(0, str(REPO / "tests/t2"))
from bus import T2Server  # noqa: E402

BUILD = pathlib.Path(os.environ.get("PIPIT_BUILD_DIR") or REPO / "build").resolve()
TARGET = BUILD / "clients/t2_rust"
SHAPES = (  # pairs, messages of each, bytes, publishes at a time
    ("1 pair, 16 B, 64 at a time", 1, 100000, 16, 64),
    ("4 pairs, 16 B, 64 at a time", 4, 25000, 16, 64),
    ("1 pair, 1 KiB, 64 at a time", 1, 20000, 1024, 64),
)


def environment():
    if not shutil.which("cargo"):
        print("cargo is missing: tests/clients/install.sh brings it")
        sys.exit(1 if os.environ.get("CI") else 77)
    return {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "CARGO_PROFILE_DEV_DEBUG": "0"}


def build_checks(profile):
    """Where the program is: of profile "dev" for checks, "release" to measure."""
    subprocess.run(["cargo", "build", "--profile", profile, "--locked", "--quiet"], cwd=HERE,
                   env=environment(), check=True, timeout=900)
    return TARGET / ("debug" if profile == "dev" else profile) / "t2_checks"


def build_tool():
    subprocess.run(["cargo", "install", "t2_bus@0.1.0", "--bin", "t2", "--locked", "--quiet",
                    "--debug", "--root", str(TARGET)], env=environment(), check=True, timeout=900)
    return TARGET / "bin/t2"


def check_tool(tool, server, home):
    """`t2 sub` prints what `t2 pub` says."""
    addresses = [f"tcp:127.0.0.1:{server.t2[1]}", f"unix:{server.unix}"]
    environ = {**os.environ, "HOME": home}
    failures = []

    def run(*arguments):
        done = subprocess.run([tool, *arguments], env=environ, capture_output=True, text=True,
                              timeout=30, check=False)
        return done.stdout.strip()

    for topic, pattern, value, probe_data in (
            ("string/lobby/alice", "string/**", "hello", b"\x60"),
            ("f32/price", "f32/*", "1.5", b"\xf9\x40\x00")):
        for heard_at, said_at in (addresses, addresses[::-1]):
            with subprocess.Popen(["stdbuf", "-oL", tool, "sub", pattern, heard_at], env=environ,
                                  stdout=subprocess.PIPE, text=True) as sub:
                with server.bus() as probe:  # until the tool is there
                    while probe.publish(topic, probe_data) == 0:
                        pass
                run("pub", topic, value, said_at)
                line = sub.stdout.readline()
                while f"{topic}: {value}" not in line and line:
                    line = sub.stdout.readline()
                sub.kill()
                if not line:
                    failures.append(f"{topic} by {said_at} was not heard at {heard_at}")
    print("not ok tool " + "; ".join(failures) if failures else "ok tool")
    return bool(failures)


def check_our_tool(checks, server_path, pipit_tool, folder):
    """`pipit t2`, which is libpipit's client, with the original server."""
    path = f"{folder}/original.sock"
    with subprocess.Popen([checks, "serve", path], stdout=subprocess.PIPE, text=True) as original:
        original.stdout.readline()
        done = subprocess.run([REPO / "tests/t2/test_tool.py"], timeout=200, check=False,
                              env={**os.environ, "PIPIT_SERVER": server_path,
                                   "PIPIT_TOOL": pipit_tool, "T2_TOOL_BUS": f"unix:{path}"},
                              stderr=subprocess.PIPE, text=True)
        original.kill()
    print("not ok our_tool\n" + done.stderr if done.returncode else "ok our_tool")
    return done.returncode != 0


def check(server_path, pipit_tool):
    checks, tool = build_checks("dev"), build_tool()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = T2Server(server_path, folder=folder)
        done = subprocess.run([checks, "checks", f"127.0.0.1:{server.t2[1]}", server.unix],
                              capture_output=True, text=True, timeout=300, check=False)
        print(done.stdout, end="")
        failed += done.returncode != 0 or "not ok" in done.stdout or done.stdout.count("ok ") != 14
        failed += check_tool(tool, server, folder)
        failed += check_our_tool(checks, server_path, pipit_tool, folder)
        failed += server.stop() != 0
    print(done.stderr, end="")
    return 1 if failed else 0


# --- Measuring ----------------------------------------------------------------------------------


def cpu_s(pid):
    """As the scheduler has counted it, in ns; /proc/PID/stat counts ticks of 10 ms."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def measure(checks, pid, path, shape):
    """Messages per second; CPU seconds per million of them, of the server and of the client."""
    millions = shape[1] * shape[2] / 1e6
    before = cpu_s(pid)
    with subprocess.Popen([checks, "flow", path, *map(str, shape[1:])], stdout=subprocess.PIPE,
                          text=True) as client:
        rate = float(client.stdout.read())
        _, status, used = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
    return (rate, (cpu_s(pid) - before) / millions, (used.ru_utime + used.ru_stime) / millions)


def told(figures):
    rate, server, client = (statistics.median(column) for column in zip(*figures))
    return rate, server, (f"{rate:,.0f} messages/s, {server:.2f} CPU s per million "
                          f"(the client {client:.1f})")


@contextlib.contextmanager
def confined(pids, cores):
    """Give each of these processes so much of one core; 0: what there is."""
    root, groups = pathlib.Path("/sys/fs/cgroup"), []
    unified = (root / "cgroup.controllers").exists()
    try:
        for pid in pids if cores else ():
            group = (root if unified else root / "cpu") / f"t2-compare-{pid}"
            group.mkdir()
            groups.append(group)
            period, quota = 10000, int(cores * 10000)  # us
            if unified:
                (group / "cpu.max").write_text(f"{quota} {period}", encoding="ascii")
            else:
                (group / "cpu.cfs_period_us").write_text(str(period), encoding="ascii")
                (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        yield
    finally:
        for group in groups:
            for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
                (group.parent / "cgroup.procs").write_text(pid, encoding="ascii")
            group.rmdir()


def compare_shapes(checks, ours, theirs, rounds):
    """ours, theirs: (pid, path of the socket)."""
    for shape in SHAPES:
        mine, others = [], []
        for _ in range(rounds):
            mine.append(measure(checks, *ours, shape))
            others.append(measure(checks, *theirs, shape))
        rate, cost, text = told(mine)
        rate2, cost2, text2 = told(others)
        print(f"{shape[0]}: {text}; original {text2}; {rate / rate2:.2f} x, "
              f"CPU {cost / cost2:.2f} x", flush=True)


def compare(server_path, rounds, cores):
    checks = build_checks("release")
    with tempfile.TemporaryDirectory() as folder:
        server = T2Server(server_path, folder=folder)
        path = f"{folder}/original.sock"
        with subprocess.Popen([checks, "serve", path], stdout=subprocess.PIPE,
                              text=True) as original:
            try:
                original.stdout.readline()
                with confined((server.pid, original.pid), cores):
                    compare_shapes(checks, (server.pid, server.unix), (original.pid, path), rounds)
            finally:
                original.kill()
                status = server.stop()
        return status


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=str(REPO / "build/pipit-server"))
    parser.add_argument("--tool", default=str(REPO / "build/pipit"))
    parser.add_argument("--compare", nargs="?", type=int, const=5, metavar="ROUNDS")
    parser.add_argument("--share", type=float, default=0, metavar="CORES")
    options = parser.parse_args()
    if 0 < options.share < 0.1:
        parser.error("--share: a tenth of a core at least")
    if options.compare:
        return compare(options.server, options.compare, options.share)
    return check(options.server, options.tool)


if __name__ == "__main__":
    sys.exit(main())
