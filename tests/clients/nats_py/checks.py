"""The Python client (nats-py) against a running server.

tests/clients/README.md says what each check holds and how this program and run.py talk.
"""

import asyncio
import contextlib
import os
import ssl
import sys

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport

DEADLINE_S = 60  # longest wait for anything that must happen
PAYLOAD_MAX = 1024 * 1024


async def ignore_error(_error):
    """nats-py logs every lost connection; the checks look at what follows instead."""


@contextlib.asynccontextmanager
async def connected(url=None, client=None, **options):
    nc = client or Client()
    settings = {"error_cb": ignore_error, "connect_timeout": DEADLINE_S, "allow_reconnect": False}
    await nc.connect(url or os.environ["NATS_URL"], **{**settings, **options})
    try:
        yield nc
    finally:
        if not nc.is_closed:
            await nc.close()


def same(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, expected {want!r}")


async def expect(error, awaitable, what):
    try:
        result = await awaitable
    except error:
        return
    raise AssertionError(f"{what}: {error.__name__} expected, got {result!r}")


async def subjects(sub, count):
    """Return the subjects of the next count messages and make sure that no more are waiting."""
    got = [(await sub.next_msg(timeout=DEADLINE_S)).subject for _ in range(count)]
    same(sub.pending_msgs, 0, f"messages left in {sub.subject}")
    return got


async def round_trip(nc, subject, payload):
    sub = await nc.subscribe(subject)
    await nc.publish(subject, payload)
    msg = await sub.next_msg(timeout=DEADLINE_S)
    if msg.data != payload:
        raise AssertionError(f"{len(msg.data)} bytes came back for {len(payload)}, or others")
    await sub.unsubscribe()


def patterned(size):
    """Return bytes in which a lost or doubled piece shows."""
    cycle = bytes(i * 7 >> 3 & 255 for i in range(2048))
    return (cycle * (size // len(cycle) + 1))[:size]


async def check_connect():
    async with connected(name="pipit client test") as nc:
        same(nc.max_payload, PAYLOAD_MAX, "max_payload")
        same(nc.connected_server_version.major, 2, "server's major version")
        if not nc.client_id:
            raise AssertionError("no client_id")
        await round_trip(nc, "connect", b"hello")


async def check_wildcards():
    cases = {
        "wild.*": ["wild.a", "wild.b"],
        "wild.>": ["wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"],
        "wild.*.c": ["wild.a.c", "wild.b.c"],
        "wild.a.c": ["wild.a.c"],
        "*.a.>": ["wild.a.c", "wild.a.c.d"],
        "wild": ["wild"],
    }
    async with connected() as nc:
        subs = {pattern: await nc.subscribe(pattern) for pattern in cases}
        for subject in ("wild.a", "wild.b", "wild", "wild.a.c", "wild.b.c", "wild.a.c.d"):
            await nc.publish(subject)
        await nc.flush(DEADLINE_S)
        for pattern, want in cases.items():
            same(await subjects(subs[pattern], len(want)), want, pattern)


async def check_queue_group():
    count = 200
    seen = []
    everything = asyncio.Event()

    async def work(msg):
        seen.append(int(msg.data))
        if len(seen) == count:
            everything.set()

    async with connected() as publisher, connected() as one, connected() as two:
        for member in (one, two):
            await member.subscribe("queue.*", queue="workers", cb=work)
            await member.flush(DEADLINE_S)
        for number in range(count):
            await publisher.publish("queue.job", str(number).encode())
        await asyncio.wait_for(everything.wait(), DEADLINE_S)
        same(sorted(seen), list(range(count)), "messages of the group")
        # After a flush of each, whatever else was sent to the members would have come as well.
        await one.flush(DEADLINE_S)
        await two.flush(DEADLINE_S)
        shares = [one.stats["in_msgs"], two.stats["in_msgs"]]
        same(sum(shares), count, "messages delivered")
        if 0 in shares:
            raise AssertionError(f"the members got {shares}")


async def check_headers():
    headers = {"First": "one", "Second": "two, and: three", "lower-case": "grün"}
    async with connected() as nc:
        sub = await nc.subscribe("headers")
        for payload in (b"body", b""):
            await nc.publish("headers", payload, headers=headers)
            msg = await sub.next_msg(timeout=DEADLINE_S)
            same(msg.headers, headers, "headers")
            same(msg.data, payload, "payload")


async def check_request_reply():
    async with connected() as nc, connected() as responder:

        async def serve(msg):
            await msg.respond(b"re: " + msg.data)

        await responder.subscribe("service", cb=serve)
        await responder.flush(DEADLINE_S)
        for text in (b"one", b"two", b""):
            msg = await nc.request("service", text, timeout=DEADLINE_S)
            same(msg.data, b"re: " + text, "reply")


async def check_request_timeout():
    async with connected() as nc:
        silent = await nc.subscribe("silent")
        await expect(nats.errors.TimeoutError, nc.request("silent", b"anybody?", timeout=0.2),
                     "request without an answer")
        msg = await silent.next_msg(timeout=DEADLINE_S)
        if not msg.reply:
            raise AssertionError("the request came without a reply subject")


async def check_no_responders():
    async with connected() as nc:
        await expect(nats.errors.NoRespondersError,
                     nc.request("nobody.listens", b"hello?", timeout=DEADLINE_S),
                     "request to nobody")


async def check_drain_subscription():
    count = 100
    handled = []
    gate = asyncio.Event()  # keeps messages waiting in the client until the drain has begun

    async def handle(msg):
        await gate.wait()
        handled.append(msg.data)

    async with connected() as nc:
        sub = await nc.subscribe("drain.sub", cb=handle)
        for _ in range(count):
            await nc.publish("drain.sub", b"x")
        await nc.flush(DEADLINE_S)
        drained = asyncio.create_task(sub.drain())
        gate.set()
        await asyncio.wait_for(drained, DEADLINE_S)
        await nc.publish("drain.sub", b"late")
        await nc.flush(DEADLINE_S)
        same(len(handled), count, "messages handled")
        same(nc.stats["in_msgs"], count, "messages received")


async def check_drain_connection():
    count = 100
    gate = asyncio.Event()
    async with connected() as watcher, connected() as nc:

        async def handle(msg):
            await gate.wait()
            await nc.publish("drain.done", msg.data)

        done = await watcher.subscribe("drain.done")
        await watcher.flush(DEADLINE_S)
        await nc.subscribe("drain.conn", cb=handle)
        for number in range(count):
            await nc.publish("drain.conn", str(number).encode())
        await nc.flush(DEADLINE_S)
        drained = asyncio.create_task(nc.drain())
        gate.set()
        await asyncio.wait_for(drained, DEADLINE_S)
        same(nc.is_closed, True, "closed after the drain")
        await subjects(done, count)


async def check_auto_unsubscribe():
    async with connected() as nc:
        sub = await nc.subscribe("auto")
        await sub.unsubscribe(limit=3)
        for _ in range(5):
            await nc.publish("auto")
        await nc.flush(DEADLINE_S)
        await subjects(sub, 3)
        same(nc.stats["in_msgs"], 3, "messages sent by the server")


async def check_payload_max():
    payload = patterned(PAYLOAD_MAX)
    async with connected() as nc:

        async def echo(msg):
            await msg.respond(msg.data)

        await nc.subscribe("large.echo", cb=echo)
        msg = await nc.request("large.echo", payload, timeout=DEADLINE_S)
        same(msg.data == payload, True, "the same bytes came back")


async def check_payload_over_max():
    async with connected() as nc:
        await expect(nats.errors.MaxPayloadError,
                     nc.publish("large.over", patterned(PAYLOAD_MAX + 1)), "publish over the limit")
        await round_trip(nc, "large.after", b"still here")


async def check_ping():
    async with connected() as nc:
        rtt = await nc.rtt(DEADLINE_S)
        same(0 < rtt < DEADLINE_S, True, f"round trip of {rtt} s is plausible")
        await nc.flush(DEADLINE_S)


async def check_user_password():
    async with connected(os.environ["NATS_USER_URL"], user=os.environ["NATS_TEST_USER"],
                         password=os.environ["NATS_TEST_PASS"]) as nc:
        await round_trip(nc, "user", b"known")


async def check_tls():
    """Both show certificates of one authority."""
    context = ssl.create_default_context(cafile=os.environ["NATS_TLS_CA"])
    context.load_cert_chain(os.environ["NATS_TLS_CERT"], os.environ["NATS_TLS_KEY"])
    async with connected(os.environ["NATS_TLS_URL"], tls=context) as nc:
        await round_trip(nc, "tls", b"known")


async def check_certificate_map():
    context = ssl.create_default_context(cafile=os.environ["NATS_TLS_CA"])
    context.load_cert_chain(os.environ["NATS_TLS_CERT"], os.environ["NATS_TLS_KEY"])
    async with connected(os.environ["NATS_MAP_URL"], tls=context) as nc:
        await round_trip(nc, "map", b"known")


async def known_and_stranger(url, known, stranger):
    async with connected(url, **known) as nc:
        await round_trip(nc, "known", b"known")
    try:
        async with connected(url, **stranger):
            raise AssertionError("a stranger was let in")
    except nats.errors.Error as error:
        same("authorization violation" in str(error).lower(), True, f"a stranger: {error}")


async def check_nkey():
    await known_and_stranger(os.environ["NATS_NKEY_URL"],
                             {"nkeys_seed": os.environ["NATS_NKEY_SEED"]},
                             {"nkeys_seed": os.environ["NATS_NKEY_WRONG"]})


async def check_creds():
    await known_and_stranger(os.environ["NATS_CREDS_URL"],
                             {"user_credentials": os.environ["NATS_CREDS"]},
                             {"user_credentials": os.environ["NATS_CREDS_WRONG"]})


async def check_token():
    async with connected(os.environ["NATS_TOKEN_URL"], token=os.environ["NATS_TEST_TOKEN"]) as nc:
        await round_trip(nc, "token", b"known")


async def check_wrong_credentials():
    user_url, token_url = os.environ["NATS_USER_URL"], os.environ["NATS_TOKEN_URL"]
    attempts = (
        ("wrong password", user_url, {"user": os.environ["NATS_TEST_USER"], "password": "wrong"}),
        ("unknown user", user_url, {"user": "nobody", "password": os.environ["NATS_TEST_PASS"]}),
        ("no password", user_url, {}),
        ("wrong token", token_url, {"token": "wrong"}),
        ("no token", token_url, {}),
    )
    for what, url, options in attempts:
        try:
            async with connected(url, **options):
                raise AssertionError(f"{what} was let in")
        except nats.errors.Error as error:
            same("authorization violation" in str(error).lower(), True, f"{what}: {error}")


class UnixTransport(TcpTransport):
    """Connects to one Unix socket, whatever the URL says; the rest is as over TCP."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    async def connect(self, uri, buffer_size, connect_timeout):
        opening = asyncio.open_unix_connection(self._path, limit=buffer_size)
        reader, writer = await asyncio.wait_for(opening, connect_timeout)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    def __bool__(self):
        return True  # nats-py makes a transport of its own in place of one that says it is none


class UnixClient(Client):
    def __init__(self, path):
        super().__init__()
        self._transport = UnixTransport(path)


async def check_unix_socket():
    unix = UnixClient(os.environ["NATS_UNIX_PATH"])
    async with connected(client=unix) as nc, connected() as tcp:
        sub = await nc.subscribe("unix.*")
        await nc.flush(DEADLINE_S)
        await tcp.publish("unix.fromtcp", b"across")
        same(await subjects(sub, 1), ["unix.fromtcp"], "from TCP to the Unix socket")
        await round_trip(nc, "unixlarge", patterned(PAYLOAD_MAX))


async def restart_server():
    """Have run.py stop the server and start it again on its port; return when it has."""
    print("RESTART", flush=True)
    answer = await asyncio.to_thread(sys.stdin.readline)
    same(answer, "RESTARTED\n", "the runner's answer")


class Watch:
    """Reconnect options for one connection, and the events they report."""

    def __init__(self):
        self.lost, self.back = asyncio.Event(), asyncio.Event()

    def options(self):
        async def on_lost():
            self.lost.set()

        async def on_back():
            self.back.set()

        return {"disconnected_cb": on_lost, "reconnected_cb": on_back, "allow_reconnect": True,
                "max_reconnect_attempts": -1, "reconnect_time_wait": 0.05}

    async def seen(self):
        for event in (self.lost, self.back):
            await asyncio.wait_for(event.wait(), DEADLINE_S)


async def check_restart():
    watch, other_watch = Watch(), Watch()
    async with connected(**watch.options()) as nc, connected(**other_watch.options()) as other:

        async def serve(msg):
            await msg.respond(b"")

        plain = await nc.subscribe("restart.*")
        queue = await nc.subscribe("restart.>", queue="workers")
        await nc.subscribe("again", cb=serve)
        await nc.flush(DEADLINE_S)
        # The first request makes the inbox subscription that has to survive.
        await other.request("again", b"", timeout=DEADLINE_S)
        await restart_server()
        await watch.seen()
        await other_watch.seen()
        await nc.flush(DEADLINE_S)
        await other.publish("restart.after")
        await other.flush(DEADLINE_S)
        await nc.flush(DEADLINE_S)
        for sub in (plain, queue):
            same(await subjects(sub, 1), ["restart.after"], f"{sub.subject} after the restart")
        await other.request("again", b"", timeout=DEADLINE_S)


CHECKS = (
    check_connect, check_wildcards, check_queue_group, check_headers, check_request_reply,
    check_request_timeout, check_no_responders, check_drain_subscription, check_drain_connection,
    check_auto_unsubscribe, check_payload_max, check_payload_over_max, check_ping,
    check_user_password, check_token, check_wrong_credentials, check_tls, check_nkey,
    check_creds, check_certificate_map, check_unix_socket,
    check_restart,
)


async def main():
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        if name == "unix_socket" and "NATS_UNIX_PATH" not in os.environ:
            continue
        try:
            await check()
        except Exception as problem:  # pylint: disable=broad-except; one check, one verdict
            reason = f"{type(problem).__name__}: {problem}".replace("\n", " ")
            print(f"not ok {name} {reason}", flush=True)
        else:
            print(f"ok {name}", flush=True)


asyncio.run(main())
