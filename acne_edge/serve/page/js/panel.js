// What the model says and what the reader says, side by side, on one ladder of grades.

import { $, state, tell } from "./state.js";
import { plural, reason, t, word } from "./words.js";

const scale = () => state.about.scale;

/** The grade of a count, by the scale's bands. */
export const gradeOf = (count) => scale().lower.findLastIndex((low) => count >= low);

/** The counts of a grade: 6–20, 51+. */
export function band(grade) {
  const { lower } = scale();
  return grade + 1 < lower.length ? `${lower[grade]}–${lower[grade + 1] - 1}` : `${lower[grade]}+`;
}

const named = (grade) => word("grade", scale().labels[grade]);

/** The model's grade in words: all that are possible. */
function inWords(prediction) {
  if (prediction.abstained) return t("grade.no_grade");
  if (prediction.count < 0.5) return t("grade.none_counted");
  const [low, high] = [Math.min(...prediction.grade_set), Math.max(...prediction.grade_set)];
  return low === high ? named(low) : t("grade.range", { low: named(low), high: named(high) });
}

export function show() {
  const { current } = state;
  $("panel").hidden = !current;
  if (!current) return;
  const { prediction } = current;
  const failed = "error" in prediction;
  $("name").textContent = current.name.split("/").pop();
  $("name").title = current.name;
  $("result").hidden = $("note-field").hidden = failed;
  $("failed").hidden = !failed;
  if (failed) $("failed").textContent = `${reason(prediction.error.code)} (${prediction.error.message})`;
  advice(failed ? [] : current.reasons);
  if (!failed) {
    machine();
    human();
  }
  confirm(failed);
  const { name, version } = state.about.model;
  $("model").textContent = `${name} ${version} · ${t("not_a_diagnosis")}`;
}

function advice(reasons) {
  const box = $("advice");
  box.hidden = !reasons.length;
  box.replaceChildren(
    ...reasons.map((code) => Object.assign(document.createElement("p"), { textContent: word("advice", code) })),
  );
}

function machine() {
  const { prediction, withheld, marked } = state.current;
  const uncounted = ["blank", "unfamiliar"].includes(prediction.abstained);
  $("machine-count").textContent = withheld ? "?" : uncounted ? "–" : Math.floor(prediction.count + 0.5);
  $("machine-grade").textContent = withheld ? t("page.withheld") : inWords(prediction);
  if (withheld) return ($("machine-interval").textContent = t("page.withheld.hint"));
  if (uncounted) return ($("machine-interval").textContent = "");
  const { level, low, high } = prediction.count_interval;
  const interval = t("page.interval", { level: Math.round(100 * level), low, high });
  const rounded = Math.floor(prediction.count + 0.5);
  $("machine-interval").textContent = marked < rounded ? `${interval} · ${t("page.marked", { marked, all: rounded })}` : interval;
  return undefined;
}

/** The reader's side; it follows every correction. */
export function human() {
  const { marks, withheld } = state.current;
  const count = marks.lesions;
  const grade = count === null ? null : (marks.now.grade ?? gradeOf(count));
  $("human-count").textContent = count ?? "–";
  $("human-grade").textContent = grade === null ? t("page.not_counted") : count ? named(grade) : t("grade.none_counted");
  const { removed, added } = marks.difference();
  const parts = withheld || !marks.touched || marks.now.count !== null ? [] : [added && t("page.added", { n: added }), removed.length && t("page.removed", { n: removed.length })];
  $("human-change").textContent = parts.filter(Boolean).join(" · ") || (count === null ? t(withheld ? "page.blind.how" : "page.how") : "");
  ladder(grade);
  if (document.activeElement !== $("typed")) $("typed").value = marks.now.count ?? "";
  if (document.activeElement !== $("note")) $("note").value = state.current.note;
  $("undo").disabled = !marks.past.length;
  $("redo").disabled = !marks.future.length;
  confirm(false);
}

function ladder(mine) {
  const { prediction, withheld, marks } = state.current;
  const possible = withheld || prediction.abstained ? [] : prediction.grade_set;
  $("ladder-hint").hidden = withheld;
  const theirs = withheld || prediction.abstained ? null : prediction.grade.index;
  scale().labels.forEach((label, n) => {
    const step = $("ladder").children[n] ?? create(n);
    step.querySelector("b").textContent = word("grade", label);
    step.querySelector("span").textContent = band(n);
    step.classList.toggle("possible", possible.includes(n));
    step.classList.toggle("theirs", n === theirs);
    step.classList.toggle("mine", n === mine);
    step.classList.toggle("set", marks.now.grade === n);
    step.querySelector("i.theirs").textContent = n === theirs ? t("page.machine") : "";
    step.querySelector("i.mine").textContent = n === mine ? t("page.human") : "";
    step.setAttribute("aria-checked", n === mine);
    step.tabIndex = n === (mine ?? 0) ? 0 : -1;
    const told = [n === theirs && t("page.machine"), n === mine && t("page.human")].filter(Boolean).join(", ");
    step.setAttribute("aria-label", `${word("grade", label)}, ${band(n)}${told ? `: ${told}` : ""}`);
  });
}

function create(n) {
  const step = document.createElement("button");
  step.role = "radio";
  step.innerHTML = '<i class="mine"></i><b></b><span></span><i class="theirs"></i>';
  step.addEventListener("click", () => tell("graded", n));
  $("ladder").append(step);
  return step;
}

function confirm(failed) {
  const { withheld, marks, reading } = state.current;
  const button = $("confirm");
  const count = failed ? null : (marks.lesions ?? (withheld ? 0 : marks.marks.length));
  button.textContent = failed
    ? t("page.next")
    : withheld
      ? plural("page.reveal", count)
      : marks.touched || reading.done
        ? t("page.done.next")
        : plural("page.confirm", count);
  button.title = `${button.textContent} (D)`;
}

/** What becomes of a correction. */
export function saved(status, message = "") {
  const line = $("saved");
  line.dataset.status = status;
  line.textContent = status ? t(`page.saved.${status}`) + message : "";
}
