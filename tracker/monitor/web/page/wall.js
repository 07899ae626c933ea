// The grid of cameras.

import { el, icon, number, put, send } from "/format.js";
import { Live } from "/live.js";

const WORDS = {
  connecting: "Connecting", stalled: "No picture", down: "Down", paused: "Paused", ended: "Ended", failed: "Failed",
  lost: "No contact",
};
const WINDOW_MS = 30000;
const WISHED = new Set(["rate", "paused", "stopped"]);

class Tile {
  constructor(name, wall) {
    this.name = name;
    this.wall = wall;
    this.past = [];
    this.refused = "";
    this.seen = false;
    this.canvas = el("canvas", { role: "img", "aria-label": `Live picture of ${name}`, width: 16, height: 9 });
    this.context = this.canvas.getContext("2d");
    this.headline = el("strong");
    this.why = el("span");
    this.veil = el("div", { class: "veil" }, this.headline, this.why);
    this.screen = el("div", { class: "screen" }, this.canvas, this.veil);
    this.state = el("span", { class: "state" });
    this.pause = el("button", { type: "button" });
    this.enlarge = el("button", { type: "button", class: "enlarge" });
    this.remove = el("button", { type: "button", "aria-label": `Remove ${name}`, title: "Remove" }, icon("remove"));
    const title = el("h3", { id: `camera-${name}` }, name);
    title.title = name;
    this.cells = Object.fromEntries(["fps", "p95", "tracks", "dropped"].map((key) => [key, el("dd")]));
    const figure = (label, key) => el("div", {}, el("dt", {}, label), this.cells[key]);
    this.counts = el("ul", { class: "counts", "aria-label": `Counts of ${name}` });
    this.node = el("article", { class: "tile", "data-state": "", "data-camera": name, "aria-labelledby": `camera-${name}` },
      this.screen,
      el("div", { class: "bar" }, title, this.state, el("div", { class: "buttons" }, this.pause, this.enlarge, this.remove)),
      el("dl", { class: "figures" }, figure("Frames/s", "fps"), figure("Latency p95", "p95"), figure("Tracks", "tracks"),
        figure("Dropped", "dropped")),
      this.counts);
    this.pause.onclick = () => wall.act(this, this.paused ? "resume" : "pause");
    this.enlarge.onclick = () => wall.enlarge(this);
    this.remove.onclick = () => wall.ask(this);
    this.update({ state: "connecting", reason: "", detail: "" });
    this.mark(false);
  }

  get live() { return this.seen && this.node.dataset.state === "up"; }
  get paused() { return this.node.dataset.state === "paused"; }
  get pixels() { return this.screen.clientWidth * Math.min(devicePixelRatio, 2); }

  show(bitmap) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.refused = "";
    if (this.node.dataset.state === "up") this.veil.hidden = true;
  }

  refuse(why) {
    this.refused = why;
    this.veil.hidden = false;
  }

  update(camera) {
    const changed = this.node.dataset.state !== camera.state;
    if (changed) {
      this.node.dataset.state = camera.state;
      this.veil.hidden = false;
      this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      const [name, word] = this.paused ? ["play", "Resume"] : ["pause", "Pause"];
      this.label(this.pause, name, word);
    }
    put(this.state, camera.state);
    put(this.headline, WORDS[camera.state] ?? "Waiting for a picture");
    put(this.why, camera.detail || camera.reason || this.refused);
    if (camera.frames) this.figures(camera);
    else this.blank();
    return changed;
  }

  blank() {
    for (const cell of Object.values(this.cells)) { delete cell.dataset.shown; put(cell, "–"); }
    delete this.counts.dataset.shown;
    this.counts.replaceChildren();
  }

  figures(camera) {
    const up = camera.state === "up";
    put(this.cells.fps, up ? camera.fps.toFixed(1) : "–");
    this.unit(this.cells.p95, up && camera.latency_ms.p95 ? number(Math.round(camera.latency_ms.p95)) : "–", "ms");
    put(this.cells.tracks, up ? String(camera.tracks) : "–");
    const { share, most, text } = this.drops(camera.frames);
    this.unit(this.cells.dropped, up ? `${share < 10 ? share.toFixed(share ? 1 : 0) : Math.round(share)}` : "–", up && share ? `% ${most}` : "%");
    this.cells.dropped.classList.toggle("warn", up && share >= 20);
    this.cells.dropped.title = text;
    this.places(camera.counts);
    if (camera.size) this.screen.style.aspectRatio = this.wall.even ? "16 / 9" : `${camera.size[0]} / ${camera.size[1]}`;
  }

  unit(cell, value, unit) {
    if (cell.dataset.shown === `${value} ${unit}`) return;
    cell.dataset.shown = `${value} ${unit}`;
    cell.replaceChildren(value, ...(value === "–" ? [] : [el("small", {}, unit)]));
  }

  // Of the last half minute, of those that were wanted; all of them are in the tooltip.
  drops(frames) {
    const now = performance.now();
    if (frames.captured < (this.past.at(-1)?.[1].captured ?? 0)) this.past = []; // it began anew
    this.past.push([now, frames]);
    while (this.past.length > 1 && now - this.past[0][0] > WINDOW_MS) this.past.shift();
    const before = this.past[0][1], news = Object.entries(frames.dropped)
      .map(([reason, count]) => [reason, count - (before.dropped[reason] ?? 0)]).sort((a, b) => b[1] - a[1]);
    const sum = (wished) => news.reduce((total, [reason, count]) => total + (WISHED.has(reason) === wished ? count : 0), 0);
    const captured = frames.captured - before.captured - sum(true), dropped = sum(false);
    const all = Object.entries(frames.dropped).map(([reason, count]) => `${reason} ${number(count)}`).join(", ");
    return {
      share: captured > 0 ? Math.min(100, 100 * dropped / captured) : 0, most: news.find(([reason]) => !WISHED.has(reason))?.[0] ?? "",
      text: `${number(frames.captured)} captured, ${number(frames.processed)} processed; dropped: ${all || "none"}`,
    };
  }

  places(counts) {
    const lines = [
      ...Object.entries(counts.zones).map(([name, each]) => [name, `${each.occupancy} inside · ${number(each.entered)} entered`]),
      ...Object.entries(counts.lines).map(([name, each]) => [name, `${number(each.in)} in · ${number(each.out)} out`]),
    ];
    const text = JSON.stringify(lines);
    if (this.counts.dataset.shown === text) return;
    this.counts.dataset.shown = text;
    this.counts.replaceChildren(...lines.map(([name, said]) => el("li", {}, el("b", {}, name), ` ${said}`)));
  }

  label(button, name, word) {
    button.replaceChildren(icon(name));
    button.title = word;
    button.setAttribute("aria-label", `${word} ${this.name}`);
  }

  mark(large) {
    this.node.classList.toggle("large", large);
    this.label(this.enlarge, large ? "small" : "large", large ? "Make smaller" : "Enlarge");
  }
}

