/** The bytes of a packet that is not whole yet, one after the other in memory of their own. */
import { PreforkError } from '../../errors';

/** The most that is copied by a loop: below, a call of memcpy(3) costs more than it saves. */
const LOOP_BYTES = 16;
const MIN_CAPACITY = 64;
const NOTHING = Buffer.alloc(0);

export class Pending {
  #bytes: Buffer = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes so far: good until the next call. */
  get view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room for a packet of `total` bytes, so that nothing of it is copied twice from here on. */
  reserve(total: number): void {
    if (this.#bytes.length >= total) return;
    // Pages that nothing was written to cost nothing: a peer cannot take memory by announcing a length.
    const larger = Buffer.allocUnsafe(total);
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  /** Doubles when it is full: on average a byte moves once more. */
  append(source: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      this.reserve(Math.max(length, this.#bytes.length * 2, MIN_CAPACITY));
    }
    if (end - start > LOOP_BYTES) source.copy(this.#bytes, this.#length, start, end);
    else for (let i = start; i < end; i++) this.#bytes[this.#length + i - start] = source[i] ?? 0;
    this.#length = length;
  }

  /** Whether the last bytes are the first `count` of `bytes`. */
  endsWithStartOf(bytes: Buffer, count: number): boolean {
    const from = this.#length - count;
    if (from < 0) return false;
    for (let i = 0; i < count; i++) if (this.#bytes[from + i] !== bytes[i]) return false;
    return true;
  }

  /** Gives the bytes away. */
  take(): Buffer {
    const bytes = this.view;
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#length = 0;
  }
}

export function packetTooLong(bytes: number | string, limit: number): PreforkError {
  return new PreforkError(
    'ERR_MESSAGE_TOO_BIG',
    `a packet of ${bytes} bytes, the limit is ${limit} bytes: raise packageMaxLength`,
  );
}
