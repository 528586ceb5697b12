// Where the photograph stands on the screen: zoom and pan, by wheel, pinch, drag and keys.

const CLOSEST = 24; // times the size at which the whole photograph fits
const MARGIN = 14; // pixels around a photograph that fits
const TOOLS = 56; // pixels below it, for the tools

export class View {
  /** `frame`: the element that the photograph is seen through; `drawn`: called after every change. */
  constructor(frame, drawn) {
    Object.assign(this, { frame, drawn, width: 1, height: 1, scale: 1, x: 0, y: 0, fitted: true });
    new ResizeObserver(() => (this.fitted ? this.fit() : this.#settle())).observe(frame);
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** A new photograph, of this size. */
  show(width, height) {
    Object.assign(this, { width, height });
    this.fit();
  }

  get #fitting() {
    const { clientWidth, clientHeight } = this.frame;
    return Math.max(1e-3, Math.min((clientWidth - 2 * MARGIN) / this.width, (clientHeight - 2 * MARGIN - TOOLS) / this.height));
  }

  fit() {
    this.fitted = true;
    this.scale = this.#fitting;
    this.x = (this.frame.clientWidth - this.width * this.scale) / 2;
    this.y = (this.frame.clientHeight - TOOLS - this.height * this.scale) / 2;
    this.drawn();
  }

  /** Zoom by a factor, so that the point (x, y) of the frame stays where it is. */
  zoom(factor, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2) {
    const least = this.#fitting;
    const scale = Math.min(Math.max(this.scale * factor, least), least * CLOSEST);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = scale <= least * 1.001;
    this.fitted ? this.fit() : this.#settle();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#settle();
  }

  /** Move so that a place of the photograph (0..1) is well inside of the frame. */
  reveal({ x, y }) {
    const [sx, sy] = this.toScreen({ x, y });
    const [w, h] = [this.frame.clientWidth, this.frame.clientHeight];
    const edge = Math.min(60, w / 4, h / 4);
    const into = (value, size) => (value < edge ? edge - value : value > size - edge ? size - edge - value : 0);
    if (into(sx, w) || into(sy, h)) this.pan(into(sx, w), into(sy, h));
  }

  /** Keep a photograph that is larger than the frame from leaving it, and one that is smaller in its middle. */
  #settle() {
    const keep = (at, length, size) =>
      length + 2 * MARGIN <= size ? (size - length) / 2 : Math.min(MARGIN, Math.max(size - length - MARGIN, at));
    this.x = keep(this.x, this.width * this.scale, this.frame.clientWidth);
    this.y = keep(this.y, this.height * this.scale, this.frame.clientHeight - TOOLS);
    this.drawn();
  }

  toScreen({ x, y }) {
    return [this.x + x * this.width * this.scale, this.y + y * this.height * this.scale];
  }

  /** The place of the photograph (0..1) at a point of the frame; null beside it. */
  toPlace(sx, sy) {
    const x = (sx - this.x) / (this.width * this.scale);
    const y = (sy - this.y) / (this.height * this.scale);
    return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.frame.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
  }
}
