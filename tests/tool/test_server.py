#!/usr/bin/env python3
"""pipit server, account and events, by requests and over HTTP, of either server."""

import json
import os
import re
import resource
import socket
import subprocess
import threading
import time
import unittest

from monitored import NAMES, PATIENT, Client, MonitoredTest
from tool import NATS, bad_characters, on_both


class ServerTest(MonitoredTest):
    def both_ways(self, *arguments, **more):
        yield self.tool("server", *arguments, **more)
        yield self.tool("server", *arguments, "--monitor", self.monitor, **more)

    def json(self, *arguments, **more):
        return json.loads(self.tool(*arguments, "--json", **more))


class Servers(ServerTest):
    def test_list(self):
        for shown in self.both_ways("list"):
            head, row = shown.split("\n")[2:4]
            self.assertEqual(re.split(r"\s{2,}", head.strip())[:4],
                             ["Name", "Cluster", "Host", "Version"])
            self.assertTrue(row.startswith("demo "), shown)
        self.assertEqual([len(self.json("server", "ls", *more)) for more in
                          ((), ("-m", self.monitor), ("-m", f"{self.monitor},{self.monitor}/"))],
                         [1, 1, 2])
        self.tool("server", "list", "2", "--timeout", "2s", status=3)
        self.assertIn("2 servers were expected, 1 have answered", self.said)
        self.tool("server", "list", "--sort", "colour", status=2)

    def test_info(self):
        for shown in self.both_ways("info"):
            self.assertRegex(shown, r"Name: demo\n")
            self.assertRegex(shown, r"Credentials needed: yes\n")
        told = self.json("server", "info", "demo")
        self.assertEqual(told["server_name"], "demo")
        self.assertEqual(self.json("server", "info", told["server_id"])["server_id"],
                         told["server_id"])
        self.tool("server", "info", "other", "--timeout", "2s", status=3)
        self.assertIn("there is no server other", self.said)

    def test_ping(self):
        for shown in self.both_ways("ping", "--graph", "--id"):
            self.assertRegex(shown, r"N[A-Z0-9]{55} demo +rtt=[0-9.]+ ")
            self.assertIn("1 answer, least", shown)
            self.assertIn("#" * 40 + " 1", shown)

    def test_report_connections(self):
        one, two = self.client(name="one"), self.client(name="two")
        one.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
        two.send("SUB a 1\r\nSUB b 2\r\nPUB a 3\r\nabc\r\n")
        for shown in self.both_ways("report", "connections", "--account", "APP"):
            rows = [row.split() for row in shown.split("\n")[3:] if row]
            self.assertEqual([row[1] for row in rows], ["one", "two"])
            self.assertEqual([row[-1] for row in rows], ["3", "2"])
        for shown in self.both_ways("report", "conn", "--account", "APP", "--sort", "in-msgs",
                                    "--top", "1"):
            self.assertIn("two", shown)
            self.assertNotIn("one", shown)
        for shown in self.both_ways("report", "conn", "--account", "APP", "--reverse"):
            self.assertLess(shown.index("two"), shown.index("one"))
        told = self.json("server", "report", "connections", "--subject", "c", "--account", "APP")
        self.assertEqual([c["name"] for c in told], ["one"])
        one.ping()  # or what it has not read makes closing it an error
        one.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            closed = self.json("server", "report", "connections", "--state", "closed")
            if any(c.get("name") == "one" for c in closed):
                break
        told = self.json("server", "report", "connections", "--closed-reason", "Client Closed",
                         "-m", self.monitor)
        self.assertIn("one", [c.get("name") for c in told])

    def test_report_connections_pages(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
        clients = [Client(self.server.port, user="app", **{"pass": "a"}) for _ in range(1100)]
        for options in ((), ("-m", self.monitor)):
            told = self.json("server", "report", "connections", "--top", "5000", *options)
            self.assertEqual(len({c["cid"] for c in told}), len(told))
            self.assertGreaterEqual(len(told), 1100)
        for client in clients:
            client.close()

    def test_report_accounts(self):
        self.client().send("SUB a 1\r\n")
        for shown in self.both_ways("report", "accounts", "APP"):
            self.assertEqual([row.split()[:2] for row in shown.split("\n")[3:] if row],
                             [["APP", "1"]])
        told = self.json("server", "report", "accounts")
        self.assertLessEqual({"APP", "SYS"}, {row["account"] for row in told})

    def test_request(self):
        for page, member in (("variables", "mem"), ("connections", "connections"),
                             ("subscriptions", "num_subscriptions"), ("routes", "routes"),
                             ("gateways", "outbound_gateways"), ("leafnodes", "leafnodes"),
                             ("accounts", "accounts"), ("jetstream-health", "status")):
            for shown in self.both_ways("request", page):
                self.assertIn(member, json.loads(shown)[0]["data"], page)
        for shown in self.both_ways("request", "connections", "--with", '{"limit":1}'):
            self.assertEqual(json.loads(shown)[0]["data"]["limit"], 1)
        self.tool("server", "request", "variables", "--with", "x", status=2)
        self.tool("server", "request", "nothing", status=2)

    def test_request_is_narrowed(self):
        one, two = self.client(name="one"), self.client(name="two")
        one.send("SUB a.b 1\r\n")
        two.send("SUB c 1\r\nSUB d 2\r\n")

        def names(*flags):
            for shown in self.both_ways("request", "connections", "--filter-account", "APP", *flags):
                yield [c["name"] for c in json.loads(shown)[0]["data"]["connections"]]
        self.assertEqual(list(names("--sort", "subs", "--limit", "1")), [["two"]] * 2)
        self.assertEqual(list(names("--offset", "1", "--filter-user", "app")), [["two"]] * 2)
        self.assertEqual(list(names("--filter-user", "nobody")), [[]] * 2)
        self.assertEqual(self.json("server", "request", "connections", "--filter-user", "nobody",
                                   "--filter-empty"), [])
        [told] = self.json("server", "request", "connections", "--filter-subject", "a.b",
                           "--filter-account", "APP", "--subscriptions")
        [shown] = told["data"]["connections"]
        self.assertEqual((shown["name"], shown["subscriptions_list"]), ("one", ["a.b"]))
        self.assertEqual(self.json("server", "request", "connections", "--filter-cid",
                                   str(shown["cid"]))[0]["data"]["num_connections"], 1)
        for shown in self.both_ways("request", "subscriptions", "--detail", "--filter-subject", "c",
                                    "--filter-account", "APP"):
            self.assertEqual([s["subject"] for s in
                              json.loads(shown)[0]["data"]["subscriptions_list"]], ["c"])
        for flags in (("--host", "nowhere"), ("--cluster", "none"), ("--tags", "no")):
            self.tool("server", "request", "variables", *flags, "--timeout", "2s", status=3)
        self.tool("server", "request", "variables", "2", "--timeout", "2s", status=3)
        self.assertIn("2 servers were expected, 1 have answered", self.said)

    def test_kick(self):
        client = self.client(name="the kicked one")
        [told] = [c for c in self.json("server", "report", "connections")
                  if c.get("name") == "the kicked one"]
        self.assertIn("is disconnected", self.tool("server", "request", "kick", str(told["cid"])))
        self.assertIn(client.file.read(), (b"", b"PING\r\n"))  # the end
        for server in ((), ("demo",)):
            self.tool("server", "request", "kick", "7777777", *server, status=1)
            self.assertIn("the server says: no such client", self.said)
        self.tool("server", "request", "kick", "1", "other", "--timeout", "2s", status=3)
        self.tool("server", "request", "kick", "1", "-s", self.app, status=3)

    def test_reload(self):
        before = self.json("server", "info")["config_load_time"]
        self.tool("server", "config", "reload", status=2)
        self.assertIn("--force", self.said)
        self.assertIn("done", self.tool("server", "config", "reload", "--force"))
        self.assertIn("server", self.json("server", "config", "reload", "demo", "-f"))
        self.assertGreater(self.json("server", "info")["config_load_time"], before)

    def test_account_of_others(self):
        shown = self.tool("server", "account", "info", "APP")
        for text in ("Name: APP\n", "System account: no\n", "Connections: "):
            self.assertIn(text, shown)
        self.assertEqual(self.json("server", "account", "info", "SYS")["is_system"], True)
        self.tool("server", "account", "info", "NONE", status=1)
        self.assertIn("the server says: Account NONE does not exist", self.said)
        self.tool("server", "account", "info", "a.b", status=2)
        self.tool("server", "account", "info", "SYS", "-s", self.app, status=3)

    def test_mappings(self):
        """nats-server and its CLI make the same of them."""
        for source, destination, subject, mapped in (
                ("orders.*.*", "o.$2.$1", "orders.a.b", "o.b.a"),
                ("orders.*", "o.{{partition(3,1)}}", "orders.a", "o.1"),
                ("foo.>", "bar.>", "foo.x.y", "bar.x.y"),
                ("a.*", "b.{{left(1,2)}}", "a.hello", "b.he")):
            arguments = ("server", "mappings", source, destination, subject)
            self.assertEqual(self.tool(*arguments), mapped + "\n")
            self.assertEqual(self.json(*arguments), {"subject": subject, "mapped": mapped})
            if os.access(NATS, os.X_OK):
                told = subprocess.run([NATS, *arguments], capture_output=True, text=True, timeout=60,
                                      check=True)
                self.assertEqual(told.stdout.strip(), mapped)
        self.tool("server", "mappings", "a.*", "b.$2", "a.x", status=2)
        self.assertIn("that is no mapping: ", self.said)
        self.tool("server", "mappings", "a.*", "b.$1", "c.\x1b[2J", status=1)
        self.assertIn("the mapping is not for c.\\x1b[2J", self.said)

    def test_passwd(self):
        self.assertRegex(self.tool("server", "passwd", "--pass", "secret", "--cost", "4"),
                         r"^\$2[ab]\$04\$")

    def test_watch(self):
        for shown in self.both_ways("watch", "--count", "2", "--interval", "100ms", "--json"):
            first, second = map(json.loads, shown.splitlines())
            self.assertNotIn("in_msgs_per_s", first[0])
            self.assertIn("in_msgs_per_s", second[0])
        self.assertEqual(self.tool("server", "watch", "--count", "2", "--interval", "100ms")
                         .count("In Msgs/s"), 2)

    def test_watch_is_interrupted(self):
        running = self.start("server", "watch", "--interval", "1h")
        running.await_line("demo")
        self.assertEqual(running.interrupt(), 0)

    def test_events(self):
        running = self.start("events", "--count", "3")
        running.await_line("listening")
        self.client(name="hello").close()
        self.tool("server", "check", "connection", "-s", self.app.replace(":a@", ":b@"), status=2)
        running.wait()
        self.assertRegex("\n".join(running.out), r"connect .* account APP user app .*name hello")
        running = self.start("server", "events", "--json", "--count", "1")
        while running.process.poll() is None:
            self.client(name="again").close()
        running.wait()
        told = json.loads(running.out[0])
        self.assertRegex(told["subject"], r"\.(DIS)?CONNECT$")
        self.assertEqual(told["event"]["server"]["name"], "demo")

    def test_events_of_subjects(self):
        running = self.start("events", "--subjects", "own.>", "--count", "1", "--json", "-s",
                             self.app)
        client = self.client()
        while running.process.poll() is None and not running.out:
            client.send("PUB own.a 2\r\nhi\r\n")
        running.wait()
        self.assertEqual(json.loads(running.out[0]), {"subject": "own.a", "payload": "hi"})

    def test_account(self):
        shown = self.tool("account", "info", "-s", self.app)
        for text in ("User: app\n", "Account: APP\n", "Expires: never\n", "Name: demo\n",
                     "Connections: 1\n"):
            self.assertIn(text, shown)
        told = self.json("account", "info")
        self.assertEqual((told["user"]["account"], len(told["account"]["account_statz"])),
                         ("SYS", 1))
        few = self.app.replace("app:a", "few:f")
        self.tool("account", "info", "-s", few, "--timeout", "2s", status=3)

    def test_not_in_the_system_account(self):
        for command in ("list", "info", "ping", "watch"):
            self.tool("server", command, "-s", self.app, status=3)
            self.assertIn("--monitor", self.said)

    def test_no_server(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            place = "127.0.0.1:%d" % taken.getsockname()[1]
            self.tool("server", "list", "--monitor", place, status=4)
            self.tool("server", "list", "-s", "nats://" + place, status=4)
        self.tool("server", "list", "--monitor", f"127.0.0.1:{self.server.port}", status=4)
        self.tool("server", "list", "--monitor", self.monitor + "/nowhere", status=4)
        self.tool("server", "list", "--monitor", ",", status=2)


class Check(ServerTest):
    def test_connection(self):
        check = ("server", "check", "connection", *PATIENT)
        shown = self.tool(*check)
        self.assertRegex(shown, r"^OK Connection OK:connected after .*\| connect_time=[0-9.e-]+s;"
                                r"3600;3600 rtt=.* request_time=")
        self.assertNotIn("sys:s", shown)
        shown = self.tool(*check, "--rtt-critical", "1ns", status=2)
        self.assertRegex(shown, r"^CRITICAL Connection Crit:rtt")
        shown = self.tool(*check, "--req-warn", "1ns", status=1)
        self.assertRegex(shown, r"^WARNING Connection Warn:round trip")
        told = self.json(*check)
        self.assertEqual((told["status"], told["check_suite"], len(told["perf_data"])),
                         ("OK", "connections", 3))
        shown = self.tool("server", "check", "connection", "-s", "nats://127.0.0.1:1", status=2)
        self.assertRegex(shown, r"^CRITICAL Connection Crit:")

    def test_server(self):
        self.client()
        for more in ((), ("--monitor", self.monitor), ("--name", "demo")):
            check = ("server", "check", "server", *more)
            self.assertRegex(self.tool(*check), r"^OK demo \| uptime=")
            for limits, status in (
                    (("--conn-warn", "1", "--conn-critical", "100"), 1),
                    (("--conn-critical", "1"), 2),
                    (("--conn-warn", "1000", "--conn-critical", "500"), 2),
                    (("--subs-warn", "1000000"), 0), (("--mem-critical", "1K"), 2),
                    (("--mem-critical", "100G"), 0), (("--uptime-critical", "1000d"), 2),
                    (("--uptime-warn", "1000d"), 1), (("--uptime-warn", "0"), 0),
                    (("--cpu-critical", "1M"), 0), (("--auth-required",), 0)):
                self.tool(*check, *limits, status=status)
        self.tool("server", "check", "server", "--name", "other", "--timeout", "2s", status=2)
        self.tool("server", "check", "server", "--name", "other", "-m", self.monitor, status=2)
        self.tool("server", "check", "server", "--mem-warn", "lots", status=2)

    def test_forms(self):
        shown = self.tool("server", "check", "server", "--format", "prometheus", "--conn-critical",
                          "1")
        self.assertRegex(shown, r'(?m)^nats_server_check_server_status_code\{item="demo",'
                                r'status="CRITICAL"\} 2$')
        for line in shown.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) |)\w+(\{.*\})? ')
        self.assertIn("ops_server_mem", self.tool("server", "check", "server", "--format",
                                                  "prometheus", "--namespace", "ops"))
        shown = self.tool("server", "check", "server", "--format", "text")
        self.assertTrue(shown.startswith("demo: OK\n"))
        path = self.home / "result"
        self.assertEqual(self.tool("server", "check", "server", "--outfile", str(path)), "")
        self.assertTrue(path.read_text().startswith("OK demo"))
        self.tool("server", "check", "server", "--outfile", "/does/not/exist", status=3)


