/**
 * Messages from one process to its forks, in memory that they share: no call of the kernel for each.
 *
 *   words   0: head   16: tail   32: asleep   48: waiting   64: reader      (each has its own cache line)
 *   bytes   … | length, message | length, message | -1, serial | 0 to the end |
 *           ^ tail: next to be taken                                          ^ head: next to be put
 *
 * One process puts, the one that made it. One at a time takes: `reader`. Head and tail are positions that
 * only grow (and wrap at 2^32). A message is there when head has passed it, and taken when tail has: whoever
 * is killed at whatever moment, what was put and not taken is there for the next reader.
 *
 * Who finds nothing to do sets a flag and looks once more before it sleeps; the other side sees the flag
 * after what it does, and has to wake it. A marker stands for a message that travels elsewhere.
 */
import type { PacketSlab } from './packet-slab';
import { SharedMemory } from './shared-memory';

const RING_BYTES = 512 * 1024;
const MASK = RING_BYTES - 1;
/** The longest message. */
export const RING_MESSAGE_BYTES = 16_384;

const HEAD = 0;
const TAIL = 16;
const ASLEEP = 32;
const WAITING = 48;
const READER = 64;
const HEADER_BYTES = 512;

/** Length, or what stands for it, and padding or a serial. */
const PREFIX_BYTES = 8;
const SKIP = 0;
const MARKER = -1;

/** Full is full for messages of any size: room for the longest is kept, and for what is skipped before it. */
const KEPT_BYTES = 2 * (PREFIX_BYTES + RING_MESSAGE_BYTES);

export class SharedRing {
  readonly #words: Int32Array;
  readonly #entries: Int32Array;
  readonly #bytes: Uint8Array;

  constructor() {
    const { buffer } = new SharedMemory(HEADER_BYTES + RING_BYTES);
    this.#words = new Int32Array(buffer, 0, HEADER_BYTES / 4);
    this.#entries = new Int32Array(buffer, HEADER_BYTES);
    this.#bytes = new Uint8Array(buffer, HEADER_BYTES);
  }

  get empty(): boolean {
    return this.#load(TAIL) === this.#load(HEAD);
  }

  // For who puts.

  get full(): boolean {
    return this.#used() > RING_BYTES - KEPT_BYTES;
  }

  /** @returns false when there is no room */
  put(data: Uint8Array): boolean {
    if (this.full) return false;
    const size = sizeOf(data.length);
    const head = this.#placeFor(size);
    const at = head & MASK;
    this.#entries[at >> 2] = data.length;
    this.#bytes.set(data, at + PREFIX_BYTES);
    this.#store(HEAD, head + size);
    return true;
  }

  /** @param serial - 1 … 2^31 - 1; the ring must not be full */
  putMarker(serial: number): void {
    const head = this.#placeFor(PREFIX_BYTES);
    const at = head & MASK;
    this.#entries[at >> 2] = MARKER;
    this.#entries[(at >> 2) + 1] = serial;
    this.#store(HEAD, head + PREFIX_BYTES);
  }

  /**
   * After a put: whether the reader sleeps. Told once: it has to be woken even if it should have taken the
   * message meanwhile, because it may sleep again by now.
   */
  mustWake(): boolean {
    return this.#load(ASLEEP) === 1 && this.#clear(ASLEEP);
  }

  /** Before it sleeps until there is room. Look for room once more afterwards. */
  setWaiting(on: boolean): void {
    this.#store(WAITING, on ? 1 : 0);
  }

  // For the reader.

  /** Becomes the reader, unless there is another one. @param id - not 0 */
  claim(id: number): boolean {
    return Atomics.compareExchange(this.#words, READER, 0, id) === 0 || this.#load(READER) === id;
  }

  /** Also for a reader that has ended. */
  release(id: number): void {
    Atomics.compareExchange(this.#words, READER, id, 0);
  }

  /** The next message; null when there is none, or a marker. */
  take(slab: PacketSlab): Buffer | null {
    const tail = this.#entryAtTail();
    if (tail < 0) return null;
    const length = this.#entries[tail >> 2] as number;
    if (length === MARKER) return null;
    slab.makeRoom(length);
    const data = slab.claim(length);
    const from = tail + PREFIX_BYTES;
    data.set(this.#bytes.subarray(from, from + length));
    this.#pass(sizeOf(length));
    return data;
  }

  /** The serial of the marker that is next; 0: there is none. */
  get marker(): number {
    const tail = this.#entryAtTail();
    if (tail < 0 || this.#entries[tail >> 2] !== MARKER) return 0;
    return this.#entries[(tail >> 2) + 1] as number;
  }

  passMarker(): void {
    this.#pass(PREFIX_BYTES);
  }

  /** Before it sleeps, or when it is awake again. Look for messages once more after it was set. */
  setAsleep(on: boolean): void {
    this.#store(ASLEEP, on ? 1 : 0);
  }

  /** After a message was taken: whether the other side waits for room, and there is plenty. Told once. */
  mustTellRoom(): boolean {
    return this.#load(WAITING) === 1 && this.#used() <= RING_BYTES / 2 && this.#clear(WAITING);
  }

  #used(): number {
    return (this.#load(HEAD) - this.#load(TAIL)) | 0;
  }

  /** The position of an entry: it is never in two pieces. */
  #placeFor(size: number): number {
    const head = this.#load(HEAD);
    const at = head & MASK;
    if (at + size <= RING_BYTES) return head;
    this.#entries[at >> 2] = SKIP;
    return head + RING_BYTES - at;
  }

  /** -1: none. */
  #entryAtTail(): number {
    const tail = this.#load(TAIL);
    if (tail === this.#load(HEAD)) return -1;
    const at = tail & MASK;
    if (this.#entries[at >> 2] !== SKIP) return at;
    this.#pass(RING_BYTES - at);
    return 0;
  }

  #pass(bytes: number): void {
    this.#store(TAIL, this.#load(TAIL) + bytes);
  }

  #clear(flag: number): boolean {
    return Atomics.compareExchange(this.#words, flag, 1, 0) === 1;
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value | 0);
  }
}

/** Entries begin at multiples of 8. */
function sizeOf(length: number): number {
  return PREFIX_BYTES + ((length + 7) & ~7);
}
