/** Packets that end with a mark, which stays a part of them: `openEofCheck` and `openEofSplit`. */
import type { PreforkError } from '../../errors';
import type { Framing } from './framing';
import { packetTooLong, Pending } from './pending';

const NO_PACKETS: readonly Buffer[] = [];

abstract class EofFraming implements Framing {
  protected readonly eof: Buffer;
  protected readonly maxLength: number;
  protected readonly pending = new Pending();
  #failure: PreforkError | null = null;

  /**
   * @param eof - 1 to 8 bytes
   * @param maxLength - the longest packet, eof included
   */
  constructor(eof: Buffer, maxLength: number) {
    this.eof = eof;
    this.maxLength = maxLength;
  }

  get failure(): PreforkError | null {
    return this.#failure;
  }

  get pendingBytes(): number {
    return this.pending.length;
  }

  push(chunk: Buffer): readonly Buffer[] {
    return this.#failure !== null || chunk.length === 0 ? NO_PACKETS : this.split(chunk);
  }

  protected abstract split(chunk: Buffer): readonly Buffer[];

  protected fail(bytes: number | string): void {
    this.pending.clear();
    this.#failure = packetTooLong(bytes, this.maxLength);
  }

  /** Keeps what comes without an eof, as long as it can still become a packet. */
  protected hold(chunk: Buffer, start: number): void {
    const bytes = this.pending.length + chunk.length - start;
    if (bytes >= this.maxLength) this.fail(`more than ${bytes}`);
    else this.pending.append(chunk, start, chunk.length);
  }
}

/** A packet ends where the bytes received so far end with eof: several may come joined. */
export class EofCheck extends EofFraming {
  protected split(chunk: Buffer): readonly Buffer[] {
    if (!this.#endsWithEof(chunk)) {
      this.hold(chunk, 0);
      return NO_PACKETS;
    }
    const bytes = this.pending.length + chunk.length;
    if (bytes > this.maxLength) {
      this.fail(bytes);
      return NO_PACKETS;
    }
    if (this.pending.length === 0) return [chunk];
    this.pending.reserve(bytes);
    this.pending.append(chunk, 0, chunk.length);
    return [this.pending.take()];
  }

  /** Whether all that came ends with eof, its first bytes perhaps in what is pending. */
  #endsWithEof(chunk: Buffer): boolean {
    const inChunk = Math.min(chunk.length, this.eof.length);
    const before = this.eof.length - inChunk;
    const from = chunk.length - inChunk;
    for (let i = 0; i < inChunk; i++) if (chunk[from + i] !== this.eof[before + i]) return false;
    return this.pending.endsWithStartOf(this.eof, before);
  }
}

/** A packet ends with every eof. */
export class EofSplit extends EofFraming {
  protected split(chunk: Buffer): readonly Buffer[] {
    const packets: Buffer[] = [];
    let start = 0;
    for (;;) {
      const end = this.#endOfPacket(chunk, start);
      if (end < 0) break;
      const bytes = this.pending.length + end - start;
      if (bytes > this.maxLength) {
        this.fail(bytes);
        return packets;
      }
      packets.push(this.#packet(chunk, start, end));
      start = end;
    }
    if (start < chunk.length) this.hold(chunk, start);
    return packets;
  }

  #packet(chunk: Buffer, start: number, end: number): Buffer {
    if (this.pending.length === 0) return chunk.subarray(start, end);
    this.pending.reserve(this.pending.length + end - start);
    this.pending.append(chunk, start, end);
    return this.pending.take();
  }

  /** Where the next eof ends in `chunk`; -1 when there is none. */
  #endOfPacket(chunk: Buffer, start: number): number {
    if (this.pending.length > 0) {
      const end = this.#endAcross(chunk);
      if (end > 0) return end;
    }
    if (chunk.length - start < this.eof.length) return -1;
    const at = chunk.indexOf(this.eof, start);
    return at < 0 ? -1 : at + this.eof.length;
  }

  /** Where an eof ends whose first bytes are the last that are pending; the earliest, or -1. */
  #endAcross(chunk: Buffer): number {
    for (let before = this.eof.length - 1; before > 0; before--) {
      const end = this.eof.length - before;
      if (this.#startsWithRest(chunk, before, end)) {
        if (this.pending.endsWithStartOf(this.eof, before)) return end;
      }
    }
    return -1;
  }

  #startsWithRest(chunk: Buffer, before: number, end: number): boolean {
    if (chunk.length < end) return false;
    for (let i = 0; i < end; i++) if (chunk[i] !== this.eof[before + i]) return false;
    return true;
  }
}
