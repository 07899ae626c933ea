// The page: asks for the state of all every second, and hands it to its parts.

import { ask, clock, duration, el, number, put, send } from "/format.js";
import { Events } from "/events.js";
import { History } from "/plots.js";
import { Wall } from "/wall.js";

const EVERY_MS = 1000, PATIENCE_MS = 8000;
const byId = (id) => document.getElementById(id);

const wall = new Wall(byId("wall"), tell);
const events = new Events(byId("events-list"), byId("events-none"), byId("events-older"), byId("events-camera"));
const history = new History(byId("plots"), byId("history-camera"), byId("history-hours"));
let lostSince = null, failures = 0;

function tell(text) {
  const told = byId("told");
  told.textContent = text;
  told.classList.add("shown");
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => told.classList.remove("shown"), 5000);
}

function summarize({ cameras, detector, uptime_s, outputs }) {
  const states = Object.values(cameras).map((camera) => camera.state), up = states.filter((state) => state === "up").length;
  const parts = [
    [`${up} of ${states.length} up`, states.some((state) => state === "down" || state === "failed" || state === "stalled") ? "bad" : "strong"],
    [`${detector.fps.toFixed(1)} frames/s`, ""],
    [[detector.model, detector.runtime, detector.precision].filter(Boolean).join(" · "), ""],
    [`running for ${duration(uptime_s)}`, ""],
    [outputs?.store.trouble ? `database: ${outputs.store.trouble}` : "", "bad"],
    [outputs?.record.paused ? `recording pauses: ${outputs.record.paused}` : "", "bad"],
    ...Object.entries(outputs?.outputs ?? {}).map(([name, { trouble, waiting }]) => [trouble ? `${name}: ${trouble}, ${number(waiting)} events wait` : "", "bad"]),
  ].filter(([text]) => text);
  const summary = byId("summary");
  if (summary.dataset.shown === JSON.stringify(parts)) return;
  summary.dataset.shown = JSON.stringify(parts);
  summary.replaceChildren(...parts.map(([text, look]) => look ? el("strong", { class: look }, text) : el("span", {}, text)));
  document.title = `${up}/${states.length} · tracker`;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const status = await ask("/api/status", { signal: AbortSignal.timeout(PATIENCE_MS) }), names = Object.keys(status.cameras);
    lostSince = null;
    failures = 0;
    byId("lost").hidden = true;
    byId("leave").hidden = !status.login;
    byId("events").hidden = byId("history").hidden = !status.outputs;
    document.querySelector("main").classList.toggle("bare", !status.outputs);
    summarize(status);
    wall.update(status.cameras);
    if (status.outputs) {
      history.update(names);
      await events.update(`${status.outputs.store.newest} ${status.outputs.record.clips.made}`, names);
    }
  } catch {
    lostSince ??= new Date();
    if (++failures < 2) return;
    put(byId("lost"), `The service has not answered since ${clock(lostSince)}. It is asked again every second.`);
    byId("lost").hidden = false;
    byId("summary").dataset.shown = "";
    byId("summary").replaceChildren(el("strong", { class: "bad" }, "No contact"));
    document.title = "No contact · tracker";
    wall.lose();
  }
}

async function watch() {
  for (;;) {
    await refresh();
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

byId("reload").onclick = async () => {
  try {
    const { changes } = await send("/api/reload");
    tell(changes.length ? changes.join("; ") : "Settings read again: nothing changed");
  } catch (error) { tell(error.message); }
};

byId("leave").onclick = async () => {
  await fetch("/logout", { method: "POST", redirect: "manual" });
  location.assign("/login");
};

byId("add").onclick = () => {
  byId("add-form").reset();
  byId("add-error").hidden = true;
  byId("add-dialog").showModal();
};
byId("add-cancel").onclick = () => byId("add-dialog").close();
byId("add-form").onsubmit = async (event) => {
  event.preventDefault();
  const wanted = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value));
  try {
    await send("/api/cameras", "POST", wanted);
    byId("add-dialog").close();
    tell(`${wanted.name} is added`);
    refresh();
  } catch (error) {
    put(byId("add-error"), error.message);
    byId("add-error").hidden = false;
  }
};

document.addEventListener("visibilitychange", refresh);
watch();
