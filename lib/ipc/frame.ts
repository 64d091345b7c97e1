/**
 * The frame: how one message travels on a packet socket. All numbers are little-endian.
 *
 *    0        1        2        3        4              8              12             16
 *   +--------+--------+--------+--------+--------------+--------------+--------------+-----------+
 *   |version | kind   | flags  | 0      | sender (i32) | length (u32) | tag (u32)    | body …    |
 *   +--------+--------+--------+--------+--------------+--------------+--------------+-----------+
 *
 *   kind 0 inline   the body is the message, `length` bytes
 *   kind 1 memfd    the message is in a sealed memfd attached by SCM_RIGHTS, `length` bytes; the body is
 *                   ballast: the first bytes of the message once more, and nobody reads them
 *   kind 2 shared   the message is in a chunk of shared memory, `length` bytes; the body is its number (u32)
 *
 * flags, sender and tag are the caller's. The ballast makes a large message weigh in the socket: the
 * kernel counts only what is in the frame, and a full pipe could hold thousands of memfds otherwise.
 */
import { PreforkError } from '../errors';

const VERSION = 1;
export const INLINE = 0;
export const MEMFD = 1;
export const SHARED = 2;
/** The body of a frame of kind 2. */
export const SHARED_BYTES = 4;

export const HEADER_BYTES = 16;
/**
 * The longest frame. Not for speed: up to 200 KB, all that a usual send buffer takes, a memfd was 2 to 5
 * times slower. It leaves room for at least 6 messages in a full pipe, and 4 MiB are enough for a batch.
 */
export const MAX_FRAME_BYTES = 65536;

/** One byte of ballast stands for this many of the message. */
const BYTES_PER_BALLAST = 64;

const SEALS_SHRINK_GROW_WRITE = 0x2 | 0x4 | 0x8;

export interface FrameHeader {
  kind: number;
  /** 8 bits. */
  flags: number;
  sender: number;
  /** Bytes of the message. */
  length: number;
  tag: number;
}

/** Bytes of a message that its memfd frame carries as ballast. */
export function ballastOf(length: number, inlineLimit: number): number {
  return Math.min(Math.ceil(length / BYTES_PER_BALLAST), inlineLimit);
}

export function encodeHeader(target: DataView, header: FrameHeader): void {
  target.setUint8(0, VERSION);
  target.setUint8(1, header.kind);
  target.setUint8(2, header.flags);
  target.setUint8(3, 0);
  target.setInt32(4, header.sender, true);
  target.setUint32(8, header.length, true);
  target.setUint32(12, header.tag, true);
}

/**
 * Reads the header of a frame of `bytes` bytes, the header included, and checks that it fits them.
 *
 * @throws PreforkError ERR_BAD_FRAME
 */
export function decodeHeader(
  view: DataView,
  offset: number,
  bytes: number,
  inlineLimit: number,
  maxBytes: number,
): FrameHeader {
  if (bytes < HEADER_BYTES) {
    throw badFrame(`${String(bytes)} bytes, a header has ${String(HEADER_BYTES)}`);
  }
  const version = view.getUint8(offset);
  if (version !== VERSION) throw badFrame(`version ${String(version)}, this is ${String(VERSION)}`);
  const header = {
    kind: view.getUint8(offset + 1),
    flags: view.getUint8(offset + 2),
    sender: view.getInt32(offset + 4, true),
    length: view.getUint32(offset + 8, true),
    tag: view.getUint32(offset + 12, true),
  };
  if (view.getUint8(offset + 3) !== 0) throw badFrame('the reserved byte is not 0');
  checkLength(header, bytes - HEADER_BYTES, inlineLimit, maxBytes);
  return header;
}

/** A memfd whose sender could still change it, or of another size, is not read. */
export function checkMemfd(length: number, size: number, seals: number): void {
  if (seals < 0 || (seals & SEALS_SHRINK_GROW_WRITE) !== SEALS_SHRINK_GROW_WRITE) {
    throw badFrame('the file attached is not a memfd sealed against change');
  }
  if (size !== length) {
    throw badFrame(`a memfd of ${String(size)} bytes for a message of ${String(length)}`);
  }
}

export function badFrame(what: string, options?: ErrorOptions): PreforkError {
  return new PreforkError('ERR_BAD_FRAME', `a frame was dropped: ${what}`, options);
}

function bodyBytesOf(kind: number, length: number, inlineLimit: number): number {
  if (kind === INLINE) return length;
  return kind === SHARED ? SHARED_BYTES : ballastOf(length, inlineLimit);
}

function checkLength(
  { kind, length }: FrameHeader,
  bodyBytes: number,
  inlineLimit: number,
  maxBytes: number,
): void {
  if (kind > SHARED) throw badFrame(`unknown kind ${String(kind)}`);
  if (length === 0) throw badFrame('an empty message');
  if (length > maxBytes) {
    throw badFrame(`a message of ${String(length)} bytes, the limit is ${String(maxBytes)}`);
  }
  const expected = bodyBytesOf(kind, length, inlineLimit);
  if (bodyBytes !== expected) {
    throw badFrame(`a body of ${String(bodyBytes)} bytes where ${String(expected)} belong`);
  }
  if (length > inlineLimit !== (kind === MEMFD)) {
    throw badFrame(`kind ${String(kind)} for a message of ${String(length)} bytes`);
  }
}
