/**
 * One end of a socketpair: blocking calls and their async twins. It owns its fd.
 *
 *   stream  SOCK_STREAM     a read returns what is there, up to its size
 *   dgram   SOCK_SEQPACKET  a read returns one message; unlike SOCK_DGRAM it tells when the peer is gone
 *
 * See unix(7), socketpair(2).
 */
import { binding } from '../binding';
import { isSystemError, PreforkError, systemError } from '../errors';
import { alignedBuffer } from './aligned-buffer';
import { keepFreedMemory } from './freed-memory';
import { generation } from './generation';
import { ownedCopy } from './owned-copy';
import { OwnedFd } from './owned-fd';
import { TurnBudget } from './turn-budget';

export type SocketKind = 'stream' | 'dgram';

const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;

/** Asked for at both ends; the kernel cuts it to net.core.wmem_max, usually 208 KiB. */
const SOCKET_BUFFER_BYTES = 1024 * 1024;

/** The longest piece that one read of a stream returns. */
export const MAX_READ_BYTES = 65536;

const DEFAULT_READ_BYTES = 8192;
const FOREVER = -1;

/** Where the kernel puts data before its length is known. Pages of it that are never used cost nothing. */
let scratch: Buffer = Buffer.alloc(0);

function scratchOf(bytes: number): Buffer {
  if (scratch.length < bytes) scratch = alignedBuffer(bytes);
  return scratch;
}

/**
 * Reads of so much go to memory of their own, which is given away when they fill most of it: a copy would
 * take longer than the read.
 */
const LEAST_GIVEN_AWAY = 16 * 1024;

/** After so many of them in one process more are expected. */
const MANY_GIVEN_AWAY = 64;

let spare: Buffer | null = null;
let givenAway = 0;

function spareOf(bytes: number): Buffer {
  if (spare === null || spare.length < bytes) spare = alignedBuffer(bytes);
  return spare;
}

function giveAway(data: Buffer): Buffer {
  spare = null;
  if (++givenAway === MANY_GIVEN_AWAY) keepFreedMemory();
  return data;
}

function tooBig(what: string, bytes: number, limit: number, advice: string): PreforkError {
  return new PreforkError(
    'ERR_MESSAGE_TOO_BIG',
    `${what} of ${String(bytes)} bytes, the limit is ${String(limit)} bytes: ${advice}`,
  );
}

export class UnixSocket extends OwnedFd {
  readonly kind: SocketKind;
  #timeout = FOREVER;
  #blocking = true;
  #messageLimit = 0;
  #ended = false;
  /** A message that did not fit the size a read was called with. */
  #held: Buffer | null = null;
  #reads: Promise<unknown> = Promise.resolve();
  #writes: Promise<unknown> = Promise.resolve();
  readonly #turn = new TurnBudget();
  #generation = generation();

  constructor(fd: number, kind: SocketKind) {
    super(fd);
    this.kind = kind;
  }

  /** Two connected ends, closed on exec. */
  static pair(kind: SocketKind): [UnixSocket, UnixSocket] {
    const type = kind === 'stream' ? SOCK_STREAM : SOCK_SEQPACKET;
    const [a, b] = binding.socketPair(type, SOCKET_BUFFER_BYTES);
    return [new UnixSocket(a, kind), new UnixSocket(b, kind)];
  }

