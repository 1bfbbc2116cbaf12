#!/usr/bin/env python3
"""Instructions that a publish takes on a subject that is known: permissions must not add to them.
usage: test_cost.py PIPIT_SERVER

The server runs under cachegrind, which counts every instruction, so load on the machine does not
matter. A run with many messages less one with few is what messages cost; the rest (start, login,
the first route) is in both. How messages arrive in reads is not the same each time, so there are a
few runs and the least counts."""

import os
import re
import shutil
import sys
import tempfile

from world import Client, Server, PIPIT, authorization, expect, user

FEW, MANY = 2000, 42000
RUNS = 2
MOST = 1.05
SKIPPED = 77

RULES = ", ".join(f'"rule.{n}.*.>"' for n in range(50))
LATE = ", timeout: 60"  # to say who one is; valgrind is slow
FREE = authorization(user("pub"), user("sub"), more=LATE)
CONFIGS = {
    "the publisher": authorization(
        user("pub", f'{{ publish: {{ allow: [{RULES}, "orders.*.new"], deny: "orders.no.>" }} }}'),
        user("sub"), more=LATE),
    "the recipient": authorization(
        user("pub"),
        user("sub", f'{{ subscribe: {{ allow: ">", deny: [{RULES}] }}, publish: "x" }}'), more=LATE),
    "both": authorization(
        user("pub", f'{{ publish: {{ deny: [{RULES}] }}, subscribe: "mine.>" }}'),
        user("sub", f'{{ subscribe: {{ deny: [{RULES}] }}, allow_responses: true }}'), more=LATE),
}


class Counted(Server):
    """A server under cachegrind."""

    def __init__(self, folder, config):
        wrapper = os.path.join(folder, "counted")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec valgrind --tool=cachegrind --cache-sim=no "
                       f"--cachegrind-out-file=/dev/null '{PIPIT}' \"$@\"\n")
        os.chmod(wrapper, 0o700)
        super().__init__(wrapper, folder, config, ("--threads", "1"))

    def count(self):
        """Its instructions, once it has stopped."""
        self.stop()
        line = self.wait_line(r"I\s+refs:")
        return int(re.search(r"refs:\s*([\d,]+)", line)[1].replace(",", ""))


def count(config, messages):
    with tempfile.TemporaryDirectory(prefix="pipit-cost-") as folder:
        server = Counted(folder, config)
        try:
            to, by = Client(server, "sub", "p"), Client(server, "pub", "p")
            to.send("SUB orders.*.new 1")
            expect("ready", to.until_pong() + by.until_pong(), [])
            by.sock.sendall(b"PUB orders.7.new 16\r\n0123456789abcdef\r\n" * messages)
            expect("published", by.until_pong(), [])
            expect("heard", len(to.until_pong()), 2 * messages)
            return server.count()
        except BaseException:
            server.process.kill()
            raise


def per_message(config):
    return min(count(config, MANY) - count(config, FEW) for _ in range(RUNS)) / (MANY - FEW)


def main():
    if not shutil.which("valgrind"):
        print("no valgrind here\n0 passed, 0 failed, 1 skipped")
        return 1 if os.environ.get("CI") else SKIPPED
    free, failed = per_message(FREE), 0
    print(f"without permissions: {free:.1f} instructions a message")
    for name, config in CONFIGS.items():
        ratio = per_message(config) / free
        failed += ratio > MOST
        print(f"{'FAIL' if ratio > MOST else 'ok  '}  with permissions of {name}: {ratio:.3f} of that")
    print(f"{len(CONFIGS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
