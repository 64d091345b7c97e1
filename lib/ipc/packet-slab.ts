/**
 * Where received messages are put: one after the other in pieces of memory that are made as large as
 * messages of the last size need. Node's own pool serves less than 4 KB; beyond that each message would
 * be an allocation of its own.
 */
import { alignedBuffer, alignUp } from './aligned-buffer';

/** A message that is kept holds the memory of as many others as share its piece. */
const MESSAGES_PER_PIECE = 16;
const LEAST_BYTES = 8192;
const MOST_BYTES = 65_536;

/** As little as can be asked for: a frame's chunk number fits. */
const LEAST_ROOM = 64;

/** Shorter ones are copied as fast to any place, and lie closer. */
const LEAST_ALIGNED = 1024;

export class PacketSlab {
  #bytes: Buffer = Buffer.alloc(0);
  #used = 0;

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Where the next message may begin; at least as many bytes are free as were asked for last. */
  get used(): number {
    return this.#used;
  }

  get room(): number {
    return this.#bytes.length - this.#used;
  }

  /** @param length - at most 64 KiB */
  makeRoom(length: number): void {
    const wanted = Math.max(length, LEAST_ROOM);
    if (wanted >= LEAST_ALIGNED) this.#used = this.#bounded(alignUp(this.#used));
    if (this.room >= wanted) return;
    const size = Math.min(Math.max(wanted * MESSAGES_PER_PIECE, LEAST_BYTES), MOST_BYTES);
    this.#bytes = alignedBuffer(size);
    this.#used = 0;
  }

  /** The bytes at `used`. There has to be room. */
  claim(length: number): Buffer {
    const begin = this.#used;
    this.#used = this.#bounded(alignUp(begin + length, 8));
    return this.#bytes.subarray(begin, begin + length);
  }

  #bounded(at: number): number {
    return Math.min(at, this.#bytes.length);
  }
}
