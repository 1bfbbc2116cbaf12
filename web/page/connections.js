// Who is connected, or was: ordered by the server, searched here.

import { element, field, say } from "./dom.js";
import { askJson, follow, Rates } from "./feed.js";
import { bytes, bytesPerSecond, count, perSecond, text } from "./format.js";
import { Table } from "./table.js";

const PAGE = 100;
const SEARCHED_MAX = 10_000; // connections that a search looks through
const SEARCH_EVERY_MS = 5000; // a search asks for all of them

const shared = [
  { title: "Id", value: (c) => String(c.cid), sort: "cid" },
  { title: "Name", text: true, value: (c) => text(c.name) },
  { title: "Kind", text: true, value: (c) => text(c.type ?? c.kind) },
  { title: "Account", text: true, value: (c) => text(c.account) },
  { title: "User", text: true, value: (c) => text(c.authorized_user) },
  { title: "Address", text: true, value: (c) => c.port ? `${text(c.ip)}:${c.port}` : text(c.ip) },
  { title: "Language", text: true, value: (c) => text(`${c.lang ?? ""} ${c.version ?? ""}`.trim()) },
  { title: "Subs", value: (c) => count(c.subscriptions), sort: "subs" },
];
const open = [
  { title: "Pending", value: (c) => bytes(c.pending_bytes), sort: "pending" },
  { title: "RTT", value: (c) => text(c.rtt), sort: "rtt" },
  { title: "Msgs in", value: (c) => perSecond(c.rates.in_msgs), sort: "msgs_from" },
  { title: "Msgs out", value: (c) => perSecond(c.rates.out_msgs), sort: "msgs_to" },
  { title: "Bytes in", value: (c) => bytesPerSecond(c.rates.in_bytes), sort: "bytes_from" },
  { title: "Bytes out", value: (c) => bytesPerSecond(c.rates.out_bytes), sort: "bytes_to" },
  { title: "Idle", value: (c) => text(c.idle), sort: "idle" },
  { title: "Up", value: (c) => text(c.uptime), sort: "uptime" },
];
const closed = [
  { title: "Reason", text: true, value: (c) => text(c.reason), sort: "reason" },
  { title: "Closed", text: true, value: (c) => new Date(c.stop).toLocaleTimeString(), sort: "stop" },
  { title: "Msgs in", value: (c) => count(c.in_msgs), sort: "msgs_from" },
  { title: "Msgs out", value: (c) => count(c.out_msgs), sort: "msgs_to" },
  { title: "Up", value: (c) => text(c.uptime), sort: "uptime" },
];

function holds(connection, wanted) {
  return [connection.cid, connection.name, connection.account, connection.authorized_user, connection.ip,
    connection.type, connection.kind, connection.lang, connection.reason]
    .some((part) => part !== undefined && String(part).toLowerCase().includes(wanted));
}

export function connections(place, status) {
  const rates = new Rates();
  const search = element("input", { type: "search", oninput: again });
  const which = element("select", { onchange: choose }, element("option", { value: "open" }, "open"),
    element("option", { value: "closed" }, "closed"));
  const back = element("button", { type: "button", onclick: () => turn(-PAGE) }, "Previous");
  const forth = element("button", { type: "button", onclick: () => turn(PAGE) }, "Next");
  const where = element("p", { class: "note", role: "status" });
  const tablePlace = element("div");
  const dialog = element("dialog", { "aria-label": "Connection" });
  let order = { sort: "cid", reversed: false };
  let offset = 0;
  let total = 0;
  let table;
  let feed;

  place.append(
    element("div", { class: "tools" }, field("Which", which), field("Search", search), back, forth, where),
    tablePlace, dialog);
  choose();

  function choose() {
    const columns = [...shared, ...(which.value === "open" ? open : closed)].map((column) =>
      column.title === "Id" ? { ...column, press: details } : column);
    table = new Table(columns, { caption: "Connections", onSort: sort });
    tablePlace.replaceChildren(table.node);
    order = which.value === "open" ? { sort: "cid", reversed: false } : { sort: "stop", reversed: true };
    again();
  }

  function sort(by) {
    order = { sort: by, reversed: order.sort === by && !order.reversed };
    again();
  }

  function turn(by) {
    offset = Math.max(0, offset + by);
    restart();
  }

  function again() {
    offset = 0;
    restart();
  }

  function restart() {
    feed?.end();
    feed = follow(look, show, status.lost, search.value ? SEARCH_EVERY_MS : undefined);
  }

  // The server orders one way only; the other way round is its last page, read backwards.
  async function look() {
    const searched = search.value.trim().toLowerCase();
    const common = `/connz?auth=1&state=${which.value}&sort=${order.sort}`;
    if (searched) {
      const page = await askJson(`${common}&limit=${SEARCHED_MAX}`);
      return { page, rows: page.connections.filter((c) => holds(c, searched)), searched };
    }
    if (!order.reversed) {
      const page = await askJson(`${common}&limit=${PAGE}&offset=${offset}`);
      return { page, rows: page.connections };
    }
    if (total === 0) total = (await askJson(`${common}&limit=1`)).total;
    const from = Math.max(0, total - offset - PAGE);
    const page = await askJson(`${common}&limit=${Math.max(1, total - offset - from)}&offset=${from}`);
    return { page, rows: page.connections };
  }

  function show({ page, rows, searched }) {
    const at = performance.now();
    const shown = (order.reversed ? [...rows].reverse() : rows).slice(0, PAGE);

    status.alive();
    total = page.total;
    for (const c of shown) {
      c.rates = rates.of(c.cid, { in_msgs: c.in_msgs, out_msgs: c.out_msgs, in_bytes: c.in_bytes,
        out_bytes: c.out_bytes }, at);
    }
    rates.keepOnly(shown.map((c) => c.cid));
    table.sorted(order.sort, order.reversed);
    table.show(shown, (c) => c.cid);
    back.disabled = searched !== undefined || offset === 0;
    forth.disabled = searched !== undefined || offset + PAGE >= total;
    say(where, searched !== undefined ? `${rows.length} of ${page.connections.length} match`
      : total ? `${offset + 1}–${Math.min(offset + shown.length, total)} of ${total}` : "none");
  }

  async function details(connection) {
    const list = element("ul");
    dialog.replaceChildren(
      element("h2", {}, `Connection ${connection.cid} ${text(connection.name)}`),
      element("p", { class: "note" }, text(`${connection.ip ?? ""} ${connection.reason ?? ""}`)), list,
      element("button", { type: "button", onclick: () => dialog.close() }, "Close"));
    dialog.showModal();
    try {
      const page = await askJson(`/connz?cid=${connection.cid}&subs=1&state=${which.value}`);
      const subjects = page.connections[0]?.subscriptions_list ?? [];
      list.append(...subjects.slice(0, 1000).map((subject) => element("li", {}, text(subject))));
      if (!subjects.length) list.append(element("li", { class: "note" }, "no subscriptions"));
    } catch (error) {
      list.append(element("li", { class: "bad" }, text(error.message)));
    }
  }

  return () => feed.end();
}
