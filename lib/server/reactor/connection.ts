/**
 * One connection of a client, in the process that holds it. It owns the fd.
 *
 *   open -- no packet comes any more --> inputEnded -- the worker has closed it --> ending
 *     \---- close() ------------------------------------------------------------> ending
 *                                                   ending --- all is sent ------> closed
 */
import { binding } from '../../binding';
import { isSystemError } from '../../errors';
import type { Framing } from '../framing/framing';
import type { Session } from '../session';
import type { ServerPort } from '../port';
import type { Source } from '../dispatch';

export type ConnectionState = 'open' | 'inputEnded' | 'ending' | 'closed';

/**
 * Why a connection ends, as its worker is told. No packet comes of it any more because its peer has ended,
 * or what it sent cannot be read: answered with an end() when the packets before have been handled.
 */
export const BY_PEER = 0;
export const UNREADABLE = 2;
/** It is closed: nothing is to be answered. */
export const BY_SERVER = 1;
export type CloseReason = typeof BY_PEER | typeof BY_SERVER | typeof UNREADABLE;

const SHUT_WR = 1;

/** How much input is read and thrown away at the end. */
const DISCARD_BYTES = 64 * 1024;
const DISCARD_READS = 16;
let discarded: Buffer | null = null;

/** Small buffers up to so many bytes together leave with one call. */
const LONGEST_JOINED = 64 * 1024;

export class Connection {
  readonly fd: number;
  readonly session: Session;
  readonly port: ServerPort;
  readonly framing: Framing;
  /** What the choice of a worker depends on. */
  readonly source: Source;
  state: ConnectionState = 'open';
  /** Events that epoll watches for it. */
  watched = 0;
  /** Not read: the user has paused it, or its worker has too much to do. */
  paused = false;
  congested = false;
  /** Above its high watermark, and told so. */
  full = false;
  /** Sends what it has at the end of this turn. */
  dirty = false;
  /** In the state inputEnded. */
  endedBy: CloseReason = BY_PEER;
  /** The worker knows that it is closed. */
  toldWorker = false;
  /** The worker that its last event went to. */
  worker = -1;
  #queue: Buffer[] = [];
  #queuedBytes = 0;

  constructor(fd: number, session: Session, port: ServerPort) {
    this.fd = fd;
    this.session = session;
    this.port = port;
    this.framing = port.makeFraming();
    const address = session.remoteAddress;
    this.source = {
      fd: session.id,
      address,
      get uid() {
        return session.uid;
      },
    };
  }

  get id(): number {
    return this.session.id;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** In the middle of a packet, or new and silent. */
  get unfinished(): boolean {
    if (this.state !== 'open') return false;
    return this.session.lastReceivedAt === 0 || this.framing.pendingBytes > 0;
  }

  /** Which watermark what waits has reached since it was last asked. */
  crossedWatermark(): 'bufferFull' | 'bufferEmpty' | null {
    const { bufferHighWatermark, bufferLowWatermark } = this.port.setting;
    const isFull = this.#queuedBytes >= (this.full ? bufferLowWatermark + 1 : bufferHighWatermark);
    if (isFull === this.full) return null;
    this.full = isFull;
    return isFull ? 'bufferFull' : 'bufferEmpty';
  }

  push(data: Buffer): void {
    this.#queue.push(data);
    this.#queuedBytes += data.length;
  }

  /**
   * @param borrowed - what was pushed last and still waits is copied: its owner may use its buffer again
   * @returns bytes sent; -1: the peer is gone and what was queued was dropped
   */
  flush(borrowed = false): number {
    let total = 0;
    try {
      while (this.#queuedBytes > 0) {
        const next = this.#nextToSend();
        const sent = binding.send(this.fd, next, 0, next.length, 0);
        total += sent;
        this.#queuedBytes -= sent;
        if (sent < next.length) {
          this.#queue.unshift(sent === 0 ? next : next.subarray(sent));
          break;
        }
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.drop();
      return -1;
    }
    const last = this.#queue.length - 1;
    if (borrowed && last >= 0) this.#queue[last] = Buffer.from(this.#queue[last] as Buffer);
    return total;
  }

  #nextToSend(): Buffer {
    const first = this.#queue.shift() as Buffer;
    if (this.#queue.length === 0 || first.length >= LONGEST_JOINED) return first;
    const joined = [first];
    for (let bytes = first.length; this.#queue.length > 0;) {
      bytes += this.#queue[0]?.length ?? 0;
      if (bytes > LONGEST_JOINED) break;
      joined.push(this.#queue.shift() as Buffer);
    }
    return joined.length === 1 ? first : Buffer.concat(joined);
  }

  /** Forgets what was not sent. */
  drop(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** @param reset - the peer learns by RST that it was cut off */
  close(reset: boolean): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.drop();
    try {
      if (reset) binding.resetOnClose(this.fd);
      else this.#shutDown();
    } catch {
      // ENOTCONN, ECONNRESET: the peer was faster.
    }
    binding.closeFd(this.fd);
  }

  /** The peer is to see it also when a process that was forked meanwhile has a copy of the fd. */
  #shutDown(): void {
    binding.shutdown(this.fd, SHUT_WR);
    // Closing with input unread makes the kernel throw away what the peer has not taken yet.
    discarded ??= Buffer.allocUnsafeSlow(DISCARD_BYTES);
    for (let reads = 0; reads < DISCARD_READS; reads++) {
      if (binding.receive(this.fd, discarded, 0, DISCARD_BYTES, 0) <= 0) return;
    }
  }
}
