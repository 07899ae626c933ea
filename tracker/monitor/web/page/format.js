// Elements, words and numbers.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") node.className = value;
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export const icon = (name) => svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));

// Assigning the same text again would move a reader's place and cost a layout.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function number(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

const two = (value) => String(value).padStart(2, "0");

export function clock(date, seconds = true) {
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

export function moment(date) {
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(date) : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

export async function ask(address, options = {}) {
  const answer = await fetch(address, { cache: "no-store", ...options });
  if (answer.status === 401) { location.assign("/login"); throw new Error("log in again"); }
  const body = answer.status === 204 ? null : await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) throw new Error(body?.error ?? `status ${answer.status}`);
  return body;
}

export const send = (address, method = "POST", body = undefined) => ask(address, {
  method, headers: body ? { "content-type": "application/json" } : {}, body: body && JSON.stringify(body),
});
