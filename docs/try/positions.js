// Turns the lesion map into single places. The rule is written out in acne_edge/positions.py.

const MOST = 512;

/** Lesions { x, y, score } of a map [height, width], the highest score first; places are in 0..1 of the map. */
export function locate(map, width, height, threshold) {
  if (!map.every(Number.isFinite)) return [];
  const row = width + 2; // an empty cell on every side spares asking for the edges
  const cells = new Float64Array((height + 2) * row);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) cells[(y + 1) * row + x + 1] = Math.max(map[y * width + x], 0);
  }
  const taken = [];
  for (let turn = 0; turn < MOST; turn++) {
    const at = highest(cells), centre = cells[at];
    if (!(centre > 0 && centre * 5 >= threshold)) break; // no cross can reach the threshold
    const [up, left, right, down] = [cells[at - row], cells[at - 1], cells[at + 1], cells[at + row]];
    const around = up + left + right + down;
    const score = Math.min(centre + around, 1);
    const share = score < 1 ? 1 : (1 - Math.min(centre, 1)) / Math.max(around, 1e-12); // of the neighbours
    if (score >= threshold) {
      const x = (at % row) - 0.5 + ((right - left) * share) / score;
      const y = Math.floor(at / row) - 0.5 + ((down - up) * share) / score;
      taken.push({ x: x / width, y: y / height, score });
    }
    const keep = 1 - share;
    cells[at] = Math.max(centre - 1, 0);
    for (const next of [at - row, at - 1, at + 1, at + row]) cells[next] *= keep;
  }
  return taken.sort((one, other) => other.score - one.score); // stable
}

/** The same lesions in 0..1 of a whole photograph, of which `crop` was looked at. */
export function moved(lesions, crop, width, height) {
  return lesions.map(({ x, y, score }) => ({
    x: (crop.left + x * (crop.right - crop.left)) / width,
    y: (crop.top + y * (crop.bottom - crop.top)) / height,
    score,
  }));
}

function highest(cells) {
  let at = 0;
  for (let i = 1; i < cells.length; i++) if (cells[i] > cells[at]) at = i;
  return at;
}
