// Keeps one photograph's reading on the server: one request at a time, the newest state last, again until it is answered.

import { keep, Offline, Refusal } from "./api.js";

const AGAIN = 1500; // milliseconds

const unsaved = new Set();
addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

export class Saver {
  /** `told(status, detail)`: status is saving, saved, waiting (the server does not answer), conflict or refused. */
  constructor(id, who, version, told) {
    Object.assign(this, { id, who, version, told, wanted: null, busy: false, paused: false });
  }

  /** Keep this state; one that was not sent yet is skipped. */
  save(content) {
    this.wanted = content;
    unsaved.add(this);
    if (!this.paused) this.#run();
  }

  /** After a conflict: keep what stands here after all, as a change of the version that the others made. */
  insist(version) {
    Object.assign(this, { version, paused: false });
    this.#run();
  }

  /** After a conflict: let go of what stands here. */
  give_up() {
    this.wanted = null;
    unsaved.delete(this);
  }

  async #run() {
    if (this.busy) return;
    this.busy = true;
    while (this.wanted) {
      const content = this.wanted;
      this.told("saving");
      try {
        const detail = await keep(this.id, this.who, { version: this.version, ...content });
        this.version = detail.reading.version;
        if (this.wanted === content) {
          this.give_up();
          this.told("saved", detail);
        }
      } catch (error) {
        if (error instanceof Refusal && error.status === 409) {
          this.paused = true;
          this.told("conflict", error.current);
          break;
        }
        if (error instanceof Refusal && error.status < 500 && error.status !== 429) {
          this.give_up();
          this.told("refused", error);
          break;
        }
        if (!(error instanceof Offline || error instanceof Refusal)) throw error;
        this.told("waiting");
        await new Promise((done) => setTimeout(done, AGAIN));
      }
    }
    this.busy = false;
  }
}
