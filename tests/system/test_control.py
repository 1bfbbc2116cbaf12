#!/usr/bin/env python3
"""KICK, LDM and RELOAD, beside nats-server."""

import json

from servers import Beside, main
from shape import differences


class Control(Beside):
    def both(self, verb, body):
        answers = []
        for server, text in zip((self.ours, self.theirs), body):
            subject = f"$SYS.REQ.SERVER.{server.id}.{verb}"
            answers.append(server.sys.request(subject, json.dumps(text)).json())
        ours, theirs = answers
        self.assertEqual(differences(ours, theirs, ("error", "code", "description"),
                                     ("server.feature_flags",)), [])
        return ours

    def test_kick(self):
        victims = [server.client("b") for server in (self.ours, self.theirs)]
        listeners = [server.client("sys") for server in (self.ours, self.theirs)]
        for listener in listeners:
            listener.subscribe("$SYS.ACCOUNT.B.DISCONNECT")
            listener.flush()
        answer = self.both("KICK", [{"cid": v.cid} for v in victims])
        self.assertEqual(list(answer), ["server"])
        for victim in victims:
            victim.wait_closed()
        for listener in listeners:
            event = listener.wait_subject("$SYS.ACCOUNT.B.DISCONNECT").json()
            self.assertEqual(event["reason"], "Kicked")
            listener.close()

    def test_kick_on_every_loop(self):
        victims = [self.ours.client("b") for _ in range(8)]
        for victim in victims:
            answer = self.ours.sys.request(f"$SYS.REQ.SERVER.{self.ours.id}.KICK",
                                           json.dumps({"cid": victim.cid})).json()
            self.assertNotIn("error", answer)
            victim.wait_closed()

    def test_kick_oneself(self):
        with self.ours.client("sys") as client:
            client.ask(f"$SYS.REQ.SERVER.{self.ours.id}.KICK", {"cid": client.cid})
            client.wait_closed()

    def test_kick_nobody(self):
        answer = self.both("KICK", [{"cid": 99999}] * 2)
        self.assertEqual(answer["error"]["description"], "no such client or leafnode id")

    def test_send_away(self):
        clients = [server.client("b") for server in (self.ours, self.theirs)]
        self.both("LDM", [{"cid": c.cid} for c in clients])
        for client in clients:
            client.flush()
            self.assertTrue(client.infos[-1]["ldm"])
            client.close()
        self.both("LDM", [{"cid": 99999}] * 2)

    def test_send_away_an_old_client(self):
        clients = [server.client("b", protocol=0) for server in (self.ours, self.theirs)]
        answer = self.both("LDM", [{"cid": c.cid} for c in clients])
        self.assertIn("does not support Lame Duck Mode", answer["error"]["description"])
        for client in clients:
            client.close()

    def test_bad_requests(self):
        for verb in ("KICK", "LDM", "RELOAD"):
            answer = self.ours.sys.request(f"$SYS.REQ.SERVER.{self.ours.id}.{verb}", "{bad").json()
            self.assertEqual(answer["error"]["code"], 400)

    def test_not_for_others(self):
        for verb, user in (("KICK", "a"), ("LDM", "b"), ("RELOAD", "a")):
            for where in (self.ours.id, "PING"):
                client = getattr(self.ours, user)
                message = client.request(f"$SYS.REQ.SERVER.{where}.{verb}",
                                         {"cid": self.ours.sys.cid})
                self.assertEqual(message.status, "503")
        self.ours.sys.flush()


if __name__ == "__main__":
    main()
