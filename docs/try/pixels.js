// An image is { data: Uint8Array of RGB, row by row; width; height }. Resizing gives the same bytes as Pillow's, in its
// fixed-point arithmetic, as in acne_edge/preprocess.py.

const PRECISION_BITS = 32 - 8 - 2; // of a coefficient: eight bits for the pixel, two for the sum's overshoot
const HALF = 1 << (PRECISION_BITS - 1);

/** The RGB of a canvas's RGBA; the canvas must be opaque. */
export function fromCanvas({ data, width, height }) {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return { data: rgb, width, height };
}

/** A rectangle { left, top, right, bottom } of an image. */
export function crop({ data, width: stride }, { left, top, right, bottom }) {
  const width = right - left, height = bottom - top;
  const cut = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * stride + left) * 3;
    cut.set(data.subarray(start, start + width * 3), y * width * 3);
  }
  return { data: cut, width, height };
}

/** Resample to width x height with an antialiased triangle; the frame is stretched. */
export function resize(image, width, height) {
  const rows = (from) => (width !== image.width ? resampleRows(from, width) : from);
  const columns = (from) => (height !== image.height ? resampleColumns(from, height) : from);
  // The order of the passes changes the last bit. This is that of Pillow 13; before, rows always came first.
  const columnsFirst = image.height > height && image.height - height > 2 * (image.width - width);
  return columnsFirst ? rows(columns(image)) : columns(rows(image));
}

/** For each of `to` pixels of an axis: the first pixel it is made of, and the fixed-point weights of that and the next. */
function taps(size, to) {
  const scale = size / to, support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), size) - first;
    const exact = Array.from({ length: count }, (_, k) => triangle((k + first - centre + 0.5) * (1 / support)));
    const total = exact.reduce((sum, weight) => sum + weight, 0);
    const weights = exact.map((weight) => Math.trunc(0.5 + (total ? weight / total : weight) * (1 << PRECISION_BITS)));
    return { first, weights: Int32Array.from(weights) };
  });
}

function triangle(x) {
  return Math.max(x < 0 ? 1 + x : 1 - x, 0);
}

function clip(sum) {
  return Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);
}

function resampleRows({ data, width: stride, height }, width) {
  const out = new Uint8Array(width * height * 3), windows = taps(stride, width);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const { first, weights } = windows[x];
      let at = (y * stride + first) * 3, red = HALF, green = HALF, blue = HALF;
      for (let k = 0; k < weights.length; k++, at += 3) {
        red += data[at] * weights[k];
        green += data[at + 1] * weights[k];
        blue += data[at + 2] * weights[k];
      }
      out[to] = clip(red);
      out[to + 1] = clip(green);
      out[to + 2] = clip(blue);
    }
  }
  return { data: out, width, height };
}

function resampleColumns({ data, width, height: size }, height) {
  const values = width * 3, out = new Uint8Array(values * height), sums = new Int32Array(values);
  taps(size, height).forEach(({ first, weights }, y) => {
    sums.fill(HALF);
    weights.forEach((weight, k) => {
      const start = (first + k) * values;
      for (let i = 0; i < values; i++) sums[i] += data[start + i] * weight;
    });
    for (let i = 0; i < values; i++) out[y * values + i] = clip(sums[i]);
  });
  return { data: out, width, height };
}
