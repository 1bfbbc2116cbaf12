#!/usr/bin/env python3
"""What clients of the fanout door rely on, and what a hostile one cannot do.

usage: test_behaviour.py PIPIT-SERVER [NAME...]
"""
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

from world import GREETING, WAIT_S, Client, Nats, Server, check, run, until

PROGRAM = os.path.abspath(sys.argv[1])


def reset(client):
    """Go without a goodbye."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# -- how clients read ------------------------------------------------------------------------


def segments(client):
    """The data segments that a client got, from the kernel's own count."""
    info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("I", info, 152)[0]  # tcpi_data_segs_in


def test_each_line_is_a_segment():
    with Server(PROGRAM) as server:
        a, b = Client(server.port), Client(server.port)
        a.send("subscribe c\n")
        a.ping()
        before = segments(a)
        b.send(b"".join(b"announce c %d\n" % i for i in range(300)))
        a.expect(b"".join(b"c!%d\n" % i for i in range(300)))
        got = segments(a) - before
        check(300 <= got <= 330, "300 lines came in", got, "segments")
        big = "x" * 30000
        b.send(f"announce c {big}\nannounce c y\n")
        a.expect(f"c!{big}\nc!y\n")


def test_reading_only_first_lines():
    """As SparkleShare does: the first line of what one read returns counts, the rest is lost."""
    with Server(PROGRAM) as server:
        a, b = Client(server.port, greeted=False), Client(server.port)
        seen = [a.receive(4096).split(b"\n")[0]]
        a.send("subscribe 6f1ed002ab5595859014ebf0951522d9\n")
        a.ping()
        for i in range(200):
            b.send(f"announce 6f1ed002ab5595859014ebf0951522d9 {i}\n")
            seen.append(a.receive(4096).split(b"\n")[0])
        check(seen[0] == b"debug!connected...", seen[0])
        check(seen[1:] == [b"6f1ed002ab5595859014ebf0951522d9!%d" % i for i in range(200)], seen)


def test_netcat():
    with Server(PROGRAM) as server:
        a = Client(server.port)
        a.send("subscribe foo\n")
        a.ping()
        if not shutil.which("nc"):
            print("  no nc here")
            return
        done = subprocess.run(f"printf 'announce foo hi\\nping\\nannounce foo cut' | "
                              f"nc -N 127.0.0.1 {server.port}", shell=True, timeout=60,
                              stdout=subprocess.PIPE, check=True)
        check(re.fullmatch(rb"debug!connected\.\.\.\n\d+\n", done.stdout), done.stdout)
        a.expect("foo!hi\n")
        a.ping()


def test_order():
    with Server(PROGRAM, flags=("--threads=3",)) as server:
        readers = [Client(server.port) for _ in range(5)]
        for reader in readers:
            reader.send("subscribe news\n")
            reader.ping()
        announcer = Client(server.port)
        announcer.send(b"".join(b"announce news %d\n" % i for i in range(1, 1001)))
        for reader in readers:
            reader.expect(b"".join(b"news!%d\n" % i for i in range(1, 1001)))


def test_who_is_greeted_hears_all():
    """The greeting is the first line, and what is announced after it was read is not missed."""
    go_on, over = threading.Event(), threading.Event()

    def chat(client):
        while go_on.wait(WAIT_S):
            go_on.clear()
            if over.is_set():
                break
            client.send("announce all chatter\n" * 300 + "ping\n")
            while client.line().startswith(b"all!"):
                pass

    def say(client, what):
        client.send(f"announce all {what}\n")
        while client.line() != f"all!{what}\n".encode():
            pass

    with Server(PROGRAM, flags=("--threads=2",)) as server:
        announcer = Client(server.port)
        thread = threading.Thread(target=chat, args=(Client(server.port),))
        thread.start()
        try:
            for i in range(400):
                go_on.set()  # so much and no more goes on meanwhile
                newcomer = Client(server.port)
                say(announcer, i)
                say(announcer, "end")
                while (line := newcomer.line()) == b"all!chatter\n":
                    pass
                check(line == f"all!{i}\n".encode(), "number", i, "was missed, got", line)
                newcomer.close()
        finally:
            over.set()
            go_on.set()
            thread.join()


