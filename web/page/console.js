// Subscribe and publish over WebSocket, with credentials of the viewer's own.

import { element, field, say } from "./dom.js";
import { askJson } from "./feed.js";
import { payload, text } from "./format.js";

const KEPT = 500; // messages shown
const REQUEST_MS = 5000;

// Where the server's WebSocket listener is, seen from here.
async function address() {
  const { websocket } = await askJson("/varz");
  if (!websocket?.port) return "";
  const secure = !websocket.no_tls;
  return `${secure ? "wss" : "ws"}://${location.hostname}:${websocket.port}`;
}

export function consoleView(place, status) {
  const url = element("input", { type: "url", required: true });
  const user = element("input", { autocomplete: "username" });
  const password = element("input", { type: "password", autocomplete: "current-password" });
  const creds = element("input", { type: "file" });
  const connect = element("button", {}, "Connect");
  const subject = element("input", { required: true, placeholder: "orders.>" });
  const subscribe = element("button", {}, "Subscribe");
  const to = element("input", { required: true, placeholder: "orders.new" });
  const heads = element("textarea", { placeholder: "Name: value" });
  const body = element("textarea", {});
  const publish = element("button", {}, "Publish");
  const request = element("button", { type: "button", onclick: ask }, "Request");
  const clear = element("button", { type: "button", onclick: () => messages.replaceChildren() }, "Clear");
  const subscriptions = element("div", { class: "tools" });
  const messages = element("ol", { class: "messages", tabindex: "0", "aria-label": "Messages" });
  const said = element("p", { role: "status", class: "note" }, "Not connected.");
  let client;
  let library;
  let ended = false;

  place.append(
    element("div", { class: "two" },
      element("form", { class: "card", onsubmit: toggle }, element("h2", {}, "Sign in"),
        field("Server", url), field("User", user), field("Password or token", password),
        field("Credentials file", creds), connect, said),
      element("form", { class: "card", onsubmit: add }, element("h2", {}, "Subscribe"),
        field("Subject", subject), subscribe, subscriptions),
      element("form", { class: "card", onsubmit: send }, element("h2", {}, "Publish"),
        field("Subject", to), field("Headers", heads), field("Payload", body),
        element("div", { class: "tools" }, publish, request))),
    element("section", { class: "card", "aria-label": "Received" },
      element("div", { class: "tools" }, element("h2", {}, "Received"), clear), messages));
  enable(false);
  address().then((found) => {
    status.alive();
    if (!url.value) url.value = found;
    if (!found) say(said, "The server has no WebSocket listener: its configuration needs websocket { port }.");
  }, status.lost);

  function enable(connected) {
    for (const control of [subscribe, publish, request]) control.disabled = !connected;
    say(connect, connected ? "Disconnect" : "Connect");
  }

  function tell(words, bad = false) {
    say(said, words);
    said.className = bad ? "bad" : "note";
  }

  async function options() {
    const { credsAuthenticator } = library;
    const all = { servers: url.value, name: "pipit page", maxReconnectAttempts: -1 };
    if (creds.files.length) {
      const bytes = new Uint8Array(await creds.files[0].arrayBuffer());
      return { ...all, authenticator: credsAuthenticator(bytes) };
    }
    if (user.value) return { ...all, user: user.value, pass: password.value };
    return password.value ? { ...all, token: password.value } : all;
  }

  async function toggle(event) {
    event.preventDefault();
    if (client) return client.close();
    connect.disabled = true;
    tell("Connecting …");
    try {
      library = await import("./console_client.js");
      client = await library.wsconnect(await options());
      if (ended) return client.close();
      password.value = "";
      enable(true);
      tell(`Connected to ${text(client.getServer())}.`);
      watch(client);
    } catch (error) {
      client = undefined;
      tell(text(error.message), true);
    } finally {
      connect.disabled = false;
    }
  }

  async function watch(watched) {
    watched.closed().then((error) => {
      client = undefined;
      subscriptions.replaceChildren();
      enable(false);
      tell(error ? text(error.message) : "Not connected.", Boolean(error));
    });
    for await (const event of watched.status()) {
      if (event.type === "disconnect") tell("Connection lost, trying again …", true);
      if (event.type === "reconnect") tell(`Connected to ${text(watched.getServer())}.`);
      if (event.type === "error") tell(text(event.error?.message ?? "error"), true);
    }
  }

  function add(event) {
    event.preventDefault();
    const wanted = subject.value;
    try {
      const sub = client.subscribe(wanted, { callback: (error, message) => {
        if (error) tell(text(error.message), true);
        else received(message);
      } });
      const end = element("button", { type: "button", onclick: () => { sub.unsubscribe(); end.remove(); } },
        `${text(wanted)} ✕`);
      end.setAttribute("aria-label", `Unsubscribe ${text(wanted)}`);
      subscriptions.append(end);
    } catch (error) {
      tell(text(error.message), true);
    }
  }

  function received(message) {
    const lines = [];
    if (message.reply) lines.push(`reply: ${text(message.reply)}`);
    for (const [name, values] of message.headers ?? []) {
      for (const value of values) lines.push(`${text(name)}: ${text(value)}`);
    }
    lines.push(payload(message.string()));
    messages.prepend(element("li", {}, element("b", {}, text(message.subject)), "\n" + lines.join("\n")));
    while (messages.childElementCount > KEPT) messages.lastChild.remove();
  }

  function headersSaid() {
    const lines = heads.value.split("\n").map((line) => line.trim()).filter(Boolean);
    if (!lines.length) return undefined;
    const all = library.headers();
    for (const line of lines) {
      const at = line.indexOf(":");
      if (at < 1) throw new Error(`A header is Name: value, not ${text(line)}`);
      all.append(line.slice(0, at).trim(), line.slice(at + 1).trim());
    }
    return all;
  }

  function send(event) {
    event.preventDefault();
    try {
      client.publish(to.value, body.value, { headers: headersSaid() });
    } catch (error) {
      tell(text(error.message), true);
    }
  }

  async function ask() {
    if (!to.reportValidity()) return;
    try {
      received(await client.request(to.value, body.value, { timeout: REQUEST_MS, headers: headersSaid() }));
    } catch (error) {
      tell(text(error.message), true);
    }
  }

  return () => {
    ended = true;
    client?.close();
  };
}
