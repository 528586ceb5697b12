// Judges whether a photograph shows skin well enough to count lesions, as acne_edge/quality.py.

import { resizeReduced } from "./pixels.js";

const SIDE = 128; // pixels of the thumbnail

/** The scores of a photograph, and the reason codes that follow from them; a good one has none. */
export function assess(image) {
  const { data } = resizeReduced(image, SIDE, SIDE), pixels = SIDE * SIDE;
  const luma = new Int32Array(pixels), sums = [0, 0, 0], squares = [0, 0, 0];
  let white = 0, skin = 0;
  for (let i = 0; i < pixels; i++) {
    const colour = toYCbCr(data[3 * i], data[3 * i + 1], data[3 * i + 2]), [y, cb, cr] = colour;
    luma[i] = y;
    colour.forEach((value, c) => {
      sums[c] += value;
      squares[c] += value * value;
    });
    white += y >= 250;
    skin += cb >= 77 && cb <= 127 && cr >= 133 && cr <= 173;
  }
  let edges = 0;
  for (let y = 1; y < SIDE - 1; y++) {
    for (let at = y * SIDE + 1; at < (y + 1) * SIDE - 1; at++) {
      edges += Math.abs(luma[at - 1] + luma[at + 1] + luma[at - SIDE] + luma[at + SIDE] - 4 * luma[at]);
    }
  }
  const variance = sums.reduce((sum, value, c) => sum + squares[c] / pixels - (value / pixels) ** 2, 0);
  const quality = {
    short_side: Math.min(image.width, image.height),
    brightness: sums[0] / pixels,
    clipped: white / pixels,
    sharpness: edges / (SIDE - 2) ** 2,
    skin: skin / pixels,
  };
  const tests = {
    blank: variance < 16,
    low_resolution: quality.short_side < 160,
    too_dark: quality.brightness < 45,
    too_bright: quality.brightness > 195 || quality.clipped > 0.25,
    blurred: quality.sharpness < 4,
    no_skin: quality.skin < 0.15,
  };
  return { ...quality, reasons: Object.keys(tests).filter((code) => tests[code]) };
}

/** Pillow's: each product is rounded to six bits, then they are summed. */
function toYCbCr(r, g, b) {
  const product = (value, factor) => Math.trunc(value * factor * 64 + 0.5);
  return [
    (product(r, 0.299) + product(g, 0.587) + product(b, 0.114)) >> 6,
    ((product(r, -0.16874) + product(g, -0.33126) + product(b, 0.5)) >> 6) + 128,
    ((product(r, 0.5) + product(g, -0.41869) + product(b, -0.08131)) >> 6) + 128,
  ];
}
