// What the page knows, and who is told when it changes.

export const state = {
  about: null, // the server's folder, model and scale
  rows: new Map(), // id -> row of the list
  sequence: 0,
  waiting: 0, // photographs in the folder that are not predicted yet
  current: null, // the photograph that is looked at, with its reading
  reader: localStorage.getItem("reader") ?? "",
  blind: localStorage.getItem("blind") === "1",
};

const bus = new EventTarget();

export const tell = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));
export const on = (name, listener) => bus.addEventListener(name, (event) => listener(event.detail));

/** Who asks: goes with every question. */
export const who = () => ({ reader: state.reader, blind: state.blind });

/** Say something to those who listen to the page. */
export function say(text) {
  document.getElementById("live").textContent = text;
}

/** Show a message for a while. */
export function toast(text, bad = false) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.textContent = text;
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), bad ? 9000 : 4000);
}

export const $ = (id) => document.getElementById(id);
