// The filter, and moving by keys. Without this script every page is still there, by its links.
"use strict";

const FILTER_MS = 250; // after the last key
const filter = document.getElementById("filter");
const help = document.getElementById("help");
let waiting = 0;
let held = null; // the address of the link that has the focus

// Over all rows of a long list: the server does it, and the address says it.
function askServer() {
  const address = new URL(location.href);
  address.searchParams.set("find", filter.value);
  address.searchParams.delete("page");
  history.replaceState(null, "", address);
  refresh();
}

// Over the rows of this page; those that explain the row above go with it.
function filterHere() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = [];
  for (const row of document.querySelectorAll("#content tbody tr")) {
    if (row.classList.contains("cause") && groups.length) groups.at(-1).push(row);
    else groups.push([row]);
  }
  for (const rows of groups) {
    const text = rows.map((row) => row.textContent).join(" ").toLowerCase();
    const hidden = !words.every((word) => text.includes(word));
    for (const row of rows) row.hidden = hidden;
  }
  // What is looked for may be folded away.
  for (const part of document.querySelectorAll("#content details:has(table.grid)")) {
    if (words.length) part.open = true;
  }
}

const isHere = filter?.dataset.filter === "here";

filter?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(isHere ? filterHere : askServer, isHere ? 0 : FILTER_MS);
});

function items() {
  const all = document.querySelectorAll("[data-item], table.grid td:first-child a");
  return [...all].filter((item) => item.offsetParent !== null);
}

function move(step) {
  const all = items();
  if (!all.length) return false;
  const now = all.indexOf(document.activeElement);
  const first = step > 0 ? 0 : all.length - 1;
  const next = now < 0 ? first : Math.min(Math.max(now + step, 0), all.length - 1);
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
  return true;
}

function follow(selector) {
  const link = document.querySelector(selector);
  link?.click();
  return link !== null;
}

function find() {
  if (filter) filter.focus();
  else location.href = document.getElementById("exposures")?.href.concat("#filter") ?? "/#filter";
  return true;
}

const KEYS = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  n: () => follow("[rel=next]"),
  ArrowRight: () => follow("[rel=next]"),
  p: () => follow("[rel=prev]"),
  ArrowLeft: () => follow("[rel=prev]"),
  u: () => follow("[rel=up]"),
  c: () => follow("#calendar"),
  t: () => follow("#theme"),
  "/": find,
  "?": () => follow("#keys"),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.target === filter) {
    if (event.key === "Escape" || event.key === "Enter") filter.blur();
    return;
  }
  if (Object.hasOwn(KEYS, event.key) && KEYS[event.key]()) event.preventDefault();
});

// A page that is renewed under somebody's hands keeps the place.
document.addEventListener("focusin", (event) => {
  held = event.target.closest("#content a")?.getAttribute("href") ?? null;
});
document.addEventListener("pointerdown", () => {
  held = null;
});
document.addEventListener("refreshed", () => {
  if (isHere) filterHere();
  if (held !== null && document.activeElement === document.body) {
    items().find((item) => item.getAttribute("href") === held)?.focus({ preventScroll: true });
  }
});

const keys = document.getElementById("keys");
keys.hidden = false;
keys.addEventListener("click", () => help.showModal());
document.getElementById("close").addEventListener("click", () => help.close());
if (filter && location.hash === "#filter") filter.focus();
if (isHere && filter.value) filterHere(); // a browser that went back kept it