  /** The longest message that one write of a dgram socket takes, in bytes. */
  get messageLimit(): number {
    if (this.#messageLimit === 0) this.#messageLimit = binding.messageLimit(this.openFd());
    return this.#messageLimit;
  }

  /** Bounds blocking reads and writes, in milliseconds; 0 removes the bound. */
  setTimeout(milliseconds: number): void {
    this.#timeout = milliseconds === 0 ? FOREVER : milliseconds;
  }

  setBlocking(on: boolean): void {
    this.#blocking = on;
  }

  /** An empty Buffer at the end; null when nothing came in time. */
  read(size?: number): Buffer | null {
    return this.#take(size, this.#blocking ? this.#timeout : 0);
  }

  /** Bytes written: all, or those that went out before the time was over. */
  write(data: Buffer): number {
    const written = this.#put(data, 0, this.#blocking ? this.#timeout : 0);
    if (written === 0) throw systemError('EAGAIN', 'send', 'the peer reads too slowly');
    return written;
  }

  readAsync(size?: number, signal?: AbortSignal): Promise<Buffer> {
    this.#forgetInherited();
    const read = this.#reads.then(() => this.#readWhenReady(size, signal));
    this.#reads = read.catch(() => undefined);
    return read;
  }

  writeAsync(data: Buffer, signal?: AbortSignal): Promise<number> {
    this.#forgetInherited();
    const write = this.#writes.then(() => this.#writeWhenReady(data, signal));
    this.#writes = write.catch(() => undefined);
    return write;
  }

  /** True when the peer is gone and everything it sent has been read. */
  atEnd(): boolean {
    return this.#held === null && binding.peekInput(this.openFd()) === 0;
  }

  /** Whether a read would find something, or the end, at once. */
  hasInput(): boolean {
    return this.#held !== null || binding.peekInput(this.openFd()) >= 0;
  }

  /** `how`: 0 ends reading, 1 ends writing.  See shutdown(2). */
  shutdown(how: 0 | 1): void {
    binding.shutdown(this.openFd(), how);
  }

  /** Closes after the last byte was read: reads that wait meanwhile are at the end, writes are EPIPE. */
  closeAtEnd(): void {
    this.#ended = true;
    this.close();
  }

  async #readWhenReady(size?: number, signal?: AbortSignal): Promise<Buffer> {
    signal?.throwIfAborted();
    for (;;) {
      const data = this.#take(size, 0);
      if (data !== null) {
        await this.#turn.spend();
        return data;
      }
      await this.watcher().readable(signal);
      this.#turn.renew();
    }
  }

  async #writeWhenReady(data: Buffer, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    let written = this.#put(data, 0, 0);
    while (written < data.length) {
      await this.watcher().writable(signal);
      written += this.#put(data, written, 0);
    }
    return written;
  }

  #take(size: number | undefined, timeout: number): Buffer | null {
    if (this.#ended) return Buffer.alloc(0);
    return this.kind === 'stream'
      ? this.#takeBytes(size ?? DEFAULT_READ_BYTES, timeout)
      : this.#takeMessage(size, timeout);
  }

  #takeBytes(size: number, timeout: number): Buffer | null {
    const wanted = Math.min(size, MAX_READ_BYTES);
    const room = wanted < LEAST_GIVEN_AWAY ? scratchOf(MAX_READ_BYTES) : spareOf(wanted);
    const bytes = binding.receive(this.openFd(), room, 0, wanted, timeout);
    if (bytes < 0) return null;
    const data = room.subarray(0, bytes);
    return room === spare && bytes > room.length / 2 ? giveAway(data) : ownedCopy(data);
  }

  #takeMessage(size: number | undefined, timeout: number): Buffer | null {
    this.#forgetInherited();
    const message = this.#held ?? this.#receiveMessage(timeout);
    if (message !== null && size !== undefined && message.length > size) {
      this.#held = message;
      throw tooBig('a message', message.length, size, 'it is kept for a read with a larger size');
    }
    this.#held = null;
    return message;
  }

  #receiveMessage(timeout: number): Buffer | null {
    const fd = this.openFd();
    const room = scratchOf(this.messageLimit);
    const bytes = binding.receive(fd, room, 0, room.length, timeout);
    return bytes < 0 ? null : ownedCopy(scratch.subarray(0, bytes));
  }

  #put(data: Buffer, offset: number, timeout: number): number {
    if (this.#ended) throw systemError('EPIPE', 'send', 'the peer is gone');
    const fd = this.openFd();
    if (this.kind === 'dgram' && data.length > this.messageLimit) throw this.#refuse(data.length);
    try {
      return binding.send(fd, data, offset, data.length - offset, timeout);
    } catch (error) {
      // The kernel's own limits for one message depend on free memory as well.
      const big = isSystemError(error) && (error.code === 'EMSGSIZE' || error.code === 'ENOBUFS');
      throw big && this.kind === 'dgram' ? this.#refuse(data.length) : error;
    }
  }

  #refuse(bytes: number): PreforkError {
    const advice = 'send it in parts, use a stream pipe, or raise net.core.wmem_max';
    return tooBig('a message', bytes, this.messageLimit, advice);
  }

  /** What a parent waits for is the parent's: in a child it would never come. */
  #forgetInherited(): void {
    if (this.#generation === generation()) return;
    this.#generation = generation();
    this.#reads = this.#writes = Promise.resolve();
    this.#held = null;
  }

  protected override closedError(): PreforkError {
    return new PreforkError('ERR_NO_PIPE', 'the pipe is closed');
  }
}
