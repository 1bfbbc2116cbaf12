// wsconnect in a headless Chromium: a page, served from here, that runs the checks and tells.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { restart, say, world } from "./runner.mjs";

const page = `<!doctype html><title>checks</title><script type="module" src="/page.js"></script>`;
const bundle = await readFile(new URL("./page.js", import.meta.url));
let finish;
const finished = new Promise((resolve) => { finish = resolve; });

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

const routes = {
  "/": async () => ["text/html", page],
  "/page.js": async () => ["text/javascript", bundle],
  "/world": async () => ["application/json", JSON.stringify(world)],
  "/restart": async () => {
    await restart();
    return ["text/plain", ""];
  },
  "/report": async (request) => {
    const { name, wrong } = JSON.parse(await bodyOf(request));
    say(name, wrong);
    return ["text/plain", ""];
  },
  "/end": async () => {
    finish();
    return ["text/plain", ""];
  },
};

const server = createServer(async (request, response) => {
  const route = routes[request.url];
  try {
    const [type, body] = route ? await route(request) : ["text/plain", ""];
    response.writeHead(route ? 200 : 404, { "Content-Type": type }).end(body ?? "");
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const profile = await mkdtemp(join(tmpdir(), "pipit-chromium-"));
const browser = spawn(process.argv[2], [
  "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
  ...(process.getuid() === 0 ? ["--no-sandbox"] : []), `--user-data-dir=${profile}`,
  `http://127.0.0.1:${server.address().port}/`,
], { stdio: ["ignore", "ignore", "inherit"] });
const ended = new Promise((resolve) => browser.once("exit", resolve));

await Promise.race([finished, ended]);
browser.kill();
await ended;
await rm(profile, { recursive: true, force: true, maxRetries: 5 });
process.exit(0);
