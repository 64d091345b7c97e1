/**
 * Packets that tell their length: `openLengthCheck`.
 *
 *    0        packageLengthOffset    packageBodyOffset
 *    +--------+--------+-------------+---------------------+
 *    | …      | length | …           | body, `length` long |       total = length + packageBodyOffset
 *    +--------+--------+-------------+---------------------+
 *
 * Or `packageLengthFunc` says it from the first bytes.
 */
import { endianness } from 'node:os';
import { PreforkError } from '../../errors';
import type { Framing } from './framing';
import { packetTooLong, Pending } from './pending';

/** Letters of PHP's and Perl's pack(); c s l q are signed; s S l L q Q are in the machine's byte order. */
export type PackageLengthType =
  'c' | 'C' | 's' | 'S' | 'n' | 'v' | 'l' | 'L' | 'N' | 'V' | 'q' | 'Q' | 'J' | 'P';

/**
 * Tells how long the packet is that starts with `data`, a view that is good during the call:
 * 0: more bytes are needed to know; -1: close the connection; otherwise all its bytes, header included.
 */
export type PackageLengthFunc = (data: Buffer) => number;

export interface LengthSettings {
  packageLengthType: PackageLengthType;
  packageLengthOffset: number;
  packageBodyOffset: number;
  packageLengthFunc: PackageLengthFunc | null;
  packageMaxLength: number;
}

interface LengthField {
  bytes: number;
  read(data: Buffer, at: number): number;
}

const HOST_LITTLE = endianness() === 'LE';
const TWO_TO_32 = 0x1_0000_0000;

/** Beyond 2^53 it is inexact, and refused anyway. */
function integer64(data: Buffer, at: number, little: boolean, signed: boolean): number {
  const low = little ? data.readUInt32LE(at) : data.readUInt32BE(at + 4);
  const high = little ? data.readUInt32LE(at + 4) : data.readUInt32BE(at);
  return (signed ? high | 0 : high) * TWO_TO_32 + low;
}

const LITTLE_16: LengthField = { bytes: 2, read: (data, at) => data.readUInt16LE(at) };
const BIG_16: LengthField = { bytes: 2, read: (data, at) => data.readUInt16BE(at) };
const LITTLE_32: LengthField = { bytes: 4, read: (data, at) => data.readUInt32LE(at) };
const BIG_32: LengthField = { bytes: 4, read: (data, at) => data.readUInt32BE(at) };
const LITTLE_64: LengthField = { bytes: 8, read: (data, at) => integer64(data, at, true, false) };
const BIG_64: LengthField = { bytes: 8, read: (data, at) => integer64(data, at, false, false) };

export const LENGTH_FIELDS: Readonly<Record<PackageLengthType, LengthField>> = {
  c: { bytes: 1, read: (data, at) => data.readInt8(at) },
  C: { bytes: 1, read: (data, at) => data.readUInt8(at) },
  s: {
    bytes: 2,
    read: (data, at) => (HOST_LITTLE ? data.readInt16LE(at) : data.readInt16BE(at)),
  },
  S: HOST_LITTLE ? LITTLE_16 : BIG_16,
  n: BIG_16,
  v: LITTLE_16,
  l: {
    bytes: 4,
    read: (data, at) => (HOST_LITTLE ? data.readInt32LE(at) : data.readInt32BE(at)),
  },
  L: HOST_LITTLE ? LITTLE_32 : BIG_32,
  N: BIG_32,
  V: LITTLE_32,
  q: { bytes: 8, read: (data, at) => integer64(data, at, HOST_LITTLE, true) },
  Q: HOST_LITTLE ? LITTLE_64 : BIG_64,
  J: BIG_64,
  P: LITTLE_64,
};

/** How the length of a packet is found. */
interface LengthSource {
  /** How many bytes to add to the `held` ones before asking again. */
  wanted(held: number): number;
  /** All bytes of the packet that starts at `start`; 0: not known yet.  @throws PreforkError ERR_BAD_PACKET */
  totalOf(data: Buffer, start: number): number;
}

class FieldLength implements LengthSource {
  readonly #field: LengthField;
  readonly #offset: number;
  readonly #bodyOffset: number;
  readonly #headerBytes: number;

  constructor(settings: LengthSettings) {
    this.#field = LENGTH_FIELDS[settings.packageLengthType];
    this.#offset = settings.packageLengthOffset;
    this.#bodyOffset = settings.packageBodyOffset;
    this.#headerBytes = this.#offset + this.#field.bytes;
  }

  wanted(held: number): number {
    return this.#headerBytes - held;
  }

