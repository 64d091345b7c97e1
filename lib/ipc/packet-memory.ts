/**
 * Memory that all processes at a packet socket share: how many memfds are in the pipe, and chunks in which
 * messages of middle size travel.
 *
 *   memfds in the pipe | chunk 0: state, bytes | chunk 1: state, bytes | …      (Int32, bytes)
 *
 *   writer: copies a message into a free chunk, then sends its frame      FREE -> FILLED
 *   reader: receives the frame, then copies the message out               FILLED -> TAKEN -> FREE
 *
 * It spares the kernel the allocation of a large frame, which costs more than both copies. A message is on
 * its way only when its frame is in the kernel, as any other. Only the process that made the pair fills
 * chunks: one that is killed in between takes everything along, and nobody has to take back its chunk.
 * A reader that is killed with a message in hand does not free its chunk: see reclaim().
 */
import { generation } from './generation';
import { SharedMemory } from './shared-memory';

export const NO_CHUNK = -1;
/** The longest message that travels in a chunk. */
export const CHUNK_BYTES = 16_384;
/** Shorter ones are as fast in their frame. */
const LEAST_BYTES = 2048;

const CHUNKS = 32;
/** In a cache line of its own: each of two processes writes to it. */
const STATE_BYTES = 64;
/** No power of two: the chunks would compete for the same cache sets. */
const STRIDE = STATE_BYTES + CHUNK_BYTES + 256;

const MEMFDS = 0;
const HEAD_BYTES = 64;

const FREE = 0;
const FILLED = 1;
const TAKEN = 2;

/** Chunks are filled and freed in turn, so that most often the next one tells. */
const CHUNKS_TRIED = 8;

export class PacketMemory {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #chunks: number;
  /** A view of each chunk, as long as its last message. */
  readonly #views: Uint8Array[] = [];
  readonly #generation = generation();
  /** For each chunk, which message in the order of sending it had last; 0: none. */
  readonly #serials: number[];
  #sent = 0;
  /** The latest message whose chunk was freed by its reader and is in use again. */
  #newestFreed = 0;
  #next = 0;

  /** @param withChunks - only where one process at a time reads */
  constructor(withChunks: boolean) {
    this.#chunks = withChunks ? CHUNKS : 0;
    const { buffer } = new SharedMemory(HEAD_BYTES + this.#chunks * STRIDE);
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#serials = Array.from({ length: this.#chunks }, () => 0);
  }

  /** Whether a frame in the pipe may bring a memfd. Who is killed midway has counted too many. */
  get mayBringFds(): boolean {
    return Atomics.load(this.#words, MEMFDS) !== 0;
  }

  /** Up before a memfd is sent, down after it was received. */
  countMemfd(by: 1 | -1): void {
    Atomics.add(this.#words, MEMFDS, by);
  }

  /** Puts a message into a chunk. @returns NO_CHUNK: it has to travel in its frame */
  fill(data: Uint8Array): number {
    const { length } = data;
    if (length < LEAST_BYTES || length > CHUNK_BYTES) return NO_CHUNK;
    const chunk = this.#findFree();
    if (chunk === NO_CHUNK) return NO_CHUNK;
    this.#newestFreed = Math.max(this.#newestFreed, this.#serials[chunk] as number);
    this.#serials[chunk] = ++this.#sent;
    this.#bytes.set(data, bytesAt(chunk));
    Atomics.store(this.#words, stateAt(chunk), FILLED);
    this.#next = (chunk + 1) % CHUNKS;
    return chunk;
  }

  /** The frame of a filled chunk was not sent. */
  takeBack(chunk: number): void {
    this.#serials[chunk] = 0;
    this.#free(chunk);
  }

  /** Begins to read. False when there is nothing: what a frame says of a chunk may be wrong. */
  take(chunk: number): boolean {
    if (chunk >= this.#chunks) return false;
    return Atomics.compareExchange(this.#words, stateAt(chunk), FILLED, TAKEN) === FILLED;
  }

  /** Copies the message out of a chunk that was taken, and frees it. */
  empty(chunk: number, target: Uint8Array): void {
    target.set(this.#view(chunk, target.length));
    this.#free(chunk);
  }

  /**
   * Frees the chunks of messages that killed readers had in hand: those taken, and, as frames are received
   * in order, those filled that were sent before another one was received. Call it while nobody reads: a
   * reader alive may be about to copy.
   */
  reclaim(): void {
    let newest = this.#newestFreed;
    this.#serials.forEach((serial, chunk) => {
      if (this.#state(chunk) === TAKEN) this.#free(chunk);
      if (this.#state(chunk) === FREE) newest = Math.max(newest, serial);
    });
    this.#serials.forEach((serial, chunk) => {
      if (serial < newest && this.#state(chunk) === FILLED) this.#free(chunk);
    });
  }

  #findFree(): number {
    if (this.#chunks === 0 || this.#generation !== generation()) return NO_CHUNK;
    for (let i = 0; i < CHUNKS_TRIED; i++) {
      const chunk = (this.#next + i) % CHUNKS;
      if (this.#state(chunk) === FREE) return chunk;
    }
    return NO_CHUNK;
  }

  #state(chunk: number): number {
    return Atomics.load(this.#words, stateAt(chunk));
  }

  #view(chunk: number, length: number): Uint8Array {
    const view = this.#views[chunk];
    if (view?.length === length) return view;
    const at = bytesAt(chunk);
    return (this.#views[chunk] = this.#bytes.subarray(at, at + length));
  }

  #free(chunk: number): void {
    Atomics.store(this.#words, stateAt(chunk), FREE);
  }
}

/** Of its state, in words. */
function stateAt(chunk: number): number {
  return (HEAD_BYTES + chunk * STRIDE) / Int32Array.BYTES_PER_ELEMENT;
}

function bytesAt(chunk: number): number {
  return HEAD_BYTES + chunk * STRIDE + STATE_BYTES;
}
