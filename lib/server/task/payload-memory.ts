/**
 * Memory that all processes of a server share, for payloads too large to go through a socket at once: one
 * copy in, one copy out, where a memfd costs four times as much. What travels is a reference:
 *
 *   blocks      2,048 of 64 KiB; a payload takes up to 64 of them, the first that are free
 *   tags        of each block: 0 free, -1 being filled, else that of the payload it belongs to
 *   reference   tag (u32) | length (u32) | numbers of its blocks (u16 each)           little-endian
 *
 * Who receives a payload frees it; who sends one frees it as well, once it knows that it was received or
 * lost. So what a killed process leaves behind is little; when room gets short it is taken back, a minute
 * after its process has gone. A tag that has changed tells whoever comes too late. The pages of all blocks
 * but the first 512 go back to the kernel when they were free for a while.
 */
import { binding } from '../../binding';
import { keepFreedMemory } from '../../ipc/freed-memory';
import { generation } from '../../ipc/generation';
import { SharedMemory } from '../../ipc/shared-memory';

const BLOCK_BYTES = 64 * 1024;
const BLOCKS = 2048;
/** Enough but for bursts: their pages are never given back. */
const KEPT_BLOCKS = 512;
const BLOCKS_OF_ONE = 64;

/** Below, a socket is about as fast. */
export const LEAST_BYTES = 16 * 1024;
const MOST_BYTES = BLOCKS_OF_ONE * BLOCK_BYTES;

/** From here on malloc(3) gives freed buffers back to the kernel. */
const LARGE_BYTES = 64 * 1024;

const FREE = 0;
/** About to get its tag. */
const RESERVED = -1;
const REFERENCE_BYTES = 8;

const RELEASE_AFTER_SECONDS = 10;
/** So many blocks a second: giving pages back takes time as well. */
const RELEASED_AT_ONCE = 64;
const RELEASE_EVERY_MS = 1000;

/** How long what the dead have left is kept: somebody may be about to read it. */
const KEPT_SECONDS = 60;

export class PayloadMemory {
  readonly #tags: Int32Array;
  readonly #owners: Int32Array;
  /** When they were filled, in seconds; 0: their pages are the kernel's. */
  readonly #times: Int32Array;
  readonly #nextTag: Int32Array;
  readonly #blocks: Uint8Array[];
  #lastSweep = 0;
  #keepsFreed = false;
  /** The process that has a timer to release blocks. */
  #releasing = -1;

