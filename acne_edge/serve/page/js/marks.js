// The marks of one reader on one photograph, with undo and redo. Nothing of it is drawn here.

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Marks {
  /** `detail`: as the server tells a photograph. */
  constructor(detail) {
    const { prediction, reading, marked, withheld } = detail;
    this.machine = withheld || !prediction.lesions ? [] : prediction.lesions.slice(0, marked);
    this.touched = reading.marks !== null; // before that, the model's marks are shown, and nobody has counted
    this.now = {
      marks: reading.marks ?? this.machine.map((mark) => ({ ...mark })),
      count: reading.count,
      grade: reading.grade,
    };
    this.past = [];
    this.future = [];
  }

  get marks() {
    return this.now.marks;
  }

  /** How many lesions the reader counts; null: not counted yet. */
  get lesions() {
    return this.now.count ?? (this.touched ? this.now.marks.length : null);
  }

  /** Change marks, count or grade; one step of undo. */
  change(values) {
    const next = { ...this.now, ...values };
    if (same(next, this.now)) return;
    this.past.push({ now: this.now, touched: this.touched });
    this.future = [];
    this.now = next;
    this.touched ||= "marks" in values;
  }

  add(x, y) {
    this.change({ marks: [...this.marks, { x, y, score: null }], count: null });
  }

  remove(index) {
    this.change({ marks: this.marks.filter((_, n) => n !== index), count: null });
  }

  /** A mark that is moved is the reader's own. */
  move(index, x, y) {
    this.change({ marks: this.marks.map((mark, n) => (n === index ? { x, y, score: null } : mark)) });
  }

  undo() {
    return this.#step(this.past, this.future);
  }

  redo() {
    return this.#step(this.future, this.past);
  }

  #step(from, to) {
    const step = from.pop();
    if (!step) return false;
    to.push({ now: this.now, touched: this.touched });
    ({ now: this.now, touched: this.touched } = step);
    return true;
  }

  /** The index of the mark nearest to a place, within `reach`; distances are measured by `distance(mark)`. */
  nearest(distance, reach) {
    let best = -1;
    let least = reach;
    this.marks.forEach((mark, index) => {
      const d = distance(mark);
      if (d <= least) [best, least] = [index, d];
    });
    return best;
  }

  /** The model's marks that the reader has taken away, and how many were added. */
  difference() {
    const kept = new Set(this.marks.filter((m) => m.score !== null).map((m) => `${m.x} ${m.y}`));
    const removed = this.machine.filter((m) => !kept.has(`${m.x} ${m.y}`));
    return { removed, added: this.marks.filter((m) => m.score === null).length };
  }
}
