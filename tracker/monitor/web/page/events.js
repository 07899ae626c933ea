// The last events, with snapshots.

import { ask, el, moment, number } from "/format.js";

const PAGE = 30, MOST = 300;
const seconds = (value) => `${number(value)}\u00a0s`;
const said = {
  enter: (event) => `entered ${event.place}`,
  exit: (event) => `left ${event.place} after ${seconds(event.value)}`,
  dwell: (event) => `has been in ${event.place} for ${seconds(event.value)}`,
  cross: (event) => `crossed ${event.place}${event.label ? `: ${event.label}` : ` (${event.direction})`}`,
  occupancy: (event) => `${event.place}: ${number(event.value)} inside, ${event.label === "cleared" ? "within" : "over"} its limit`,
};

function words(event) {
  const who = event.class_name ? `${event.class_name}${event.track_id ? ` ${event.track_id}` : ""} ` : "";
  return `${who}${(said[event.kind] ?? (() => event.kind))(event)}`;
}

function row(event, fresh) {
  const text = words(event), when = new Date(event.time);
  const picture = event.snapshot
    ? el("a", { class: "thumb", href: event.snapshot, target: "_blank", rel: "noopener", "aria-label": `Snapshot: ${text}` },
      el("img", { src: `${event.snapshot}?width=240&crop=true`, alt: "", loading: "lazy" }))
    : el("span", { class: "thumb" });
  const quiet = el("p", { class: "quiet" }, el("time", { datetime: event.time }, moment(when)), ` · ${event.camera}`);
  if (event.clip) quiet.append(" · ", el("a", { href: event.clip, target: "_blank", rel: "noopener" }, "clip"));
  const marks = event.clip ? { "data-clip": "" } : {};
  return el("li", { class: fresh ? "event fresh" : "event", "data-id": String(event.id), ...marks }, picture,
    el("div", {}, el("p", {}, text), quiet));
}

export class Events {
  constructor(list, none, older, choice) {
    Object.assign(this, { list, none, older, choice, newest: -1, oldest: null, busy: false, known: "" });
    older.onclick = () => this.load(this.oldest);
    choice.onchange = () => { this.newest = -1; this.list.replaceChildren(); this.load(); };
  }

  // `state`: changes when there are new events or clips.
  async update(state, names) {
    const known = [...this.choice.options].slice(1).map((option) => option.value);
    if (names.join() !== known.join()) {
      const chosen = this.choice.value;
      this.choice.replaceChildren(this.choice.options[0], ...names.map((name) => el("option", { value: name }, name)));
      this.choice.value = names.includes(chosen) ? chosen : "";
    }
    if (state !== this.known && await this.load()) this.known = state;
  }

  async load(before = null) {
    if (this.busy) return false;
    this.busy = true;
    try {
      const query = new URLSearchParams({ limit: PAGE });
      if (this.choice.value) query.set("camera", this.choice.value);
      if (before) query.set("before", before);
      const { events } = await ask(`/api/events?${query}`);
      this.show(events, before);
      return true;
    } catch { return false; } finally { this.busy = false; }
  }

  show(events, before) {
    const first = this.newest < 0, rows = (wanted) => wanted.map((event) => row(event, !first && !before));
    if (before) {
      this.list.append(...rows(events));
    } else {
      for (const event of events) {
        const shown = event.clip && this.list.querySelector(`[data-id="${event.id}"]:not([data-clip])`);
        if (shown) shown.replaceWith(row(event, false));
      }
      this.list.prepend(...rows(events.filter((event) => event.id > this.newest)));
      while (this.list.children.length > MOST) this.list.lastChild.remove();
      this.newest = Math.max(this.newest, events[0]?.id ?? 0);
    }
    this.oldest = Number(this.list.lastChild?.dataset.id ?? 0);
    if (before || first) this.older.hidden = events.length < PAGE;
    this.none.hidden = this.list.children.length > 0;
  }
}
