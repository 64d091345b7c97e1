/** A warning that can be caused as often as somebody likes: it is told once a second at most. */
const PAUSE_MS = 1000;

export class RareWarning {
  readonly #code: string;
  #last = -Infinity;

  constructor(code: string) {
    this.#code = code;
  }

  tell(message: string): void {
    const now = Date.now();
    if (now - this.#last < PAUSE_MS) return;
    this.#last = now;
    process.emitWarning(message, { type: 'PreforkWarning', code: this.#code });
  }
}
