// Subjects by traffic: what has been delivered on each subject that is subscribed to.

import { element, say } from "./dom.js";
import { askJson, follow, Rates } from "./feed.js";
import { count, perSecond, text } from "./format.js";
import { Table } from "./table.js";

const LOOKED_AT = 5000; // subscriptions
const SHOWN = 200;
const EVERY_MS = 2000;

const columns = [
  { title: "Subject", text: true, value: (s) => text(s.subject) },
  { title: "Account", text: true, value: (s) => text(s.account) },
  { title: "Subscriptions", value: (s) => count(s.subscriptions) },
  { title: "Delivered", value: (s) => perSecond(s.rate) },
  { title: "In all", value: (s) => count(s.msgs) },
];

export function subjects(place, status) {
  const rates = new Rates();
  const note = element("p", { class: "note" });
  const table = new Table(columns, { caption: "Subjects by messages delivered" });

  place.append(note, table.node);
  const feed = follow(() => askJson(`/subsz?subs=1&limit=${LOOKED_AT}`), (page) => {
    const list = page.subscriptions_list ?? [];
    const bySubject = new Map();
    const at = performance.now();
    for (const sub of list) {
      const key = `${sub.account} ${sub.subject}`;
      const of = bySubject.get(key) ?? { key, subject: sub.subject, account: sub.account, subscriptions: 0,
        msgs: 0 };
      of.subscriptions++;
      of.msgs += sub.msgs ?? 0;
      bySubject.set(key, of);
    }
    const sums = [...bySubject.values()];
    for (const of of sums) of.rate = rates.of(of.key, { msgs: of.msgs }, at).msgs;
    rates.keepOnly(bySubject.keys());
    sums.sort((a, b) => b.rate - a.rate || b.msgs - a.msgs || (a.key < b.key ? -1 : 1));
    status.alive();
    say(note, page.total > list.length ? `${list.length} of ${page.total} subscriptions are looked at.`
      : "By messages delivered to subscriptions.");
    table.show(sums.slice(0, SHOWN), (of) => of.key);
  }, status.lost, EVERY_MS);

  return () => feed.end();
}
