// The page: takes a photograph, hands it to the worker, and shows what comes back.

const RADIUS = 0.022, LEAST_RADIUS = 5; // of a ring, as acne_edge/render/overlay.py draws it
const LINE = 0.13, CASING = 0.32, LEAST_LINE = 1.3, LEAST_CASING = 3.4;
const MOST = 1600; // pixels of the longer side of the picture on the page

const at = (id) => document.getElementById(id);
const asked = new Map();
const worker = new Worker("worker.js", { type: "module" });
let language, texts, model, shown, failed;

/** A text of the catalogue with its places filled. */
function text(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

async function speak(wanted) {
  language = wanted;
  texts = await (await fetch(`texts.${language}.json`)).json();
  document.documentElement.lang = texts.lang;
  document.title = text("try.title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  at("language").textContent = text("try.other_language");
  say();
  if (shown) show(shown);
}

function say() {
  const code = failed?.code;
  at("status").textContent = failed
    ? text(`try.failed.${code}`, failed)
    : !model ? text("try.loading") : asked.size ? text("try.working") : "";
}

worker.onmessage = ({ data: { id, ready, result, error } }) => {
  if (ready) model = ready;
  if (error) failed = error;
  asked.get(id)?.({ result, error });
  asked.delete(id);
  at("file").disabled = !model;
  document.body.dataset.state = failed ? "failed" : model ? "ready" : "loading";
  say();
};

/** What the worker finds in a photograph; null if it cannot be used. */
function predict(file) {
  failed = undefined;
  const id = crypto.randomUUID();
  const answer = new Promise((resolve) => asked.set(id, resolve));
  worker.postMessage({ id, file });
  say();
  return answer.then(({ result }) => result ?? null);
}

function show({ bitmap, result }) {
  const rounded = Math.floor(result.count + 0.5), uncounted = ["blank", "unfamiliar"].includes(result.abstained);
  const percent = (share) => text("percent", { value: Math.round(100 * share) });
  const name = (label) => text(`grade.${label.replace(" ", "_")}`);
  const marks = uncounted ? [] : result.lesions.slice(0, rounded);
  at("result").hidden = false;
  at("count").textContent = uncounted ? text("does_not_exist") : rounded;
  at("unit").textContent = uncounted ? text("visit.blank") : text(rounded === 1 ? "visit.lesion" : "visit.lesions");
  const [low, high] = result.interval;
  at("range").textContent = uncounted ? "" : text("visit.range", { low, high, level: Math.round(100 * result.level) });
  at("grade").textContent = `${text("visit.ladder")}: ${gradeInWords(result, name)}`;
  at("grades").parentElement.hidden = result.abstained !== null;
  at("grades").replaceChildren(...result.gradeProbs.map((share, i) => row(name(result.labels[i]), percent(share), result.gradeSet.includes(i))));
  const faults = [...(result.abstained === "unfamiliar" ? ["unfamiliar"] : []), ...result.quality.reasons];
  const advice = faults.length ? faults : ["ok"];
  at("advice").replaceChildren(...advice.map((code) => {
    const item = document.createElement("li");
    item.textContent = text(`advice.${code}`);
    return item;
  }));
  const key = marks.length < rounded ? "visit.marks.fewer" : "visit.marks";
  at("marks").textContent = uncounted ? "" : text(key, { marks: marks.length, count: rounded });
  at("made").textContent = text("try.made", {
    model: `${model.name} ${model.version}`, ms: Math.round(result.timings.total), inference: Math.round(result.timings.inference),
    threads: model.threads,
  });
  at("picture").setAttribute("aria-label", at("marks").textContent);
  draw(bitmap, marks);
}

function gradeInWords({ abstained, count, gradeSet, labels }, name) {
  if (abstained) return `${text("grade.no_grade")} (${text(`quality.${abstained}`)})`;
  if (count < 0.5) return text("grade.none_counted");
  const [low, high] = [labels[Math.min(...gradeSet)], labels[Math.max(...gradeSet)]].map(name);
  return low === high ? low : text("grade.range", { low, high });
}

function row(label, value, isPossible) {
  const line = document.createElement("tr");
  line.className = isPossible ? "possible" : "";
  const head = document.createElement("th"), cell = document.createElement("td");
  [head.textContent, cell.textContent, head.scope] = [label, value, "row"];
  line.append(head, cell);
  return line;
}

function draw(bitmap, marks) {
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const canvas = at("picture");
  [canvas.width, canvas.height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const radius = Math.max(RADIUS * Math.min(canvas.width, canvas.height), LEAST_RADIUS);
  for (const [colour, width] of [
    ["rgb(10, 10, 30)", Math.max(CASING * radius, LEAST_CASING)],
    ["white", Math.max(LINE * radius, LEAST_LINE)],
  ]) {
    [context.strokeStyle, context.lineWidth] = [colour, width];
    for (const { x, y } of marks) {
      context.beginPath();
      context.arc(x * canvas.width, y * canvas.height, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

at("file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  [at("result").hidden, shown] = [true, undefined];
  const result = await predict(file);
  if (!result) return;
  shown = { bitmap: await createImageBitmap(file, { imageOrientation: "from-image" }), result };
  show(shown);
});
at("language").addEventListener("click", () => speak(language === "en" ? "zh" : "en"));
speak(navigator.language.startsWith("zh") ? "zh" : "en");
navigator.serviceWorker?.register("sw.js").catch(() => {}); // the page works without it, but not offline

export { predict };
