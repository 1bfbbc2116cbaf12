#!/usr/bin/env python3
"""pub, sub, request, reply and rtt, against pipit-server and nats-server."""

import base64
import json
import os
import re
import socket
import subprocess
import tempfile
import unittest

from tool import HOSTILE, WAIT_S, OnServer, Running, Server, bad_characters, on_both

LISTENING = "Listening on"
SUBSCRIBING = "Subscribing on"


class Messages(OnServer):
    def sub(self, *arguments):
        running = self.start("sub", *arguments)
        running.await_line(SUBSCRIBING)  # said when the server has the subscription
        return running

    def reply(self, *arguments):
        running = self.start("reply", *arguments)
        running.await_line(LISTENING)  # said when the server has seen the subscription
        return running

    # --- pub and sub ---------------------------------------------------------------------------

    def test_body_headers_reply(self):
        sub = self.sub("a.>", "--count=1")
        self.tool("pub", "a.b", "hello", "-H", "X: y", "-H", "Zed:1", "--reply", "back")
        self.assertRegex(self.said, r'^\d\d:\d\d:\d\d Published 5 bytes to "a.b"\n$')
        self.assertEqual(sub.wait(), 0)
        self.assertEqual(sub.out, ['[#1] Received on "a.b" with reply "back"', "X: y", "Zed: 1", "",
                                   "hello", ""])

    def test_templates(self):
        sub = self.sub("a", "--raw", "--count=3", "b")
        sub.await_line("Subscribing on b")
        self.tool("pub", "a", "{{Count}} {{.Unix}} {{ Random 3 5 }} {{UnixNano}} {{ID}} {{Time}} "
                  "{{TimeStamp}} {{ Cnt }}", "--count=2")
        self.tool("pub", "b", "{{Count}} {{ none }}", "--no-templates")
        sub.wait()
        for number in (1, 2):
            self.assertRegex(sub.out[number - 1],
                             rf"^{number} \d{{10}} \w{{3,5}} \d{{19}} \w{{22}} \d+:\d\d[AP]M "
                             rf"\d+-\d+-\d+T\d+:\d+:\d+(Z|[+-]\d\d:\d\d) {number}$")
        self.assertEqual(sub.out[2], "{{Count}} {{ none }}")

    def test_where_bodies_come_from(self):
        first, second = self.home / "first", self.home / "second"
        first.write_bytes(b"one\x00\xff{{Count}}")
        second.write_bytes(b"")
        dump = self.home / "dump"
        sub = self.sub("a", "--dump", str(dump), "--count=7")
        self.tool("pub", "a", "--file", str(first), "--file", str(second))
        self.tool("pub", "a", stdin="of stdin\n{{Count}}\n")
        self.tool("pub", "a", "not this", "--force-stdin", stdin="this")
        self.tool("pub", "a", "--send-on", "newline", stdin="line\n\nlast")
        self.assertEqual(sub.wait(), 0)
        sent = [json.loads((dump / f"{n}.json").read_text()) for n in range(1, 8)]
        self.assertEqual([base64.b64decode(one["Data"]) for one in sent],
                         [b"one\x00\xff{{Count}}", b"", b"of stdin\n{{Count}}\n", b"this", b"line",
                          b"", b"last"])
        self.assertEqual(list(sent[0]), ["Subject", "Reply", "Header", "Data", "Sub"])

    def test_lines_go_out_as_they_come(self):
        sub = self.sub("lines", "--raw")
        pub = Running(["pub", "lines", "--send-on=newline", "-q"], self.environ, subprocess.PIPE)
        self.addCleanup(pub.__exit__)
        for text, line in ((b"one\n", "one"), (b"two\nthr", "two"), (b"ee\n", "three")):
            pub.process.stdin.write(text)
            pub.process.stdin.flush()
            sub.await_line(line)
        pub.process.stdin.write(b"half a line")
        pub.process.stdin.flush()
        self.assertEqual(pub.interrupt(), 0)
        pub.process.stdin.close()
        self.tool("pub", "lines", "--send-on=newline", stdin="x" * 200000 + "\n\nlast")
        sub.await_line("last")
        self.assertEqual([len(line) for line in sub.out[3:]], [200000, 0, 4])
        self.assertEqual(sub.interrupt(), 0)

    def test_many(self):
        sub = self.sub("many", "--raw", "--count=5000")
        self.tool("pub", "many", "{{Count}}", "--count=5000")
        self.assertIn("Published 5000 messages, 18893 bytes", self.said)
        sub.wait()
        self.assertEqual(sub.out, [str(n) for n in range(1, 5001)])

    def test_json(self):
        sub = self.sub("j", "--json", "--count=2", "--timestamp")
        self.tool("pub", "j", "x", "-H", "A: 1", "-H", "A: 2")
        told = json.loads(self.tool("pub", "j", "--json", "--force-stdin", stdin="\udcff"))
        self.assertEqual(told, {"subject": "j", "messages": 1, "bytes": 1})
        sub.wait()
        one = json.loads(sub.out[0])
        self.assertEqual((one["subject"], one["headers"], one["data"], one["number"]),
                         ("j", {"A": ["1", "2"]}, "x", 1))
        self.assertGreater(one["time"], 1e9)

    def test_queue_shares(self):
        with self.sub("q", "--queue=g", "--raw") as a, self.sub("q", "--queue=g", "--raw") as b:
            self.tool("pub", "q", "{{Count}}", "--count=200", "-q")
            self.tool("pub", "q", "end", "--count=64", "-q")
            a.await_line("end")
            b.await_line("end")
            self.assertEqual((a.interrupt(), b.interrupt()), (0, 0))
            numbers = [line for line in a.out + b.out if line != "end"]
        self.assertEqual(sorted(map(int, numbers)), list(range(1, 201)))

    def test_translate_ignore_headers_only(self):
        sub = self.sub("t.>", "--translate", "tr a-z A-Z", "--raw", "--count=1", "-I", "t.not.*")
        self.tool("pub", "t.not.this", "ignored")
        self.tool("pub", "t.this", "shouted")
        sub.wait()
        self.assertEqual(sub.out, ["SHOUTED"])
        sub = self.sub("t.>", "--headers-only", "--count=1")
        self.tool("pub", "t.x", "not shown", "-H", "A:b")
        sub.wait()
        self.assertEqual(sub.out, ['[#1] Received on "t.x"', "A: b", ""])

    def test_match_replies(self):
        self.reply("ask", "answer {{Count}}")
        sub = self.sub("ask", "--match-replies", "--count=2")
        sub.await_line("Subscribing on ask")
        for _ in range(2):
            self.tool("request", "ask", "please")
        sub.wait()
        text = "\n".join(sub.out)
        self.assertRegex(text, r'(?s)\[#1\] Received on "ask" with reply "_INBOX.*'
                               r'\[#1\] Matched reply on "_INBOX.*answer 0.*'
                               r'\[#2\] Matched reply on "_INBOX.*answer 1')

    def test_wait(self):
        sub = self.sub("quiet", "--report-subjects", "--wait=500ms")
        self.assertEqual(sub.wait(), 0)

    def test_report(self):
        sub = self.sub("r.>", "--report-subjects", "--count=1201", "--report-top=1")
        self.tool("pub", "r.a", "12345", "--count=1200", "-q")
        self.tool("pub", "r.b", "1", "-q")
        self.assertEqual(sub.wait(), 0)
        self.assertEqual(sub.out[0].split(), ["SUBJECT", "MESSAGES", "BYTES"])
        self.assertEqual(sub.out[1].split(), ["r.a", "1,200", "5.9", "KiB"])
        self.assertEqual(sub.out[2], "and 1 more subjects")

    def test_graph_without_a_terminal(self):
        sub = self.sub("g", "--graph")
        self.tool("pub", "g", "x", "--count=30", "-q")
        line = sub.await_line("30 in all")
        self.assertRegex(line, r"^\d\d:\d\d:\d\d g: \d+ messages/s, \d+ B/s, 30 in all$")
        self.assertEqual(sub.interrupt(), 0)

    def test_inbox(self):
        running = self.start("sub", "--inbox", "--inbox-prefix", "mine", "--count=1")
        subject = running.await_line(SUBSCRIBING).split()[-1]
        self.assertRegex(subject, r"^mine\.\w+\.")
        self.tool("pub", subject, "to you")
        running.wait()
        self.assertIn("to you", running.out)

    # --- request and reply ---------------------------------------------------------------------

    def test_no_responders(self):
        self.tool("request", "nobody.here", "hi", status=3)
        self.assertIn("request on nobody.here: no responders", self.said)

    def test_no_answer(self):
        self.sub("silent")
        self.tool("request", "silent", "hi", "--timeout=2s", status=3)
        self.assertIn("no answer in time", self.said)

    def test_one_answer(self):
        reply = self.reply("svc.>", "{{Request}} {{Count}} {{1}} {{9}}", "-H", "N: {{Count}}",
                           "--count=3")
        self.assertEqual(self.tool("request", "svc.x", "a", "--raw"), "a 0 x \n")
        self.assertEqual(self.tool("req", "svc.y", "a"), "N: 1\n\na 1 y \n\n")
        self.assertRegex(self.said, r"Received with rtt \d+")
        told = json.loads(self.tool("request", "svc.z", "a", "--json", "--inbox-prefix", "mine.own"))
        self.assertRegex(told["subject"], r"^mine\.own\.\w+\.\w+$")
        self.assertEqual((told["data"], told["headers"]), ("a 2 z ", {"N": ["2"]}))
        self.assertEqual(reply.wait(), 0)

    def test_many_answers(self):
        for name in "abc":
            self.reply("all", name, "--queue", name)
        out = self.tool("request", "all", "", "--replies=2", "--raw", "--reply-timeout=5s")
        self.assertEqual(out.count("\n"), 2)
        out = self.tool("request", "all", "", "--replies=0", "--raw", "--timeout=5s")
        self.assertEqual(sorted(out.split()), ["a", "b", "c"])
        out = self.tool("request", "all", "", "--replies=9", "--raw", "--timeout=30s",
                        "--reply-timeout=3s")
        self.assertEqual(sorted(out.split()), ["a", "b", "c"])  # silence ends it

    def test_count_and_translate(self):
        self.reply("c", "{{Request}}")
        self.assertEqual(self.tool("request", "c", "n{{Count}}", "--count=3", "--raw"),
                         "n1\nn2\nn3\n")
        self.assertEqual(self.tool("request", "c", "x", "--raw", "--translate", "tr x 'y'"), "y\n")

    def test_echo(self):
        self.reply("e", "--echo", "--sleep=5ms")
        self.assertEqual(self.tool("request", "e", "again", "-H", "A:b"),
                         "A: b\nNATS-Reply-Counter: 0\n\nagain\n\n")

    def test_command(self):
        self.reply("cmd.>", "--command",
                   """sh -c 'echo "$NATS_REQUEST_SUBJECT $NATS_REQUEST_BODY $(cat) $0"' "{{1}} {{2}}" """)
        self.assertEqual(self.tool("request", "cmd.a.b", "body", "--raw"),
                         "cmd.a.b body body a b\n\n")
        # what is in a request never becomes a command
        self.assertEqual(self.tool("request", "cmd.$(id).b", ";id", "--raw"),
                         "cmd.$(id).b ;id ;id $(id) b\n\n")

    def test_command_that_fails(self):
        reply = self.reply("fail", "--command", "false")
        self.tool("request", "fail", "x", "--timeout=2s", status=3)
        reply.await_line("the command failed with status 1")
        reply = self.reply("none", "--command", "/no/such/program")
        self.tool("request", "none", "x", "--timeout=2s", status=3)
        reply.await_line("cannot run /no/such/program")

    def test_command_that_does_not_read(self):
        self.reply("deaf", "--command", "echo done")
        big = "x" * 900000
        self.assertEqual(self.tool("request", "deaf", "--raw", stdin=big), "done\n\n")

    # --- the rest ------------------------------------------------------------------------------

    def test_rtt(self):
        self.assertRegex(self.tool("rtt"), r"^nats://127.0.0.1:\d+: .* of 5\)\n$")
        told = json.loads(self.tool("rtt", "3", "--json"))
        self.assertEqual([len(one["results"]) for one in told], [3])
        self.assertGreater(told[0]["results"][0]["rtt"], 0)

    def test_absent_server(self):
        for command in (["pub", "a", "b"], ["sub", "a"], ["request", "a", "b"], ["rtt"],
                        ["reply", "a", "b"]):
            self.tool(*command, "-s", "nats://127.0.0.1:1", status=4)
            self.assertIn("cannot reach nats://127.0.0.1:1: 127.0.0.1: connection refused",
                          self.said)

    def test_bad_input(self):
        cases = [
            (["pub"], "needs SUBJECT"),
            (["pub", "a b", "x"], "cannot publish on a b"),
            (["pub", "a.*", "x"], "cannot publish on a.*"),
            (["pub", "a", "{{Nothing}}"], "{{Nothing}} is nothing to fill in"),
            (["pub", "a", "{{Random 5 2}}"], "{{Random 5 2}} is nothing"),
            (["pub", "a", "x", "-H", "no colon"], '"no colon" is no header'),
            (["pub", "a", "x", "-H", "bad name: x"], "header bad name"),
            (["pub", "a", "x", "-H", "A: x\ny"], "header A"),
            (["pub", "a", "x", "--file=/etc/passwd"], "not several of them"),
            (["pub", "a", "--file=/no/such"], "cannot read /no/such"),
            (["pub", "a", "x", "--count=0"], "1 at least"),
            (["pub", "a", "x", "--count=many"], "not a whole number"),
            (["sub"], "give a SUBJECT"),
            (["sub", "a..b"], "cannot subscribe to a..b"),
            (["sub", "a", "--graph", "--raw"], "not several"),
            (["sub", "a", "--translate", "'open"], "a quote that is not closed"),
            (["sub", "a", "--dump", "/proc/nothing/here"], "cannot make the folder"),
            (["reply", "a"], "give one of BODY"),
            (["reply", "a", "x", "--echo"], "give one of BODY"),
            (["reply", "a", "--command", " "], "the command is empty"),
            (["request", "a", "--replies=-1"], '"-1" is not a whole number'),
            (["rtt", "0"], "from 1 to 1000000"),
        ]
        for arguments, sentence in cases:
            with self.subTest(arguments):
                self.assertEqual(self.tool(*arguments, status=2), "")
                self.assertIn(sentence, self.said)

    def test_too_big(self):
        self.tool("pub", "a", stdin="x" * (1 << 20))
        self.tool("pub", "a", stdin="x" * ((1 << 20) + 1), status=1)
        self.assertIn("larger than the server allows", self.said)

    def test_hostile_messages(self):
        for text in HOSTILE:
            word = re.sub(r"\s", "", text)[:3000].replace(">", "").encode()
            body = text.encode()
            header = b"NATS/1.0\r\nA" + body + b": " + body + b"\r\n\r\n"
            sub = self.sub("h.>", "--count=1")
            with socket.create_connection(("127.0.0.1", self.server.port), WAIT_S) as peer:
                peer.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n'
                             b"HPUB h.%b %d %d\r\n%b%b\r\nPING\r\n" %
                             (word, len(header), len(header) + len(body), header, body))
                self.assertEqual(sub.wait(), 0)
            shown = "\n".join(sub.out + sub.err)
            self.assertEqual(bad_characters(shown), set(), text[:20])
            self.assertIn("h.", shown)


