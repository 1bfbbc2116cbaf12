// The page: its tabs, and which view is to be seen.

import { element, say } from "./dom.js";
import { askJson } from "./feed.js";
import { text } from "./format.js";
import { overview } from "./overview.js";
import { connections } from "./connections.js";
import { accounts } from "./accounts.js";
import { subjects } from "./subjects.js";
import { loops } from "./loops.js";
import { consoleView } from "./console.js";

// Each is called with the place to draw in and a way to say how the server is; it returns how to end it.
const views = { Overview: overview, Connections: connections, Accounts: accounts, Subjects: subjects,
  Loops: loops, Console: consoleView };

const place = document.getElementById("view");
const state = document.getElementById("state");
const tabs = new Map();
let end = null;

const status = {
  // The server has answered: v is what /varz said, where that was asked.
  alive(v) {
    state.classList.remove("lost");
    say(state, "live");
    if (!v) return;
    say(document.getElementById("server"), text(v.server_name));
    say(document.getElementById("about"), text(`pipit, as NATS ${v.version} · up ${v.uptime}`));
    document.title = `${text(v.server_name)} · pipit`;
  },
  lost(error) {
    state.classList.add("lost");
    say(state, error instanceof TypeError || error.name === "TimeoutError" ? "no answer, trying again"
      : text(error.message));
  },
};

function show(name) {
  end?.();
  for (const [other, tab] of tabs) {
    tab.setAttribute("aria-selected", String(other === name));
    tab.tabIndex = other === name ? 0 : -1;
  }
  place.replaceChildren();
  place.setAttribute("aria-label", name);
  end = views[name](place, status);
}

function select(name) {
  history.replaceState(null, "", "#" + name.toLowerCase());
  show(name);
}

const names = Object.keys(views);

function move(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const at = names.findIndex((name) => tabs.get(name) === event.target);
  const next = names[(at + step + names.length) % names.length];
  tabs.get(next).focus();
  select(next);
  event.preventDefault();
}

function chosen() {
  return names.find((name) => "#" + name.toLowerCase() === location.hash) ?? names[0];
}

for (const name of names) {
  const tab = element("button", { type: "button", role: "tab", "aria-controls": "view",
    onclick: () => select(name), onkeydown: move }, name);
  tabs.set(name, tab);
  document.getElementById("tabs").append(tab);
}
addEventListener("hashchange", () => show(chosen()));
askJson("/varz").then(status.alive, status.lost);
show(chosen());