export class Wall {
  constructor(node, tell) {
    this.node = node;
    this.tell = tell;
    this.tiles = new Map();
    this.even = true;
    this.live = new Live(
      () => [...this.tiles.values()].filter((tile) => tile.live).map((tile) => [tile.name, tile.pixels]),
      (name, bitmap) => this.tiles.get(name)?.show(bitmap),
      (names, why) => { for (const name of names) this.tiles.get(name)?.refuse(why); },
    );
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) this.tiles.get(entry.target.dataset.camera).seen = entry.isIntersecting;
      this.live.change();
    }, { rootMargin: "160px" });
    new ResizeObserver(() => this.live.change()).observe(node);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.enlarge(null);
    });
  }

  update(cameras) {
    const names = Object.keys(cameras);
    let changed = false;
    for (const [name, tile] of this.tiles) {
      if (!(name in cameras)) { this.watcher.unobserve(tile.node); tile.node.remove(); this.tiles.delete(name); changed = true; }
    }
    this.even = names.length > 1;
    this.node.classList.toggle("single", names.length === 1);
    for (const name of names) {
      let tile = this.tiles.get(name);
      if (!tile) {
        tile = new Tile(name, this);
        this.tiles.set(name, tile);
        this.node.append(tile.node);
        this.watcher.observe(tile.node);
      }
      changed = tile.update(cameras[name]) || changed;
    }
    this.node.querySelector(":scope > p")?.remove();
    if (!names.length) this.node.append(el("p", { class: "quiet" }, "There is no camera. Add one, or name it in the settings."));
    if (changed) this.live.change();
  }

  // The service does not answer: what was last seen is not now.
  lose() {
    for (const tile of this.tiles.values()) tile.update({ state: "lost", reason: "", detail: "The service does not answer" });
    this.live.change();
  }

  enlarge(chosen) {
    for (const tile of this.tiles.values()) tile.mark(tile === chosen && !tile.node.classList.contains("large"));
    chosen?.node.scrollIntoView({ block: "nearest" });
    this.live.change();
  }

  async act(tile, what) {
    tile.pause.disabled = true;
    try {
      const { status } = await send(`/api/cameras/${tile.name}/${what}`);
      tile.update(status);
      this.live.change();
      this.tell(`${tile.name} ${what === "pause" ? "is paused" : "goes on"}`);
    } catch (error) { this.tell(`${tile.name}: ${error.message}`); }
    tile.pause.disabled = false;
    tile.pause.focus({ preventScroll: true });
  }

  ask(tile) {
    const dialog = document.getElementById("sure-dialog");
    put(document.getElementById("sure-title"), `Remove ${tile.name}?`);
    dialog.returnValue = "no";
    dialog.onclose = async () => {
      if (dialog.returnValue !== "yes") return;
      try {
        await send(`/api/cameras/${tile.name}`, "DELETE");
        this.tell(`${tile.name} is removed`);
      } catch (error) { this.tell(`${tile.name}: ${error.message}`); }
    };
    dialog.showModal();
  }
}
