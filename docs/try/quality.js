// Judges whether a photograph shows skin well enough to count lesions. The scores are explained in acne_edge/quality.py.

import { resize } from "./pixels.js";

export const SIDE = 256; // pixels of the picture that is judged

const BLOCKS = 15, BLOCK = 16, EDGE = 8;
const AT_25 = 56, AT_50 = 112, AT_75 = 168; // ranks among the blocks
const BLANK_VARIANCE = 16, MIN_SHORT_SIDE = 160, DARK = 50, BRIGHT = 200, MAX_CLIPPED = 0.25;
const MIN_SHARPNESS = 0.36, MAX_NOISE = 2.7, MIN_COLOUR_DETAIL = 0.55, MIN_GRAIN = 0.02, MIN_SKIN = 0.1;

/** The scores of a photograph, and the reason codes that follow from them; a good one has none. */
export function assess(image, small = resize(image, SIDE, SIDE)) {
  const { data } = small, pixels = SIDE * SIDE;
  const channels = [0, 1, 2].map(() => new Int32Array(pixels)); // Y, Cb, Cr
  const weighted = new Int32Array(pixels), opponent = new Int32Array(pixels);
  let skin = 0, blown = 0, light = 0, lightOfSkin = 0;
  for (let i = 0; i < pixels; i++) {
    const r = data[3 * i], g = data[3 * i + 1], b = data[3 * i + 2], [y, cb, cr] = toYCbCr(r, g, b);
    [channels[0][i], channels[1][i], channels[2][i]] = [y, cb, cr];
    [weighted[i], opponent[i]] = [r + 2 * g + b, r - g];
    const isSkin = cb >= 77 && cb <= 127 && cr >= 133 && cr <= 173;
    skin += isSkin;
    light += y;
    lightOfSkin += isSkin ? y : 0;
    blown += r >= 250 && r - b >= 8;
  }
  const [finest, coarse] = detail(weighted), [finestColour, coarseColour] = detail(opponent);
  const ratio = (one, other) => (other ? one / other : 0);
  const quality = {
    short_side: Math.min(image.width, image.height),
    brightness: skin > MIN_SKIN * pixels ? lightOfSkin / skin : light / pixels,
    clipped: ratio(blown, blown ? blown + skin : 0),
    sharpness: ratio(finest[AT_75], coarse[AT_75]),
    noise: finestColour[AT_25],
    colour_detail: ratio(finestColour[AT_50], coarseColour[AT_50]),
    skin: skin / pixels,
  };
  const tests = {
    blank: variance(channels) < BLANK_VARIANCE,
    low_resolution: quality.short_side < MIN_SHORT_SIDE,
    too_dark: quality.brightness < DARK,
    too_bright: quality.brightness > BRIGHT || quality.clipped > MAX_CLIPPED,
    blurred: quality.sharpness < MIN_SHARPNESS,
    noisy: quality.noise > MAX_NOISE,
    compressed: quality.noise > MIN_GRAIN && quality.colour_detail < MIN_COLOUR_DETAIL,
    no_skin: skin < MIN_SKIN * pixels,
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

/** Mean absolute detail of each block, sorted: of the finest band (a pixel less its 3 x 3), and of the coarse (5 x 5 less 9 x 9). */
function detail(channel) {
  const [three, five, nine] = [1, 2, 4].map((radius) => squareSums(channel, radius));
  const band = (inner, outer, n, m) => {
    const blocks = new Float64Array(BLOCKS * BLOCKS);
    for (let y = 0; y < BLOCKS * BLOCK; y++) {
      for (let x = 0; x < BLOCKS * BLOCK; x++) {
        const at = (y + EDGE) * SIDE + x + EDGE;
        blocks[Math.floor(y / BLOCK) * BLOCKS + Math.floor(x / BLOCK)] += Math.abs(m * inner[at] - n * outer[at]);
      }
    }
    return blocks.sort().map((sum) => sum / (n * m * BLOCK * BLOCK));
  };
  return [band(channel, three, 1, 9), band(five, nine, 25, 81)];
}

/** At each pixel that is far enough from the edge, the sum over a square of 2 * radius + 1 pixels a side. */
function squareSums(channel, radius) {
  const rows = new Int32Array(channel.length), sums = new Int32Array(channel.length);
  for (let at = radius * SIDE; at < channel.length - radius * SIDE; at++) {
    for (let k = -radius; k <= radius; k++) rows[at] += channel[at + k * SIDE];
  }
  for (let at = radius; at < channel.length - radius; at++) {
    for (let k = -radius; k <= radius; k++) sums[at] += rows[at + k];
  }
  return sums;
}

/** The sum of the channels' variances, over means of 4 x 4 pixels. */
function variance(channels) {
  return channels.reduce((total, channel) => {
    const side = SIDE / 4, means = new Int32Array(side * side); // times 16
    channel.forEach((value, at) => {
      means[Math.floor(at / SIDE / 4) * side + Math.floor((at % SIDE) / 4)] += value;
    });
    const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
    return total + (means.reduce((sum, value) => sum + value * value, 0) / means.length - mean * mean) / 256;
  }, 0);
}
