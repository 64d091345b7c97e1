/**
 * Frames on a stream: how many bytes follow, then these bytes.
 *
 *    0        4                4 + length
 *    +--------+----------------+--------+----- ...
 *    | length | body           | length | body
 *    +--------+----------------+--------+----- ...
 *    length: unsigned, 32 bits, big-endian, never 0
 */
import { PreforkError, systemError } from '../errors';
import { checkInteger } from '../validate';

const HEADER_BYTES = 4;
const MAX_LENGTH = 0xffffffff;
const NOTHING = Buffer.alloc(0);

/** Takes a stream apart as its bytes come in. One error ends it: where the next frame starts is unknown. */
export class LengthFrameReader {
  readonly #limit: number;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #body: Buffer | null = null;
  #bodyBytes = 0;
  #rest: Buffer = NOTHING;

  /** @param maxPackageSize - the longest body, in bytes */
  constructor(maxPackageSize: number) {
    this.#limit = checkInteger('maxPackageSize', maxPackageSize, 1, MAX_LENGTH);
  }

  /** What the last chunk had after the frame it ended: push it to go on. */
  get rest(): Buffer {
    return this.#rest;
  }

  /**
   * Takes the next bytes of the stream, up to the end of a frame.
   *
   * @returns the body of the frame that is whole now, or null. It is a part of `chunk` when that has all
   * of it; otherwise it was copied once.
   * @throws PreforkError ERR_EMPTY_DATA for length 0, ERR_MESSAGE_TOO_BIG for a length over the limit:
   * both as soon as the length is there
   */
  push(chunk: Buffer): Buffer | null {
    this.#rest = NOTHING;
    const start = this.#takeHeader(chunk);
    if (this.#headerBytes < HEADER_BYTES) return null;
    return this.#takeBody(chunk, start);
  }

  /** The stream has ended.  @throws EPROTO within a frame */
  end(): void {
    if (this.#headerBytes === 0) return;
    const length = this.#headerBytes < HEADER_BYTES ? null : this.#header.readUInt32BE();
    const missing =
      length === null
        ? `${this.#headerBytes} of the ${HEADER_BYTES} bytes of a length`
        : `${this.#bodyBytes} of the ${length} bytes of a frame`;
    throw systemError('EPROTO', 'read', `the stream ended after ${missing}`);
  }

  /** Where the body goes on in `chunk`. */
  #takeHeader(chunk: Buffer): number {
    const taken = chunk.copy(this.#header, this.#headerBytes);
    this.#headerBytes += taken;
    return taken;
  }

  #takeBody(chunk: Buffer, start: number): Buffer | null {
    const length = this.#body?.length ?? this.#checkedLength();
    const end = Math.min(chunk.length, start + length - this.#bodyBytes);
    if (end - start === length) return this.#finish(chunk.subarray(start, end), chunk, end);
    // All at once: growing it would copy again, and pages that nothing was written to cost nothing.
    this.#body ??= Buffer.allocUnsafeSlow(length);
    this.#bodyBytes += chunk.copy(this.#body, this.#bodyBytes, start, end);
    return this.#bodyBytes < length ? null : this.#finish(this.#body, chunk, end);
  }

  #finish(body: Buffer, chunk: Buffer, end: number): Buffer {
    this.#rest = chunk.subarray(end);
    this.#headerBytes = this.#bodyBytes = 0;
    this.#body = null;
    return body;
  }

  #checkedLength(): number {
    const length = this.#header.readUInt32BE();
    if (length === 0) throw new PreforkError('ERR_EMPTY_DATA', 'a frame has length 0');
    if (length > this.#limit) throw tooBig(length, this.#limit, 'raise maxPackageSize');
    return length;
  }
}

/**
 * One frame whose body is all pieces joined.
 *
 * @throws PreforkError ERR_EMPTY_DATA without any byte; ERR_MESSAGE_TOO_BIG from 4 GiB on
 */
export function encodeFrame(pieces: readonly Buffer[]): Buffer {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length === 0) throw new PreforkError('ERR_EMPTY_DATA', 'a frame must not be empty');
  if (length > MAX_LENGTH) throw tooBig(length, MAX_LENGTH, 'send it in parts');
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length);
  return Buffer.concat([header, ...pieces], HEADER_BYTES + length);
}

function tooBig(length: number, limit: number, advice: string): PreforkError {
  return new PreforkError(
    'ERR_MESSAGE_TOO_BIG',
    `a frame of ${length} bytes, the limit is ${limit} bytes: ${advice}`,
  );
}
