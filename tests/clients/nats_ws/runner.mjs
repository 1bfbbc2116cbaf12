// The end towards run.py: what it says, and what it is told.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const env = process.env;

// A page cannot read files: it is told what is in them.
function texts(...variables) {
  return variables.filter((name) => env[name]).map((name) => readFileSync(env[name], "utf8"));
}

export const world = {
  url: env.NATS_WS_URL,
  userUrl: env.NATS_USER_WS_URL,
  user: env.NATS_TEST_USER,
  pass: env.NATS_TEST_PASS,
  tokenUrl: env.NATS_TOKEN_WS_URL,
  token: env.NATS_TEST_TOKEN,
  keyUrl: env.NATS_NKEY_WS_URL,
  seeds: texts("NATS_NKEY_SEED", "NATS_NKEY_WRONG"),
  credsUrl: env.NATS_CREDS_WS_URL,
  creds: texts("NATS_CREDS", "NATS_CREDS_WRONG"),
};

export function say(name, wrong) {
  console.log(wrong === null ? `ok ${name}` : `not ok ${name} ${wrong}`);
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Have the server at world.url restarted; returns when it is back.
export async function restart() {
  console.log("RESTART");
  const { value } = await answers.next();
  if (value !== "RESTARTED") throw new Error(`the server is not back: ${value}`);
}
