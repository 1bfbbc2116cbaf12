#!/usr/bin/env python3
"""Sorting and paging of /connz and /subsz, beside nats-server."""

import unittest

from world import both, eventually, main

CLIENTS = 12


def figures(server):
    """Clients that differ in every figure; returns them. Their names tell them apart."""
    clients = [server.client(name=f"c{i:02}") for i in range(CLIENTS)]
    for i, client in enumerate(clients):
        for sid in range((i * 5) % CLIENTS):
            client.send(b"SUB s.%d.%d %d\r\n" % (i, sid, sid))
        client.send(b"SUB to.%d 100\r\n" % i).ping()
    sender = server.client(name="sender")
    for i in range(CLIENTS):
        sender.send(b"PUB to.%d %d\r\n%s\r\n" % (i, 3 + i, b"x" * (3 + i)) * ((i * 7) % CLIENTS + 1))
    sender.ping()
    for i, client in enumerate(clients):
        client.send(b"PUB nobody %d\r\n%s\r\n" % (40 - i, b"y" * (40 - i)) * ((i * 11) % CLIENTS + 1))
        client.ping()
    # Last of all, one after the other, so that it is known who was active when.
    for i in range(CLIENTS):
        clients[(i * 5) % CLIENTS].send(b"PUB nobody 0\r\n\r\n").ping()
    return clients + [sender]


class Sorting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = both()
        cls.ours, cls.theirs = cls.context.__enter__()
        cls.clients = figures(cls.ours) + figures(cls.theirs)

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        cls.context.__exit__(None, None, None)

    def names(self, server, query):
        return [c["name"] for c in server.json("/connz?" + query)["connections"]]

    def test_orders(self):
        for sort in ("cid", "start", "subs", "msgs_to", "msgs_from", "bytes_to", "bytes_from",
                     "last", "uptime"):
            ours = self.names(self.ours, f"sort={sort}")
            self.assertEqual(len(ours), CLIENTS + 1)
            self.assertEqual(ours, self.names(self.theirs, f"sort={sort}"), sort)

    def test_order_by_round_trip(self):
        def measured():
            page = self.ours.json("/connz?sort=rtt")["connections"]
            return page if all(c["rtt"] != "0s" for c in page) else None

        def microseconds(text):
            for unit, scale in (("ms", 1000), ("\u00b5s", 1), ("s", 1000000)):
                if text.endswith(unit):
                    return float(text[:-len(unit)]) * scale
            raise AssertionError(text)

        times = [microseconds(c["rtt"]) for c in eventually(measured, "round trips")]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_order_by_idleness(self):
        page = self.ours.json("/connz?sort=idle")["connections"]
        times = [c["last_activity"] for c in page]
        self.assertEqual(times, sorted(times))

    def test_pages(self):
        everybody = self.names(self.ours, "sort=bytes_from")
        for limit in (1, 2, 5, 12, 13, 100):
            pages = []
            for offset in range(0, CLIENTS + 1, limit):
                page = self.ours.json(f"/connz?sort=bytes_from&offset={offset}&limit={limit}")
                self.assertEqual(page["total"], CLIENTS + 1)
                self.assertEqual(page["num_connections"], len(page["connections"]))
                pages += [c["name"] for c in page["connections"]]
            self.assertEqual(pages, everybody)
        beyond = self.ours.json("/connz?offset=99999999999")
        self.assertEqual((beyond["num_connections"], beyond["connections"]), (0, []))

    def test_one_connection(self):
        for connection in self.ours.json("/connz")["connections"]:
            page = self.ours.json(f"/connz?cid={connection['cid']}&subs=1&auth=1")
            self.assertEqual([c["name"] for c in page["connections"]], [connection["name"]])
            self.assertEqual(page["total"], CLIENTS + 1)

    def test_pages_of_subscriptions(self):
        everything = self.ours.json("/subsz?subs=1")
        self.assertEqual(everything["total"], len(everything["subscriptions_list"]))
        self.assertEqual(everything["total"], everything["num_subscriptions"])
        keys = [(s["cid"], s["sid"]) for s in everything["subscriptions_list"]]
        self.assertEqual(len(set(keys)), len(keys))
        for limit in (1, 7, 10, 1000):
            pages = []
            for offset in range(0, len(keys), limit):
                page = self.ours.json(f"/subsz?subs=1&offset={offset}&limit={limit}")
                self.assertEqual(page["total"], len(keys))
                pages += [(s["cid"], s["sid"]) for s in page["subscriptions_list"]]
            self.assertEqual(pages, keys)
        self.assertNotIn("subscriptions_list", self.ours.json(f"/subsz?subs=1&offset={len(keys)}"))

    def test_pages_of_subscriptions_that_would_get_a_message(self):
        page = self.ours.json("/subsz?subs=1&test=to.3")
        self.assertEqual([s["subject"] for s in page["subscriptions_list"]], ["to.3"])
        self.assertEqual(page["subscriptions_list"][0]["msgs"], (3 * 7) % CLIENTS + 1)
        self.assertNotIn("subscriptions_list", self.ours.json("/subsz?subs=1&test=to.3&offset=1"))


if __name__ == "__main__":
    main()
