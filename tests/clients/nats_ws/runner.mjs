// The end towards run.py: what it says, and what it is told.

import { createInterface } from "node:readline";

const env = process.env;

export const world = {
  url: env.NATS_WS_URL,
  userUrl: env.NATS_USER_WS_URL,
  user: env.NATS_TEST_USER,
  pass: env.NATS_TEST_PASS,
  tokenUrl: env.NATS_TOKEN_WS_URL,
  token: env.NATS_TEST_TOKEN,
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
