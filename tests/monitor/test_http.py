#!/usr/bin/env python3
"""The monitoring port as HTTP: who may ask, peers that misbehave, and the server's life."""

import base64
import concurrent.futures
import signal
import socket
import unittest

from world import DEADLINE_S, PIPIT, Server, eventually, main


def exchange(server, data, end=True):
    """Send bytes, shut, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=DEADLINE_S) as peer:
        try:
            peer.sendall(data)
            if end:
                peer.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before it was all sent
        answer = b""
        try:
            while piece := peer.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        return answer


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = Server(PIPIT)
        cls.server = cls.context.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.context.__exit__(None, None, None)

    def test_any_method_is_served(self):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(self.server.get("/varz", method=method).json["proto"], 1, method)
        head = self.server.get("/varz", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["Content-Length"]), 1000)

    def test_unknown_paths(self):
        for path in ("/none", "/varz/", "/VARZ", "/debug", "/debug/vars/", "/metrics/", "/varzz"):
            response = self.server.get(path)
            self.assertEqual((response.status, response.text), (404, "404 page not found\n"), path)
            self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")
            self.assertNotIn("Access-Control-Allow-Origin", response.headers)

    def test_pipelined_requests_are_answered_in_order(self):
        paths = ["/healthz", "/connz", "/none", "/routez", "/varz"] * 20
        request = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % p.encode() for p in paths)
        request += b"GET /leafz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = exchange(self.server, request, end=False)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 81)
        self.assertEqual(answer.count(b"HTTP/1.1 404"), 20)
        at = [answer.index(mark) for mark in (b'"status":"ok"', b"num_connections", b"404 page",
                                              b"num_routes", b"max_payload")]
        self.assertEqual(at, sorted(at))

    def test_rubbish(self):
        for data, status in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"400"),
                             (b'CONNECT {"verbose":false}\r\nPING\r\n', b"400"),
                             (b"GET /varz HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
                             (b"GET /" + b"x" * 10000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
                             (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 2000000, b"431")):
            answer = exchange(self.server, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), (data[:40], answer[:60]))
        self.assertEqual(self.server.get("/healthz").status, 200)

    def test_one_who_is_slow_is_not_waited_for(self):
        self.assertTrue(exchange(self.server, b"GET /varz HT", end=False).startswith(b"HTTP/1.1 408"))

    def test_long_queries(self):
        self.assertEqual(self.server.get("/connz?user=" + "x" * 7000).status, 200)
        self.assertEqual(self.server.get("/connz?user=" + "x" * 9000).status, 414)

    def test_many_at_a_time(self):
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            statuses = list(pool.map(lambda _: self.server.get("/connz").status, range(600)))
        self.assertLessEqual(set(statuses), {200, 503})  # 503: more than 64 waited
        self.assertIn(200, statuses)
        self.assertEqual(self.server.get("/connz").status, 200)

    def test_those_who_ask_are_no_clients(self):
        peers = [socket.create_connection(("127.0.0.1", self.server.http_port)) for _ in range(20)]
        for peer in peers:
            peer.sendall(b"GET /varz HTTP/1.1\r\nHost: x\r\n\r\n")
            peer.recv(10)
        varz = self.server.json("/varz")
        self.assertEqual((varz["connections"], varz["total_connections"]), (0, 0))
        self.assertEqual(self.server.json("/connz?state=all")["total"], 0)
        client = self.server.client()
        self.assertEqual(self.server.json("/connz")["connections"][0]["cid"], 1)
        client.close()
        for peer in peers:
            peer.close()


class Life(unittest.TestCase):
    def test_user_and_password(self):
        with Server(PIPIT, "--http_user", "watcher", "--http_password", "s3cr3t") as server:
            def get(credentials):
                code = base64.b64encode(credentials.encode()).decode()
                return server.get("/varz", {"Authorization": "Basic " + code})

            refused = server.get("/varz")
            self.assertEqual(refused.status, 401)
            self.assertTrue(refused.headers["WWW-Authenticate"].startswith("Basic"))
            self.assertEqual(get("watcher:wrong").status, 401)
            self.assertEqual(get("other:s3cr3t").status, 401)
            self.assertEqual(get("watcher:s3cr3t").status, 200)
            self.assertNotIn("s3cr3t", "".join(server.log) + get("watcher:s3cr3t").text)
            with open(f"/proc/{server.process.pid}/cmdline", "rb") as cmdline:
                self.assertNotIn(b"s3cr3t", cmdline.read())

    def test_lame_ducks_are_still_looked_after(self):
        with Server(PIPIT, "--lame_duck_grace_period", "1ms", "--lame_duck_duration", "30s") as server:
            clients = [server.client() for _ in range(12)]  # they go one after another
            self.assertEqual(server.get("/healthz").status, 200)
            server.process.send_signal(signal.SIGUSR2)
            sick = eventually(lambda: [r for r in [server.get("/healthz")] if r.status == 500],
                              "not healthy")[0]
            self.assertEqual(sick.text, '{"status":"error","error":'
                             '"failed to be ready for connections after 1ms: server"}')
            self.assertEqual(server.get("/healthz?details=1").json["errors"][0]["type"], "CONNECTION")
            self.assertIn("pipit_ready 0", server.get("/metrics").text)
            self.assertEqual(server.get("/varz").status, 200)
            for client in clients:
                client.gone()
            server.process.wait(DEADLINE_S)

    def test_the_port_is_taken(self):
        with Server(PIPIT) as server, self.assertRaises(AssertionError) as failure:
            Server(PIPIT, "-m", str(server.http_port)).__enter__()
        self.assertIn("Can't listen to the monitor port", str(failure.exception))

    def test_stopping_while_being_asked(self):
        for _ in range(5):
            with Server(PIPIT) as server:
                peers = [socket.create_connection(("127.0.0.1", server.http_port))
                         for _ in range(50)]
                for peer in peers:
                    peer.sendall(b"GET /connz?subs=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
            for peer in peers:
                peer.close()


if __name__ == "__main__":
    main()
