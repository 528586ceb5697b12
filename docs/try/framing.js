// Cuts off borders, letterbox bars and the interface around a photograph. The rule is written out in acne_edge/framing.py.

import { crop } from "./pixels.js";

export const RULE = "framing-1";

const NEAR = 8, FAR = 16, STRAY = 50, DEPTH = 8, SHARE = 3, THICK = 32;
const EQUAL = 2, RUN = 12;
const LEAST = 5, LOWEST = 64, MIN_SIDE = 32;
const SIDES = ["top", "bottom", "left", "right"];

const widthOf = (box) => box.right - box.left, heightOf = (box) => box.bottom - box.top;
const sameBox = (one, other) => SIDES.every((side) => one[side] === other[side]);

/** What the network is to see of a photograph: { pixels, width, height, crop }; crop is null where nothing was cut. */
export function frame(photograph) {
  const { width, height } = photograph, box = find(photograph);
  if (widthOf(box) === width && heightOf(box) === height) return { pixels: photograph, width, height, crop: null };
  return { pixels: crop(photograph, box), width, height, crop: box };
}

/** Where the photograph lies in a picture; the whole of it where nothing is to be cut. */
export function find(image) {
  const whole = { left: 0, top: 0, right: image.width, bottom: image.height };
  let box = withoutBorders(image, whole);
  const inside = withoutInterface(image, box);
  if (!sameBox(inside, box)) box = withoutBorders(image, inside);
  const sides = [[widthOf(box), image.width], [heightOf(box), image.height]];
  if (sides.some(([left, before]) => LEAST * left < before || left < MIN_SIDE)) return whole;
  return sides.every(([left, before]) => THICK * (before - left) < before) ? whole : box;
}

function without(box, side, lines) {
  return { ...box, [side]: box[side] + (side === "top" || side === "left" ? lines : -lines) };
}

/** Whether a pixel lies farther than `limit` from a colour in some channel. */
function differs(data, at, colour, limit, of = 0) {
  return (
    Math.abs(data[at] - colour[of]) > limit ||
    Math.abs(data[at + 1] - colour[of + 1]) > limit ||
    Math.abs(data[at + 2] - colour[of + 2]) > limit
  );
}

/** The lines of a box, counted inwards from one of its sides. */
class Lines {
  constructor(image, box, side) {
    const isRow = side === "top" || side === "bottom", stride = image.width * 3;
    this.data = image.data;
    [this.count, this.length] = isRow ? [heightOf(box), widthOf(box)] : [widthOf(box), heightOf(box)];
    [this.lineStep, this.pixelStep] = isRow ? [stride, 3] : [3, stride];
    this.first = box.top * stride + box.left * 3;
    if (side === "bottom" || side === "right") {
      this.first += (this.count - 1) * this.lineStep;
      this.lineStep = -this.lineStep;
    }
  }

  at(line, pixel) {
    return this.first + line * this.lineStep + pixel * this.pixelStep;
  }

  /** The upper median of a line, channel by channel. */
  median(line) {
    return [0, 1, 2].map((channel) => {
      const values = Uint8Array.from({ length: this.length }, (_, i) => this.data[this.at(line, i) + channel]);
      return values.sort()[this.length >> 1];
    });
  }

  /** How many pixels of a line are farther than `limit` from a colour. */
  far(line, colour, limit) {
    let count = 0;
    for (let i = 0; i < this.length; i++) count += differs(this.data, this.at(line, i), colour, limit);
    return count;
  }

  /** How many of the lines are of a colour, or are not, before the first one that differs in that. */
  run(colour, uniform) {
    let line = 0;
    while (line < this.count && STRAY * this.far(line, colour, NEAR) <= this.length === uniform) line++;
    return line;
  }

  /** How many of them are a border; 0 if it does not end in a straight edge. */
  border() {
    const colour = this.median(0), count = this.run(colour, true);
    if (count === 0 || count + DEPTH > this.count) return 0;
    return SHARE * this.far(count + DEPTH - 1, colour, FAR) >= this.length ? count : 0;
  }

  /** Which pixels of a line lie in a long run of one colour: one byte a pixel. */
  flat(line) {
    const found = new Uint8Array(this.length), least = Math.max(4, Math.floor(this.length / RUN));
    for (let start = 0, i = 1; i <= this.length; i++) {
      if (i < this.length && !differs(this.data, this.at(line, i), this.data, EQUAL, this.at(line, i - 1))) continue;
      if (i - start >= least) found.fill(1, start, i);
      start = i;
    }
    return found;
  }

  /** Whether a line is drawn rather than photographed. */
  isDrawn(line) {
    return 2 * this.flat(line).reduce((sum, one) => sum + one, 0) >= this.length;
  }
}

function withoutBorders(image, box) {
  for (;;) {
    const before = box;
    for (const side of SIDES) box = without(box, side, new Lines(image, box, side).border());
    if (sameBox(box, before)) return box;
  }
}

/** The box without the borders of one side, one after the other, and their colours. */
function withoutSide(image, box, side) {
  const colours = [];
  for (;;) {
    const lines = new Lines(image, box, side), count = lines.border();
    if (count === 0) return [box, colours];
    colours.push(lines.median(0));
    box = without(box, side, count);
  }
}

function withoutInterface(image, box) {
  const rows = new Lines(image, box, "top");
  if (!rows.isDrawn(0) && !rows.isDrawn(rows.count - 1)) return box;
  const [top, bottom] = highestBlock(rows);
  if (bottom - top < LOWEST || (top === 0 && bottom === rows.count)) return box;
  const block = { ...box, top: box.top + top, bottom: box.top + bottom };
  const [left, ofLeft] = withoutSide(image, without(without(block, "top", DEPTH), "bottom", DEPTH), "left");
  const [columns, ofRight] = withoutSide(image, left, "right");
  const inside = { left: columns.left, top: block.top, right: columns.right, bottom: block.bottom };
  const above = new Lines(image, { ...inside, top: box.top, bottom: block.top }, "bottom");
  const below = new Lines(image, { ...inside, top: block.bottom, bottom: box.bottom }, "top");
  if (ofLeft.length && ofRight.length) {
    const up = Math.min(...ofLeft.map((colour) => above.run(colour, false)));
    const down = Math.min(...ofLeft.map((colour) => below.run(colour, false)));
    return { ...inside, top: inside.top - up, bottom: inside.bottom + down };
  }
  const straight = isStraight(new Lines(image, inside, "top"), above) && isStraight(new Lines(image, inside, "bottom"), below);
  return straight ? inside : box;
}

/** Whether a box ends on one side in a straight edge to what lies around it; so it does where nothing does. */
function isStraight(lines, around) {
  if (around.count === 0) return true;
  let far = 0;
  around.flat(0).forEach((isFlat, i) => {
    far += isFlat && differs(lines.data, lines.at(DEPTH - 1, i), lines.data, FAR, around.at(0, i));
  });
  return SHARE * far >= lines.length;
}

/** The longest stretch of rows that are not drawn, the first of several: first, and one past the last. */
function highestBlock(rows) {
  let best = [0, 0];
  for (let start = 0, y = 0; y <= rows.count; y++) {
    if (y < rows.count && !rows.isDrawn(y)) continue;
    if (y - start > best[1] - best[0]) best = [start, y];
    start = y + 1;
  }
  return best;
}
