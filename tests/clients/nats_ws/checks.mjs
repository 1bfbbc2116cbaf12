// The checks of wsconnect (@nats-io/nats-core), for Node.js and for a browser alike: nothing here
// is of one of them. tests/clients/README.md says what each holds.

import { credsAuthenticator, errors, headers, nkeyAuthenticator, wsconnect }
  from "@nats-io/nats-core";

const DEADLINE_MS = 60_000; // longest wait for anything that must happen
const PAYLOAD_MAX = 1024 * 1024;

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function same(got, wanted, what) {
  const [a, b] = [got, wanted].map((value) => JSON.stringify(value));
  check(a === b, `${what}: ${a}, not ${b}`);
}

function sameBytes(got, wanted) {
  check(got.length === wanted.length && got.every((byte, i) => byte === wanted[i]),
    "other bytes came back");
}

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

async function rejected(promise, kind, what) {
  try {
    await promise;
  } catch (error) {
    check(error instanceof kind, `${what}: ${error}`);
    return error;
  }
  throw new Error(`${what}: nothing was refused`);
}

// The next count messages; once for each subscription.
async function next(sub, count) {
  const messages = [];
  const iterator = sub[Symbol.asyncIterator]();
  while (messages.length < count) {
    const what = `${sub.getSubject()}, message ${messages.length} of ${count}`;
    const { value, done } = await within(iterator.next(), what);
    check(!done, `${what}: the subscription ended`);
    messages.push(value);
  }
  return messages;
}

// Bytes in which a lost or doubled piece shows.
function patterned(size) {
  const payload = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    payload[i] = (i * 7) >> 3;
  }
  return payload;
}