def test_half_closed_gets_its_answers():
    """Also those that do not fit into the socket at once."""
    with Server(PROGRAM, "max_queue: 64MB; max_queue_lines: 1000000") as server:
        a = Client(server.port, buffer=4096)
        a.send(b"info\n" * 3000 + b"never ended")
        a.socket.shutdown(socket.SHUT_WR)
        lines, ended = 0, 0
        while got := a.receive(1000):
            lines += got.count(b"\n")
            ended = got[-1:] == b"\n"
        check(lines == 45000 and ended, lines, "lines came")


def test_leaving_clients_leave_their_channels():
    with Server(PROGRAM) as server:
        a, b = Client(server.port), Client(server.port)
        b.send("subscribe x\nsubscribe y\n")
        b.ping()
        check(a.info()["current channels"] == "3", "three channels")
        reset(b)
        until(lambda: a.info()["current connections"] == "1", "the other to be gone")
        info = a.info()
        check(info["current channels"] == "1" and info["current subscriptions"] == "1" and
              info["total unsubscribes"] == "3", info)


# -- limits ----------------------------------------------------------------------------------


def test_no_descriptors_left():
    """Who comes when there are none is told so, and when there are some again all is well."""
    with Server(PROGRAM, "client_limit: 1000", limit=60, flags=("--threads=1",)) as server:
        clients = []
        while True:
            client = Client(server.port, greeted=False)
            line = client.line()
            if line != GREETING:
                break
            clients.append(client)
        check(line == b"debug!busy\n" and len(clients) > 20, line, len(clients))
        client.expect_end()
        rejected = int(clients[0].info()["limit rejected connections"])
        check(rejected == 1, rejected, "were rejected")
        for _ in range(5):
            clients.pop().close()
        until(lambda: int(clients[0].info()["current connections"]) == len(clients), "them to go")
        until(lambda: try_client(server.port), "room for another")  # descriptors go a little later


def test_limit_is_exact():
    """However many come at once, on several loops."""
    with Server(PROGRAM, "client_limit: 20", flags=("--threads=4",)) as server:
        first = Client(server.port)
        for _ in range(10):
            clients = [Client(server.port, greeted=False) for _ in range(60)]
            served = [client for client in clients if client.line() == GREETING]
            check(len(served) == 19, len(served), "were served beside the first")
            info = first.info()
            check(info["max connections"] == "20" and info["current connections"] == "20", info)
            for client in clients:
                reset(client)
            until(lambda: first.info()["current connections"] == "1", "them to be gone")


def test_turned_away_may_have_spoken():
    with Server(PROGRAM, "client_limit: 1") as server:
        first = Client(server.port)
        for _ in range(50):
            late = socket.create_connection(("127.0.0.1", server.port), 30)
            late.sendall(b"subscribe x\nannounce all hi\n" * 200)
            got = b""
            while part := late.recv(100):
                got += part
            check(got == b"debug!busy\n", got)
            late.close()
        first.ping()
        until(lambda: first.info()["limit rejected connections"] == "50", "50 rejected")
        first.close()
        until(lambda: try_client(server.port), "room for another")


def try_client(port):
    client = Client(port, greeted=False)
    return client.line() == GREETING


def test_who_does_not_read_is_closed():
    """By lines, by bytes; others get everything and do not wait."""
    for keys, line in (("max_queue_lines: 64", b"x"), ("max_queue: 64KB", b"x" * 5000)):
        with Server(PROGRAM, keys) as server:
            good, bad, announcer = Client(server.port), Client(server.port, buffer=2048), \
                Client(server.port)
            bad.send("subscribe c\n")
            bad.ping()
            good.send("subscribe c\n")
            good.ping()
            since = len(server.log)
            count = 0
            while "client closed: it does not read" not in "".join(server.log[since:]):
                announcer.send(b"announce c " + line + b"\n")
                good.expect(b"c!" + line + b"\n")
                count += 1
                check(count < 200000, "it is never closed")
            info = good.info()
            until(lambda: good.info()["current connections"] == "2", "it to be gone")
            check(int(info["total messages"]) >= count, info)


