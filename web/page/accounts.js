// Traffic by account.

import { askJson, follow, Rates } from "./feed.js";
import { bytesPerSecond, count, perSecond, text } from "./format.js";
import { Table } from "./table.js";

const columns = [
  { title: "Account", text: true, value: (a) => text(a.name || a.acc) },
  { title: "Connections", value: (a) => count(a.conns) },
  { title: "Subs", value: (a) => count(a.num_subscriptions) },
  { title: "Msgs in", value: (a) => perSecond(a.rates.in_msgs) },
  { title: "Msgs out", value: (a) => perSecond(a.rates.out_msgs) },
  { title: "Bytes in", value: (a) => bytesPerSecond(a.rates.in_bytes) },
  { title: "Bytes out", value: (a) => bytesPerSecond(a.rates.out_bytes) },
  { title: "Slow consumers", value: (a) => count(a.slow_consumers) },
];
const SHOWN = 500;

export function accounts(place, status) {
  const rates = new Rates();
  const table = new Table(columns, { caption: "Accounts" });
  const feed = follow(() => askJson("/accstatz?unused=1"), ({ account_statz: list }) => {
    const at = performance.now();
    for (const account of list) {
      account.rates = rates.of(account.acc, { in_msgs: account.received.msgs, out_msgs: account.sent.msgs,
        in_bytes: account.received.bytes, out_bytes: account.sent.bytes }, at);
    }
    rates.keepOnly(list.map((account) => account.acc));
    list.sort((a, b) => b.rates.in_msgs + b.rates.out_msgs - a.rates.in_msgs - a.rates.out_msgs ||
      b.conns - a.conns || (a.acc < b.acc ? -1 : 1));
    status.alive();
    table.show(list.slice(0, SHOWN), (account) => account.acc);
  }, status.lost);

  place.append(table.node);
  return () => feed.end();
}
