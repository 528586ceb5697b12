// The photograph with its marks, and what pointers and keys do to them.

import { $, say, state, tell } from "./state.js";
import { View } from "./view.js";
import { plural, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 0.022; // of a ring, in shorter sides, as in the pictures that acne-edge draws
const LEAST_RADIUS = 8; // pixels
const REACH = { mouse: 4, pen: 6, touch: 14 }; // pixels around a ring that still mean it
const STILL = { mouse: 4, pen: 6, touch: 10 }; // pixels that a click may move
const STEP = 8; // pixels of an arrow key

const frame = $("stage");
const picture = $("picture");
const layer = $("marks");
export const view = new View(frame, draw);

let cursor = null; // of the keyboard: a place, 0..1
let held = null; // index of a mark that the keyboard or a pointer moves
let moving = null; // where it is while a pointer drags it
let hidden = false;
let comparing = false;
const pointers = new Map();
let gesture = null; // of one pointer: {x, y, start, mark, moved}; of two: {spread, x, y}

const marks = () => state.current?.marks;
const radius = () => Math.max(LEAST_RADIUS, RADIUS * Math.min(view.width, view.height) * view.scale);

/** Show a photograph. */
export function show(detail) {
  cursor = held = moving = gesture = null;
  pointers.clear();
  const { width, height } = detail.prediction.image;
  picture.hidden = false;
  picture.alt = t("page.picture", { name: detail.name });
  picture.src = `/study/photographs/${detail.id}/picture?${detail.sha256.slice(0, 16)}`;
  view.show(width, height);
}

/** Show none. */
export function clear() {
  picture.hidden = true;
  picture.removeAttribute("src");
  layer.replaceChildren();
}

export function toggle(what) {
  if (what === "hide") hidden = !hidden;
  else comparing = !comparing;
  $("hide").setAttribute("aria-pressed", hidden);
  $("compare").setAttribute("aria-pressed", comparing);
  say(t(what === "hide" ? (hidden ? "page.said.hidden" : "page.said.shown") : comparing ? "page.said.compared" : "page.said.own"));
  draw();
}

export function compare(on) {
  if (comparing !== on) toggle("compare");
}

export function draw() {
  const image = picture.style;
  image.width = `${view.width * view.scale}px`;
  image.height = `${view.height * view.scale}px`;
  image.transform = `translate(${view.x}px, ${view.y}px)`;
  const drawn = document.createDocumentFragment();
  const all = marks();
  if (all && !picture.hidden) {
    if (comparing) for (const mark of all.machine) ring(drawn, mark, "machine", 1.35);
    if (!hidden) {
      const places = all.marks.map((mark, n) => (n === held && moving ? { ...mark, ...moving } : mark));
      for (const part of ["casing", "line"]) places.forEach((mark, n) => ring(drawn, mark, `${part}${n === held ? " held" : ""}`, 1));
      for (const mark of places) if (mark.score === null) dot(drawn, mark);
    }
    if (cursor && document.activeElement === frame) cross(drawn);
  }
  layer.replaceChildren(drawn);
  $("legend").hidden = !comparing || picture.hidden;
}

function shape(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
}

function ring(parent, mark, kind, size) {
  const [cx, cy] = view.toScreen(mark);
  if (kind === "machine") shape(parent, "circle", { cx, cy, r: radius() * size, class: "machine casing" });
  shape(parent, "circle", { cx, cy, r: radius() * size, class: kind });
}

/** What the reader set has a point in its middle, so that no colour is needed to tell. */
function dot(parent, mark) {
  const [cx, cy] = view.toScreen(mark);
  shape(parent, "circle", { cx, cy, r: 2.4, class: "dot" });
}

function cross(parent) {
  const [x, y] = view.toScreen(cursor);
  const d = `M${x - 16} ${y}h11M${x + 5} ${y}h11M${x} ${y - 16}v11M${x} ${y + 5}v11`;
  shape(parent, "path", { d, class: "casing" });
  shape(parent, "path", { d, class: "line" });
}

function at(event) {
  const box = frame.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function under(x, y, kind) {
  if (hidden || !marks()) return -1;
  const distance = (mark) => Math.hypot(view.toScreen(mark)[0] - x, view.toScreen(mark)[1] - y);
  return marks().nearest(distance, radius() + REACH[kind]);
}

function changed(text) {
  const lesions = marks().lesions;
  say(`${text} ${lesions === null ? "" : plural("page.lesions", lesions)}`);
  tell("edited");
  draw();
}

function addOrRemove(place, index) {
  if (index >= 0) {
    marks().remove(index);
    held = null;
    changed(t("page.said.removed"));
  } else if (place && !hidden) {
    marks().add(place.x, place.y);
    changed(t("page.said.added"));
  }
}

frame.addEventListener("pointerdown", (event) => {
  if (!marks() || event.button > 0) return;
  frame.focus({ preventScroll: true });
  frame.setPointerCapture(event.pointerId);
  const [x, y] = at(event);
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 1) {
    gesture = { x, y, start: [x, y], mark: under(x, y, event.pointerType), moved: false };
  } else {
    held = moving = null;
    gesture = { pinch: true, ...pinch() };
  }
});

frame.addEventListener("pointermove", (event) => {
  const [x, y] = at(event);
  if (!pointers.has(event.pointerId) || !gesture) {
    frame.classList.toggle("over", event.pointerType === "mouse" && under(x, y, "mouse") >= 0);
    return;
  }
  pointers.set(event.pointerId, [x, y]);
  if (gesture.pinch) {
    const now = pinch();
    view.pan(now.x - gesture.x, now.y - gesture.y);
    view.zoom(now.spread / gesture.spread, now.x, now.y);
    Object.assign(gesture, now);
    return;
  }
  gesture.moved ||= Math.hypot(x - gesture.start[0], y - gesture.start[1]) > STILL[event.pointerType];
  if (gesture.moved && gesture.mark >= 0) {
    held = gesture.mark;
    moving = view.toPlace(x, y) ?? moving;
    draw();
  } else if (gesture.moved) view.pan(x - gesture.x, y - gesture.y);
  Object.assign(gesture, { x, y });
});

function pinch() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { spread: Math.max(1, Math.hypot(ax - bx, ay - by)), x: (ax + bx) / 2, y: (ay + by) / 2 };
}

