#!/usr/bin/env python3
"""A configuration that changes under live connections: what holds on, what is closed, what is
refused. usage: test_reload.py PIPIT_SERVER [NAME...]"""

import atexit
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
from harness import WITHIN_S, Client, Server  # noqa: E402

SERVER = os.path.abspath(sys.argv[1])
with open(SERVER, "rb") as program:  # its memory means nothing then
    SANITIZED = re.search(rb"__[at]san_init", program.read()) is not None


def expect(what, got, wanted):
    assert got == wanted, f"{what}: {got!r}, wanted {wanted!r}"


def a_folder():
    """It goes with this program."""
    folder = tempfile.mkdtemp(prefix="pipit-reload-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def started(config, *flags):
    folder = a_folder()
    return Server(SERVER, folder, config, flags)


def users(*entries, more=""):
    return "authorization { users: [ " + ", ".join(entries) + " ] }\n" + more


def user(name, password="p", permissions=""):
    return f'{{ user: {name}, password: {password}{", " + permissions if permissions else ""} }}'


def test_user_that_stays_stays():
    server = started(users(user("ann"), user("bob")))
    ann = Client(server, "ann", "p")
    ann.send("SUB a 1")
    expect("ann", ann.until_pong(), [])
    server.reload(users(user("bob"), user("cyd"), user("ann")))
    ann.send("PUB a 2", "hi")
    expect("ann goes on", ann.until_pong(), ["MSG a 1 2", "hi"])
    cyd = Client(server, "cyd", "p")
    expect("cyd is new", cyd.until_pong(), [])
    server.stop()


def test_user_that_vanished_is_closed():
    server = started(users(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    expect("both", ann.until_pong() + bob.until_pong(), [])
    server.reload(users(user("ann")))
    expect("bob", bob.until_end(), [])
    expect("ann", ann.until_pong(), [])
    expect("bob again", Client(server, "bob", "p").until_end(), ["-ERR 'Authorization Violation'"])
    server.stop()


def test_other_password_closes():
    server = started(users(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    expect("both", ann.until_pong() + bob.until_pong(), [])
    server.reload(users(user("ann", "q"), user("bob")))
    expect("ann", ann.until_end(), ["-ERR 'Authorization Violation'"])
    expect("bob", bob.until_pong(), [])
    expect("ann again", Client(server, "ann", "q").until_pong(), [])
    server.stop()


def test_what_was_bound_outlives_the_options_that_said_so():
    folder = a_folder()
    path = os.path.join(folder, "socket")
    config = f'http: "localhost:-1", unix: "{path}", ping_max: '
    server = Server(SERVER, folder, config + "1")
    for ping_max in "23":
        server.reload(config + ping_max)
    port = int(server.wait_line(r"Starting http monitor on localhost:").rpartition(":")[2])
    with urllib.request.urlopen(f"http://localhost:{port}/varz", timeout=WITHIN_S) as answer:
        varz = json.load(answer)
    expect("varz", (varz["http_host"], varz["ping_max"]), ("localhost", 3))
    expect("the socket", os.path.exists(path), True)
    server.stop()
    expect("the socket, at the end", os.path.exists(path), False)


def test_single_user_and_token():
    server = started("authorization { user: ann, password: p }")
    ann = Client(server, "ann", "p")
    expect("ann", ann.until_pong(), [])
    server.reload()
    expect("ann, nothing changed", ann.until_pong(), [])
    server.reload("authorization { token: t }")
    expect("ann, who is no user any more", ann.until_end(), [])
    bob = Client(server, token="t")
    expect("bob", bob.until_pong(), [])
    server.reload("authorization { token: t, timeout: 3 }")
    expect("bob, the same token", bob.until_pong(), [])
    server.reload("authorization { token: u }")
    expect("bob, another token", bob.until_end(), ["-ERR 'Authorization Violation'"])
    server.stop()


def test_authentication_comes_and_goes():
    server = started("")
    ann = Client(server)
    expect("open", ann.until_pong(), [])
    server.reload(users(user("bob")))
    expect("closed to ann", ann.until_end(), ["-ERR 'Authorization Violation'"])
    bob = Client(server, "bob", "p")
    expect("bob", bob.until_pong(), [])
    server.reload("")
    expect("bob may stay", bob.until_pong(), [])
    expect("open again", Client(server).until_pong(), [])
    server.stop()


def test_account_moved_closes():
    accounts = "accounts {{ A {{ users: [ {} ] }}, B {{ users: [ {} ] }} }}"
    server = started(accounts.format(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    expect("both", ann.until_pong() + bob.until_pong(), [])
    server.reload(accounts.format(user("cyd"), user("bob") + ", " + user("ann")))
    expect("ann", ann.until_end(), [])
    expect("bob", bob.until_pong(), [])
    ann = Client(server, "ann", "p")
    ann.send("SUB x 1")
    expect("ann in B", ann.until_pong(), [])
    bob.send("PUB x 1", "1")
    expect("bob publishes", bob.until_pong(), [])
    expect("ann hears it", ann.until_pong(), ["MSG x 1 1", "1"])
    server.reload("accounts { B { users: [ " + user("ann") + " ] } }")
    expect("bob is gone", bob.until_end(), [])
    expect("ann", ann.until_pong(), [])
    server.stop()


def test_subscriptions_that_are_forbidden_end():
    server = started(users(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    ann.send("SUB a.* 1", "SUB b 2", "SUB c q 3")
    expect("ann", ann.until_pong(), [])
    server.reload(users(user("ann", permissions='permissions: { subscribe: "b" }'), user("bob")))
    expect("ann is told", sorted(ann.until_pong()),
           ['-ERR \'Permissions Violation for Subscription to "a.*" (sid "1")\'',
            '-ERR \'Permissions Violation for Subscription to "c" using queue "q" (sid "3")\''])
    bob.send("PUB a.x 1", "1", "PUB b 1", "2", "PUB c 1", "3")
    expect("bob", bob.until_pong(), [])
    expect("ann hears b", ann.until_pong(), ["MSG b 2 1", "2"])
    ann.send("SUB a.* 4")
    expect("nor anew", ann.until_pong(),
           ['-ERR \'Permissions Violation for Subscription to "a.*"\''])
    server.stop()


def test_what_is_told_of_many_is_bounded():
    """Who loses very many subscriptions, and does not hear that, is closed before it costs much."""
    count, name = 8000, "\x01" * 2000  # each control byte is shown as four

    def peak_mib():
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024

    server = started(users(user("ann"), user("bob")) + "max_pending: 8MB\n", "--threads", "2")
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    for start in range(0, count, 500):
        ann.send(*(f"SUB {name}.{n} {n}" for n in range(start, start + 500)))
        expect("subscribed", ann.until_pong(), [])
    before = peak_mib()
    server.reload(users(user("ann", permissions='permissions: { subscribe: "b" }'), user("bob")) +
                  "max_pending: 8MB\n")
    expect("bob", bob.until_pong(), [])
    if not SANITIZED:
        assert peak_mib() - before < 30, f"{peak_mib() - before} MiB more"
    ann.close()
    server.stop()


def test_denied_part_of_a_wildcard_is_left_out():
    server = started(users(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    ann.send("SUB a.> 1")
    expect("ann", ann.until_pong(), [])
    bob.send("PUB a.x 1", "1", "PUB a.y 1", "2")
    bob.until_pong()
    expect("both", ann.until_pong(), ["MSG a.x 1 1", "1", "MSG a.y 1 1", "2"])
    server.reload(users(user("ann", permissions='permissions: { subscribe: { deny: "a.x" } }'),
                        user("bob")))
    bob.send("PUB a.x 1", "3", "PUB a.y 1", "4")
    bob.until_pong()
    expect("one", ann.until_pong(), ["MSG a.y 1 1", "4"])
    server.reload(users(user("ann"), user("bob")))
    bob.send("PUB a.x 1", "5")
    bob.until_pong()
    expect("both again", ann.until_pong(), ["MSG a.x 1 1", "5"])
    server.stop()


def test_publishing_is_forbidden_and_allowed_again():
    server = started(users(user("ann"), user("bob")))
    ann, bob = Client(server, "ann", "p"), Client(server, "bob", "p")
    bob.send("SUB > 1")
    bob.until_pong()
    ann.send("PUB a 1", "1")
    expect("ann", ann.until_pong(), [])
    server.reload(users(user("ann", permissions='permissions: { publish: { deny: "a" } }'),
                        user("bob")))
    ann.send("PUB a 1", "2", "PUB b 1", "3")
    expect("ann is told", ann.until_pong(), ['-ERR \'Permissions Violation for Publish to "a"\''])
    server.reload(users(user("ann"), user("bob")))
    ann.send("PUB a 1", "4")
    expect("ann", ann.until_pong(), [])
    expect("bob", bob.until_pong(),
           ["MSG a 1 1", "1", "MSG b 1 1", "3", "MSG a 1 1", "4"])
    server.stop()


def test_limits_apply_to_live_connections():
    server = started("max_payload: 100\nmax_control_line: 512\n")
    ann, bob = Client(server), Client(server)
    expect("both", ann.until_pong() + bob.until_pong(), [])
    server.reload("max_payload: 10\nmax_control_line: 64\n")
    ann.send("PUB a 10", "0123456789")
    expect("ann, what fits", ann.until_pong(), [])
    ann.send("PUB a 11", "0123456789a")
    expect("ann, too much", ann.until_end(), ["-ERR 'Maximum Payload Violation'"])
    bob.send("SUB " + "x" * 100 + " 1")
    expect("bob", bob.until_end(), ["-ERR 'maximum control line exceeded'"])
    expect("told to new ones", Client(server).info["max_payload"], 10)
    server.stop()


def test_fewer_connections():
    server = started("max_connections: 10\n")
    clients = [Client(server) for _ in range(10)]
    for client in clients:
        expect("all", client.until_pong(), [])
    lines = server.reload("max_connections: 4\n")
    assert any("Closed 6 connections to fall within max_connections" in line for line in lines), \
        lines
    told = [client.until_pong() for client in clients]
    expect("closed", sum(lines == ["-ERR 'maximum connections exceeded'", ""] for lines in told), 6)
    expect("stay", sum(lines == [] for lines in told), 4)
    expect("no more", Client(server).until_end(), ["-ERR 'maximum connections exceeded'"])
    server.stop()


def test_pings_come_sooner():
    server = started('ping_interval: "10m"\n')
    ann = Client(server)
    expect("ann", ann.until_pong(), [])
    server.reload('ping_interval: "300ms"\nping_max: 1\n')
    expect("stale", ann.until_end()[-1], "-ERR 'Stale Connection'")
    server.stop()


def test_mappings_change():
    server = started('mappings = { "old.*": "first.$1" }\n')
    ann = Client(server)
    ann.send("SUB > 1", "PUB old.x 1", "1")
    expect("before", ann.until_pong(), ["MSG first.x 1 1", "1"])
    server.reload('mappings = { "old.*": "second.$1" }\n')
    ann.send("PUB old.x 1", "2")
    expect("after", ann.until_pong(), ["MSG second.x 1 1", "2"])
    server.reload("")
    ann.send("PUB old.x 1", "3")
    expect("without", ann.until_pong(), ["MSG old.x 1 1", "3"])
    server.stop()


def test_what_mappings_make():
    """Reserved subjects stay so; who answers nothing is named as it was mapped."""
    server = started("")
    ann = Client(server, headers=True, no_responders=True)
    ann.send("SUB $NRG.> 1", "SUB i 2", "PUB in.x 1", "1")
    expect("before", ann.until_pong(), [])
    server.reload('mappings = { "in.*": "$NRG.$1", "to.*": "gone.$1" }\n')
    ann.send("PUB in.x 1", "2")
    expect("reserved", ann.until_pong(), ['-ERR \'Permissions Violation for Publish to "$NRG.x"\''])
    ann.send("PUB to.x i 1", "3")
    expect("nobody", ann.until_pong(),
           ["HMSG i 2 38 38", "NATS/1.0 503", "Nats-Subject: gone.x", ""])
    server.stop()


def test_a_full_account_keeps_out_nobody_else():
    """Who shows nothing may fill the account of no_auth_user; others come in none the less."""
    full = ["-ERR 'maximum account active connections exceeded'"]
    server = started("accounts { A { limits { max_conn: 1 }, users: [ " + user("ann") + " ] },"
                     " B { users: [ " + user("bob") + " ] } }\nno_auth_user: ann\n")
    first = Client(server)
    expect("first", first.until_pong(), [])
    expect("bob", Client(server, "bob", "p").until_pong(), [])
    expect("another", Client(server).until_end(), full)
    expect("by name", Client(server, "ann", "p").until_end(), full)
    first.send("CONNECT " + '{"verbose":false}')
    expect("itself again", first.until_pong(), [])
    server.reload()
    expect("bob after a reload", Client(server, "bob", "p").until_pong(), [])
    first.send('CONNECT {"verbose":false,"user":"bob","pass":"p"}')
    expect("gone over", first.until_pong(), [])
    expect("there is room", Client(server, "ann", "p").until_pong(), [])
    server.stop()


def test_what_needs_a_restart_refuses_all():
    server = started("max_pending: 1000000\nmax_payload: 100\n")
    lines = server.reload("max_pending: 2000000\nmax_payload: 10\n", accepted=False)
    assert any("max_pending" in line and "restart" in line for line in lines), lines
    ann = Client(server)
    expect("nothing was applied", ann.info["max_payload"], 100)
    server.reload("max_pending: 1000000\nmax_payload: 10\n")
    expect("now it is", Client(server).info["max_payload"], 10)
    server.stop()


def test_a_wrong_file_changes_nothing():
    server = started(users(user("ann")))
    ann = Client(server, "ann", "p")
    for config, place in (("max_payload: {", ""), ("max_payload: often\n", ":1:"),
                          ("port: 4222\nno_such_key: 1\n", ":2:"),
                          (users(user("ann"), user("ann")), "")):
        lines = server.reload(config, accepted=False)
        assert any(f"server.conf{place}" in line for line in lines), lines
        assert not any(" password" in line for line in lines), lines
        expect("ann", ann.until_pong(), [])
    os.unlink(server.config)
    server.reload(accepted=False)
    expect("ann, without a file", ann.until_pong(), [])
    server.stop()


def test_flags_survive():
    server = started("max_payload: 100\n", "--max_payload=50", "--user=ann", "--pass=s3cr3t")
    ann = Client(server, "ann", "s3cr3t")
    expect("flag", ann.info["max_payload"], 50)
    lines = server.reload("max_payload: 200\n")
    expect("flag again", Client(server, "ann", "s3cr3t").info["max_payload"], 50)
    expect("ann", ann.until_pong(), [])
    assert not any("s3cr3t" in line for line in lines + server.lines), "a secret in the log"
    server.stop()


def test_log_level_changes():
    server = started("")
    server.reload("debug: true\n")
    since = len(server.lines)
    Client(server).close()
    server.wait_line(r"\[DBG\].*Client connection (created|closed)", since)
    server.stop()


def test_no_file_no_reload():
    folder = a_folder()
    server = Server.__new__(Server)
    server.path = None
    import subprocess
    server.lines, server.news = [], threading.Condition()
    server.process = subprocess.Popen([SERVER, "-a", "127.0.0.1", "-p", "-1"], cwd=folder,
                                      stderr=subprocess.PIPE, text=True)
    threading.Thread(target=server._read, daemon=True).start()
    server.wait_line("Server is ready")
    server.process.send_signal(signal.SIGHUP)
    server.wait_line("can only reload config when a file is provided")
    server.stop()


def test_200_reloads_under_load():
    """A stream of numbered messages loses none; a user who is forbidden hears none."""
    allowed = users(user("pub"), user("sub"), user("now"))
    denied = users(user("pub"), user("sub"),
                   user("now", permissions='permissions: { subscribe: { deny: "n.>" } }'))
    server = started(allowed)
    sub, now = Client(server, "sub", "p"), Client(server, "now", "p")
    sub.send("SUB n.x 1")
    now.send("SUB > 1")
    expect("subscribed", sub.until_pong() + now.until_pong(), [])
    done = threading.Event()
    sent = 0
    got = []

    def publish():
        nonlocal sent
        pub = Client(server, "pub", "p")
        while not done.is_set():
            if sent - len(got) > 20000:
                time.sleep(0.0001)  # this listener is slower than any server
                continue
            batch = "".join(f"PUB n.x 8\r\n{sent + i:08}\r\n" for i in range(500))
            pub.sock.sendall(batch.encode())
            sent += 500
        expect("publisher", pub.until_pong(), [])

    def hear():
        while not (done.is_set() and len(got) >= sent and not thread.is_alive()):
            line = sub.line()
            if line == "":
                return
            if not line.startswith(("MSG", "INFO", "PING")):
                got.append(int(line))

    thread = threading.Thread(target=publish)
    listener = threading.Thread(target=hear)
    thread.start()
    listener.start()
    wrong = 0
    for i in range(100):
        server.reload(denied)
        now.until_pong()  # what was under way when it changed
        time_s = time.monotonic() + 0.002
        while time.monotonic() < time_s:
            pass
        wrong += sum(line.startswith("MSG n.") for line in now.until_pong())
        server.reload(allowed)
    done.set()
    thread.join()
    Client(server, "pub", "p").send("PUB n.x 1", "9")  # so that the listener looks up
    listener.join(WITHIN_S)
    expect("messages", len(got[:sent]), sent)
    got = got[:sent]
    assert got == list(range(sent)), "out of order"
    expect("heard although forbidden", wrong, 0)
    print(f"  {sent} messages during 200 reloads")
    server.stop()


def test_the_server_answers_while_it_reloads():
    """Requests to the system account and to the monitor, with a reload under each of them."""
    config = ("accounts {{ $SYS {{ users: [ {} ] }}, A {{ users: [ {} ] }}{} }}\n"
              "server_name: n\nmax_connections: {}\n")
    more = ", B { users: [ " + user("bob") + " ] }"
    server = started(config.format(user("sys"), user("ann"), more, 1000), "--threads=3")
    done = threading.Event()
    answers, problems = [0, 0], []

    def ask(which, name, subjects):
        client = Client(server, name, "p", headers=True)
        client.send(f"SUB r.{which} 1")
        try:
            while not done.is_set():
                for subject in subjects:
                    client.send(f"PUB {subject} r.{which} 0", "")
                    line = client.line()
                    while not line.startswith(("MSG", "HMSG", "-ERR")):
                        assert line, "closed"
                        line = client.line()
                    answers[which] += line.startswith("MSG")
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(f"{name}: {problem!r}")

    def come_and_go():
        while not done.is_set():
            client = Client(server, "bob", "p")
            client.until_pong()
            client.close()

    threads = [threading.Thread(target=ask, args=(0, "sys", [
        f"$SYS.REQ.SERVER.PING.{what}" for what in ("VARZ", "CONNZ", "STATSZ", "IDZ", "ACCOUNTZ")
    ] + ["$SYS.REQ.ACCOUNT.A.INFO"]))]
    threads.append(threading.Thread(target=ask, args=(1, "ann", [
        "$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ"])))
    threads.append(threading.Thread(target=come_and_go))
    for thread in threads:
        thread.start()
    reloads, end = 0, time.monotonic() + 60
    while reloads < 100 or (min(answers) <= 20 and not problems and time.monotonic() < end):
        server.reload(config.format(user("sys"), user("ann"), more if reloads % 2 else "",
                                    1000 + reloads))
        reloads += 1
    done.set()
    for thread in threads:
        thread.join(WITHIN_S)
    expect("problems", problems, [])
    assert min(answers) > 20, answers
    print(f"  {answers} answers during {reloads} reloads")
    server.stop()


def test_a_lame_duck_reloads():
    config = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "10ms"\nmax_payload: {}\n'
    server = started(config.format(100))
    clients = [Client(server) for _ in range(40)]
    for client in clients:
        client.until_pong()
    server.process.send_signal(signal.SIGUSR2)
    server.wait_line("Entering lame duck mode")
    for i in range(20):
        server.reload(config.format(101 + i))
    server.process.send_signal(signal.SIGINT)
    expect("its end", server.process.wait(WITHIN_S), 0)


def test_10000_users():
    many = [user(f"u{i}", f"p{i}", f'permissions: {{ publish: "a.{i}", subscribe: "b.{i}" }}')
            for i in range(10000)]
    server = started(users(*many))
    clients = [Client(server, f"u{i}", f"p{i}") for i in range(0, 10000, 100)]
    for client in clients:
        expect("all", client.until_pong(), [])
    server.write(users(*many[:-1]))
    start_s = time.monotonic()
    server.reload()
    print(f"  reload with 10000 users: {(time.monotonic() - start_s) * 1000:.0f} ms")
    for client in clients:
        expect("all stay", client.until_pong(), [])
    server.stop()


def main():
    names = sys.argv[2:] or [name for name in globals() if name.startswith("test_")]
    failed = 0
    for name in names:
        try:
            globals()[name]()
            print(f"ok {name}", flush=True)
        except Exception as problem:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {name}: {type(problem).__name__}: {problem}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
