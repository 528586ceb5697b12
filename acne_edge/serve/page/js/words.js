// What people read, from one catalogue a language.

let texts = {};
export let language = "en";

/** Load a language's catalogue and put its words into the page. */
export async function speak(wanted) {
  const response = await fetch(`/page/words/${wanted}.json`);
  texts = await response.json();
  language = wanted;
  document.documentElement.lang = texts.lang;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-label]")) label(element, t(element.dataset.label));
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = t(element.dataset.placeholder);
}

/** The text of a key, with its {places} filled. A key that is not there speaks for itself. */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** The text of a code (`too_dark`, `very severe`), or the code in plain words. */
export function word(kind, code) {
  return texts[`${kind}.${code.replaceAll(" ", "_")}`] ?? code.replaceAll("_", " ");
}

/** Why something failed, by the server's code. */
export const reason = (code) => texts[`page.error.${code}`] ?? texts["page.error.error"];

/** One of two texts: of one, or of any other number. */
export function plural(key, n, values = {}) {
  return t(n === 1 ? `${key}.one` : key, { n, ...values });
}

function label(element, text) {
  element.setAttribute("aria-label", text);
  if (element.matches("button, summary, select")) element.title = text;
}

/** The language that was chosen before, or the browser's. */
export function preferred() {
  return localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
}
