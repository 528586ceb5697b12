// The keyboard: every action has a key, and the list of them is what the help shows.

import { $ } from "./state.js";
import { t } from "./words.js";

const KEYS = [
  ["D", "page.key.done"],
  ["N  P", "page.key.next"],
  ["← ↑ ↓ →", "page.key.arrows"],
  ["Enter", "page.key.enter"],
  [",  .", "page.key.jump"],
  ["M", "page.key.move"],
  ["Del", "page.key.delete"],
  ["+  −  0", "page.key.zoom"],
  ["Z  ⇧Z", "page.key.undo"],
  ["H", "page.key.hide"],
  ["C", "page.key.compare"],
  ["/", "page.key.search"],
  ["?", "page.key.help"],
];

/** Call `actions[name]` for keys; `onPhotograph(event)` has the first word while the photograph has the focus. */
export function start(actions, onPhotograph) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.altKey) return;
    const typing = event.target.matches("textarea, select, input:not([type=checkbox])");
    if (typing) {
      if (event.key === "Escape") $("stage").focus();
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      const step = { z: event.shiftKey ? "redo" : "undo", Z: "redo", y: "redo" }[event.key];
      if (step) act(event, actions[step]);
      return;
    }
    if (document.activeElement === $("stage") && onPhotograph(event)) {
      event.preventDefault();
      return;
    }
    const name = {
      d: "confirm", n: "next", p: "previous", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", 0: "fit", z: "undo", Z: "redo",
      h: "hide", c: "compare", "/": "search", "?": "help", Enter: event.target === document.body ? "focus" : undefined,
    }[event.key.length === 1 && event.key !== "Z" ? event.key.toLowerCase() : event.key];
    if (name) act(event, actions[name]);
  });
}

function act(event, action) {
  event.preventDefault();
  action();
}

export function help() {
  const entries = KEYS.flatMap(([keys, what]) => {
    const dt = document.createElement("dt");
    for (const key of keys.split(/  /)) dt.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    return [dt, Object.assign(document.createElement("dd"), { textContent: t(what) })];
  });
  $("key-list").replaceChildren(...entries);
  $("help").showModal();
}
