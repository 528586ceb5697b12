// The page: joins the list, the photograph, the panel and the server.

import * as agreement from "./agreement.js";
import * as api from "./api.js";
import * as intake from "./intake.js";
import * as keys from "./keys.js";
import * as list from "./list.js";
import { Marks } from "./marks.js";
import * as panel from "./panel.js";
import { Saver } from "./saver.js";
import * as stage from "./stage.js";
import { $, on, say, state, tell, toast, who } from "./state.js";
import { language, preferred, reason, speak, t } from "./words.js";

const NOTE_PAUSE = 600; // milliseconds without a key after which a comment is kept
let asked = null; // ends the question for changes that is under way
let opening = 0;
let wanted = null; // the key of the photograph that was asked for last
let noting;

/** What a photograph is shown as: another reader's is another one. */
const keyOf = (id) => JSON.stringify([id, who()]);

/** Look at a photograph. One that is shown is not asked for again, as the answer would undo what is changed meanwhile. */
async function open(id) {
  flushNote();
  document.body.classList.remove("listing");
  const key = keyOf(id);
  if (key === wanted) return;
  wanted = key;
  const turn = (opening += 1);
  if (key === state.current?.key) return;
  let detail;
  try {
    detail = await api.photograph(id, who());
  } catch (error) {
    if (turn === opening) [opening, wanted] = [0, null];
    if (error instanceof api.Refusal && opening === 0) toast(reason(error.code), true);
    return;
  }
  if (turn === opening) adopt(detail);
}

/** Show a photograph as the server tells it. */
function adopt(detail) {
  const failed = "error" in detail.prediction;
  const id = detail.id;
  state.current = { ...detail, key: keyOf(id), note: detail.reading.note, marks: failed ? null : new Marks(detail) };
  state.saver = new Saver(id, who(), detail.reading.version, (status, told) => saved(id, status, told));
  history.replaceState(null, "", `#${id}`);
  $("conflict").hidden = true;
  $("empty").hidden = true;
  $("tools").hidden = failed;
  panel.saved("");
  failed ? stage.clear() : stage.show(detail);
  panel.show();
  list.reveal();
  say(`${detail.name}. ${$("machine-count").textContent} ${$("machine-grade").textContent}`);
}

/** Keep the reading as it stands. `more`: done, reveal. */
function save(more = {}) {
  const { marks, reading, note } = state.current;
  if (!marks) return;
  const touched = marks.touched || more.done || more.reveal;
  state.saver.save({
    marks: touched ? marks.marks : null,
    count: marks.now.count,
    grade: marks.now.grade,
    note,
    done: reading.done || marks.past.length > 0,
    ...more,
  });
}

function saved(id, status, told) {
  const here = state.current?.id === id;
  if (status === "refused") return toast(told.message, true);
  if (!here) return status === "conflict" ? toast(t("page.conflict.elsewhere"), true) : undefined;
  panel.saved(status);
  if (status === "conflict") {
    state.current.theirs = told;
    $("conflict-text").textContent = t("page.conflict", { at: new Date(told.reading.at).toLocaleTimeString(language) });
    $("conflict").hidden = false;
  }
  if (status === "saved") {
    const revealed = state.current.withheld && !told.withheld;
    Object.assign(state.current, { reading: told.reading });
    if (revealed) {
      adopt(told);
      stage.compare(true);
      panel.saved("saved");
    }
  }
  return undefined;
}

function edited() {
  panel.human();
  save();
}

function flushNote() {
  clearTimeout(noting);
  if (!state.current?.marks || $("note").value === state.current.note) return;
  state.current.note = $("note").value;
  save();
}

/** What the button in the corner does: confirm and go on; of one who counts blind, show the model's first. */
function confirm() {
  if (!state.current) return;
  flushNote();
  const { marks, withheld } = state.current;
  if (marks) {
    marks.touched = true;
    save(withheld ? { reveal: true } : { done: true });
    panel.human();
  }
  if (!withheld) go(1);
}

function go(step) {
  const id = list.neighbour(step);
  if (id !== null) open(id);
  else if (step > 0) toast(t("page.list.end"));
}

function step(name) {
  if (!state.current?.marks?.[name]()) return;
  say(t(`page.said.${name}`));
  stage.draw();
  edited();
}

