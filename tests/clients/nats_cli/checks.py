"""The nats command against a running server: checks.py PATH_OF_NATS.

tests/clients/README.md says what each check holds and how this program and run.py talk. The command
is on both ends of every check. The one thing it cannot tell is when its subscription has reached the
server; wait_for_interest() asks the server that.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

NATS = sys.argv[1]
URL = os.environ["NATS_URL"]
DEADLINE_S = 60  # longest wait for anything that must happen
PAYLOAD_MAX = 1024 * 1024


def expect(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def command(*arguments, url=URL):
    return [NATS, "--server", url, "--no-context", *arguments]


def environment(home):
    """Keep the variables and the saved contexts of whoever runs this away from the command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
    return {**kept, "HOME": home, "XDG_CONFIG_HOME": home}


def run(*arguments, url=URL, data=None):
    """Run the command to its end; return its exit status and all it printed."""
    done = subprocess.run(command(*arguments, url=url), env=ENVIRONMENT, input=data,
                          stdin=None if data is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S,
                          check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def succeed(*arguments, **options):
    status, said = run(*arguments, **options)
    expect(status == 0, f"{' '.join(arguments)[:60]}: exit status {status}: {said[:300]}")
    return said


def wait_for_interest(subject):
    """Return when the server knows a subscriber for subject, which gets a message "probe"."""
    address = urllib.parse.urlsplit(URL)
    deadline = time.monotonic() + DEADLINE_S
    with socket.create_connection((address.hostname, address.port), DEADLINE_S) as connection:
        lines = connection.makefile("rb")
        connection.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
                           b"SUB probed 1\r\n")
        while time.monotonic() < deadline:
            connection.sendall(f"PUB {subject} probed 5\r\nprobe\r\nPING\r\n".encode())
            nobody = False
            while (line := lines.readline()) != b"PONG\r\n":
                expect(line, "the server closed the probing connection")
                nobody = nobody or line.startswith(b"NATS/1.0 503")
            if not nobody:
                return
    raise AssertionError(f"no subscriber for {subject} in {DEADLINE_S} s")


