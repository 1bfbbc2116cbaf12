// How the server is: figures, and the last minutes as lines.

import { Chart } from "./chart.js";
import { element, say } from "./dom.js";
import { askJson, follow, Rates } from "./feed.js";
import { bytes, bytesPerSecond, count, perSecond } from "./format.js";

const counters = ["in_msgs", "out_msgs", "in_bytes", "out_bytes", "total_connections"];

const figures = [
  ["Messages in", (v, r) => perSecond(r.in_msgs)],
  ["Messages out", (v, r) => perSecond(r.out_msgs)],
  ["Bytes in", (v, r) => bytesPerSecond(r.in_bytes)],
  ["Bytes out", (v, r) => bytesPerSecond(r.out_bytes)],
  ["Connections", (v) => count(v.connections)],
  ["New connections", (v, r) => perSecond(r.total_connections)],
  ["Subscriptions", (v) => count(v.subscriptions)],
  ["Slow consumers", (v) => count(v.slow_consumers)],
  ["Memory", (v) => bytes(v.mem)],
  ["CPU", (v) => `${v.cpu.toFixed(1)} %`],
];

export function overview(place, status) {
  const rates = new Rates();
  const values = figures.map(() => element("dd", {}, "–"));
  const charts = {
    messages: new Chart("Messages per second", ["in", "out"], count),
    bytes: new Chart("Bytes per second", ["in", "out"], bytes),
    memory: new Chart("Memory", ["resident"], bytes),
    connections: new Chart("Connections", ["open"], count),
  };
  let looks = 0;

  place.append(
    element("dl", { class: "tiles" }, ...figures.map(([title], i) =>
      element("div", { class: "tile" }, element("dt", {}, title), values[i]))),
    element("div", { class: "charts" }, ...Object.values(charts).map((chart) => chart.node)));

  const feed = follow(() => askJson("/varz"), (v) => {
    const at = performance.now();
    const r = rates.of("server", Object.fromEntries(counters.map((name) => [name, v[name]])), at);
    const seconds = Date.now() / 1000;

    status.alive(v);
    figures.forEach(([, value], i) => say(values[i], value(v, r)));
    if (looks++ > 0) {
      charts.messages.add(seconds, [r.in_msgs, r.out_msgs]);
      charts.bytes.add(seconds, [r.in_bytes, r.out_bytes]);
    }
    charts.memory.add(seconds, [v.mem]);
    charts.connections.add(seconds, [v.connections]);
  }, status.lost);

  return () => {
    feed.end();
    Object.values(charts).forEach((chart) => chart.end());
  };
}