class Hostile(ServerTest):
    """Names that would command a terminal."""

    name = "\\x1b[2J\\x07<b>|"

    def test_clients(self):
        for name in NAMES:
            client = self.client(name=name)
            for shown in self.both_ways("report", "connections"):
                self.assertEqual(bad_characters(shown), set(), shown)
            for shown in self.both_ways("report", "connections", "--json"):
                self.assertIn(name, [c["name"] for c in json.loads(shown) if "name" in c])
            client.close()

    def test_events(self):
        running = self.start("events")
        running.await_line("listening")
        for name in NAMES:
            self.client(name=name).close()
        self.client(name="the last").close()
        running.await_line("the last")
        self.assertEqual(running.interrupt(), 0)
        self.assertEqual(bad_characters("\n".join(running.out)), set())

    def test_server_name(self):
        for command in (("list",), ("info",), ("ping",), ("watch", "--count", "1"),
                        ("check", "server"), ("check", "server", "--format", "text"),
                        ("check", "server", "--format", "prometheus"),
                        ("check", "server", "--format", "json"), ("report", "connections")):
            shown = self.tool("server", *command)
            self.assertEqual(bad_characters(shown), set(), shown)
        self.assertEqual(self.tool("server", "check", "server").count("|"), 2)
        self.assertEqual(bad_characters(self.tool("account", "info")), set())


