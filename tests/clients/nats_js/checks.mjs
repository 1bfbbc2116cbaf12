// The JavaScript client (@nats-io/transport-node) against a running server.
// tests/clients/README.md says what each check holds and how this program and run.py talk.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { connect, credsAuthenticator, errors, headers, nkeyAuthenticator }
  from "@nats-io/transport-node";
import { NodeTransport, nodeResolveHost } from "@nats-io/transport-node/lib/node_transport.js";
import { NatsConnectionImpl, setTransportFactory } from "@nats-io/nats-core/internal";

const DEADLINE_MS = 60_000; // longest wait for anything that must happen
const PAYLOAD_MAX = 1024 * 1024;
const env = process.env;

async function within(promise, what) {
  let timer;
  const expiry = new Promise((_, reject) => {
    const expire = () => reject(new Error(`${what}: nothing in ${DEADLINE_MS} ms`));
    timer = setTimeout(expire, DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}

// Open connections for the time of one check, close them whatever happens.
async function withConnections(optionsOfEach, use) {
  const open = [];
  try {
    for (const options of optionsOfEach) {
      open.push(await connect({ servers: env.NATS_URL, timeout: DEADLINE_MS, ...options }));
    }
    await use(...open);
  } finally {
    await Promise.all(open.map((nc) => nc.close()));
  }
}

// The next count messages; once for each subscription.
async function next(sub, count) {
  const messages = [];
  const iterator = sub[Symbol.asyncIterator]();
  while (messages.length < count) {
    const what = `${sub.getSubject()}, message ${messages.length} of ${count}`;
    const { value, done } = await within(iterator.next(), what);
    assert.ok(!done, `${what}: the subscription ended`);
    messages.push(value);
  }
  return messages;
}

// All messages until the subscription ends.
async function all(sub) {
  const messages = [];
  for await (const message of sub) {
    messages.push(message);
  }
  return messages;
}

async function roundTrip(nc, subject, payload) {
  const sub = nc.subscribe(subject, { max: 1 });
  nc.publish(subject, payload);
  const [message] = await next(sub, 1);
  assert.ok(Buffer.from(payload).equals(message.data), "other bytes came back");
}

// Of two files with what a client may show the first lets it in, and the second does not.
async function knownAndStranger(servers, authenticatorOf, files) {
  const [known, stranger] = await Promise.all(files.map(async (file) =>
    ({ servers, authenticator: authenticatorOf(await readFile(file)) })));
  await withConnections([known], (nc) => roundTrip(nc, "known", "known"));
  await assert.rejects(withConnections([stranger], () => {}), errors.AuthorizationError);
}

// Bytes in which a lost or doubled piece shows.
function patterned(size) {
  const payload = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    payload[i] = (i * 7) >> 3;
  }
  return payload;
}

function numbersUpTo(count) {
  return Array.from({ length: count }, (_, i) => i);
}

const checks = {
  async connect() {
    await withConnections([{ name: "pipit client test" }], async (nc) => {
      assert.equal(nc.info.max_payload, PAYLOAD_MAX);
      assert.equal(nc.info.headers, true);
      assert.match(nc.info.version, /^2\./);
      assert.ok(nc.info.client_id > 0);
      await roundTrip(nc, "connect", "hello");
    });
  },

  async wildcards() {
    const cases = {
      "wild.*": ["wild.a", "wild.b"],
      "wild.>": ["wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"],
      "wild.*.c": ["wild.a.c", "wild.b.c"],
      "wild.a.c": ["wild.a.c"],
      "*.a.>": ["wild.a.c", "wild.a.c.d"],
      "wild": ["wild"],
    };
    await withConnections([{}], async (nc) => {
      const received = {};
      for (const pattern of Object.keys(cases)) {
        received[pattern] = [];
        const callback = (_, message) => received[pattern].push(message.subject);
        nc.subscribe(pattern, { callback });
      }
      for (const subject of ["wild.a", "wild.b", "wild", "wild.a.c", "wild.b.c", "wild.a.c.d"]) {
        nc.publish(subject);
      }
      await within(nc.flush(), "flush");
      assert.deepEqual(received, cases);
    });
  },

  async queue_group() {
    const count = 200;
    await withConnections([{}, {}, {}], async (publisher, ...members) => {
      const seen = [];
      const everything = new Promise((resolve) => {
        const callback = (_, message) => {
          seen.push(Number(message.string()));
          if (seen.length === count) resolve();
        };
        members.forEach((member) => member.subscribe("queue.*", { queue: "workers", callback }));
      });
      await within(Promise.all(members.map((member) => member.flush())), "flush");
      for (let i = 0; i < count; i++) {
        publisher.publish("queue.job", String(i));
      }
      await within(everything, "queue group");
      // After a flush of each, whatever else was sent to the members would have come as well.
      await within(Promise.all(members.map((member) => member.flush())), "flush");
      assert.deepEqual(seen.sort((a, b) => a - b), numbersUpTo(count));
      const shares = members.map((member) => member.stats().inMsgs);
      assert.ok(shares.every((share) => share > 0), `the members got ${shares}`);
    });
  },

  async headers() {
    await withConnections([{}], async (nc) => {
      for (const payload of ["body", ""]) {
        const sub = nc.subscribe("headers", { max: 1 });
        const sent = headers();
        sent.append("Many", "one");
        sent.append("Many", "two, and: three");
        sent.set("lower-case", "grün");
        nc.publish("headers", payload, { headers: sent });
        const [message] = await next(sub, 1);
        assert.deepEqual(Object.fromEntries(message.headers),
          { "Many": ["one", "two, and: three"], "lower-case": ["grün"] });
        assert.equal(message.string(), payload);
      }
    });
  },

  async request_reply() {
    await withConnections([{}, {}], async (nc, responder) => {
      const callback = (_, message) => message.respond("re: " + message.string());
      responder.subscribe("service", { callback });
      await within(responder.flush(), "flush");
      for (const text of ["one", "two", ""]) {
        const reply = await nc.request("service", text, { timeout: DEADLINE_MS });
        assert.equal(reply.string(), "re: " + text);
      }
    });
  },

  async request_timeout() {
    await withConnections([{}], async (nc) => {
      const silent = nc.subscribe("silent");
      await assert.rejects(nc.request("silent", "anybody?", { timeout: 200 }), errors.TimeoutError);
      const [message] = await next(silent, 1);
      assert.ok(message.reply);
    });
  },

  async no_responders() {
    await withConnections([{}], async (nc) => {
      await assert.rejects(nc.request("nobody.listens", "hello?", { timeout: DEADLINE_MS }),
        (error) => error instanceof errors.RequestError && error.isNoResponders());
    });
  },

  async drain_subscription() {
    const count = 100;
    await withConnections([{}], async (nc) => {
      const sub = nc.subscribe("drain.sub");
      for (let i = 0; i < count; i++) {
        nc.publish("drain.sub", "x");
      }
      await within(nc.flush(), "flush");
      const drained = sub.drain(); // with all messages still waiting in the iterator
      nc.publish("drain.sub", "late");
      await within(nc.flush(), "flush");
      const handled = await within(all(sub), "end of the subscription");
      await within(drained, "drain");
      assert.deepEqual(handled.map((message) => message.string()), Array(count).fill("x"));
      assert.equal(nc.stats().inMsgs, count);
    });
  },

  async drain_connection() {
    const count = 100;
    await withConnections([{}, {}], async (watcher, nc) => {
      const done = watcher.subscribe("drain.done");
      await within(watcher.flush(), "flush");
      const callback = (_, message) => nc.publish("drain.done", message.data);
      nc.subscribe("drain.conn", { callback });
      for (let i = 0; i < count; i++) {
        nc.publish("drain.conn", String(i));
      }
      // Nothing has come back yet: the drain has to wait for all, and to send what they lead to.
      await within(nc.drain(), "drain");
      assert.ok(nc.isClosed());
      const messages = await next(done, count);
      assert.deepEqual(messages.map((message) => Number(message.string())), numbersUpTo(count));
    });
  },

  async auto_unsubscribe() {
    await withConnections([{}], async (nc) => {
      const sub = nc.subscribe("auto", { max: 3 });
      for (let i = 0; i < 5; i++) {
        nc.publish("auto");
      }
      await within(nc.flush(), "flush");
      const messages = await within(all(sub), "end of the subscription");
      assert.equal(messages.length, 3);
      assert.equal(nc.stats().inMsgs, 3);
    });
  },

  async payload_max() {
    await withConnections([{}], async (nc) => {
      const payload = patterned(PAYLOAD_MAX);
      nc.subscribe("large.echo", { callback: (_, message) => message.respond(message.data) });
      const reply = await nc.request("large.echo", payload, { timeout: DEADLINE_MS });
      assert.ok(Buffer.from(payload).equals(reply.data));
    });
  },

  async payload_over_max() {
    await withConnections([{}], async (nc) => {
      assert.throws(() => nc.publish("large.over", patterned(PAYLOAD_MAX + 1)), /max_payload/);
      await roundTrip(nc, "large.after", "still here");
    });
  },

  async ping() {
    await withConnections([{}], async (nc) => {
      const rtt = await within(nc.rtt(), "rtt");
      assert.ok(rtt >= 0 && rtt < DEADLINE_MS);
      await within(nc.flush(), "flush");
    });
  },

  async user_password() {
    const [user, pass] = [env.NATS_TEST_USER, env.NATS_TEST_PASS];
    const options = { servers: env.NATS_USER_URL, user, pass };
    await withConnections([options], (nc) => roundTrip(nc, "user", "known"));
  },

  async token() {
    const options = { servers: env.NATS_TOKEN_URL, token: env.NATS_TEST_TOKEN };
    await withConnections([options], (nc) => roundTrip(nc, "token", "known"));
  },

  // Both show certificates of one authority.
  async tls() {
    const tls = { caFile: env.NATS_TLS_CA, certFile: env.NATS_TLS_CERT, keyFile: env.NATS_TLS_KEY };
    await withConnections([{ servers: env.NATS_TLS_URL, tls }],
      (nc) => roundTrip(nc, "tls", "known"));
  },

  async certificate_map() {
    const tls = { caFile: env.NATS_TLS_CA, certFile: env.NATS_TLS_CERT, keyFile: env.NATS_TLS_KEY };
    await withConnections([{ servers: env.NATS_MAP_URL, tls }],
      (nc) => roundTrip(nc, "map", "known"));
  },

  async nkey() {
    await knownAndStranger(env.NATS_NKEY_URL, nkeyAuthenticator,
      [env.NATS_NKEY_SEED, env.NATS_NKEY_WRONG]);
  },

  async creds() {
    await knownAndStranger(env.NATS_CREDS_URL, credsAuthenticator,
      [env.NATS_CREDS, env.NATS_CREDS_WRONG]);
  },

  async wrong_credentials() {
    const attempts = {
      "wrong password": { servers: env.NATS_USER_URL, user: env.NATS_TEST_USER, pass: "wrong" },
      "unknown user": { servers: env.NATS_USER_URL, user: "nobody", pass: env.NATS_TEST_PASS },
      "no password": { servers: env.NATS_USER_URL },
      "wrong token": { servers: env.NATS_TOKEN_URL, token: "wrong" },
      "no token": { servers: env.NATS_TOKEN_URL },
    };
    for (const [what, options] of Object.entries(attempts)) {
      await assert.rejects(withConnections([options], () => {}), errors.AuthorizationError, what);
    }
  },

  async unix_socket() {
    const nc = await connectUnix(env.NATS_UNIX_PATH);
    try {
      await withConnections([{}], async (tcp) => {
        const sub = nc.subscribe("unix.*");
        await within(nc.flush(), "flush");
        tcp.publish("unix.fromtcp", "across");
        await next(sub, 1);
        await roundTrip(nc, "unixlarge", patterned(PAYLOAD_MAX));
      });
    } finally {
      await nc.close();
    }
  },

  async restart() {
    const options = { maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 };
    await withConnections([options, options], async (nc, other) => {
      const plain = [], queue = [];
      const collect = (into) => (_, message) => into.push(message.subject);
      nc.subscribe("restart.*", { callback: collect(plain) });
      nc.subscribe("restart.>", { callback: collect(queue), queue: "workers" });
      nc.subscribe("again", { callback: (_, message) => message.respond() });
      await within(nc.flush(), "flush");
      // The first request makes the inbox subscription that has to survive.
      await other.request("again", "", { timeout: DEADLINE_MS });
      const events = [nc, other].map(reconnection);
      await restartServer();
      await within(Promise.all(events), "reconnection");
      await within(nc.flush(), "flush");
      other.publish("restart.after");
      await other.request("again", "", { timeout: DEADLINE_MS });
      await within(nc.flush(), "flush");
      assert.deepEqual([plain, queue], [["restart.after"], ["restart.after"]]);
    });
  },
};

// The client makes its sockets through a transport factory; this one has a Unix socket in place of
// the TCP connection, whatever the URL says.
async function connectUnix(path) {
  class UnixTransport extends NodeTransport {
    dial() {
      return new Promise((resolve, reject) => {
        const socket = createConnection({ path }, () => {
          socket.removeAllListeners();
          resolve(socket);
        });
        socket.on("error", reject);
      });
    }
  }
  setTransportFactory({ factory: () => new UnixTransport(), dnsResolveFn: nodeResolveHost });
  return await NatsConnectionImpl.connect({ servers: env.NATS_URL, timeout: DEADLINE_MS });
}

async function reconnection(nc) {
  const seen = [];
  for await (const { type } of nc.status()) {
    seen.push(type);
    if (type === "reconnect") {
      assert.equal(seen[0], "disconnect");
      return;
    }
  }
  throw new Error(`closed after ${seen}`);
}

// Have run.py stop the server and start it again on its port; resolves when it has.
async function restartServer() {
  const input = createInterface({ input: process.stdin });
  try {
    console.log("RESTART");
    const answer = await new Promise((resolve) => input.once("line", resolve));
    assert.equal(answer, "RESTARTED");
  } finally {
    input.close();
  }
}

for (const [name, check] of Object.entries(checks)) {
  if (name === "unix_socket" && !env.NATS_UNIX_PATH) {
    continue;
  }
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name} ${String(error?.message ?? error).replaceAll("\n", " ")}`);
  }
}
process.exit(0);
