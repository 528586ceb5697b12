// The list of photographs: filtered, searched, and drawn only where one looks.

import { $, on, state, tell } from "./state.js";
import { plural, t, word } from "./words.js";

const HEIGHT = 64; // pixels of a row, as in the style sheet
const BEYOND = 6; // rows that are drawn above and below what is seen
const STATES = ["all", "new", "seen", "corrected", "failed"];

const pane = $("rows");
const space = $("space");
let filter = "all";
let newest = localStorage.getItem("sort") !== "name";
let shown = []; // ids, in order
let drawn = new Map(); // id -> element

/** The ids that the list shows, in its order. */
export const order = () => shown;

/** The photograph that is `step` further down the list; null at its end. */
export function neighbour(step) {
  const n = shown.indexOf(state.current?.id);
  return shown[n < 0 ? 0 : n + step] ?? null;
}

export function update() {
  const asked = $("search").value.trim().toLowerCase();
  const rows = [...state.rows.values()];
  const counts = Object.fromEntries(STATES.map((name) => [name, name === "all" ? rows.length : 0]));
  for (const row of rows) counts[row.state] += 1;
  shown = rows
    .filter((row) => filter === "all" || row.state === filter)
    .filter((row) => !asked || row.name.toLowerCase().includes(asked) || row.note?.toLowerCase().includes(asked))
    .sort((a, b) => (newest && b.time - a.time) || a.name.localeCompare(b.name, undefined, { numeric: true }))
    .map((row) => row.id);
  for (const chip of $("filters").children) {
    const name = chip.dataset.filter;
    chip.setAttribute("aria-checked", name === filter);
    chip.tabIndex = name === filter ? 0 : -1;
    chip.querySelector("i").textContent = counts[name];
  }
  space.style.height = `${Math.max(1, shown.length) * HEIGHT}px`;
  pane.classList.toggle("none", !shown.length);
  pane.dataset.none = rows.length ? t("page.list.none") : "";
  $("sort").textContent = t(newest ? "page.sort.newest" : "page.sort.name");
  draw(true);
  progress(rows, counts);
}

function progress(rows, counts) {
  const readable = rows.length - counts.failed;
  $("progress").hidden = !rows.length;
  $("progress").querySelector("i").style.width = `${readable ? (100 * counts.corrected) / readable : 0}%`;
  const done = t("page.progress", { done: counts.corrected, all: readable });
  $("progress-text").textContent = state.waiting ? `${done} · ${plural("page.waiting", state.waiting)}` : done;
}

function draw(fresh = false) {
  const first = Math.max(0, Math.floor(pane.scrollTop / HEIGHT) - BEYOND);
  const last = Math.min(shown.length, Math.ceil((pane.scrollTop + pane.clientHeight) / HEIGHT) + BEYOND);
  const wanted = new Map();
  for (let n = first; n < last; n += 1) {
    const id = shown[n];
    const element = drawn.get(id) ?? create(id);
    if (fresh || !drawn.has(id)) fill(element, state.rows.get(id), n);
    if (!element.isConnected) space.append(element);
    wanted.set(id, element);
  }
  for (const [id, element] of drawn) if (!wanted.has(id)) element.remove();
  drawn = wanted;
}

function create(id) {
  const element = document.createElement("div");
  element.className = "item";
  element.role = "option";
  element.id = `row-${id}`;
  element.innerHTML = '<img alt="" width="48" height="48"><div><b></b><span></span></div><em></em>';
  element.addEventListener("click", () => tell("open", id));
  return element;
}

function fill(element, row, n) {
  element.style.transform = `translateY(${n * HEIGHT}px)`;
  const selected = row.id === state.current?.id;
  element.setAttribute("aria-selected", selected);
  element.setAttribute("aria-posinset", n + 1);
  element.setAttribute("aria-setsize", shown.length);
  if (selected) pane.setAttribute("aria-activedescendant", element.id);
  element.dataset.state = row.state;
  const [image, name, told, badge] = ["img", "b", "span", "em"].map((tag) => element.querySelector(tag));
  const source = row.error ? "" : `/study/photographs/${row.id}/thumbnail`;
  if (image.dataset.source !== source) {
    image.dataset.source = source;
    later(image, source);
  }
  name.textContent = row.name.split("/").pop();
  element.title = row.name;
  told.textContent = summary(row);
  badge.textContent = row.state === "corrected" ? "✓" : row.reasons?.length || row.error ? "!" : "";
  badge.title = t(`page.state.${row.state}`);
  element.setAttribute("aria-label", `${row.name}, ${t(`page.state.${row.state}`)}, ${told.textContent}`);
}

function summary(row) {
  if (row.error) return t("page.failed.short");
  const parts = [];
  if (row.machine) parts.push(`${t("page.machine")} ${row.machine.abstained ? "–" : row.machine.count}`);
  if (row.human) parts.push(`${t("page.human")} ${row.human.count}`);
  if (row.reasons.length) parts.push(row.reasons.map((code) => word("quality", code)).join(", "));
  return parts.join(" · ") || t(`page.state.${row.state}`);
}

/** Pictures of rows that are only scrolled past are not asked for. */
function later(image, source) {
  image.removeAttribute("src");
  if (!source) return;
  setTimeout(() => {
    if (image.isConnected && image.dataset.source === source) image.src = source;
    else delete image.dataset.source;
  }, 80);
}

/** Bring the photograph that is looked at into view. */
export function reveal() {
  const n = shown.indexOf(state.current?.id);
  if (n < 0) return;
  if (n * HEIGHT < pane.scrollTop) pane.scrollTop = n * HEIGHT;
  else if ((n + 1) * HEIGHT > pane.scrollTop + pane.clientHeight) pane.scrollTop = (n + 1) * HEIGHT - pane.clientHeight;
  draw(true);
}

export function start() {
  for (const name of STATES) {
    const chip = document.createElement("button");
    chip.role = "radio";
    chip.dataset.filter = name;
    chip.innerHTML = "<span></span> <i></i>";
    chip.addEventListener("click", () => {
      filter = name;
      pane.scrollTop = 0;
      update();
    });
    $("filters").append(chip);
  }
  $("filters").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const chips = [...$("filters").children];
    const next = chips[(chips.indexOf(document.activeElement) + step + chips.length) % chips.length];
    next.click();
    next.focus();
  });
  pane.addEventListener("scroll", () => draw(), { passive: true });
  pane.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    const to = event.key === "Home" ? shown[0] : event.key === "End" ? shown.at(-1) : null;
    if (!step && !to) return;
    event.preventDefault();
    const n = shown.indexOf(state.current?.id);
    const id = to ?? shown[Math.min(shown.length - 1, Math.max(0, n + step))];
    if (id !== undefined) tell("open", id);
  });
  new ResizeObserver(() => draw()).observe(pane);
  $("search").addEventListener("input", () => {
    pane.scrollTop = 0;
    update();
  });
  $("sort").addEventListener("click", () => {
    newest = !newest;
    localStorage.setItem("sort", newest ? "newest" : "name");
    update();
  });
  on("spoken", () => {
    for (const chip of $("filters").children) chip.querySelector("span").textContent = t(`page.filter.${chip.dataset.filter}`);
    update();
  });
}
