#!/usr/bin/env python3
"""/metrics: both text formats, checked by promtool and read by a real Prometheus; the dashboard and
the documentation name the metrics there are."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from ports import quiet_port  # noqa: E402
from world import DEADLINE_S, PIPIT, REPO, Server, eventually, main, missing  # noqa: E402

PROMETHEUS_ACCEPT = ("application/openmetrics-text;version=1.0.0,"
                     "application/openmetrics-text;version=0.0.1;q=0.75,"
                     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
DOCUMENTATION = REPO / "docs/monitoring.md"
DASHBOARDS = REPO / "packaging/grafana"


def program(name):
    """Debian's prometheus package has them."""
    found = shutil.which(name)
    if found is None:
        missing(name)
    return found


class Families:
    """A scrape, taken apart: type and help by family, values by sample."""

    def __init__(self, text):
        self.types, self.helps, self.values = {}, {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, name
                self.types[name] = kind
            elif line.startswith("# HELP "):
                _, _, name, text_ = line.split(" ", 3)
                self.helps[name] = text_
            elif not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                assert sample not in self.values, sample
                self.values[sample] = float(value)

    def value(self, sample):
        return self.values[sample]


def traffic(server):
    clients = [server.client(name=f"c{i}") for i in range(3)]
    clients[0].send(b"SUB a.* 1\r\nSUB b 2\r\n").ping()
    clients[1].send(b"SUB a.x 1\r\n").ping()
    clients[2].send(b"PUB a.x 3\r\nabc\r\n" * 10 + b"PUB none 1\r\nx\r\n").ping()
    wrong = server.client(handshake=False)
    wrong.send(b"garbage\r\n").gone()
    return clients


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = Server(PIPIT)
        cls.server = cls.context.__enter__()
        cls.clients = traffic(cls.server)

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        cls.context.__exit__(None, None, None)

    def scrape(self, accept=""):
        response = self.server.get("/metrics", {"Accept": accept} if accept else {})
        self.assertEqual(response.status, 200)
        return response

    def test_which_format_is_sent(self):
        text, open_ = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
        for accept, expected in (
                ("", text), ("*/*", text), ("text/plain", text), (PROMETHEUS_ACCEPT, open_),
                ("application/openmetrics-text", open_),
                ("application/openmetrics-text;version=1.0.0;q=0", text),
                ("text/plain;q=0.9, application/openmetrics-text;q=0.8", text),
                ("text/plain;q=0.3,application/OpenMetrics-Text ; q=0.4", open_)):
            content_type = self.scrape(accept).headers["Content-Type"]
            self.assertTrue(content_type.startswith(expected), (accept, content_type))

    def test_open_metrics_form(self):
        page = self.scrape(PROMETHEUS_ACCEPT).text
        self.assertTrue(page.endswith("\n# EOF\n"))
        self.assertEqual(page.count("# EOF"), 1)
        families = Families(page)
        for name, kind in families.types.items():
            samples = [s for s in families.values if re.match(re.escape(name) + r"(_|\{|$)", s)]
            self.assertTrue(samples, name)
            if kind == "counter":
                self.assertFalse(name.endswith("_total"), name)
                self.assertTrue(any(s.startswith(name + "_total") for s in samples), name)

    def test_promtool_finds_nothing_to_say(self):
        check = subprocess.run([program("promtool"), "check", "metrics"], input=self.scrape().body,
                               capture_output=True, check=False, timeout=DEADLINE_S)
        self.assertEqual((check.returncode, check.stdout, check.stderr), (0, b"", b""))

    def test_figures_are_those_of_the_traffic(self):
        families = Families(self.scrape().text)
        for sample, value in {
                "pipit_received_messages_total": 11, "pipit_received_bytes_total": 31,
                "pipit_sent_messages_total": 20, "pipit_sent_bytes_total": 60,
                "pipit_connections": 3, "pipit_accepted_connections_total": 4,
                "pipit_subscriptions": 3, "pipit_made_subscriptions_total": 3,
                'pipit_closed_connections_total{reason="Protocol Violation"}': 1,
                'pipit_closed_connections_total{reason="Client Closed"}': 0,
                "pipit_remembered_closed_connections": 1, "pipit_ready": 1,
                'pipit_account_received_messages_total{account="$G"}': 11,
                'pipit_account_sent_bytes_total{account="$G"}': 60,
                'pipit_account_connections{account="$G"}': 3,
                "pipit_route_cache_entries": 2, "pipit_protocol_errors_total": 1}.items():
            self.assertEqual(families.value(sample), value, sample)
        self.assertEqual(families.value("pipit_route_cache_misses_total") +
                         families.value("pipit_route_cache_hits_total"), 11)
        self.assertGreater(families.value("pipit_resident_memory_bytes"), 1000000)

    def test_what_nobody_hears_is_counted(self):
        """The same publish over and over, in one piece; somebody hears some of it."""
        with Server(PIPIT) as server:
            client = server.client(name="talker", pedantic=False)
            publish = b"PUB a 3\r\nabc\r\n"
            client.send(publish * 1000 + b"SUB a 1\r\n" + publish * 2 + b"UNSUB 1\r\n" +
                        publish * 500 + b"PUB a 3\r\nxyz\r\nPUB b 3\r\nabc\r\nPING\r\n")
            heard = client.until(b"PONG\r\n")
            self.assertEqual(heard.count(b"MSG a 1 3\r\nabc\r\n"), 2, heard)
            [connection] = server.json("/connz")["connections"]
            page = server.json("/varz")
            for counts in connection, page:
                self.assertEqual([counts[name] for name in
                                  ("in_msgs", "in_bytes", "out_msgs", "out_bytes")],
                                 [1504, 4512, 2, 6])
            client.close()

    def test_histograms_add_up(self):
        families = Families(self.scrape().text)
        for loop in ("0", "1"):
            label = f'loop="{loop}"'
            counts = [v for s, v in families.values.items()
                      if s.startswith("pipit_loop_turn_seconds_bucket{" + label)]
            if not counts:
                continue  # one loop only
            self.assertEqual(counts, sorted(counts))
            self.assertEqual(counts[-1], families.value(f"pipit_loop_turn_seconds_count{{{label}}}"))
            self.assertGreater(counts[-1], 0)
            longest = families.value(f"pipit_loop_longest_turn_seconds{{{label}}}")
            self.assertGreater(longest, 0)
            self.assertLessEqual(longest,
                                 families.value(f"pipit_loop_turn_seconds_sum{{{label}}}") + 1e-6)

    def test_labels_hold_any_bytes(self):
        with Server(PIPIT, "--name", 'a"b\\c\nd\u00e9') as server:
            page = server.get("/metrics").text
            self.assertIn('server_name="a\\"b\\\\c\\nd\u00e9"', page)

    def test_the_documentation_lists_them(self):
        families = Families(self.scrape().text)
        lines = DOCUMENTATION.read_text(encoding="utf-8").splitlines()
        documented = {found[1]: (found[2], found[3]) for found in
                      (re.match(r"\| `(pipit_\w+)` \| (\w+) \| (.*) \|$", line) for line in lines)
                      if found}
        actual = {name: (kind, families.helps[name]) for name, kind in families.types.items()}
        self.assertEqual(documented, actual)

    def test_the_dashboards_name_them(self):
        families = Families(self.scrape().text)
        names = set(families.types)
        for name, kind in families.types.items():
            if kind == "histogram":
                names |= {name + "_bucket", name + "_sum", name + "_count"}
        dashboards = list(DASHBOARDS.glob("*.json"))
        self.assertTrue(dashboards)
        for path in dashboards:
            text = pathlib.Path(path).read_text(encoding="utf-8")
            json.loads(text)
            used = set(re.findall(r"\bpipit_\w+", text))
            self.assertGreater(len(used), 15)
            self.assertEqual(used - names, set())


class Scraped(unittest.TestCase):
    def test_by_prometheus(self):
        prometheus = program("prometheus")
        with Server(PIPIT) as server, tempfile.TemporaryDirectory() as folder:
            clients = traffic(server)
            port = quiet_port()
            config = pathlib.Path(folder) / "prometheus.yml"
            config.write_text(f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: pipit, static_configs: [{{targets: ['127.0.0.1:{server.http_port}']}}]}}]
""", encoding="ascii")
            process = subprocess.Popen(
                [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            def query(expression):
                try:
                    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode(
                        {"query": expression})
                    with urllib.request.urlopen(url, timeout=DEADLINE_S) as response:
                        result = json.load(response)["data"]["result"]
                except OSError:
                    return None  # not up yet
                return result[0]["value"][1] if result else None

            try:
                eventually(lambda: query("up") == "1", "scraped")
                for expression, value in {
                        "pipit_received_messages_total": "11", "pipit_connections": "3",
                        'pipit_closed_connections_total{reason="Protocol Violation"}': "1",
                        "pipit_build_info": "1",
                        "sum(pipit_loop_turn_seconds_bucket{le='+Inf'}) > bool 0": "1"}.items():
                    self.assertEqual(eventually(lambda e=expression: query(e), expression), value)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(DEADLINE_S)
            for client in clients:
                client.close()


if __name__ == "__main__":
    main()