def test_trickling_reader_does_not_slow_others():
    with Server(PROGRAM, "max_queue: 64KB") as server:
        good, bad, announcer = Client(server.port), Client(server.port, buffer=2048), \
            Client(server.port)
        for client in (good, bad):
            client.send("subscribe c\n")
            client.ping()
        stop = threading.Event()

        def trickle():
            try:
                while not stop.wait(0.002) and bad.receive(10):
                    pass
            except OSError:
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        payload = b"x" * 1000
        for _ in range(4000):
            announcer.send(b"announce c " + payload + b"\n")
            good.expect(b"c!" + payload + b"\n")
        stop.set()
        thread.join()
        until(lambda: good.info()["current connections"] == "2", "the slow one to be closed")


def test_silent_clients_cost_little():
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count + 200:
        count = (hard - 200) // 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Server(PROGRAM) as server:
            before = server.rss()
            clients = [Client(server.port) for _ in range(count)]
            clients[0].ping()
            each = (server.rss() - before) / count
            print(f"  {each:.0f} bytes for each of {count} silent clients")
            check(each < 4096 or "PIPIT_BUILD" in os.environ, each, "bytes each")
            clients[0].send("announce all hi\n")
            for client in clients:
                client.expect("all!hi\n")
            for client in clients:
                reset(client)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_unfinished_lines_cost_linear_time():
    """A line of a megabyte in very many pieces, from several at once."""
    with Server(PROGRAM) as server:
        clients = [Client(server.port) for _ in range(4)]
        clients[0].send("subscribe c\n")
        clients[0].ping()
        for client in clients:
            client.send(b"announce c ")
        for _ in range(1000):
            for client in clients:
                client.send(b"x" * 1000)
        clients[1].send(b"\n")
        clients[0].send(b"\n")
        for _ in range(2):
            check(len(clients[0].line()) == 1000003, "all of it")
        clients[2].send(b"x" * 100000)
        clients[2].expect_end()
        reset(clients[3])
        clients[0].ping()


def test_memory_limit():
    """Lines that never end, and clients that never read, beyond what there is: the server stays
    within its limit, and who behaves is served."""
    if "PIPIT_BUILD" in os.environ:
        print("  not with a sanitizer's memory")
        return
    with Server(PROGRAM, "max_queue: 4MB; max_queue_lines: 100000", flags=("--max_memory=64MB",
                                                                           "--threads=2")) as server:
        good = Client(server.port)
        good.send("subscribe mine\n")
        good.ping()
        half = [Client(server.port) for _ in range(150)]
        for _ in range(9):
            for client in half:
                try:
                    client.send(b"x" * 100000)
                except OSError:
                    pass
            good.send("announce mine still here\n")
            good.expect("mine!still here\n")
        for client in half:
            reset(client)
        until(lambda: try_client(server.port), "memory again")
        deaf = [client for client in (Client(server.port, greeted=False, buffer=4096)
                                      for _ in range(100)) if client.line() == GREETING]
        for client in deaf:
            client.send("subscribe flood\n")
        announcer = Client(server.port)
        for _ in range(400):
            announcer.send(b"announce flood " + b"y" * 20000 + b"\n")
        announcer.ping()
        good.send("announce mine still here\n")
        good.expect("mine!still here\n")
        check(server.peak() <= 64 << 20, server.peak() >> 20, "MB at most")
        for client in deaf:
            reset(client)
        until(lambda: try_client(server.port), "memory again")


def test_random_bytes():
    with Server(PROGRAM) as server:
        good = Client(server.port)
        for seed in range(30):
            client = Client(server.port)
            generator = random.Random(seed)
            words = [b"announce ", b"subscribe ", b"all", b" ", b"\n", b"\0", b"!", b"\r", b"ping\n",
                     b"info\n", b"unsubscribe ", b"x" * 50]
            try:
                client.send(b"".join(generator.choice(words) if generator.random() < .9
                                     else generator.randbytes(3) for _ in range(3000)))
            except OSError:
                pass
            reset(client)
        good.send("unsubscribe all\nsubscribe end\nannounce end of noise\n")
        while good.line() != b"end!of noise\n":
            pass
        until(lambda: good.info()["current connections"] == "1", "all to be gone")