on_both(Messages, globals())
del Messages


class Lost(OnServer):
    """A server that goes and comes again."""

    def test_sub_and_reply_come_back(self):
        first = Server(self.program)
        url = f"nats://127.0.0.1:{first.port}"
        sub = self.start("sub", "back", "--raw", "--count=1", "-s", url)
        reply = self.start("reply", "again", "here", "-s", url)
        sub.await_line(SUBSCRIBING)
        reply.await_line(LISTENING)
        first.stop()
        sub.await_line("disconnected from " + url)
        reply.await_line("disconnected from " + url)
        with Server(self.program, address=("-a", "127.0.0.1", "-p", url.rsplit(":", 1)[1])):
            sub.await_line("connected again to " + url)
            reply.await_line("connected again to " + url)
            self.assertEqual(self.tool("request", "again", "x", "--raw", "-s", url), "here\n")
            self.tool("pub", "back", "heard", "-s", url)
            self.assertEqual(sub.wait(), 0)
            self.assertEqual(sub.out, ["heard"])
            self.assertEqual(reply.interrupt(), 0)

    def test_request_says_that_it_ended(self):
        server = Server(self.program)
        url = f"nats://127.0.0.1:{server.port}"
        silent = self.start("sub", "silent", "-s", url)
        silent.await_line(SUBSCRIBING)
        request = self.start("request", "silent", "x", "-s", url, "--timeout=60s")
        silent.await_line("x")
        server.stop()
        self.assertEqual(request.wait(), 1)
        self.assertIn("has ended", "\n".join(request.err))
        self.assertEqual(silent.interrupt(), 0)