class Background:
    """The command while it runs on: collects what it prints, ends it when no longer needed."""

    _changed = threading.Condition()  # one for all, so that one wait can look at several

    def __init__(self, *arguments, url=URL):
        self.said = bytearray()
        self._process = subprocess.Popen(command(*arguments, url=url), env=ENVIRONMENT,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()

    def _read(self):
        while piece := self._process.stdout.read1():
            with self._changed:
                self.said += piece
                self._changed.notify_all()

    def text(self):
        with self._changed:
            return self.said.decode(errors="replace")

    def wait_for(self, holds, what):
        """Return what it has printed as soon as holds(text) is true."""
        with self._changed:
            found = self._changed.wait_for(lambda: holds(self.said.decode(errors="replace")),
                                           DEADLINE_S)
        expect(found, f"{what}: it printed {self.text()[-300:]!r}")
        return self.text()

    def ended(self):
        return self._process.poll() is not None

    def end(self):
        """Wait until it ends by itself; return all it has printed."""
        status = self._process.wait(DEADLINE_S)
        self._reader.join()
        expect(status == 0, f"exit status {status}: {self.text()[-300:]}")
        return self.text()


def subjects(text):
    return re.findall(r'^\[#\d+\] Received on "([^"]+)"', text, re.MULTILINE)


def check_pub_sub():
    with Background("sub", "one.*", "--count=3") as sub:
        wait_for_interest("one.probe")
        said = succeed("pub", "one.a", "first message")
        expect("Published 13 bytes" in said, said)
        succeed("pub", "one.b", "second message")
        said = sub.end()
    expect(subjects(said) == ["one.probe", "one.a", "one.b"], said)
    expect("first message" in said and "second message" in said, said)


def check_wildcards():
    # Each subscription: its pattern, the probe that only it matches, what it receives then. The
    # last message of each comes last of all, so that a wrong one would have come before it.
    subscriptions = (
        ("wild.*", "wild.probe", ["wild.a", "wild.z"]),
        ("wild.>", "wild.probe.deep", ["wild.a", "wild.a.c", "wild.a.c.d", "wild.z"]),
        ("*.a.c", "other.a.c", ["wild.a.c", "z.a.c"]),
    )
    with contextlib.ExitStack() as stack:
        open_subs = []
        for pattern, probe, want in subscriptions:
            sub = stack.enter_context(Background("sub", pattern, f"--count={len(want) + 1}"))
            wait_for_interest(probe)
            open_subs.append(sub)
        for subject in ("wild.a", "wild.a.c", "wild.a.c.d", "wild", "wild.z", "z.a.c"):
            succeed("pub", subject, "x")
        for sub, (pattern, probe, want) in zip(open_subs, subscriptions):
            got = subjects(sub.end())
            expect(got == [probe, *want], f"{pattern} received {got}")


def check_queue_group():
    # The group meets on queue.job under two patterns; alone, each answers its own probe.
    count = 200
    with Background("sub", "queue.*", "--queue=workers", "--raw") as one, \
            Background("sub", "*.job", "--queue=workers", "--raw") as two:
        wait_for_interest("queue.probe")
        wait_for_interest("probe.job")
        succeed("pub", "queue.job", "job {{Count}}", f"--count={count}")

        def numbers(member):
            found = re.findall(r"^job (\d+)$", member.text(), re.MULTILINE)
            return [int(number) for number in found]

        with contextlib.suppress(AssertionError):
            one.wait_for(lambda _: len(numbers(one)) + len(numbers(two)) >= count, "queue group")
        shares = numbers(one), numbers(two)
        expect(sorted(shares[0] + shares[1]) == list(range(1, count + 1)), f"they got {shares}")
        expect(shares[0] and shares[1], f"the members got {len(shares[0])} and {len(shares[1])}")


def check_headers():
    with Background("sub", "headers.*", "--count=2") as sub:
        wait_for_interest("headers.probe")
        succeed("pub", "headers.a", "body", "-H", "Many:one", "-H", "Many:two, and: three",
                "-H", "lower-case:grün")
        said = sub.end()
    headers = sorted(re.findall(r"^(\S+): (.*)$", said, re.MULTILINE))
    expect(headers == [("Many", "one"), ("Many", "two, and: three"), ("lower-case", "grün")], said)


def check_request_reply():
    with Background("reply", "service", "--echo"):
        wait_for_interest("service")
        for text in ("one", "two"):
            said = succeed("request", "service", text, "--raw", f"--timeout={DEADLINE_S}s")
            expect(said.strip().endswith(text), said)


def check_request_timeout():
    with Background("sub", "silent.*", "--count=2") as silent:
        wait_for_interest("silent.probe")
        began = time.monotonic()
        _, said = run("request", "silent.a", "anybody?", "--timeout=500ms")
        took_s = time.monotonic() - began
        expect("No responders" not in said and "Received" not in said, said)
        expect(took_s >= 0.5, f"gave up after {took_s:.3f} s")
        seen = silent.end()
    expect(re.search(r'Received on "silent.a" with reply "_INBOX', seen), seen)


def check_no_responders():
    _, said = run("request", "nobody.listens", "hello?", f"--timeout={DEADLINE_S}s")
    expect("No responders are available" in said, said)


def check_sub_count():
    with Background("sub", "count.*", "--count=4") as sub:
        wait_for_interest("count.probe")
        succeed("pub", "count.a", "x", "--count=5")
        got = subjects(sub.end())
    expect(got == ["count.probe", "count.a", "count.a", "count.a"], f"received {got}")


def check_payload_max():
    payload = (b"0123456789abcde" * (PAYLOAD_MAX // 15 + 1))[:PAYLOAD_MAX]
    with Background("sub", "large.*", "--raw", "--count=2") as sub:
        wait_for_interest("large.probe")
        succeed("pub", "large.a", "--force-stdin", data=payload)
        sub.end()
    expect(payload in bytes(sub.said), f"{len(sub.said)} bytes came, or others")


def check_payload_over_max():
    status, said = run("pub", "large.over", "--force-stdin", data=b"x" * (PAYLOAD_MAX + 1))
    expect(status != 0 and "maximum payload exceeded" in said, said[:300])


def check_rtt():
    said = succeed("rtt")
    expect(re.search(r"127\.0\.0\.1\S*: [\d.]+[nµm]s", said), said)


def bench_takes_flags():
    """Up to 0.1 `nats bench` has flags for what later are commands: bench pub, bench sub, ..."""
    return "bench pub" not in run("bench", "--help")[1]


def bench(*arguments):
    return succeed("bench", *arguments, "--no-progress")


def expect_rates(said, count):
    """Expect a line of its own for each of count subscribers, or one for the only one."""
    rates = re.findall(r"^.*[\d,]+ msgs/sec", said, re.MULTILINE)
    expect(len([rate for rate in rates if count == 1 or rate.startswith("  [")]) >= count, said)


def check_bench_pub_sub():
    if bench_takes_flags():
        said = bench("bench.one", "--pub=1", "--sub=1", "--msgs=20000")
    else:
        with Background("bench", "sub", "bench.one", "--msgs=20001", "--no-progress") as sub:
            wait_for_interest("bench.one")  # the probe is one of the messages
            bench("pub", "bench.one", "--msgs=20000")
            said = sub.end()
    expect_rates(said, 1)


def check_bench_fan_out():
    if bench_takes_flags():
        said = bench("bench.fan", "--pub=2", "--sub=4", "--msgs=10000")
    else:
        with Background("bench", "sub", "bench.fan", "--clients=4", "--msgs=10000",
                        "--no-progress") as sub:
            # Nothing tells when the last of the four has subscribed, so publish until all have had
            # their share.
            deadline = time.monotonic() + DEADLINE_S
            while not sub.ended():
                expect(time.monotonic() < deadline, f"not at an end: {sub.text()}")
                bench("pub", "bench.fan", "--clients=2", "--msgs=10000")
            said = sub.end()
    expect_rates(said, 4)


def check_bench_request_reply():
    if bench_takes_flags():
        serve = ("bench", "bench.rr", "--sub=1", "--reply", "--no-progress")
        ask = ("bench.rr", "--pub=1", "--request", "--msgs=1000")
    else:
        serve = ("bench", "service", "serve", "bench.rr", "--no-progress")
        ask = ("service", "request", "bench.rr", "--msgs=1000")
    with Background(*serve):
        wait_for_interest("bench.rr")
        expect_rates(bench(*ask), 1)


def check_user_password():
    succeed("--user", os.environ["NATS_TEST_USER"], "--password", os.environ["NATS_TEST_PASS"],
            "pub", "user", "known", url=os.environ["NATS_USER_URL"])


def check_tls():
    succeed("--tlsca", os.environ["NATS_TLS_CA"], "--tlscert", os.environ["NATS_TLS_CERT"],
            "--tlskey", os.environ["NATS_TLS_KEY"], "pub", "tls", "known",
            url=os.environ["NATS_TLS_URL"])


def check_certificate_map():
    succeed("--tlsca", os.environ["NATS_TLS_CA"], "--tlscert", os.environ["NATS_TLS_CERT"],
            "--tlskey", os.environ["NATS_TLS_KEY"], "pub", "map", "known",
            url=os.environ["NATS_MAP_URL"])


def known_and_stranger(flag, known, stranger, url):
    succeed(flag, known, "pub", "known", "known", url=url)
    status, said = run(flag, stranger, "pub", "wrong", "x", url=url)
    expect(status != 0 and "Authorization Violation" in said, said[:300])


def check_nkey():
    known_and_stranger("--nkey", os.environ["NATS_NKEY_SEED"], os.environ["NATS_NKEY_WRONG"],
                       os.environ["NATS_NKEY_URL"])


def check_creds():
    known_and_stranger("--creds", os.environ["NATS_CREDS"], os.environ["NATS_CREDS_WRONG"],
                       os.environ["NATS_CREDS_URL"])


def check_token():
    succeed("--user", os.environ["NATS_TEST_TOKEN"], "pub", "token", "known",
            url=os.environ["NATS_TOKEN_URL"])


def check_wrong_credentials():
    user_url, token_url = os.environ["NATS_USER_URL"], os.environ["NATS_TOKEN_URL"]
    attempts = (
        (user_url, "--user", os.environ["NATS_TEST_USER"], "--password", "wrong"),
        (user_url, "--user", "nobody", "--password", os.environ["NATS_TEST_PASS"]),
        (user_url,),
        (token_url, "--user", "wrong"),
        (token_url,),
    )
    for url, *credentials in attempts:
        status, said = run(*credentials, "pub", "wrong", "x", url=url)
        expect(status != 0 and "Authorization Violation" in said, f"{credentials}: {said[:300]}")


def check_websocket():
    url = os.environ["NATS_WS_URL"]
    with Background("sub", "ws.*", "--count=3", url=url) as sub:
        wait_for_interest("ws.probe")
        succeed("pub", "ws.a", "by websocket", url=url)
        succeed("pub", "ws.b", "by tcp")
        said = sub.end()
    expect(subjects(said) == ["ws.probe", "ws.a", "ws.b"], said)
    expect("by websocket" in said and "by tcp" in said, said)


def check_restart():
    with Background("sub", "again.*") as sub, Background("reply", "service", "--echo"):
        for probe in ("again.probe", "service"):
            wait_for_interest(probe)
        print("RESTART", flush=True)
        expect(sys.stdin.readline() == "RESTARTED\n", "the runner did not restart the server")
        for probe in ("again.probe", "service"):
            wait_for_interest(probe)
        succeed("pub", "again.after", "x")
        said = sub.wait_for(lambda text: "again.after" in subjects(text), "after the restart")
        expect(subjects(said) == ["again.probe", "again.probe", "again.after"], said)
        said = succeed("request", "service", "still there", "--raw", f"--timeout={DEADLINE_S}s")
        expect(said.strip().endswith("still there"), said)


CHECKS = (
    check_pub_sub, check_wildcards, check_queue_group, check_headers, check_request_reply,
    check_request_timeout, check_no_responders, check_sub_count, check_payload_max,
    check_payload_over_max, check_rtt, check_bench_pub_sub, check_bench_fan_out,
    check_bench_request_reply, check_user_password, check_token, check_wrong_credentials, check_tls,
    check_nkey, check_creds, check_certificate_map,
    check_websocket, check_restart,
)

with tempfile.TemporaryDirectory(prefix="pipit-nats-cli-") as scratch:
    ENVIRONMENT = environment(scratch)
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        try:
            check()
        except Exception as problem:  # pylint: disable=broad-except; one check, one verdict
            reason = f"{type(problem).__name__}: {problem}".replace("\n", " | ")
            print(f"not ok {name} {reason}", flush=True)
        else:
            print(f"ok {name}", flush=True)
