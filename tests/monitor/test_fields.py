#!/usr/bin/env python3
"""Every endpoint's fields beside those of nats-server under the same traffic: which there are, of
which type, and with which value where that is determined."""

import unittest

from shape import differences
from world import both, eventually, main

# Everything below is told by the traffic alone.
COUNTS = ("in_msgs", "out_msgs", "in_bytes", "out_bytes", "subscriptions", "pending_bytes",
          "num_connections", "total", "offset", "limit", "name", "lang", "version", "kind", "type",
          "ip", "reason", "subject", "qgroup", "sid", "msgs", "max", "authorized_user",
          "subscriptions_list", "name_tag", "stalls")

# What a server has that has JetStream and a system account.
REQUEST_STATS = tuple(f"http_req_stats./{name}" for name in (
    "", "accountz", "accstatz", "connz", "gatewayz", "healthz", "jsz", "leafz", "routez", "subsz"))
VARZ_ONLY_THEIRS = REQUEST_STATS + ("feature_flags", "system_account", "git_commit")


def traffic(server):
    """The same conversation with either server; returns the clients that stay."""
    alpha = server.client(name="alpha", lang="c", version="1.0", user="bob", **{"pass": "x"})
    alpha.send(b"SUB foo.* 1\r\nSUB bar q 2\r\nSUB once 3\r\nUNSUB 3 5\r\n").ping()
    beta = server.client(name='b<e>t&a "quoted" \u00e9', headers=True)
    beta.send(b"PUB foo.a 5\r\nhello\r\nPUB nobody 2\r\nab\r\nPUB once 3\r\nabc\r\n").ping()
    alpha.until(b"abc\r\n")
    token = server.client(auth_token="s3cr3t")
    left = server.client(name="left")
    left.send(b"SUB zz 1\r\n").ping().close()
    wrong = server.client(handshake=False)
    wrong.send(b"BOGUS\r\n").gone()
    eventually(lambda: server.json("/connz?state=closed")["total"] == 2, "two have closed")
    return alpha, beta, token


