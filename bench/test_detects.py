#!/usr/bin/env python3
"""pipit-bench notices what a faulty server does to its messages.

A server of a few lines relays messages faithfully but for one fault; pipit-bench must report just
that fault, by its figures and by its exit status. usage: test_detects.py PATH_OF_PIPIT_BENCH"""
import json
import socket
import subprocess
import sys
import tempfile
import threading

TIMEOUT_S = 30
FAULTY = 150  # the number of the message that a fault is done to


class FaultyServer:
    """Relays every PUB to all subscribers of its subject, or of the inbox it lies in."""

    def __init__(self, fault, path=None):
        self.fault = fault
        self.lock = threading.Lock()
        self.subscribers = []  # (pattern, sid, connection)
        self.count = 0
        self.held = None
        self.pongs = 0
        self.serving = []
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.target = ["--unix", path]
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.target = ["--server", f"127.0.0.1:{self.listener.getsockname()[1]}"]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.sendall(b'INFO {"server_id":"faulty"}\r\n')
            self.serving.append(threading.Thread(target=self.serve, args=(connection,), daemon=True))
            self.serving[-1].start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    self.operate(connection, lines, line.split())
        except OSError:
            pass  # the fault may have closed it, or pipit-bench is done

    def operate(self, connection, lines, words):
        if words[0] == b"PUB":
            payload = lines.read(int(words[-1]) + 2)[:-2]
            with self.lock:
                self.publish(words[1], words[2] if len(words) == 4 else None, payload)
        elif words[0] == b"SUB":
            with self.lock:
                self.subscribers.append((words[1], words[-1], connection))
        elif words[0] == b"PING":
            with self.lock:
                connection.sendall(b"PONG\r\n")
        elif words[0] == b"PONG":
            self.pongs += 1

    def publish(self, subject, reply, payload):
        self.count += 1
        message = (subject, reply, payload)
        if self.count != FAULTY:
            self.relay(*message)
        elif self.fault == "none":
            self.relay(*message)
        elif self.fault == "doubles":
            self.relay(*message)
            self.relay(*message)
        elif self.fault == "damages":
            self.relay(subject, reply, b"?" * len(payload))
        elif self.fault == "swaps":
            self.held = message
            return
        elif self.fault == "pings":
            self.write_all(b"PING\r\n")
            self.relay(*message)
        elif self.fault == "kicks":
            for _, _, connection in self.subscribers:
                connection.shutdown(socket.SHUT_RDWR)
            self.subscribers.clear()
        if self.held:
            self.relay(*self.held)
            self.held = None

    def relay(self, subject, reply, payload):
        for pattern, sid, connection in self.subscribers:
            if pattern == subject or pattern.endswith(b".*") and subject.startswith(pattern[:-1]):
                words = [b"MSG", subject, sid, *([reply] if reply else []), b"%d" % len(payload)]
                connection.sendall(b" ".join(words) + b"\r\n" + payload + b"\r\n")

    def write_all(self, text):
        for _, _, connection in self.subscribers:
            connection.sendall(text)


def run(bench, fault, arguments):
    with tempfile.TemporaryDirectory() as folder:
        server = FaultyServer(fault, folder + "/socket" if "--unix" in arguments else None)
        arguments = arguments.replace("--unix", "").split()
        result = subprocess.run([bench, *arguments, *server.target, "--json", "--patience", "2"],
                                capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        server.listener.close()
        for thread in server.serving:
            thread.join(TIMEOUT_S)  # it has read all that was said
    report = json.loads(result.stdout) if result.stdout else {}
    report["status"] = result.returncode
    report["pongs"] = server.pongs
    return report, result.stderr


PLAIN = "deliver --msgs 1000"
CHECKED = "deliver --msgs 1000 --verify"
FAN = "deliver --msgs 500 --subs 3 --pubs 2 --verify"
MANY = "deliver --msgs 1000 --subjects 100"
FULL = "deliver --msgs 500 --size 36000 --verify --unix"  # whole writes fill the socket
DUE = "paced --msgs 3000 --rate 1000000000 --warmup 0"  # all are due at once: 1024 in a write
REQUEST = "request --msgs 300 --warmup 0"

CASES = [
    ("a faithful server", "none", PLAIN, {"status": 0, "lost": 0, "delivered": 1000}),
    ("faithful, checked", "none", CHECKED, {"status": 0, "lost": 0, "misordered": 0}),
    ("faithful, fan-out", "none", FAN, {"status": 0, "lost": 0, "delivered": 1500}),
    ("faithful, subjects", "none", MANY, {"status": 0, "lost": 0, "delivered": 1000}),
    ("faithful, slower than the publisher", "none", FULL, {"status": 0, "misordered": 0}),
    ("faithful, a late publisher", "none", DUE, {"status": 0, "lost": 0, "writes": 3}),
    ("faithful, requests", "none", REQUEST, {"status": 0, "lost": 0, "replied": 300}),
    ("one lost", "drops", PLAIN, {"status": 2, "lost": 1, "delivered": 999}),
    ("one lost, checked", "drops", CHECKED, {"status": 2, "lost": 1, "misordered": 1}),
    ("one lost to three", "drops", FAN, {"status": 2, "lost": 3}),
    ("one doubled", "doubles", PLAIN, {"status": 2, "duplicated": 1, "lost": 0}),
    ("one doubled, checked", "doubles", CHECKED, {"status": 2, "misordered": 1}),
    ("two swapped", "swaps", CHECKED, {"status": 2, "lost": 0, "misordered": 3}),
    ("one damaged", "damages", CHECKED, {"status": 1}),
    ("a PING between messages", "pings", PLAIN, {"status": 0, "lost": 0, "pongs": 1}),
    ("a PING, checked", "pings", CHECKED, {"status": 0, "misordered": 0, "pongs": 1}),
    ("a subscriber cut off", "kicks", PLAIN, {"status": 2, "disconnected": 1, "delivered": 149}),
    ("a request unanswered", "drops", REQUEST, {"status": 2, "lost": 1}),
    ("a reply twice", "doubles", REQUEST, {"status": 2, "unexpected": 1, "lost": 0}),
]


def main():
    failed = 0
    for name, fault, arguments, expected in CASES:
        report, errors = run(sys.argv[1], fault, arguments)
        wrong = {key: report.get(key) for key, value in expected.items()
                 if report.get(key) != value}
        if wrong:
            failed += 1
            print(f"FAILED {name}: expected {expected}, got {wrong} {errors}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