class Monitors(ServerTest):
    """What answers by HTTP and is no server, or a wicked one."""

    def answer(self, body):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                with conn:
                    conn.recv(65536)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

        threading.Thread(target=serve, daemon=True).start()
        return "http://127.0.0.1:%d" % listener.getsockname()[1]

    def test_wicked(self):
        for body, status in ((b"", 4), (b"[]", 0), (b"\"\x1b[2J\"", 4), (b"{", 4), (b"null", 4),
                             (b"{\"connections\":7,\"total\":1e300,\"cpu\":\"x\"}", 0),
                             (b"{\"connections\":[7,null,{\"cid\":-1,\"ip\":7}],\"total\":5}", 0),
                             (b"{\"server_name\":\"\\u001b[2J\\u0000\",\"mem\":1e308}", 0)):
            monitor = self.answer(body)
            for command in (("list",), ("info",), ("ping",), ("report", "connections"),
                            ("report", "accounts"), ("watch", "--count", "1")):
                shown = self.tool("server", *command, "--monitor", monitor, status=status)
                self.assertEqual(bad_characters(shown + self.said), set(), shown)


on_both(Servers, globals())
on_both(Check, globals())
on_both(Hostile, globals())
del MonitoredTest, ServerTest, Servers, Check, Hostile

if __name__ == "__main__":
    unittest.main()