def test_cut_everywhere():
    talk = b"subscribe foo\nannounce foo bar\nping\nunsubscribe foo\n"
    with Server(PROGRAM) as server:
        for cut in range(len(talk)):
            client = Client(server.port)
            client.send(talk[:cut])
            (reset if cut % 2 else Client.close)(client)
        last = Client(server.port)
        until(lambda: last.info()["current connections"] == "1", "all to be gone")
        check(last.info()["current channels"] == "1", "no channel left over")


# -- other doors -----------------------------------------------------------------------------


def test_nats_clients():
    with Server(PROGRAM, flags=("--threads=2",)) as server:
        fanout, nats = Client(server.port), Nats(server.nats_port)
        nats.subscribe("fanout.>")
        fanout.send("subscribe a.b\nannounce a.b hello\n")
        fanout.expect("a.b!hello\n")
        check(nats.message() == ("fanout.a%2Eb", b"hello"), "the escaped channel")
        nats.publish("fanout.a%2Eb", "from nats")
        fanout.expect("a.b!from nats\n")
        check(nats.message() == ("fanout.a%2Eb", b"from nats"), "its own")
        nats.publish("fanout.a%2eb", "another subject")
        nats.publish("fanout.a.b", "and another")
        nats.publish("fanout.a%2Eb", "with\nend")
        nats.publish("fanout.a%2Eb", "with\0nul")
        nats.publish("fanout.a%2Eb", "")
        fanout.expect("a.b!\n")
        for data in (b"another subject", b"and another", b"with\nend", b"with\0nul", b""):
            check(nats.message()[1] == data, data)
        nats.send("HPUB fanout.a%2Eb 18 22\r\nNATS/1.0\r\nA: b\r\n\r\nbody\r\n")
        fanout.expect("a.b!body\n")
        nats.message()
        big = "y" * 500000
        fanout.send(f"announce a.b {big}\n")
        fanout.expect(f"a.b!{big}\n")
        check(nats.message() == ("fanout.a%2Eb", big.encode()), "all of it")
        nats.publish("fanout.a%2Eb", big)
        fanout.expect(f"a.b!{big}\n")


def test_mappings_and_imports():
    config = """
mappings { "fanout.old": "fanout.new" }
accounts { B { users: [{user: b, password: b}], exports: [{stream: "fanout.>"}] }
           A { users: [{user: a, password: a}], imports: [{stream: {account: B, subject: "fanout.>"}}] } }"""
    with Server(PROGRAM, "", config) as server:
        a, b = Client(server.port), Client(server.port)
        a.send("subscribe new\nsubscribe old\n")
        a.ping()
        b.send("announce old mapped\nannounce new " + "z" * 5000 + "\n")
        a.expect("new!mapped\nnew!" + "z" * 5000 + "\n")
        check(a.info()["total announcements"] == "2", a.info())
    with Server(PROGRAM, "account: A", config) as server:
        a = Client(server.port)
        a.send("subscribe x\n")
        a.ping()
        other = Nats(server.nats_port, '{"user":"b","pass":"b"}')
        other.publish("fanout.x", "from another account")
        a.expect("x!from another account\n")
        big = "w" * 100000
        other.publish("fanout.x", big)
        a.expect(f"x!{big}\n")


def test_messages_beyond_a_line():
    with Server(PROGRAM, "max_line: 100; max_channel_name: 20") as server:
        fanout, nats = Client(server.port), Nats(server.nats_port)
        fanout.send("subscribe c\n")
        fanout.ping()
        nats.publish("fanout.c", "x" * 99)
        nats.publish("fanout.c", "x" * 98)
        fanout.expect("c!" + "x" * 98 + "\n")
        fanout.ping()


