// What each event loop does, from /metrics.

import { ask, follow, Rates } from "./feed.js";
import { count, perSecond } from "./format.js";
import { Table } from "./table.js";

const figures = {
  pipit_loop_turn_seconds_count: "turns",
  pipit_loop_turn_seconds_sum: "busy",
  pipit_loop_sleeps_total: "sleeps",
  pipit_loop_send_calls_total: "sends",
  pipit_loop_receive_calls_total: "receives",
  pipit_loop_longest_turn_seconds: "longest",
};

// Lines such as name{loop="0"} 1.5
function byLoop(exposition) {
  const loops = new Map();
  for (const line of exposition.split("\n")) {
    const found = /^(\w+)\{loop="(\d+)"\} (\S+)/.exec(line);
    if (!found || !(found[1] in figures)) continue;
    const loop = loops.get(found[2]) ?? {};
    loop[figures[found[1]]] = Number(found[3]);
    loops.set(found[2], loop);
  }
  return loops;
}

const columns = [
  { title: "Loop", value: (l) => l.id },
  { title: "Busy", value: (l) => `${(100 * l.rates.busy).toFixed(1)} %` },
  { title: "Turns", value: (l) => perSecond(l.rates.turns) },
  { title: "Sleeps", value: (l) => perSecond(l.rates.sleeps) },
  { title: "Sends", value: (l) => perSecond(l.rates.sends) },
  { title: "Receives", value: (l) => perSecond(l.rates.receives) },
  { title: "Longest turn", value: (l) => `${count(l.longest * 1e6)} µs` },
];

export function loops(place, status) {
  const rates = new Rates();
  const table = new Table(columns, { caption: "Event loops" });

  place.append(table.node);
  const feed = follow(async () => byLoop(await (await ask("/metrics")).text()), (found) => {
    const at = performance.now();
    const rows = [...found].map(([id, loop]) => ({ id, longest: loop.longest, rates: rates.of(id, loop, at) }));
    status.alive();
    table.show(rows, (row) => row.id);
  }, status.lost);

  return () => feed.end();
}