on_both(Lost, globals())
del Lost


class Refused(OnServer):
    """Who may not."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
            file.write('authorization { users [ { user: ann, password: "p w",\n'
                       '  permissions { publish: "ok.>", subscribe: "ok.>" } } ] }\n')
        cls.flags = ("-c", file.name)
        super().setUpClass()
        os.unlink(file.name)

    def test_credentials(self):
        self.tool("pub", "ok.a", "x", status=4)
        self.assertIn("refuses the credentials", self.said)
        self.tool("rtt", "--user=ann", "--password=wrong", status=4)
        self.assertIn("refuses the credentials", self.said)
        self.tool("rtt", "--user=ann", "--password=p w")
        self.tool("rtt", NATS_USER="ann", NATS_PASSWORD="p w")
        self.tool("context", "save", "ann", "--user=ann", "--password=p w", "--select")
        self.tool("rtt")
        self.tool("rtt", "--no-context", status=4)
        self.tool("context", "unselect")
        self.tool("rtt", "--context=ann")
        self.tool("rtt", NATS_CONTEXT="ann")
        self.assertNotIn("p w", self.said)

    def test_permissions(self):
        who = ("--user=ann", "--password=p w")
        self.tool("pub", "ok.a", "x", *who)
        self.tool("pub", "no.a", "x", *who, status=1)
        self.assertIn('the server says: Permissions Violation for Publish to "no.a"', self.said)
        self.tool("sub", "no.a", *who, status=1)
        self.assertIn('Permissions Violation for Subscription to "no.a"', self.said)


on_both(Refused, globals())
del Refused

if __name__ == "__main__":
    unittest.main()
