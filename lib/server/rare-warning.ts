/** A warning that can be caused as often as somebody likes: so many are told in a second, and how many were not. */
const SECOND_MS = 1000;

export class RareWarning {
  readonly #code: string;
  readonly #most: number;
  #since = -Infinity;
  #told = 0;
  #untold = 0;

  /** @param most - of one second */
  constructor(code: string, most = 1) {
    this.#code = code;
    this.#most = most;
  }

  tell(message: string, now = performance.now()): void {
    if (now - this.#since >= SECOND_MS) {
      this.#since = now;
      this.#told = 0;
    }
    if (this.#told === this.#most) {
      this.#untold++;
      return;
    }
    this.#told++;
    const more = this.#untold === 0 ? '' : ` (and ${this.#untold} before it that were not told)`;
    this.#untold = 0;
    process.emitWarning(`${message}${more}`, { type: 'PreforkWarning', code: this.#code });
  }
}
