// Figures of the last hours: a line of means in a band of least and most, or bars.

import { ask, clock, el, number, svg } from "/format.js";

const LEFT = 34, BOTTOM = 18, TOP = 6, GAP_S = 150;
const KINDS = [
  { key: "fps", title: "Frames a second", unit: "" },
  { key: "latency_ms", title: "Latency p95, ms", unit: " ms" },
  { key: "tracks", title: "Tracks", unit: "" },
  { key: "events", title: "Events", unit: "" },
];

function top(most) {
  const base = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((each) => each * base).find((each) => each >= most);
}

function times(from, to) {
  const step = [600, 900, 3600, 7200, 14400, 21600].find((each) => (to - from) / each <= 7) ?? 43200;
  const shift = new Date(from * 1000).getTimezoneOffset() * 60, found = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) found.push(at);
  return found;
}

// Points without a hole between them.
function runs(points) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1)?.at(-1);
    if (last && point[0] - last[0] <= GAP_S) found.at(-1).push(point);
    else found.push([point]);
  }
  return found;
}

function bins(points, from, to) {
  const step = to - from <= 3600 ? 300 : 3600, counts = new Map();
  for (const [at, count] of points) {
    const begin = Math.floor(at / step) * step;
    counts.set(begin, (counts.get(begin) ?? 0) + count);
  }
  return { step, found: [...counts].sort((a, b) => a[0] - b[0]) };
}

class Plot {
  constructor(kind) {
    this.kind = kind;
    this.title = el("span", {}, kind.title);
    this.read = el("span");
    this.svg = svg("svg", { role: "img" });
    this.node = el("figure", { class: "plot" }, el("figcaption", {}, this.title, this.read), this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  draw(points, from, to) {
    const width = Math.max(160, this.svg.clientWidth), height = this.svg.clientHeight || 136;
    const bars = this.kind.key === "events" ? bins(points, from, to) : null;
    const highest = top(Math.max(1, ...(bars ? bars.found.map((each) => each[1]) : points.map((each) => each[3]))));
    const x = (at) => LEFT + (width - LEFT - 4) * (at - from) / (to - from);
    const y = (value) => height - BOTTOM - (height - BOTTOM - TOP) * value / highest;
    Object.assign(this, { x, height, points: bars ? bars.found.map(([at, count]) => [at + bars.step / 2, count]) : points });
    if (bars) this.title.textContent = bars.step === 3600 ? "Events an hour" : "Events in five minutes";
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const parts = [0, highest / 2, highest].flatMap((value) => [
      svg("line", { class: "grid", x1: LEFT, x2: width - 4, y1: y(value), y2: y(value) }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
    ]);
    for (const at of times(from, to)) {
      if (x(at) < LEFT + 10 || x(at) > width - 16) continue;
      parts.push(svg("text", { x: x(at), y: height - 3, "text-anchor": "middle" }, clock(new Date(at * 1000), false)));
    }
    if (!points.length) parts.push(svg("text", { class: "none", x: (width + LEFT) / 2, y: y(highest / 2) - 8 }, "nothing yet"));
    else if (bars) parts.push(...this.bars(bars, x, y, from, to));
    else for (const run of runs(points)) parts.push(...this.line(run, x, y));
    this.cross = svg("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    this.svg.replaceChildren(...parts, this.cross);
    this.sum(points);
  }

  line(run, x, y) {
    const path = (places) => places.map(([at, value], i) => `${i ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const mean = run.map((each) => [each[0], each[1]]);
    if (run.length === 1) mean.push([run[0][0] + 60, run[0][1]]);
    const range = path([...run.map((each) => [each[0], each[3]]), ...run.map((each) => [each[0], each[2]]).reverse()]);
    return [svg("path", { class: "range", d: `${range}Z` }), svg("path", { class: "mean", d: path(mean) })];
  }

  bars({ step, found }, x, y, from, to) {
    return found.map(([at, count]) => {
      const left = x(Math.max(at, from)) + 1, right = x(Math.min(at + step, to)) - 1;
      return svg("rect", { class: "bin", rx: 1.5, x: left, width: Math.max(1, right - left), y: y(count), height: Math.max(0, y(0) - y(count)) });
    });
  }

  sum(points) {
    const { title, unit, key } = this.kind;
    if (!points.length) this.words = "";
    else if (key === "events") this.words = `${number(points.reduce((sum, each) => sum + each[1], 0))} in all`;
    else {
      const mean = points.reduce((sum, each) => sum + each[1], 0) / points.length;
      this.words = `mean ${number(mean)}${unit}, most ${number(Math.max(...points.map((each) => each[3])))}${unit}`;
    }
    this.read.textContent = this.words;
    this.svg.setAttribute("aria-label", `${title}: ${this.words || "nothing yet"}`);
  }

  point(place) {
    if (!this.points?.length || !this.cross) return;
    if (place === null) { this.read.textContent = this.words; this.cross.setAttribute("visibility", "hidden"); return; }
    const near = this.points.reduce((a, b) => Math.abs(this.x(b[0]) - place) < Math.abs(this.x(a[0]) - place) ? b : a);
    this.cross.setAttribute("x1", this.x(near[0]));
    this.cross.setAttribute("x2", this.x(near[0]));
    this.cross.setAttribute("visibility", "visible");
    this.read.textContent = `${clock(new Date(near[0] * 1000), false)}: ${number(near[1])}${this.kind.unit}`;
  }
}

export class History {
  constructor(node, camera, hours) {
    Object.assign(this, { camera, hours, data: null, plots: KINDS.map((kind) => new Plot(kind)) });
    node.append(...this.plots.map((plot) => plot.node));
    camera.onchange = hours.onchange = () => this.load();
    new ResizeObserver(() => this.draw()).observe(node);
    setInterval(() => this.load(), 30000);
  }

  update(names) {
    const known = [...this.camera.options].map((option) => option.value);
    if (names.join() === known.join()) return;
    const chosen = this.camera.value;
    this.camera.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    if (names.includes(chosen)) this.camera.value = chosen;
    this.load();
  }

  async load() {
    if (!this.camera.value || document.hidden) return;
    try {
      this.data = await ask(`/api/cameras/${this.camera.value}/series?hours=${this.hours.value}`);
      this.draw();
    } catch { /* tried again in half a minute */ }
  }

  draw() {
    if (!this.data) return;
    const { from_s, to_s, figures } = this.data;
    for (const plot of this.plots) plot.draw(figures[plot.kind.key] ?? [], from_s, to_s);
  }
}
