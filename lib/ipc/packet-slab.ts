/**
 * Where received messages are put: one after the other in pieces of memory that are made as large as
 * messages of the last size need. Node's own pool serves less than 4 KB; beyond that each message would
 * be an allocation of its own.
 */

/** A message that is kept holds the memory of as many others as share its piece. */
const MESSAGES_PER_PIECE = 16;
const LEAST_BYTES = 8192;
const MOST_BYTES = 65_536;

/** As little as can be asked for: a frame's chunk number fits. */
const LEAST_ROOM = 64;

export class PacketSlab {
  #bytes = Buffer.alloc(0);
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
    if (this.room >= wanted) return;
    const size = Math.min(Math.max(wanted * MESSAGES_PER_PIECE, LEAST_BYTES), MOST_BYTES);
    this.#bytes = Buffer.allocUnsafeSlow(size);
    this.#used = 0;
  }

  /** The bytes at `used`. There has to be room. */
  claim(length: number): Buffer {
    const begin = this.#used;
    this.#used = Math.min((begin + length + 7) & ~7, this.#bytes.length);
    return this.#bytes.subarray(begin, begin + length);
  }
}
