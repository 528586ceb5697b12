// The end of a study of readers: how people and the model agree, in figures and as a plot of Bland and Altman.

import { agreement } from "./api.js";
import { $ } from "./state.js";
import { language, plural, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [520, 270, 44, 26, 36];

const round = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));
const percent = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);

export async function open() {
  const body = $("agreement-body");
  body.replaceChildren();
  $("agreement").showModal();
  const { readers } = await agreement();
  if (!readers.length) {
    body.append(paragraph(t("page.agreement.none")));
    return;
  }
  for (const reader of readers) {
    const section = document.createElement("section");
    const title = document.createElement("h3");
    title.textContent = reader.reader || t("page.reader.nobody");
    section.append(title, paragraph(about(reader)), table(reader));
    if (reader.photographs > 1) section.append(plot(reader), paragraph(t("page.agreement.plot"), "small"));
    body.append(section);
  }
}

function about(reader) {
  const read = plural("page.agreement.read", reader.photographs);
  const how = reader.blind === reader.photographs ? "blind" : reader.blind ? "mixed" : "open";
  return `${read}${language === "zh" ? "" : " "}${t(`page.agreement.${how}`, { n: reader.blind })}`;
}

function table(reader) {
  const rows = [
    ["icc", round(reader.icc, 2)],
    ["mae", round(reader.mae)],
    ["bias", round(reader.bias)],
    ["limits", reader.low === null ? "–" : `${round(reader.low)} … ${round(reader.high)}`],
    ["same_grade", percent(reader.same_grade)],
    ["qwk", round(reader.qwk, 2)],
  ];
  const element = document.createElement("table");
  for (const [name, value] of rows) {
    const row = element.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = t(`page.figure.${name}`);
    row.append(head);
    row.insertCell().textContent = value;
    row.insertCell().textContent = t(`page.figure.${name}.meaning`);
  }
  return element;
}

function plot({ pairs, bias, low, high }) {
  const svg = draw(null, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img" });
  svg.setAttribute("aria-label", t("page.agreement.alt", { bias: round(bias), low: round(low), high: round(high) }));
  const points = pairs.map((p) => [(p.human + p.machine) / 2, p.machine - p.human, p.name]);
  const widest = Math.max(5, ...points.map((p) => p[0]));
  const seen = [0, low ?? 0, high ?? 0, ...points.map((p) => p[1])];
  const [least, most] = [Math.min(-2, ...seen), Math.max(2, ...seen)];
  const x = (value) => LEFT + (value / widest) * (WIDTH - LEFT - 24);
  const y = (value) => TOP + ((most - value) / (most - least)) * (HEIGHT - BOTTOM - TOP - 8);
  let written = [];
  for (const [value, kind] of [[bias, "bias"], [low, "limit"], [high, "limit"], [0, "zero"]]) {
    if (value === null) continue;
    draw(svg, "line", { x1: LEFT, x2: WIDTH - 10, y1: y(value), y2: y(value), class: kind });
    if (written.every((other) => Math.abs(y(value) - other) > 12)) {
      draw(svg, "text", { x: LEFT - 6, y: y(value) + 4, class: "end" }, round(value));
      written = [...written, y(value)];
    }
  }
  for (const [mean, difference, name] of points) draw(draw(svg, "circle", { cx: x(mean), cy: y(difference), r: 4 }), "title", {}, name);
  for (const value of [0, Math.round(widest / 2), Math.round(widest)]) draw(svg, "text", { x: x(value), y: HEIGHT - BOTTOM + 14, class: "middle" }, value);
  draw(svg, "text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, class: "middle" }, t("page.agreement.x"));
  draw(svg, "text", { x: LEFT + 4, y: 12 }, t("page.agreement.y"));
  return svg;
}

function draw(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

function paragraph(text, kind = "") {
  return Object.assign(document.createElement("p"), { textContent: text, className: kind });
}