def test_two_accounts():
    config = """
accounts {
  A { users: [{user: a, password: a}] }
  B { users: [{user: b, password: b, permissions: {publish: "fanout.pub", subscribe: ["fanout.sub", "fanout.all"]}}] }
}"""
    as_a, as_b = '{"user":"a","pass":"a"}', '{"user":"b","pass":"b"}'
    with Server(PROGRAM, "account: A", config) as server:
        fanout = Client(server.port)
        a, b = Nats(server.nats_port, as_a), Nats(server.nats_port, as_b)
        a.subscribe("fanout.x")
        fanout.send("announce x 1\n")
        check(a.message() == ("fanout.x", b"1"), "in the account")
        b.ping()
    with Server(PROGRAM, "user: b", config) as server:
        fanout = Client(server.port)
        fanout.send("subscribe pub\nsubscribe sub\nannounce sub no\nannounce pub no\n")
        fanout.ping()
        info = fanout.info()
        check(info["current subscriptions"] == "2", info)
        server.reload("user: b", config.replace('"fanout.sub", ', ""))
        info = fanout.info()
        check(info["current subscriptions"] == "1", info)


# -- TLS -------------------------------------------------------------------------------------


class Certificates:
    """An authority, and what it signs."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pipit-fanout-tls-")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=authority")
        for name in ("server", "client"):
            self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", "30", "-out", f"{name}.pem")

    def run(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder.name, check=True, timeout=60,
                       capture_output=True)

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def block(self, more=""):
        return (f'tls {{ cert_file: "{self.file("server.pem")}", '
                f'key_file: "{self.file("server.key")}", {more} }}')

    def context(self, certificate=False):
        context = ssl.create_default_context(cafile=self.file("ca.pem"))
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(self.file("client.pem"), self.file("client.key"))
        return context


def test_tls():
    certificates = Certificates()
    with Server(PROGRAM, certificates.block("timeout: 5") + "; client_limit: 3",
                "http: \"127.0.0.1:-1\"") as server:
        a, b = (Client(server.port, tls=certificates.context()) for _ in range(2))
        a.send("subscribe c\n")
        a.ping()
        big = "x" * 200000
        b.send("".join(f"announce c {i}\n" for i in range(2000)) + f"announce c {big}\n")
        a.expect("".join(f"c!{i}\n" for i in range(2000)) + f"c!{big}\n")
        check(json.loads(server.get("/connz"))["connections"][0]["tls_version"] == "1.3", "in connz")
        plain = Client(server.port, greeted=False)
        plain.send("subscribe c\nannounce c plain\n")
        while plain.receive():
            pass
        silent = Client(server.port, greeted=False)
        silent.expect_end()  # a handshake must come in time
        server.wait_log("fanout: TLS handshake failed")
        until(lambda: a.info()["current connections"] == "2", "them to be gone")
        c = Client(server.port, tls=certificates.context())
        late = Client(server.port, greeted=False, tls=certificates.context())
        late.expect("debug!busy\n")
        c.ping()
        server.reload(certificates.block() + "; client_limit: 4", "http: \"127.0.0.1:-1\"")
        Client(server.port, tls=certificates.context()).ping()
        a.ping()


def test_tls_with_client_certificates():
    certificates = Certificates()
    verify = f'ca_file: "{certificates.file("ca.pem")}", verify: true'
    with Server(PROGRAM, certificates.block(verify)) as server:
        Client(server.port, tls=certificates.context(certificate=True)).ping()
        try:
            nobody = Client(server.port, greeted=False, tls=certificates.context())
            got = nobody.receive()
        except (ssl.SSLError, OSError):
            got = b""
        check(not got, "who shows no certificate got", got)


# -- monitoring, reload, life ----------------------------------------------------------------


def test_monitoring():
    with Server(PROGRAM, "max_queue_lines: 100", "http: \"127.0.0.1:-1\"") as server:
        a, b = Client(server.port), Client(server.port)
        a.send("subscribe c\nannounce c hi\n")
        a.expect("c!hi\n")
        conns = json.loads(server.get("/connz"))["connections"]
        check([c["type"] for c in conns] == ["fanout", "fanout"], conns)
        check(conns[0]["subscriptions"] == 2 and conns[0]["in_msgs"] == 1 and
              conns[0]["out_msgs"] == 1, conns[0])
        conns = json.loads(server.get("/connz?subs=1"))["connections"]
        check(conns[0]["subscriptions_list"] == ["fanout.c", "fanout.all"], conns[0])
        subs = json.loads(server.get("/subsz?subs=1"))["subscriptions_list"]
        check(sorted(sub["sid"] for sub in subs if sub["subject"].startswith("fanout.")) ==
              ["all", "all", "c"], subs)
        b.close()
        until(lambda: len(json.loads(server.get("/connz?state=closed"))["connections"]) == 1,
              "the closed one")
        closed = json.loads(server.get("/connz?state=closed"))["connections"][0]
        check(closed["type"] == "fanout" and closed["reason"] == "Client Closed", closed)
        door = json.loads(server.get("/varz"))["fanout"]
        check(door["port"] == server.port and door["clients"] == 1 and door["clients_most"] == 2 and
              door["announcements"] == 1 and door["messages"] == 1 and door["channels"] == 2, door)
        metrics = server.get("/metrics")
        for line in ("pipit_fanout_clients 1", "pipit_fanout_messages_total 1"):
            check(line in metrics, line)


def test_ports_file_and_sockets_handed_over():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    port = listening.getsockname()[1]
    handed = listening.fileno()
    with tempfile.TemporaryDirectory(prefix="pipit-fanout-ports-") as folder:
        command = ["sh", "-c", f"exec 3<&{handed}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=fanout "
                   f"exec {PROGRAM} --port=-1 --ports_file_dir {folder}"]
        with Server(PROGRAM, command=command, fds=(handed,)) as server:
            check(server.port == port, server.port, "is not", port)
            Client(port).ping()
            until(lambda: any(name.endswith(".ports") for name in os.listdir(folder)), "the file")
            name = os.listdir(folder)[0]
            with open(os.path.join(folder, name), encoding="ascii") as file:
                check(json.load(file)["fanout"] == [f"tcp://127.0.0.1:{port}"], "the ports file")
    listening.close()


def test_reload():
    with Server(PROGRAM) as server:
        a = Client(server.port)
        a.send("subscribe c\n")
        a.ping()
        server.reload("client_limit: 1; crlf: true; max_channels: 2")
        late = Client(server.port, greeted=False)
        late.expect("debug!busy\n")
        a.send("subscribe d\nannounce d no\nannounce c x\r\n")
        a.expect("c!x\n")
        a.ping()
        server.reload("allow: \"10.0.0.0/8\"")
        a.expect_end()
        server.reload("")
        Client(server.port).ping()
        server.reload("port: 1", taken=False)
        server.reload("user: nobody", taken=False)
        Client(server.port).ping()


def test_allowed_networks():
    with Server(PROGRAM, "allow: [\"192.168.0.0/16\", \"127.0.0.2\"]") as server:
        stranger = Client(server.port, greeted=False)
        stranger.expect_end()
        friend = socket.socket()
        friend.bind(("127.0.0.2", 0))
        friend.settimeout(60)
        friend.connect(("127.0.0.1", server.port))
        check(friend.recv(100) == GREETING, "greeted")


def test_all_addresses():
    with Server(PROGRAM, "listen: -1") as server:
        Client(server.port).ping()
        if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
            Client(server.port, host="::1").ping()


def test_the_end_of_the_server():
    server = Server(PROGRAM)
    clients = [Client(server.port) for _ in range(20)]
    clients[0].send("subscribe x\n")
    clients[0].ping()
    server.stop()
    for client in clients:
        client.expect_end()


def test_lame_duck():
    with Server(PROGRAM, "", "lame_duck_duration: \"30s\"; lame_duck_grace_period: \"1ms\"") as server:
        a = Client(server.port)
        server.process.send_signal(signal.SIGUSR2)
        a.expect_end()
        server.process.wait(30)


if __name__ == "__main__":
    sys.exit(run([value for name, value in list(globals().items()) if name.startswith("test_")],
                 sys.argv[2:]))