// world: { url, userUrl, user, pass, tokenUrl, token, keyUrl, seeds, credsUrl, creds, restart() }
function checksOf(world) {
  async function withConnections(optionsOfEach, use) {
    const open = [];
    try {
      for (const options of optionsOfEach) {
        open.push(await wsconnect({ servers: world.url, timeout: DEADLINE_MS, ...options }));
      }
      await use(...open);
    } finally {
      await Promise.all(open.map((nc) => nc.close()));
    }
  }

  async function roundTrip(nc, subject, text) {
    const sub = nc.subscribe(subject, { max: 1 });
    nc.publish(subject, text);
    const [message] = await next(sub, 1);
    same(message.string(), text, subject);
  }

  // Of two texts that a client may show the first lets it in, and the second does not.
  async function knownAndStranger(servers, authenticatorOf, texts) {
    const [known, stranger] = texts.map((text) =>
      ({ servers, authenticator: authenticatorOf(new TextEncoder().encode(text)) }));
    await withConnections([known], (nc) => roundTrip(nc, "known", "known"));
    await rejected(withConnections([stranger], () => {}), errors.AuthorizationError, "a stranger");
  }

  return {
    async connect() {
      await withConnections([{ name: "pipit client test" }], async (nc) => {
        check(/^2\./.test(nc.info.version), nc.info.version);
        same([nc.info.max_payload, nc.info.headers], [PAYLOAD_MAX, true], "INFO");
        await roundTrip(nc, "connect", "hello");
      });
    },

    async wildcards() {
      await withConnections([{}], async (nc) => {
        const received = { "wild.*": [], "wild.>": [], "wild.a.c": [] };
        for (const [pattern, list] of Object.entries(received)) {
          nc.subscribe(pattern, { callback: (_, message) => list.push(message.subject) });
        }
        for (const subject of ["wild.a", "wild", "wild.a.c"]) {
          nc.publish(subject);
        }
        await within(nc.flush(), "flush");
        same(received, { "wild.*": ["wild.a"], "wild.>": ["wild.a", "wild.a.c"],
          "wild.a.c": ["wild.a.c"] }, "received");
      });
    },

    async many() {
      const count = 20_000;
      await withConnections([{}, {}], async (nc, publisher) => {
        const sub = nc.subscribe("many");
        await within(nc.flush(), "flush");
        for (let i = 0; i < count; i++) {
          publisher.publish("many", String(i));
        }
        const messages = await next(sub, count);
        messages.forEach((message, i) => check(message.string() === String(i), `message ${i}`));
      });
    },

    async headers() {
      await withConnections([{}], async (nc) => {
        const sub = nc.subscribe("headers", { max: 1 });
        const sent = headers();
        sent.append("Many", "one");
        sent.append("Many", "two, and: three");
        nc.publish("headers", "body", { headers: sent });
        const [message] = await next(sub, 1);
        same(message.headers.values("Many"), ["one", "two, and: three"], "values");
        same(message.string(), "body", "payload");
      });
    },

    async request_reply() {
      await withConnections([{}, {}], async (nc, responder) => {
        const callback = (_, message) => message.respond("re: " + message.string());
        responder.subscribe("service", { callback });
        await within(responder.flush(), "flush");
        for (const text of ["one", "two", ""]) {
          const reply = await nc.request("service", text, { timeout: DEADLINE_MS });
          same(reply.string(), "re: " + text, "reply");
        }
      });
    },

    async no_responders() {
      await withConnections([{}], async (nc) => {
        const error = await rejected(nc.request("nobody", "?", { timeout: DEADLINE_MS }),
          errors.RequestError, "request");
        check(error.isNoResponders(), String(error));
      });
    },

    async payload_max() {
      await withConnections([{}], async (nc) => {
        const payload = patterned(PAYLOAD_MAX);
        nc.subscribe("large.echo", { callback: (_, message) => message.respond(message.data) });
        const reply = await nc.request("large.echo", payload, { timeout: DEADLINE_MS });
        sameBytes(reply.data, payload);
      });
    },

    async drain_connection() {
      const count = 100;
      await withConnections([{}, {}], async (watcher, nc) => {
        const done = watcher.subscribe("drain.done");
        await within(watcher.flush(), "flush");
        nc.subscribe("drain.conn", {
          callback: (_, message) => nc.publish("drain.done", message.data),
        });
        for (let i = 0; i < count; i++) {
          nc.publish("drain.conn", String(i));
        }
        await within(nc.drain(), "drain");
        check(nc.isClosed(), "not closed");
        same((await next(done, count)).length, count, "messages");
      });
    },

    async ping() {
      await withConnections([{}], async (nc) => {
        check(await within(nc.rtt(), "rtt") >= 0, "rtt");
      });
    },

    async user_password() {
      const options = { servers: world.userUrl, user: world.user, pass: world.pass };
      await withConnections([options], (nc) => roundTrip(nc, "user", "known"));
    },

    async token() {
      const options = { servers: world.tokenUrl, token: world.token };
      await withConnections([options], (nc) => roundTrip(nc, "token", "known"));
    },

    async nkey() {
      await knownAndStranger(world.keyUrl, nkeyAuthenticator, world.seeds);
    },

    async creds() {
      await knownAndStranger(world.credsUrl, credsAuthenticator, world.creds);
    },

    async wrong_credentials() {
      for (const options of [{ servers: world.userUrl, user: world.user, pass: "wrong" },
        { servers: world.userUrl }, { servers: world.tokenUrl, token: "wrong" }]) {
        await rejected(withConnections([options], () => {}), errors.AuthorizationError,
          JSON.stringify(options));
      }
    },

    async restart() {
      const options = { maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 };
      await withConnections([options, options], async (nc, other) => {
        const plain = [];
        nc.subscribe("restart.*", { callback: (_, message) => plain.push(message.subject) });
        nc.subscribe("again", { callback: (_, message) => message.respond() });
        await within(nc.flush(), "flush");
        await other.request("again", "", { timeout: DEADLINE_MS });
        const back = [nc, other].map(async (connection) => {
          for await (const status of connection.status()) {
            if (status.type === "reconnect") return;
          }
        });
        await world.restart();
        await within(Promise.all(back), "reconnection");
        await within(nc.flush(), "flush");
        other.publish("restart.after");
        await other.request("again", "", { timeout: DEADLINE_MS });
        await within(nc.flush(), "flush");
        same(plain, ["restart.after"], "messages");
      });
    },
  };
}

// Run all checks and report each: report(name, null or what is wrong).
export async function runChecks(world, report) {
  for (const [name, run] of Object.entries(checksOf(world))) {
    try {
      await run();
      await report(name, null);
    } catch (error) {
      await report(name, String(error.stack ?? error).replaceAll("\n", " "));
    }
  }
}