  /** To be made before the first fork. */
  constructor() {
    const { buffer } = new SharedMemory(BLOCKS * BLOCK_BYTES);
    this.#blocks = Array.from(
      { length: BLOCKS },
      (_, i) => new Uint8Array(buffer, i * BLOCK_BYTES, BLOCK_BYTES),
    );
    const words = new Int32Array(new SharedMemory((3 * BLOCKS + 1) * 4).buffer);
    this.#tags = words.subarray(0, BLOCKS);
    this.#owners = words.subarray(BLOCKS, 2 * BLOCKS);
    this.#times = words.subarray(2 * BLOCKS, 3 * BLOCKS);
    this.#nextTag = words.subarray(3 * BLOCKS, 3 * BLOCKS + 1);
  }

  /** Blocks that are in use. */
  get used(): number {
    return this.#tags.reduce((sum, tag) => sum + (tag === FREE ? 0 : 1), 0);
  }

  /** @returns a reference; null: it is too small or too large, or there is no room */
  put(data: Uint8Array): Buffer | null {
    if (data.length < LEAST_BYTES || data.length > MOST_BYTES) return null;
    const tag = this.#newTag();
    const reference = this.#reserve(tag, data.length);
    if (reference === null) {
      this.#sweep();
      return null;
    }
    for (let at = 0, i = 0; at < data.length; at += BLOCK_BYTES, i++) {
      const end = Math.min(at + BLOCK_BYTES, data.length);
      this.#block(reference, i).set(data.subarray(at, end));
    }
    return reference;
  }

  /** Copies a payload and frees its memory.  @returns null: it is not there any more */
  take(reference: Buffer): Buffer | null {
    if (!isReference(reference)) return null;
    const length = reference.readUInt32LE(4);
    if (length >= LARGE_BYTES && !this.#keepsFreed) {
      this.#keepsFreed = true;
      keepFreedMemory();
    }
    const data = Buffer.allocUnsafeSlow(length);
    for (let at = 0, i = 0; at < length; at += BLOCK_BYTES, i++) {
      const block = this.#block(reference, i);
      const bytes = Math.min(BLOCK_BYTES, length - at);
      data.set(bytes === BLOCK_BYTES ? block : block.subarray(0, bytes), at);
    }
    return this.free(reference) ? data : null;
  }

  /** @returns whether all of it was there until now */
  free(reference: Buffer): boolean {
    const tag = reference.readInt32LE(0);
    let all = true;
    for (let i = 0; i < blocksOf(reference); i++) {
      const block = blockAt(reference, i);
      all = Atomics.compareExchange(this.#tags, block, tag, FREE) === tag && all;
    }
    return all;
  }

  #newTag(): number {
    const tag = (Atomics.add(this.#nextTag, 0, 1) + 1) | 0;
    return tag === FREE || tag === RESERVED ? this.#newTag() : tag;
  }

  /** The first that are free: they are the ones used last, and in the caches. */
  #reserve(tag: number, length: number): Buffer | null {
    const wanted = Math.ceil(length / BLOCK_BYTES);
    const reference = Buffer.allocUnsafe(REFERENCE_BYTES + 2 * wanted);
    const now = seconds();
    let found = 0;
    let block = 0;
    for (; block < BLOCKS && found < wanted; block++) {
      if (this.#tags[block] !== FREE) continue;
      if (Atomics.compareExchange(this.#tags, block, FREE, RESERVED) !== FREE) continue;
      this.#owners[block] = process.pid;
      this.#times[block] = now;
      Atomics.store(this.#tags, block, tag);
      reference.writeUInt16LE(block, REFERENCE_BYTES + 2 * found++);
    }
    reference.writeInt32LE(tag, 0);
    reference.writeUInt32LE(length, 4);
    if (block > KEPT_BLOCKS) this.#releaseLater();
    if (found === wanted) return reference;
    this.free(reference.subarray(0, REFERENCE_BYTES + 2 * found));
    return null;
  }

  #releaseLater(): void {
    if (this.#releasing === generation()) return;
    this.#releasing = generation();
    const timer = setInterval(() => {
      if (this.#releaseIdle()) return;
      clearInterval(timer);
      this.#releasing = -1;
    }, RELEASE_EVERY_MS);
    timer.unref();
  }

  /** @returns whether some are left to be released */
  #releaseIdle(): boolean {
    const longAgo = seconds() - RELEASE_AFTER_SECONDS;
    let left = 0;
    let released = 0;
    for (let block = KEPT_BLOCKS; block < BLOCKS; block++) {
      const time = this.#times[block] as number;
      if (time === 0) continue;
      if (time > longAgo || released === RELEASED_AT_ONCE || !this.#release(block)) left++;
      else released++;
    }
    return left > 0;
  }

  /** @returns false: it is in use */
  #release(block: number): boolean {
    if (Atomics.compareExchange(this.#tags, block, FREE, RESERVED) !== FREE) return false;
    binding.releasePages(this.#blocks[block] as Uint8Array);
    this.#times[block] = 0;
    Atomics.store(this.#tags, block, FREE);
    return true;
  }

  #block(reference: Buffer, i: number): Uint8Array {
    return this.#blocks[blockAt(reference, i)] as Uint8Array;
  }

  /** Takes back what processes that have gone did not free. */
  #sweep(): void {
    const now = seconds();
    if (now === this.#lastSweep) return;
    this.#lastSweep = now;
    const isGone = remembering(hasGone);
    for (let block = 0; block < BLOCKS; block++) {
      const tag = this.#tags[block] as number;
      const age = now - (this.#times[block] as number);
      if (
        tag === FREE ||
        tag === RESERVED ||
        age < KEPT_SECONDS ||
        !isGone(this.#owners[block] as number)
      )
        continue;
      Atomics.compareExchange(this.#tags, block, tag, FREE);
    }
  }
}

function blocksOf(reference: Buffer): number {
  return (reference.length - REFERENCE_BYTES) >> 1;
}

function blockAt(reference: Buffer, i: number): number {
  return reference.readUInt16LE(REFERENCE_BYTES + 2 * i);
}

/** What comes from a mailbox was written by this server; yet nothing is read where nothing can be. */
function isReference(bytes: Buffer): boolean {
  const blocks = blocksOf(bytes);
  if (blocks < 1 || blocks > BLOCKS_OF_ONE || bytes.length % 2 !== 0) return false;
  if (Math.ceil(bytes.readUInt32LE(4) / BLOCK_BYTES) !== blocks) return false;
  for (let i = 0; i < blocks; i++) if (blockAt(bytes, i) >= BLOCKS) return false;
  return true;
}

/** Since the machine was started: the same clock in all processes. */
function seconds(): number {
  return Math.floor(Number(process.hrtime.bigint() / 1_000_000_000n));
}

function hasGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function remembering(question: (pid: number) => boolean): (pid: number) => boolean {
  const answers = new Map<number, boolean>();
  return (pid) => {
    const known = answers.get(pid) ?? question(pid);
    answers.set(pid, known);
    return known;
  };
}
