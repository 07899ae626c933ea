"use strict";
const table = document.querySelector("#videos table");
const find = document.querySelector(".find");

function sortBy(head, column) {
  const numbers = head.classList.contains("n");
  const now = head.getAttribute("aria-sort");
  const down = now ? now === "ascending" : numbers;
  table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = numbers ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
}

table?.querySelectorAll("th").forEach((head, column) => {
  head.querySelector("button")?.addEventListener("click", () => sortBy(head, column));
});
find?.addEventListener("input", () => {
  const wanted = find.value.trim().toLowerCase();
  for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});

function openTarget() {
  const box = document.getElementById(location.hash.slice(1));
  if (box?.tagName !== "DETAILS") return;
  box.open = true;
  box.scrollIntoView();
}
addEventListener("hashchange", openTarget);
openTarget();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((box) => { box.open = true; }));