function released(event) {
  if (!pointers.delete(event.pointerId) || !gesture) return;
  const done = gesture;
  if (pointers.size) {
    gesture = null; // one finger that is left after a pinch does nothing more
    return;
  }
  gesture = null;
  if (event.type === "pointercancel" || done.pinch) held = moving = null;
  else if (done.moved && done.mark >= 0 && moving) {
    marks().move(done.mark, moving.x, moving.y);
    held = moving = null;
    changed(t("page.said.moved"));
  } else if (!done.moved) addOrRemove(view.toPlace(...done.start), done.mark);
  draw();
}
frame.addEventListener("pointerup", released);
frame.addEventListener("pointercancel", released);
frame.addEventListener("focus", () => draw());
frame.addEventListener("blur", () => draw());

/** What a key does on the photograph; whether it does anything. */
export function key(event) {
  const all = marks();
  if (!all) return false;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in arrows) {
    const step = event.shiftKey ? 5 * STEP : STEP;
    const [dx, dy] = arrows[event.key].map((sign) => sign * step);
    cursor ??= view.toPlace(frame.clientWidth / 2, frame.clientHeight / 2) ?? { x: 0.5, y: 0.5 };
    const [x, y] = view.toScreen(cursor);
    cursor = clamp(x + dx, y + dy);
    if (held !== null) moving = cursor;
    view.reveal(cursor);
    draw();
  } else if (event.key === "Tab" || event.key === "Escape") {
    if (event.key === "Tab" || held === null) return false;
    held = moving = null;
    draw();
  } else if (event.key === "." || event.key === ",") jump(event.key === "." ? 1 : -1);
  else if (event.key === "m") pickUp();
  else if (event.key === "Enter" || event.key === " ") {
    if (held !== null && moving) drop();
    else if (cursor) addOrRemove(cursor, under(...view.toScreen(cursor), "mouse"));
    else return event.key === " ";
  } else if (event.key === "Delete" || event.key === "Backspace") {
    if (cursor) addOrRemove(null, under(...view.toScreen(cursor), "mouse"));
  } else return false;
  return true;
}

function clamp(x, y) {
  const [w, h] = [view.width * view.scale, view.height * view.scale];
  return { x: Math.min(1, Math.max(0, (x - view.x) / w)), y: Math.min(1, Math.max(0, (y - view.y) / h)) };
}

/** To the next mark, from the left to the right and down the photograph. */
function jump(step) {
  const row = (mark) => Math.floor(mark.y * 12);
  const order = marks().marks.map((mark, index) => ({ ...mark, index })).sort((a, b) => row(a) - row(b) || a.x - b.x);
  if (!order.length) return;
  const now = cursor ? order.findIndex((m) => m.x === cursor.x && m.y === cursor.y) : -1;
  const n = now < 0 ? (step > 0 ? 0 : order.length - 1) : (now + step + order.length) % order.length;
  cursor = { x: order[n].x, y: order[n].y };
  view.reveal(cursor);
  const place = { x: Math.round(100 * cursor.x), y: Math.round(100 * cursor.y) };
  say(t("page.said.at", { n: n + 1, all: order.length, ...place }));
  draw();
}

function pickUp() {
  if (held !== null) return drop();
  const index = cursor ? under(...view.toScreen(cursor), "mouse") : -1;
  if (index < 0) return;
  held = index;
  moving = cursor;
  say(t("page.said.held"));
  draw();
}

function drop() {
  const [index, place] = [held, moving];
  held = moving = null;
  marks().move(index, place.x, place.y);
  changed(t("page.said.moved"));
}