class Fields(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.context = both()
        cls.ours, cls.theirs = cls.context.__enter__()
        cls.clients = traffic(cls.ours) + traffic(cls.theirs)

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        cls.context.__exit__(None, None, None)

    def compare(self, path, same=COUNTS, **allowed):
        ours, theirs = self.ours.get(path), self.theirs.get(path)
        self.assertEqual(ours.status, theirs.status, path)
        for header in ("Content-Type", "Access-Control-Allow-Origin"):
            self.assertEqual(ours.headers.get(header), theirs.headers.get(header), (path, header))
        if not ours.headers["Content-Type"].startswith("application/json"):
            self.assertEqual(ours.text, theirs.text, path)
            return None
        self.assertEqual(differences(ours.json, theirs.json, same, **allowed), [], path)
        return ours.json

    def connz(self, query):
        """Without the ids, which nats-server begins to count later."""
        pages = []
        for server in (self.ours, self.theirs):
            page = server.json("/connz?" + query)
            for connection in page["connections"]:
                for sub in connection.get("subscriptions_list_detail", []):
                    self.assertEqual(sub["cid"], connection["cid"])
                # nats-server takes them as a map gives them
                connection.get("subscriptions_list", []).sort()
                connection.get("subscriptions_list_detail", []).sort(key=lambda s: s["sid"])
            pages.append(page)
        # What still waited for one that has closed is a matter of moments.
        for page in pages:
            for connection in page["connections"]:
                if "reason" in connection:
                    connection["pending_bytes"] = 0
        self.assertEqual(differences(*pages, COUNTS), [], query)
        return pages[0]

    def test_varz(self):
        page = self.compare("/varz", only_theirs=VARZ_ONLY_THEIRS, only_ours=REQUEST_STATS, same=(
            "proto", "host", "max_connections", "ping_interval", "ping_max", "http_host",
            "http_base_path", "https_port", "auth_timeout", "max_control_line", "max_payload",
            "max_pending", "cluster", "gateway", "leaf", "mqtt", "websocket", "jetstream",
            "tls_timeout", "write_deadline", "cores", "connections", "total_connections", "routes",
            "remotes", "leafnodes", "in_msgs", "out_msgs", "in_bytes", "out_bytes",
            "in_client_msgs", "in_client_bytes", "out_client_msgs", "out_client_bytes",
            "slow_consumers", "stale_connections", "stalled_clients", "slow_consumer_stats",
            "stale_connection_stats", "disk_io_wait_stats", "config_digest"))
        self.assertEqual(page["server_name"], "watched")
        self.assertEqual((page["in_msgs"], page["out_msgs"]), (3, 2))
        self.assertEqual(page["start"], page["config_load_time"])

    def test_connz(self):
        page = self.connz("")
        self.assertEqual([c["name"] for c in page["connections"] if "name" in c],
                         ["alpha", 'b<e>t&a "quoted" \u00e9'])

    def test_connz_with_authentication(self):
        page = self.connz("auth=1&subs=1")
        self.assertEqual([c.get("authorized_user") for c in page["connections"]],
                         ["bob", None, "[REDACTED]"])

    def test_connz_in_detail(self):
        self.connz("subs=detail&auth=true")

    def test_connz_closed(self):
        page = self.connz("state=closed&subs=1")
        self.assertEqual([c["reason"] for c in page["connections"]],
                         ["Client Closed", "Protocol Violation"])
        self.assertEqual(page["connections"][0]["subscriptions_list"], ["zz"])

    def test_connz_open_and_closed(self):
        self.connz("state=any&subs=detail")

    def test_connz_of_a_user(self):
        self.connz("user=bob&auth=1")
        self.connz("user=nobody")
        self.connz("mqtt_client=x")

    def test_connz_of_an_account(self):
        self.connz("acc=$G")
        ours, theirs = self.ours.json("/connz?acc=none"), self.theirs.json("/connz?acc=none")
        self.assertEqual(differences(ours, theirs, ("server_id", "connections", "total")), [])

    def test_subsz(self):
        self.compare("/subsz", same=("total", "offset", "limit"))
        pages = [server.json("/subsz?subs=1&acc=$G") for server in (self.ours, self.theirs)]
        for page in pages:  # nats-server has some of its own in every account
            page["subscriptions_list"] = sorted(
                (s for s in page["subscriptions_list"] if not s["subject"].startswith("$SYS")),
                key=lambda s: s["sid"])
        self.assertEqual([s["sid"] for s in pages[0]["subscriptions_list"]], ["1", "2", "3"])
        self.assertEqual(differences(*pages, ("subject", "qgroup", "sid", "msgs", "max", "account",
                                              "account_tag")), [])

    def test_subsz_that_would_get_a_message(self):
        page = self.compare("/subsz?subs=1&test=foo.x", same=("subject", "sid", "total", "msgs"))
        self.assertEqual(page["subscriptions_list"][0]["subject"], "foo.*")
        self.compare("/subscriptionsz?subs=1&test=none.such", same=("total",))

    def test_without_clustering(self):
        for path in ("/routez", "/routez?subs=detail", "/gatewayz", "/gatewayz?accs=1", "/leafz",
                     "/leafz?subs=1", "/raftz", "/raftz?acc=$G"):
            self.compare(path, same=("num_routes", "leafnodes"))

    def test_without_jetstream(self):
        for path in ("/jsz", "/jsz?streams=1&consumers=1&config=1", "/jsz?acc=$G&raft=1",
                     "/jsz?leader-only=1"):
            self.compare(path, same=("disabled", "total", "memory", "config"))

    def test_healthz(self):
        for path in ("/healthz", "/healthz?js-enabled-only=1", "/healthz?js-server-only=true",
                     "/healthz?details=1", "/healthz?stream=s", "/healthz?consumer=c",
                     "/healthz?account=a&stream=s&consumer=c"):
            ours, theirs = self.ours.get(path), self.theirs.get(path)
            self.assertEqual((ours.status, ours.text), (theirs.status, theirs.text), path)

    def test_accountz(self):
        ours, theirs = self.ours.json("/accountz"), self.theirs.json("/accountz")
        self.assertIn("$G", ours["accounts"])
        ours["accounts"] = theirs["accounts"] = []
        self.assertEqual(differences(ours, theirs, only_theirs=("system_account",)), [])
        self.compare("/accountz?acc=$G", same=("account_name", "expired", "complete", "name_tag",
                                               "jetstream_enabled", "leafnode_connections",
                                               "client_connections"),
                     only_theirs=("system_account", "account_detail.imports"))
        self.compare("/accountz?acc=none")

    def test_accstatz(self):
        page = self.compare("/accstatz", same=("acc", "name", "conns", "leafnodes", "total_conns",
                                               "sent", "received", "slow_consumers"))
        self.assertEqual(page["account_statz"][0]["received"]["msgs"], 3)

    def test_insides(self):
        self.assertEqual(self.ours.json("/ipqueuesz"), {})
        for queue in self.ours.json("/ipqueuesz?all=1").values():
            self.assertEqual(list(queue), ["pending"])
        variables = self.ours.json("/debug/vars")
        self.assertIsInstance(variables["cmdline"], list)
        for key in ("Alloc", "TotalAlloc", "Sys", "HeapAlloc"):
            self.assertGreater(variables["memstats"][key], 0)
        self.assertIn("loop 0", self.ours.get("/stacksz").text)

    def test_root_links_lead_somewhere(self):
        page = self.ours.get("/")
        self.assertEqual(page.headers["Content-Type"], "text/html; charset=utf-8")
        paths = [line.split('"')[1] for line in page.text.splitlines() if line.startswith("<a ")]
        self.assertGreater(len(paths), 10)
        for path in paths:
            status = self.ours.get(path[1:], {"Accept-Encoding": "gzip"}).status
            self.assertIn(status, (200, 404) if "raftz" in path else (200,), path)

    def test_secrets_are_not_told(self):
        for path in ("/varz", "/connz?auth=1&subs=detail", "/connz?state=all&auth=1", "/metrics",
                     "/debug/vars", "/stacksz", "/accountz?acc=$G"):
            self.assertNotIn("s3cr3t", self.ours.get(path).text)
        self.assertNotIn("s3cr3t", "".join(self.ours.log))


if __name__ == "__main__":
    main()