  totalOf(data: Buffer, start: number): number {
    if (data.length - start < this.#headerBytes) return 0;
    const value = this.#field.read(data, start + this.#offset);
    if (value < 0) throw badPacket(`its length is ${value}`);
    const total = value + this.#bodyOffset;
    if (!Number.isSafeInteger(total)) throw badPacket('its length is over 2^53');
    if (total < this.#headerBytes) {
      throw badPacket(`all of it is ${total} bytes, its length ends at byte ${this.#headerBytes}`);
    }
    return total;
  }
}

class ComputedLength implements LengthSource {
  readonly #compute: PackageLengthFunc;

  constructor(compute: PackageLengthFunc) {
    this.#compute = compute;
  }

  wanted(): number {
    return Infinity;
  }

  totalOf(data: Buffer, start: number): number {
    const total = this.#call(start === 0 ? data : data.subarray(start));
    if (total === -1) throw badPacket('packageLengthFunc returned -1');
    if (!Number.isSafeInteger(total) || total < 0) {
      throw badPacket(`packageLengthFunc returned ${String(total)}`);
    }
    return total;
  }

  /** What it throws is one connection's matter: it runs in the master, which serves all others. */
  #call(data: Buffer): number {
    try {
      return this.#compute(data);
    } catch (cause) {
      throw badPacket('packageLengthFunc threw', { cause });
    }
  }
}

export class LengthCheck implements Framing {
  readonly #source: LengthSource;
  readonly #maxLength: number;
  readonly #pending = new Pending();
  /** All bytes of the pending packet; 0: not known yet. */
  #total = 0;
  #failure: PreforkError | null = null;

  constructor(settings: LengthSettings) {
    const compute = settings.packageLengthFunc;
    this.#source = compute === null ? new FieldLength(settings) : new ComputedLength(compute);
    this.#maxLength = settings.packageMaxLength;
  }

  get failure(): PreforkError | null {
    return this.#failure;
  }

  get pendingBytes(): number {
    return this.#pending.length;
  }

  push(chunk: Buffer): readonly Buffer[] {
    const packets: Buffer[] = [];
    if (this.#failure !== null || chunk.length === 0) return packets;
    try {
      if (this.#pending.length === 0) this.#split(chunk, 0, packets);
      else this.#resume(chunk, packets);
    } catch (error) {
      if (!(error instanceof PreforkError)) throw error;
      this.#pending.clear();
      this.#failure = error;
    }
    return packets;
  }

  /** Takes packets off `data` from `start` on; nothing is pending. */
  #split(data: Buffer, start: number, packets: Buffer[]): void {
    while (start < data.length) {
      const total = this.#totalOf(data, start);
      if (total === 0 || total > data.length - start) {
        if (total > 0) this.#pending.reserve(total);
        this.#pending.append(data, start, data.length);
        this.#total = total;
        return;
      }
      packets.push(
        start === 0 && total === data.length ? data : data.subarray(start, start + total),
      );
      start += total;
    }
  }

  #resume(chunk: Buffer, packets: Buffer[]): void {
    let start = 0;
    if (this.#total === 0) {
      start = Math.min(chunk.length, this.#source.wanted(this.#pending.length));
      this.#pending.append(chunk, 0, start);
      this.#total = this.#totalOf(this.#pending.view, 0);
      if (this.#total === 0) return;
    }
    if (this.#total < this.#pending.length) {
      this.#splitPending(packets);
      return;
    }
    this.#pending.reserve(this.#total);
    const end = Math.min(chunk.length, start + this.#total - this.#pending.length);
    this.#pending.append(chunk, start, end);
    if (this.#pending.length < this.#total) return;
    packets.push(this.#pending.take());
    this.#total = 0;
    this.#split(chunk, end, packets);
  }

  /** A packetLengthFunc saw more than its packet. */
  #splitPending(packets: Buffer[]): void {
    const data = this.#pending.take();
    packets.push(data.subarray(0, this.#total));
    const start = this.#total;
    this.#total = 0;
    this.#split(data, start, packets);
  }

  /** 0: not known yet, and the limit is not reached. */
  #totalOf(data: Buffer, start: number): number {
    const total = this.#source.totalOf(data, start);
    if (total > this.#maxLength) throw packetTooLong(total, this.#maxLength);
    const held = data.length - start;
    if (total === 0 && held >= this.#maxLength) {
      throw packetTooLong(`more than ${held}`, this.#maxLength);
    }
    return total;
  }
}

function badPacket(what: string, options?: ErrorOptions): PreforkError {
  return new PreforkError('ERR_BAD_PACKET', `a packet cannot be read: ${what}`, options);
}
