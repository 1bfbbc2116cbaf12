#!/usr/bin/env python3
"""bench and latency: that they count right, not how fast a machine is."""

import csv
import json
import unittest
import xml.etree.ElementTree

from tool import OnServer, on_both


class Bench(OnServer):
    flags = ("-m", "-1")

    def bench(self, *arguments, **more):
        return json.loads(self.tool("bench", *arguments, "--json", **more))

    def check_latency(self, latency, count):
        self.assertEqual(latency["count"], count)
        figures = [latency[name] for name in ("p50", "p90", "p99", "p99.9", "max")]
        self.assertEqual(figures, sorted(figures))
        self.assertGreater(figures[0], 0)

    def test_pub(self):
        sub = self.start("sub", "load", "--report-subjects", "--count=10001", "--json")
        sub.await_line("Subscribing on")
        told = self.bench("pub", "load", "--clients=3", "--msgs=10001", "--size=17")
        self.assertEqual((told["benchmark"], told["pub"]["clients"]), ("pub", 3))
        self.assertEqual((told["pub"]["messages"], told["pub"]["bytes"]), (10001, 170017))
        self.assertAlmostEqual(told["pub"]["messages_per_second"] * told["pub"]["seconds"], 10001, 0)
        self.assertEqual(sub.wait(), 0)
        self.assertEqual(json.loads("\n".join(sub.out)),
                         [{"subject": "load", "messages": 10001, "bytes": 170017}])

    def test_many_subjects(self):
        sub = self.start("sub", "load.>", "--report-subjects", "--count=100", "--json")
        sub.await_line("Subscribing on")
        self.bench("pub", "load", "--msgs=100", "--multisubject", "--multisubjectmax=4")
        self.assertEqual(sub.wait(), 0)
        self.assertEqual([(one["subject"], one["messages"])
                          for one in json.loads("\n".join(sub.out))],
                         [(f"load.{i}", 25) for i in range(4)])

    def test_pubsub(self):
        told = self.bench("pubsub", "load", "--pub=2", "--sub=3", "--msgs=20k", "--size=0")
        self.assertEqual(told["pub"]["messages"], 20000)
        self.assertEqual((told["sub"]["messages"], told["lost"]), (60000, 0))
        self.assertNotIn("latency_ns", told)

    def test_open_loop(self):
        told = self.bench("pubsub", "load", "--pub=2", "--rate=2k", "--msgs=1000")
        self.assertEqual((told["pub"]["messages"], told["sub"]["messages"]), (1000, 1000))
        self.assertGreater(told["pub"]["seconds"], 0.49)  # never faster than asked
        self.check_latency(told["latency_ns"], 1000)

    def test_request(self):
        told = self.bench("request", "svc", "--service=2", "--clients=3", "--msgs=1000",
                          "--outstanding=10")
        self.assertEqual((told["request"]["messages"], told["service"]["messages"]), (1000, 1000))
        self.assertEqual(told["request"]["failed"], 0)
        self.check_latency(told["latency_ns"], 1000)

    def test_service_by_another(self):
        service = self.start("bench", "service", "other", "--clients=2", "--json")
        answered, failed = 0, 1
        while failed:  # until the service is there; some of a run's requests may find it already
            asking = self.start("bench", "request", "other", "--msgs=100", "--rate=5k", "--json")
            if asking.wait() == 0:
                told = json.loads("\n".join(asking.out))["request"]
                answered += told["messages"]
                failed = told["failed"]
        self.assertEqual(service.interrupt(), 0)
        told = json.loads("\n".join(service.out))
        self.assertTrue(told["interrupted"])
        self.assertEqual(told["service"]["messages"], answered)

    def test_sub_by_another(self):
        sub = self.start("bench", "sub", "heard", "--clients=2", "--msgs=0", "--json")
        waiting = self.start("bench", "sub", "heard", "--msgs=500", "--json")
        while waiting.process.poll() is None:
            self.bench("pub", "heard", "--msgs=100")
        self.assertEqual(waiting.wait(), 0)
        self.assertEqual(json.loads("\n".join(waiting.out))["sub"]["messages"], 500)
        self.assertEqual(sub.interrupt(), 0)

    def test_nobody_answers(self):
        self.tool("bench", "request", "nobody", "--msgs=10", status=3)
        self.assertIn("nobody answers", self.said)

    def test_server_cpu(self):
        monitor = f"http://127.0.0.1:{self.server.http_port}"
        told = self.bench("pub", "load", "--msgs=20k", "--monitor", monitor + "/")
        self.assertEqual(told["server_cpu_estimated"], "NatsServer" in type(self).__name__)
        self.assertGreaterEqual(told["server_cpu_seconds_per_million"], 0)
        told = self.bench("pub", "load", "--msgs=20k", "--server-pid", str(self.server.pid))
        self.assertFalse(told["server_cpu_estimated"])
        self.tool("bench", "pub", "load", "--monitor", "http://127.0.0.1:1", status=2)
        self.assertIn("does not tell what CPU", self.said)
        self.tool("bench", "pub", "load", "--server-pid=999999999", status=2)

    def test_files(self):
        table, picture = self.home / "load.csv", self.home / "load.svg"
        self.tool("bench", "pubsub", "lo<ad&", "--pub=2", "--sub=1", "--msgs=500", "--rate=5k",
                  "--csv", str(table), "--plot", str(picture))
        with open(table, newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["role"], row["client"], row["messages"]) for row in rows],
                         [("sub", "1", "500"), ("pub", "1", "250"), ("pub", "2", "250")])
        self.assertGreater(int(rows[0]["max_ns"]), 0)
        self.assertEqual(rows[1]["max_ns"], "")
        root = xml.etree.ElementTree.parse(picture).getroot()  # fails if it is no XML
        text = "".join(root.itertext())
        self.assertIn("pipit bench pubsub lo<ad&, 128 B", text)
        self.assertIn("latency, by percentile", text)
        self.tool("bench", "pub", "x", "--msgs=10", "--csv=/no/such/place", status=2)

    def test_for_people(self):
        out = self.tool("bench", "pubsub", "load", "--msgs=1000", "--sub=2", "--rate=100k")
        self.assertRegex(out, r"(?m)^pub +[\d,]+ msgs/s, .*/s: 1,000 messages in ")
        self.assertRegex(out, r"(?m)^ +each of 2 clients: least [\d,]+, mean [\d,]+, most [\d,]+ ")
        self.assertRegex(out, r"(?m)^latency +p50 .*, p90 .*, p99 .*, p99.9 .*, max ")

    def test_latency(self):
        told = json.loads(self.tool("latency", "--duration=500ms", "--rate=1k", "--json"))
        self.check_latency(told["latency_ns"], 500)
        file = self.home / "histogram"
        out = self.tool("latency", "--duration=200ms", "--rate=1k", "--histogram", str(file),
                        "--server-b", self.environ["NATS_URL"])
        self.assertIn("\u2588", out)
        lines = file.read_text().splitlines()
        self.assertTrue(lines[0].startswith("Value"))
        self.assertTrue(lines[-1].endswith("1.000000000 200 inf"), lines[-1])

    def test_bad_input(self):
        for arguments, sentence in (
                (["bench"], "needs a command"),
                (["bench", "pub"], "needs SUBJECT"),
                (["bench", "pub", "a b"], "cannot publish"),
                (["bench", "sub", "a..b"], "cannot subscribe"),
                (["bench", "pub", "x", "--clients=0"], "from 1 to 4096"),
                (["bench", "pub", "x", "--rate=fast"], "is not a number"),
                (["bench", "pubsub", "x", "--rate=10", "--size=8"], "need --size 16 at least"),
                (["latency", "--rate=0"], "--rate is messages per second"),
                (["latency", "--size=1"], "not from 16")):
            status = 1 if "cannot publish" in sentence else 2
            self.tool(*arguments, status=status)
            self.assertIn(sentence, self.said)


on_both(Bench, globals())
del Bench

if __name__ == "__main__":
    unittest.main()