/** Ask for changes, again and again. */
async function follow() {
  for (;;) {
    asked = new AbortController();
    try {
      const since = state.sequence;
      const told = await api.changes(since, who(), asked.signal);
      $("offline").hidden = true;
      if (since !== state.sequence) continue; // asked by another reader, whose answer came before it could be stopped
      receive(told);
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (error instanceof api.Refusal && error.status === 401) return ($("offline").textContent = t("page.locked"), ($("offline").hidden = false));
      $("offline").hidden = false;
      state.sequence = 0; // the server may be another one when it comes back, with other photographs
      wanted = null;
      if (state.current) state.current.key = null;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

function receive({ sequence, rows, gone, waiting }) {
  if (state.sequence === 0) state.rows.clear();
  Object.assign(state, { sequence, waiting });
  for (const row of rows) state.rows.set(row.id, row);
  for (const id of gone) state.rows.delete(id);
  list.update();
  $("empty").hidden = state.current !== null || state.rows.size > 0;
  if (opening === 0 && state.rows.size) {
    const wanted = Number(location.hash.slice(1));
    open(state.rows.has(wanted) ? wanted : list.order()[0]);
  }
}

/** Another reader, or another mode: everything is asked for again. */
function refresh() {
  flushNote();
  state.sequence = 0;
  asked?.abort();
  if (state.current) open(state.current.id);
  exports();
}

function exports() {
  for (const kind of ["json", "csv"]) $(`export-${kind}`).href = `/study/export.${kind}?${new URLSearchParams({ reader: state.reader })}`;
}

async function use(wanted) {
  await speak(wanted);
  localStorage.setItem("language", wanted);
  $("language").value = wanted;
  const { folder } = state.about;
  $("folder").textContent = folder ?? t("page.folder.none");
  $("empty-text").textContent = folder ? t("page.empty.folder", { folder }) : t("page.empty.memory");
  tell("spoken");
  panel.show();
  if (state.current?.marks) stage.draw();
}

function wire() {
  on("open", open);
  on("edited", edited);
  on("graded", (grade) => {
    const { marks } = state.current;
    marks.change({ grade: marks.now.grade === grade ? null : grade });
    edited();
  });
  const click = (id, action) => $(id).addEventListener("click", action);
  const actions = {
    confirm,
    next: () => go(1),
    previous: () => go(-1),
    undo: () => step("undo"),
    redo: () => step("redo"),
    zoomIn: () => stage.view.zoom(1.4),
    zoomOut: () => stage.view.zoom(1 / 1.4),
    fit: () => stage.view.fit(),
    hide: () => stage.toggle("hide"),
    compare: () => stage.toggle("compare"),
    search: () => $("search").focus(),
    help: keys.help,
    focus: () => $("stage").focus(),
  };
  keys.start(actions, stage.key);
  const buttons = { confirm: "confirm", next: "next", previous: "previous", undo: "undo", redo: "redo", "zoom-in": "zoomIn", "zoom-out": "zoomOut", "zoom-fit": "fit", hide: "hide", compare: "compare", "help-open": "help" };
  for (const [id, name] of Object.entries(buttons)) click(id, actions[name]);
  click("agreement-open", agreement.open);
  click("open-list", () => document.body.classList.toggle("listing"));
  click("take-theirs", () => {
    state.saver.give_up();
    adopt(state.current.theirs);
  });
  click("keep-mine", () => {
    $("conflict").hidden = true;
    state.saver.insist(state.current.theirs.reading.version);
  });
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  $("menu").addEventListener("click", (event) => {
    if (event.target.closest("button, a")) $("menu").open = false;
  });
  $("menu").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    $("menu").open = false;
    $("menu").firstElementChild.focus();
  });
  document.addEventListener("click", (event) => {
    if (!$("menu").contains(event.target)) $("menu").open = false;
  });
  $("note").addEventListener("input", () => {
    clearTimeout(noting);
    noting = setTimeout(flushNote, NOTE_PAUSE);
  });
  $("note").addEventListener("blur", flushNote);
  $("typed").addEventListener("change", () => {
    const { value, validity } = $("typed");
    if (!validity.valid || !state.current?.marks) return;
    state.current.marks.change({ count: value === "" ? null : Number(value) });
    edited();
  });
  $("reader").addEventListener("change", () => {
    state.reader = $("reader").value.trim();
    localStorage.setItem("reader", state.reader);
    refresh();
  });
  $("blind").addEventListener("change", () => {
    state.blind = $("blind").checked;
    localStorage.setItem("blind", state.blind ? "1" : "0");
    refresh();
  });
  $("language").addEventListener("change", () => use($("language").value));
}

async function start() {
  state.about = await api.about();
  list.start();
  intake.start();
  wire();
  $("reader").value = state.reader;
  $("blind").checked = state.blind ||= state.about.blind;
  $("blind").disabled = state.about.blind;
  exports();
  await use(state.about.languages.includes(preferred()) ? preferred() : "en");
  document.body.classList.add("ready");
  follow();
}

start();
