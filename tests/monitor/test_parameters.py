#!/usr/bin/env python3
"""Parameters, good and bad: status, text and effect as nats-server has them; what is counted."""

import unittest

from world import PIPIT, Server, both, main

FLAGS = {
    "/connz": ("auth", "subs"), "/subsz": ("subs",), "/routez": ("subs",), "/gatewayz":
    ("accs", "subs"), "/leafz": ("subs",), "/accstatz": ("unused",), "/jsz":
    ("accounts", "streams", "consumers", "direct-consumers", "config", "leader-only", "raft",
     "stream-leader-only"), "/healthz":
    ("js-enabled", "js-enabled-only", "js-server-only", "js-meta-only", "details"),
    "/ipqueuesz": ("all",),
}
BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", "",
            "yes", "tRue", "2", "-1", "%20", "d%C3%A9")
NUMBERS = ("0", "1", "-5", "+3", "007", "", "1.5", "x", "1e3", "0x10", "9223372036854775807",
           "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "%2B1", "--1",
           "1_000", " 1".replace(" ", "%20"))


class Parameters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = both()
        cls.ours, cls.theirs = cls.context.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.context.__exit__(None, None, None)

    def same(self, path):
        ours, theirs = self.ours.get(path), self.theirs.get(path)
        self.assertEqual(ours.status, theirs.status, (path, ours.text, theirs.text))
        if ours.status == 400:
            self.assertEqual(ours.text, theirs.text, path)
            self.assertEqual(ours.headers.get("Content-Type"), theirs.headers.get("Content-Type"))
            self.assertEqual("Access-Control-Allow-Origin" in ours.headers,
                             "Access-Control-Allow-Origin" in theirs.headers, path)
        return ours, theirs

    def test_booleans(self):
        for path, names in FLAGS.items():
            for name in names:
                for value in BOOLEANS:
                    self.same(f"{path}?{name}={value}")

    def test_detail_is_not_for_all(self):
        for path in ("/connz", "/subsz", "/routez", "/gatewayz", "/leafz"):
            for value in ("detail", "DETAIL", "details"):
                self.same(f"{path}?subs={value}")

    def test_numbers(self):
        for path, names in {"/connz": ("offset", "limit"), "/subsz": ("offset", "limit"),
                            "/jsz": ("offset", "limit")}.items():
            for name in names:
                for value in NUMBERS:
                    ours, theirs = self.same(f"{path}?{name}={value}")
                    if ours.status == 200 and name in ours.json:
                        self.assertEqual(ours.json[name], theirs.json[name], (path, value))

    def test_ids(self):
        for value in NUMBERS + ("18446744073709551615", "18446744073709551616"):
            ours, theirs = self.same(f"/connz?cid={value}")
            if ours.status == 200:
                self.assertEqual(ours.json["limit"], theirs.json["limit"], value)

    def test_states(self):
        for value in ("open", "OPEN", "closed", "Closed", "any", "ALL", "all", "", "x", "opened"):
            self.same(f"/connz?state={value}")

    def test_sort_options(self):
        for value in ("cid", "start", "subs", "pending", "msgs_to", "msgs_from", "bytes_to",
                      "bytes_from", "last", "idle", "uptime", "rtt", "stop", "reason", "", "Cid",
                      "nothing"):
            for state in ("open", "closed", "any"):
                self.same(f"/connz?sort={value}&state={state}")

    def test_test_subjects(self):
        for value in ("a", "a.b", "a.*", "a.%3E", "a..b", ".a", "a.", "*", ""):
            self.same(f"/subsz?test={value}")

    def test_of_two_errors_the_same_is_told(self):
        self.same("/connz?limit=x&offset=y&auth=z&subs=w&cid=v&state=u&sort=t")
        self.same("/connz?sort=t&state=u")
        self.same("/connz?sort=stop&limit=x")
        self.same("/subsz?subs=a&offset=b&limit=c&test=d..e")
        self.same("/jsz?limit=a&accounts=b&raft=c")
        self.same("/gatewayz?subs=a&accs=b")

    def test_the_first_of_a_repeated_one_counts(self):
        self.same("/connz?limit=1&limit=x")
        self.same("/connz?limit=x&limit=1")

    def test_unknown_ones_are_passed_over(self):
        for path in ("/varz?a=b&callback=f", "/connz?callback=f", "/healthz?x", "/varz?%zz=1"):
            self.same(path)


class RequestCounts(unittest.TestCase):
    def test_as_nats_server_counts(self):
        with both() as (ours, theirs):
            for path in ("/", "/varz", "/connz?limit=x", "/connz?sort=x", "/connz", "/routez?subs=x",
                         "/routez", "/subsz?limit=x", "/subscriptionsz", "/gatewayz", "/leafz?subs=x",
                         "/accountz?acc=none", "/accstatz", "/jsz?leader-only=1", "/healthz?stream=x",
                         "/ipqueuesz", "/raftz", "/stacksz", "/debug/vars", "/none", "/varz/"):
                for server in (ours, theirs):
                    server.get(path)
            self.assertEqual(ours.json("/varz")["http_req_stats"],
                             theirs.json("/varz")["http_req_stats"])

    def test_below_a_base_path(self):
        with Server(PIPIT, "--http_base_path", "//watch/pipit/") as server:
            for path, status in {"/watch/pipit": 200, "/watch/pipit/": 404, "/": 404, "/varz": 404,
                                 "/watch/pipit/varz": 200, "/watch/pipit/none": 404}.items():
                self.assertEqual(server.get(path).status, status, path)
            self.assertIn('href="./pipit/varz"', server.get("/watch/pipit").text)
            varz = server.json("/watch/pipit/varz")
            self.assertEqual(varz["http_base_path"], "//watch/pipit/")
            self.assertEqual(set(varz["http_req_stats"]), {"/", "/varz"})


if __name__ == "__main__":
    main()
