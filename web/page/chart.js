// Lines over the last minutes.

import uPlot from "uplot";
import { element } from "./dom.js";

const POINTS = 300;
const LEAST_S = 30; // that are shown, however little is known yet

export class Chart {
  #data;
  #plot;
  #host = element("div");
  #names;
  #format;
  #width = 0;
  #watcher;

  constructor(title, names, format) {
    this.#names = names;
    this.#format = format;
    this.#data = [[], ...names.map(() => [])];
    this.node = element("section", { class: "card", "aria-label": title }, element("h2", {}, title), this.#host);
    this.#watcher = new ResizeObserver(([entry]) => this.#fit(Math.floor(entry.contentRect.width)));
    this.#watcher.observe(this.#host);
    this.colours = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.#make();
    this.colours.addEventListener("change", this.redraw);
  }

  add(seconds, values) {
    [seconds, ...values].forEach((value, i) => {
      this.#data[i].push(value);
      if (this.#data[i].length > POINTS) this.#data[i].shift();
    });
    this.#plot?.setData(this.#data);
  }

  end() {
    this.#watcher.disconnect();
    this.colours.removeEventListener("change", this.redraw);
    this.#plot?.destroy();
  }

  #fit(width) {
    if (width === this.#width || width < 50) return;
    this.#width = width;
    if (this.#plot) this.#plot.setSize({ width, height: 180 });
    else this.#make();
  }

  #make() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const colours = [colour("--one"), colour("--two")];

    this.#plot?.destroy();
    if (!this.#width) return;
    this.#plot = new uPlot({
      width: this.#width,
      height: 180,
      scales: {
        x: { range: (_, low, high) => high === null ? [0, LEAST_S] : [Math.min(low, high - LEAST_S), high] },
        y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] },
      },
      cursor: { points: { show: false } },
      legend: { live: false },
      axes: [axis, { ...axis, size: 80, values: (_, splits) => splits.map(this.#format) }],
      series: [{}, ...this.#names.map((label, i) => ({
        label,
        stroke: colours[i],
        width: 2,
        points: { show: false },
      }))],
    }, this.#data, this.#host);
  }
}
