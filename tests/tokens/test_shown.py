"""What monitoring and events say of tokens, beside nats-server; the tokens themselves they do not."""

import json
import re
import unittest
import urllib.request

from tenants import Operator, both, eventually, main

CONN = ("account", "authorized_user", "issuer_key", "name_tag", "tags")
ACCOUNT = ("account_name", "issuer_key", "name_tag", "tags")


class Shown(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        o = self.o = Operator()
        text = o.configuration(
            "{ type: full, dir: '@DIR@/jwt' }", more="http: 127.0.0.1:-1",
            preload={o.account: o.account_token({"tags": ["acc:tag", "x"]})})
        context = both(text)
        self.servers = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def get(self, server, path):
        line = next(line for line in server.log if "http monitor" in line)
        port = re.search(r"127\.0\.0\.1:(\d+)", line)[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.read().decode()

    def conns(self, server, query):
        page = json.loads(self.get(server, f"/connz?auth=1&sort=cid{query}"))
        return [{key: conn.get(key) for key in CONN} for conn in page["connections"]]

    def users(self):
        o = self.o
        return [(o.user_token({"tags": ["a:b", "c"]}), o.user),
                (o.user_token({"bearer_token": True}), o.user),
                (o.system_user_token, o.system_user)]

    def test_connections(self):
        found = []
        for server in self.servers:
            clients = [server.show(*user) for user in self.users()]
            opened = self.conns(server, "")
            for client in clients[:2]:
                client.close()
            eventually(lambda server=server: len(self.conns(server, "&state=closed")) >= 2,
                       "closed ones")
            closed = [conn for conn in self.conns(server, "&state=closed") if conn["tags"]]
            found.append((opened, closed))
        self.assertEqual(*found)
        self.assertEqual([conn["tags"] for conn in found[0][0]], [["a:b", "c"], None, None])

    def test_accounts(self):
        found = []
        for server in self.servers:
            server.show(*self.users()[0]).close()
            page = json.loads(self.get(server, f"/accountz?acc={self.o.account}"))
            stats = json.loads(self.get(server, "/accstatz?unused=1"))["account_statz"]
            found.append(({key: page["account_detail"].get(key) for key in ACCOUNT},
                          {one["acc"]: one["name"] for one in stats}))
        self.assertEqual(*found)
        self.assertEqual(found[0][0]["tags"], ["acc:tag", "x"])

    def test_events(self):
        found = []
        for server in self.servers:
            with server.show(*self.users()[2]) as watcher:
                watcher.subscribe("$SYS.ACCOUNT.*.CONNECT")
                watcher.flush()
                with server.show(*self.users()[0]):
                    told = watcher.wait_subject(f"$SYS.ACCOUNT.{self.o.account}.CONNECT").json()
            found.append({key: told["client"].get(key)
                          for key in ("acc", "user", "issuer_key", "name_tag", "tags")})
        self.assertEqual(*found)
        self.assertEqual(found[0]["name_tag"], "acc")

    def test_a_new_token_of_the_account_renames_it(self):
        o = self.o
        for server in self.servers[:1]:
            with server.show(*self.users()[0]), server.show(*self.users()[2]) as system:
                system.request("$SYS.REQ.CLAIMS.UPDATE", o.account_token(name="other"))
                self.assertEqual(self.conns(server, "")[0]["name_tag"], "other")

    def test_no_token_is_shown(self):
        server = self.servers[0]
        with server.show(*self.users()[0]), server.show(*self.users()[1]):
            for path in ("/connz?auth=1&subs=detail", f"/accountz?acc={self.o.account}"):
                self.assertNotIn("eyJ", self.get(server, path))


if __name__ == "__main__":
    main()
