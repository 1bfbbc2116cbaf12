// The page in a real browser, as a viewer uses it. run.py starts the server and says where it is; a line
// "ok NAME" or "not ok NAME why" for each check.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { headers, wsconnect } from "@nats-io/nats-core";
import { chromium } from "playwright-core";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;

const env = process.env;
const DEADLINE_MS = 60_000;
const axe = await readFile(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const orders = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const HOSTILE = `<img src=x onerror="document.title='taken'">\u001b[31m\u202e` + "n".repeat(4000);

function check(holds, what) {
  if (!holds) throw new Error(what);
}

// Have run.py do something; returns when it is done, with what it answers.
async function order(what) {
  console.log(what);
  const { value } = await orders.next();
  check(value?.startsWith("DONE"), `${what}: ${value}`);
  return value.slice(5);
}

// How much of a core the server uses while nothing is done here, in percent.
async function serverLoad(seconds) {
  const before = Number(await order("CPU"));
  const begun = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return (Number(await order("CPU")) - before) * 100_000 / (performance.now() - begun);
}

const browser = await chromium.launch({
  executablePath: env.PIPIT_CHROMIUM,
  timeout: 120_000,
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});
const client = (name, options = {}) => wsconnect({ servers: env.PIPIT_WS, user: "a", pass: "a", name,
  timeout: DEADLINE_MS, ...options });
let faults = []; // what the browser complained of
let excused = false; // the server is away: requests fail

async function open(view, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.on("console", (message) => {
    if (message.type() === "error" && !excused) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    if (new URL(request.url()).protocol !== "data:" && new URL(request.url()).host !== new URL(env.PIPIT_HTTP).host) {
      faults.push(`a request to ${request.url()}`);
    }
  });
  await page.goto(`${env.PIPIT_HTTP}/ui#${view}`);
  await page.getByRole("status").filter({ hasText: "live" }).first().waitFor();
  return page;
}

const cell = (page, words) => page.getByRole("cell", { name: words, exact: true });

async function poll(what, look) {
  const end = Date.now() + DEADLINE_MS;
  while (!await look()) {
    check(Date.now() < end, `not in ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const checks = {
  async overview_shows_traffic() {
    const page = await open("overview");
    const nc = await client("publisher");
    if (env.PIPIT_SHOTS) nc.subscribe("t.>");
    const timer = setInterval(() => { for (let i = 0; i < 50; i++) nc.publish("t.x", "hello"); }, 50);
    const shown = page.locator(".tile", { hasText: "Messages in" }).locator("dd");
    await poll("a rate", async () => !(await shown.textContent()).startsWith("0"));
    check(await page.locator(".uplot").count() === 4, "four charts");
    const legend = page.getByRole("region", { name: "Messages per second" }).locator(".u-series:visible");
    check((await legend.allTextContents()).map((words) => words.trim()).join(" ") === "in out", "which line is which");
    if (env.PIPIT_SHOTS) {
      await page.waitForTimeout(20_000); // something to see
      await page.screenshot({ path: `${env.PIPIT_SHOTS}/page-overview.png` });
    }
    clearInterval(timer);
    await nc.close();
    await page.context().close();
    const paints = []; // by visitors who have seen nothing of it before
    for (let i = 0; i < 5; i++) {
      const visit = await open("overview");
      paints.push(...await visit.evaluate(() => performance.getEntriesByName("first-contentful-paint")
        .map((entry) => Math.round(entry.startTime))));
      await visit.context().close();
    }
    check(paints.length === 5, "it is painted");
    console.log(`# first paint after ${paints.sort((a, b) => a - b).join(", ")} ms`);
  },

  async hostile_names_are_text() {
    const nc = await client(HOSTILE);
    const page = await open("connections");
    const name = page.locator("td.text", { hasText: "<img src=x" });
    await name.waitFor();
    const words = await name.textContent();
    check(words.includes("\\u001b[31m\\u202e") && words.length < 400, words.slice(0, 80));
    check(await page.locator("td img").count() === 0, "an element was made of a name");
    check(!(await page.title()).includes("taken"), "a script of a name ran");
    await nc.close();
    await page.context().close();
  },

  async hostile_subjects_headers_and_payloads_are_text() {
    const rude = "<img/src=x/onerror=document.title='taken'>\u001b[31m\u202e" + "n".repeat(3500);
    const nc = await client("polite");
    nc.subscribe(`rude.${rude}`);
    const timer = setInterval(() => nc.publish(`rude.${rude}`, "x"), 20);
    const page = await open("subjects");
    const subject = page.locator("td.text", { hasText: "rude.<img/src=x" });
    await subject.waitFor();
    let words = await subject.textContent();
    check(words.includes("\\u001b[31m\\u202e") && words.length < 400, words.slice(0, 80));
    await page.getByRole("tab", { name: "Connections" }).click();
    await page.locator("tbody tr", { hasText: "polite" }).first().getByRole("button").click();
    await poll("its subject", async () => {
      words = await page.getByRole("dialog").textContent();
      return words.includes("rude.<img/src=x");
    });
    check(!words.includes("\u001b"), words.slice(0, 300));
    check(await page.locator("td img, dialog img").count() === 0, "an element was made of a subject");
    clearInterval(timer);
    const said = await signedIn();
    await said.locator("form", { hasText: "Subscribe" }).getByLabel("Subject").fill("listen.>");
    await said.getByRole("button", { name: "Subscribe", exact: true }).click();
    const list = said.getByRole("list", { name: "Messages" });
    const all = headers();
    all.append("X-Rude", rude);
    await poll("a message", async () => {
      nc.publish(`listen.${rude}`, `<img src=x onerror="document.title='taken'">${rude}`, { headers: all });
      return await list.getByText("X-Rude").count() > 0;
    });
    words = await list.textContent();
    check(words.includes("\\u001b[31m\\u202e") && !/[\u001b\u202e]/.test(words), words.slice(0, 300));
    check(await said.locator("img").count() === 0, "an element was made of a message");
    for (const one of [page, said]) check(!(await one.title()).includes("taken"), "a script ran");
    await nc.close();
    await page.context().close();
    await said.context().close();
  },

  async ten_thousand_connections() {
    const size = Number(await order("CROWD"));
    try {
      await amongMany(size);
    } finally {
      await order("EMPTY");
    }
  },

  async connections_are_sorted_searched_and_looked_into() {
    const [busy, idle] = [await client("the busy one"), await client("the idle one")];
    for (let i = 0; i < 20; i++) busy.subscribe(`many.${i}`);
    await busy.flush();
    const page = await open("connections");
    await cell(page, "the busy one").waitFor();
    const head = page.getByRole("columnheader", { name: "Subs" });
    await head.getByRole("button").click();
    await poll("the order", async () => await head.getAttribute("aria-sort") === "ascending" &&
      (await page.locator("tbody tr").first().textContent()).includes("the busy one"));
    await head.getByRole("button").click();
    await poll("the other order", async () => await head.getAttribute("aria-sort") === "descending" &&
      !(await page.locator("tbody tr").first().textContent()).includes("the busy one"));
    await page.getByLabel("Search").fill("idle one");
    await poll("one row", async () => await page.locator("tbody tr").count() === 1);
    await page.getByLabel("Search").fill("busy");
    await poll("the row", async () => (await page.locator("tbody").textContent()).includes("the busy one"));
    await page.locator("tbody tr").first().getByRole("button").click();
    await page.getByRole("dialog").getByText("many.19").waitFor();
    await page.keyboard.press("Escape");
    if (env.PIPIT_SHOTS) {
      await page.getByLabel("Search").fill("");
      await page.waitForTimeout(1500);
      await page.screenshot({ path: `${env.PIPIT_SHOTS}/page-connections.png` });
    }
    await idle.close();
    await page.getByLabel("Search").fill("");
    await page.getByLabel("Which").selectOption("closed");
    await cell(page, "the idle one").waitFor();
    await page.getByRole("cell", { name: "Client Closed" }).first().waitFor();
    await busy.close();
    await page.context().close();
  },

  async other_views() {
    const nc = await client("listener");
    nc.subscribe("seen.often");
    const timer = setInterval(() => nc.publish("seen.often"), 20);
    const page = await open("accounts");
    await cell(page, "A").waitFor();
    await page.getByRole("tab", { name: "Subjects" }).click();
    await cell(page, "seen.often").waitFor();
    await page.getByRole("tab", { name: "Loops" }).click();
    await cell(page, "0").waitFor();
    await poll("turns", async () => !(await page.locator("tbody tr td").nth(2).textContent()).startsWith("0/"));
    clearInterval(timer);
    await nc.close();
    await page.context().close();
  },

  async tabs_by_keyboard() {
    const page = await open("overview");
    await page.getByRole("tab", { name: "Overview" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.locator("[role=tab][aria-selected=true]", { hasText: "Connections" }).waitFor();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.locator("[role=tab][aria-selected=true]", { hasText: "Console" }).waitFor();
    await page.context().close();
  },

  async console_wants_credentials() {
    const page = await open("console");
    await poll("the address", async () => await page.getByLabel("Server").inputValue() === env.PIPIT_WS);
    check(await page.getByRole("button", { name: "Publish" }).isDisabled(), "publish before signing in");
    excused = true; // the client library logs what it was told
    await page.getByLabel("User").fill("a");
    await page.getByLabel("Password or token").fill("wrong");
    await page.getByRole("button", { name: "Connect" }).click();
    await page.getByText(/authorization/i).waitFor();
    excused = false;
    await page.context().close();
  },

  async console_subscribes_publishes_requests() {
    const responder = await client("responder");
    responder.subscribe("service", { callback: (_, message) => message.respond("answer to " + message.string()) });
    await responder.flush();
    const page = await signedIn();
    const publishing = page.locator("form", { hasText: "Headers" });
    await page.locator("form", { hasText: "Subscribe" }).getByLabel("Subject").fill("say.>");
    await page.getByRole("button", { name: "Subscribe", exact: true }).click();
    await publishing.getByLabel("Subject").fill("say.this");
    await publishing.getByLabel("Headers").fill("Kind: greeting");
    await publishing.getByLabel("Payload").fill("<b>hello</b>");
    await page.getByRole("button", { name: "Publish" }).click();
    const list = page.getByRole("list", { name: "Messages" });
    await list.getByText("<b>hello</b>").waitFor();
    await list.getByText("Kind: greeting").waitFor();
    await publishing.getByLabel("Subject").fill("service");
    await page.getByRole("button", { name: "Request" }).click();
    await list.getByText("answer to <b>hello</b>").waitFor();
    await publishing.getByLabel("Subject").fill("nobody.there");
    await page.getByRole("button", { name: "Request" }).click();
    await page.getByText(/no responders/i).waitFor();
    if (env.PIPIT_SHOTS) await page.screenshot({ path: `${env.PIPIT_SHOTS}/page-console.png` });
    await page.getByRole("button", { name: "Unsubscribe say.>" }).click();
    await page.getByRole("button", { name: "Disconnect" }).click();
    await page.getByText("Not connected.").waitFor();
    await responder.close();
    await page.context().close();
  },

  async it_recovers_when_the_server_restarts() {
    const page = await signedIn();
    const overview = await open("overview");
    excused = true;
    await order("STOP");
    await overview.getByRole("status").filter({ hasText: "no answer" }).waitFor();
    await page.getByText("Connection lost").waitFor();
    await order("START");
    await overview.getByRole("status").filter({ hasText: "live" }).waitFor();
    await page.getByText(/^Connected to/).waitFor();
    excused = false;
    await overview.context().close();
    await page.context().close();
  },

  async nothing_for_axe_to_say() {
    for (const colorScheme of ["light", "dark"]) {
      for (const view of ["overview", "connections", "accounts", "subjects", "loops", "console"]) {
        const page = await open(view, { colorScheme, bypassCSP: true });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const found = violations.map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 120)} ${v.nodes[0].failureSummary}`);
        check(found.length === 0, `${view}, ${colorScheme}: ${found.join("; ")}`);
        await page.context().close();
      }
    }
  },

  async it_fits_a_phone() {
    for (const view of ["overview", "connections", "console"]) {
      const page = await open(view, { viewport: { width: 360, height: 740 } });
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      check(wide <= room, `${view} is ${wide} wide on ${room}`);
      await page.context().close();
    }
  },

  async policies_hold() {
    const page = await open("overview");
    const refused = await page.evaluate(() => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken'";
      document.body.append(script);
    }));
    check(refused === "script-src-elem", refused);
    faults = faults.filter((fault) => !fault.includes("Content Security Policy"));
    await page.context().close();
  },
};

async function signedIn() {
  const page = await open("console");
  await poll("the address", async () => await page.getByLabel("Server").inputValue() !== "");
  await page.getByLabel("User").fill("a");
  await page.getByLabel("Password or token").fill("a");
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByText(/^Connected to/).waitFor();
  return page;
}

// What the server has to do while somebody looks at so many connections, and whether one is found.
async function amongMany(size) {
  const loads = { unwatched: await serverLoad(3) };
  const overview = await open("overview");
  loads.overview = await serverLoad(10);
  await overview.context().close();
  const page = await open("connections");
  await page.getByText(new RegExp(` of ${size}$`)).waitFor();
  loads.connections = await serverLoad(10);
  await page.getByLabel("Search").fill(`crowd-${size - 1}`);
  await page.getByText(new RegExp(`^1 of ${size} match$`)).waitFor();
  await poll("the last one", async () =>
    (await page.locator("tbody").textContent()).includes(`crowd-${size - 1}`));
  loads.search = await serverLoad(10);
  const said = Object.entries(loads).map(([what, load]) => `${what} ${load.toFixed(1)} %`).join(", ");
  console.log(`# ${size} connections, CPU of the server in percent of a core: ${said}`);
  await page.context().close();
}

for (const [name, run] of Object.entries(checks)) {
  faults = [];
  try {
    await run();
    check(faults.length === 0, faults.join("; "));
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name} ${String(error.stack ?? error).replaceAll("\n", " ")}`);
  }
}
await browser.close();
console.log("END");
process.exit(0);
