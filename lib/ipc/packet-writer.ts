/**
 * The write end of a packet socket: any process that has it sends whole messages. Those of one process
 * arrive in the order of its calls, small and large, blocking and not.
 *
 *   send()       -> kernel
 *   sendAsync()  -> kernel, or while that is full -> queue -> kernel, when the event loop says writable
 */
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { checkInteger } from '../validate';
import { ballastOf, encodeHeader, HEADER_BYTES, INLINE, MEMFD } from './frame';
import { generation } from './generation';
import { NO_FD, PacketEnd, type Packet, type PacketMeta } from './packet-end';

const POLLOUT = 4;
const FOREVER = -1;
const LONGEST_TIMEOUT = 0x7fffffff;

/** How long to wait while messages of this user hold all the fds that may be in flight. */
const FDS_IN_FLIGHT_NAP_MS = 2;

/** What became of a frame. */
const SENT = 1;
const FULL = 0;
const TOO_MANY_FDS_IN_FLIGHT = -1;

interface Waiting extends Packet {
  resolve: () => void;
  reject: (error: Error) => void;
}

/** What one process has still to send: after a fork it is the parent's. */
interface Backlog {
  readonly generation: number;
  readonly waiting: Waiting[];
  nap: NodeJS.Timeout | null;
}

const NO_META: PacketMeta = {};

const header = new DataView(new ArrayBuffer(HEADER_BYTES));
const headerBytes = new Uint8Array(header.buffer);

export class PacketWriter extends PacketEnd {
  #backlog: Backlog = emptyBacklog();

  /** Messages of {@link sendAsync} in this process that the kernel has not taken yet. */
  get waiting(): number {
    return this.#ownBacklog().waiting.length;
  }

  /**
   * Sends one message, after those that wait in {@link sendAsync}.
   *
   * @param timeoutMs - how long to block while the pipe is full; 0: not at all; -1: without limit
   * @returns false when the pipe stayed full; nothing of the message was sent then
   * @throws PreforkError ERR_EMPTY_DATA; ERR_MESSAGE_TOO_BIG with the limit; ERR_OUT_OF_RANGE;
   * ERR_NO_PIPE when closed. EMFILE, ENOSPC, ENOMEM for a large message: nothing was sent. EPIPE when no
   * process has the read end
   */
  send(data: Buffer, meta: PacketMeta = NO_META, timeoutMs = FOREVER): boolean {
    const packet = this.#packet(data, meta);
    checkInteger('timeoutMs', timeoutMs, FOREVER, LONGEST_TIMEOUT);
    const end = endOf(timeoutMs);
    const { waiting } = this.#ownBacklog();
    while (waiting.length > 0) {
      if (this.#sendFirst(waiting, end) !== SENT) return false;
    }
    return this.#put(packet, end) === SENT;
  }

  /**
   * {@link send} that waits on the event loop while the pipe is full. Leave `data` as it is meanwhile.
   *
   * @param signal - takes the message back while it waits; the promise rejects with its reason
   */
  async sendAsync(data: Buffer, meta: PacketMeta = NO_META, signal?: AbortSignal): Promise<void> {
    const packet = this.#packet(data, meta);
    signal?.throwIfAborted();
    const backlog = this.#ownBacklog();
    if (backlog.waiting.length === 0 && this.#put(packet, 0) === SENT) return;
    await this.#enqueue(backlog, packet, signal);
  }

  /** Rejects what waits with ERR_NO_PIPE. */
  override close(): void {
    const { waiting, nap } = this.#ownBacklog();
    if (nap !== null) clearTimeout(nap);
    super.close();
    for (const { reject } of waiting.splice(0)) {
      reject(new PreforkError('ERR_NO_PIPE', 'the pipe was closed before the message was sent'));
    }
  }

  #ownBacklog(): Backlog {
    if (this.#backlog.generation !== generation()) this.#backlog = emptyBacklog();
    return this.#backlog;
  }

  #packet(data: Buffer, meta: PacketMeta): Packet {
    if (data.length === 0) throw new PreforkError('ERR_EMPTY_DATA', 'data must not be empty');
    if (data.length > this.maxBytes) {
      throw new PreforkError(
        'ERR_MESSAGE_TOO_BIG',
        `a message of ${String(data.length)} bytes, the limit (maxBytes) is ${String(this.maxBytes)}`,
      );
    }
    const { sender = 0, tag = 0, flags = 0 } = meta;
    if (meta !== NO_META) {
      checkInteger('sender', sender, -0x80000000, 0x7fffffff);
      checkInteger('tag', tag, 0, 0xffffffff);
      checkInteger('flags', flags, 0, 0xff);
    }
    return { data, sender, tag, flags };
  }

  #enqueue(backlog: Backlog, packet: Packet, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiting = { ...packet, resolve, reject };
      if (signal !== undefined) this.#makeAbortable(backlog, entry, signal);
      // The first of them has said so already.
      if (backlog.waiting.push(entry) === 1) this.#pumpWhenWritable(backlog);
    });
  }

  #makeAbortable(backlog: Backlog, entry: Waiting, signal: AbortSignal): void {
    const { resolve, reject } = entry;
    const abort = (): void => {
      backlog.waiting.splice(backlog.waiting.indexOf(entry), 1);
      this.#restIfNothingWaits(backlog);
      reject(signal.reason as Error);
    };
    entry.resolve = () => {
      signal.removeEventListener('abort', abort);
      resolve();
    };
    entry.reject = (error) => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
    signal.addEventListener('abort', abort, { once: true });
  }

  #pumpWhenWritable(backlog: Backlog): void {
    if (backlog.nap !== null) return;
    this.watcher().onWritable(() => {
      this.#pump(backlog);
    });
  }

  /** A watch of a pipe that stays full would keep the process running for nothing. */
  #restIfNothingWaits(backlog: Backlog): void {
    if (backlog.waiting.length > 0 || backlog !== this.#ownBacklog()) return;
    if (backlog.nap !== null) clearTimeout(backlog.nap);
    backlog.nap = null;
    this.stopWatching();
  }

  /** Sends what waits; at most one large message in a turn of the loop. */
  #pump(backlog: Backlog): void {
    const { waiting } = backlog;
    let outcome = SENT;
    for (let large = false; outcome === SENT && waiting.length > 0 && !large;) {
      large = this.#isLarge(waiting[0] as Waiting);
      outcome = this.#sendFirst(waiting, 0);
    }
    if (outcome === TOO_MANY_FDS_IN_FLIGHT) this.#napThenPump(backlog);
    else if (waiting.length === 0) this.stopWatching();
  }

  /** The pipe itself has room, so that its watcher would call at once. */
  #napThenPump(backlog: Backlog): void {
    this.stopWatching();
    backlog.nap = setTimeout(() => {
      backlog.nap = null;
      this.#pumpWhenWritable(backlog);
    }, FDS_IN_FLIGHT_NAP_MS);
  }

  /** What fails is told to its own caller, and the next one has its turn. */
  #sendFirst(waiting: Waiting[], end: number): number {
    const first = waiting[0] as Waiting;
    try {
      const outcome = this.#put(first, end);
      if (outcome !== SENT) return outcome;
      first.resolve();
    } catch (error) {
      first.reject(error as Error);
    }
    waiting.shift();
    return SENT;
  }

  #isLarge({ data }: Packet): boolean {
    return data.length > this.inlineLimit;
  }

  #put(packet: Packet, end: number): number {
    const fd = this.openFd();
    if (this.#isLarge(packet)) return this.#putLarge(fd, packet, end);
    return putFrame(fd, packet, packet.data.length, NO_FD, end);
  }

  /** A memfd is costly to fill: not before there is room for its frame. */
  #putLarge(fd: number, packet: Packet, end: number): number {
    while (binding.packetFull(fd)) {
      if (!waitAfter(FULL, fd, end)) return FULL;
    }
    // Early: a reader that has just seen no memfd coming has received by the time this one is filled.
    this.memfds?.add(1);
    let outcome = FULL;
    try {
      outcome = this.#putMemfd(fd, packet, end);
    } finally {
      if (outcome !== SENT) this.memfds?.add(-1);
    }
    return outcome;
  }

  #putMemfd(fd: number, packet: Packet, end: number): number {
    const { data } = packet;
    const memfd = binding.memfdWith(data);
    try {
      const ballast = ballastOf(data.length, this.inlineLimit);
      return putFrame(fd, packet, ballast, memfd, end);
    } finally {
      binding.closeFd(memfd);
    }
  }
}

function emptyBacklog(): Backlog {
  return { generation: generation(), waiting: [], nap: null };
}

/** A point of performance.now(). */
function endOf(timeoutMs: number): number {
  if (timeoutMs === FOREVER) return Infinity;
  return timeoutMs === 0 ? 0 : performance.now() + timeoutMs;
}

function putFrame(fd: number, packet: Packet, bytes: number, memfd: number, end: number): number {
  const { data, sender, tag, flags } = packet;
  const kind = memfd === NO_FD ? INLINE : MEMFD;
  encodeHeader(header, { kind, flags, sender, length: data.length, tag });
  for (;;) {
    const outcome = binding.packetSend(fd, headerBytes, data, bytes, memfd);
    if (outcome === SENT || !waitAfter(outcome, fd, end)) return outcome;
  }
}

/** Blocks until it is worth another try. False when the time is over. */
function waitAfter(outcome: number, fd: number, end: number): boolean {
  if (end === 0) return false;
  const left = end === Infinity ? FOREVER : Math.max(0, Math.ceil(end - performance.now()));
  if (left === 0) return false;
  if (outcome === FULL) return binding.pollFd(fd, POLLOUT, left) !== 0;
  const nap = left === FOREVER ? FDS_IN_FLIGHT_NAP_MS : Math.min(left, FDS_IN_FLIGHT_NAP_MS);
  binding.pollFd(-1, 0, nap);
  return true;
}
