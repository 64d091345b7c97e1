/**
 * Requests over a listening socket that the workers share, in one worker: one request per connection.
 *
 *   waiting ---- whole frame --------------------------> answering -- flushed --> closed
 *      \                                                   ^                \--> lingering --> closed
 *       `- PATIENCE_MS --> slow -- whole frame --> ready --'
 *
 * Waiting and answering connections hold one of `concurrency` slots. While all are held nothing is
 * accepted: new connections go to an idle sibling, or stay in the kernel's backlog. A slow client gives
 * its slot back, so that a few of them cannot stop the workers.
 *
 * A connection owns its fd. Frames: see length-frame.ts.
 */
import { Socket } from 'node:net';
import { binding } from '../../binding';
import { systemError } from '../../errors';
import { FdWatcher } from '../../ipc/fd-watcher';
import { encodeFrame, LengthFrameReader } from '../../ipc/length-frame';
import type { ListeningSocket } from '../../ipc/listening-socket';

/** The joined pieces are the reply's body; without any byte nothing is written. */
export type Reply = readonly Buffer[] | null;

export interface StreamRequestsOptions {
  /** Requests in flight at once. Default 1. */
  concurrency?: number;
  /** The longest body of a request, in bytes. Default 2 MiB. */
  maxPackageSize?: number;
  /** From accept to the whole frame, in ms. Default 10,000. */
  frameTimeout?: number;
  /** How long the client may take nothing of its reply, in ms. Default: `frameTimeout`. */
  replyTimeout?: number;
  onRequest(data: Buffer): Reply | Promise<Reply>;
  /** A handler has failed, or its reply is too long; the connection was closed without a reply. */
  onError(error: unknown): void;
  /** A whole frame is there and `onRequest` is called next. */
  onTaken?(): void;
  /** Once for each `onTaken`: the reply has been written, or the connection was closed. */
  onDone?(): void;
  /** A connection was closed because of what its client did, or did not do in time. */
  onDropped?(error: Error): void;
  /** Nothing can be accepted, as a rule for want of fds (EMFILE); told once until it works again. */
  onAcceptError?(error: Error): void;
}

type Limits = Required<
  Pick<StreamRequestsOptions, 'concurrency' | 'maxPackageSize' | 'frameTimeout' | 'replyTimeout'>
>;

const DEFAULT_PACKAGE_BYTES = 2 * 1024 * 1024;
const DEFAULT_FRAME_TIMEOUT = 10_000;

/** A frame comes with the connection, as a rule. A client that takes longer does not hold a slot. */
const PATIENCE_MS = 20;

/** Connections beside those with a slot: slow, ready and lingering ones. */
const MAX_WITHOUT_SLOT = 256;

/** After a failed accept, when no connection closes meanwhile. */
const ACCEPT_RETRY_MS = 100;

/** For a client that sent more than its frame: how long that is read and thrown away. */
const LINGER_MS = 1000;

const SHUT_RDWR = 2;

/** What a connection tells of itself. */
interface ConnectionOwner {
  onFrame: (connection: Connection, body: Buffer) => void;
  onSlow: (connection: Connection) => void;
  onDropped: (error: Error) => void;
  onClosed: (connection: Connection) => void;
}

class Connection {
  /** One of the worker's slots is taken for it. */
  holdsSlot = true;
  /** Its request is handled; the slot is held until that has ended, whatever becomes of the client. */
  answering = false;
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #reader: LengthFrameReader;
  readonly #limits: Limits;
  readonly #owner: ConnectionOwner;
  readonly #patience: NodeJS.Timeout;
  #deadline: NodeJS.Timeout;
  #framed = false;
  #flushed = false;
  #settle: () => void = () => undefined;

  constructor(fd: number, limits: Limits, owner: ConnectionOwner) {
    this.#reader = new LengthFrameReader(limits.maxPackageSize);
    this.#fd = fd;
    this.#limits = limits;
    this.#owner = owner;
    // Half open: a client may end its side and still wait for the reply.
    this.#socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
      .on('data', this.#read)
      .on('end', this.#readEnd)
      .on('error', this.#fail)
      .on('close', this.#closed);
    this.#patience = setTimeout(() => {
      owner.onSlow(this);
    }, PATIENCE_MS);
    // Timers go before input: a handler may have held up the loop while the frame lay in the kernel.
    this.#deadline = setTimeout(() => setImmediate(this.#expire), limits.frameTimeout);
  }

  /** Resolves when the reply is with the kernel, or the connection was closed. */
  async reply(frame: Buffer | null): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      const { replyTimeout } = this.#limits;
      this.#socket.setTimeout(replyTimeout, () => {
        this.#drop(systemError('ETIMEDOUT', 'write', `nothing was read for ${replyTimeout} ms`));
      });
      this.#socket.once('finish', this.#finish);
      if (frame !== null) this.#socket.write(frame);
      this.#socket.end();
    });
  }

  readonly destroy = (): void => {
    if (this.#socket.destroyed) return;
    // The client is to see it also when a process that was forked meanwhile has a copy of the fd.
    try {
      binding.shutdown(this.#fd, SHUT_RDWR);
    } catch {
      // ENOTCONN: the client was faster.
    }
    this.#socket.destroy();
  };

  readonly #read = (chunk: Buffer): void => {
    if (this.#framed) return;
    let body: Buffer | null;
    try {
      body = this.#reader.push(chunk);
    } catch (error) {
      this.#drop(error as Error);
      return;
    }
    if (body !== null) this.#takeFrame(body);
  };

  #takeFrame(body: Buffer): void {
    this.#framed = true;
    this.#stopTimers();
    this.#socket.pause();
    this.#owner.onFrame(this, body);
  }

  readonly #readEnd = (): void => {
    if (this.#framed) return;
    try {
      this.#reader.end();
      this.destroy();
    } catch (error) {
      this.#drop(error as Error);
    }
  };

  readonly #finish = (): void => {
    this.#flushed = true;
    this.#socket.setTimeout(0);
    this.#settle();
    if (this.#hasMoreInput()) this.#linger();
    else this.#socket.destroy();
  };

  /** Closing with input unread, or to come, makes the kernel throw away what it has of the reply. */
  #linger(): void {
    this.#deadline = setTimeout(this.destroy, LINGER_MS);
    this.#socket.resume();
  }

  #hasMoreInput(): boolean {
    if (this.#reader.rest.length > 0 || this.#socket.readableLength > 0) return true;
    try {
      return binding.peekInput(this.#fd) > 0;
    } catch {
      return false;
    }
  }

  readonly #expire = (): void => {
    if (this.#framed) return;
    const what = `no whole frame came within ${this.#limits.frameTimeout} ms`;
    this.#drop(systemError('ETIMEDOUT', 'read', what));
  };

  #drop(error: Error): void {
    if (this.#socket.destroyed) return;
    this.#fail(error);
    this.destroy();
  }

  /** What the client does after its reply is of no interest. */
  readonly #fail = (error: Error): void => {
    if (!this.#flushed) this.#owner.onDropped(error);
  };

  readonly #closed = (): void => {
    this.#stopTimers();
    this.#settle();
    this.#owner.onClosed(this);
  };

  #stopTimers(): void {
    clearTimeout(this.#patience);
    clearTimeout(this.#deadline);
  }
}

export class StreamRequests {
  readonly #listening: ListeningSocket;
  readonly #options: StreamRequestsOptions;
  readonly #limits: Limits;
  readonly #watcher: FdWatcher;
  readonly #connections = new Set<Connection>();
  /** Whole frames of slow clients that wait for a slot. */
  readonly #ready: { connection: Connection; body: Buffer }[] = [];
  #slotsHeld = 0;
  #inFlight = 0;
  #started = false;
  #acceptFailed = false;
  #retry: NodeJS.Timeout | null = null;
  #stopped: Promise<void> | null = null;
  #drained: () => void = () => undefined;
  readonly #owner: ConnectionOwner = {
    onFrame: (connection, body) => {
      if (connection.holdsSlot) void this.#answer(connection, body);
      else this.#ready.push({ connection, body });
      this.#fillSlots();
    },
    onSlow: (connection) => {
      this.#releaseSlot(connection);
    },
    onDropped: (error) => {
      this.#options.onDropped?.(error);
    },
    onClosed: (connection) => {
      this.#connections.delete(connection);
      if (!connection.answering) this.#releaseSlot(connection);
      this.#resumeAccept();
      this.#checkDrained();
    },
  };

  /** To be made in the worker. */
  constructor(listening: ListeningSocket, options: StreamRequestsOptions) {
    const frameTimeout = options.frameTimeout ?? DEFAULT_FRAME_TIMEOUT;
    this.#listening = listening;
    this.#options = options;
    this.#limits = {
      concurrency: options.concurrency ?? 1,
      maxPackageSize: options.maxPackageSize ?? DEFAULT_PACKAGE_BYTES,
      frameTimeout,
      replyTimeout: options.replyTimeout ?? frameTimeout,
    };
    this.#watcher = new FdWatcher(listening.fd);
  }

  /** Requests whose handler runs or whose reply is being written. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Open connections in every state. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts from now on, and keeps the event loop running. */
  start(): void {
    if (this.#stopped !== null) return;
    this.#started = true;
    this.#update();
  }

  /**
   * Takes no new connection. Resolves when those there are have been answered or closed: one without a
   * whole frame has the rest of its `frameTimeout`. Does not close the listening socket.
   */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#drained = resolve;
      this.#watcher.close();
      if (this.#retry !== null) clearTimeout(this.#retry);
    });
    this.#checkDrained();
    return this.#stopped;
  }

  async #answer(connection: Connection, body: Buffer): Promise<void> {
    connection.answering = true;
    this.#inFlight++;
    this.#options.onTaken?.();
    try {
      const pieces = await this.#options.onRequest(body);
      await connection.reply(pieces?.some(({ length }) => length > 0) ? encodeFrame(pieces) : null);
    } catch (error) {
      connection.destroy();
      this.#options.onError(error);
    } finally {
      connection.answering = false;
      this.#inFlight--;
      this.#options.onDone?.();
      this.#releaseSlot(connection);
      this.#checkDrained();
    }
  }

  #releaseSlot(connection: Connection): void {
    if (!connection.holdsSlot) return;
    connection.holdsSlot = false;
    this.#slotsHeld--;
    this.#fillSlots();
  }

  #fillSlots(): void {
    while (this.#slotsHeld < this.#limits.concurrency) {
      const next = this.#ready.shift();
      if (next === undefined) break;
      next.connection.holdsSlot = true;
      this.#slotsHeld++;
      void this.#answer(next.connection, next.body);
    }
    this.#update();
  }

  /** One connection a turn, although there may be more: siblings are to have their share. */
  readonly #accept = (): void => {
    try {
      const fd = this.#listening.accept();
      this.#acceptFailed = false;
      if (fd !== null) this.#adopt(fd);
    } catch (error) {
      this.#pauseAccept(error as Error);
    }
    this.#update();
  };

  #adopt(fd: number): void {
    try {
      this.#connections.add(new Connection(fd, this.#limits, this.#owner));
    } catch (error) {
      binding.closeFd(fd);
      throw error;
    }
    this.#slotsHeld++;
  }

  /** The connection that could not be accepted keeps the socket readable: watching it would spin. */
  #pauseAccept(error: Error): void {
    this.#retry = setTimeout(this.#resumeAccept, ACCEPT_RETRY_MS);
    if (!this.#acceptFailed) this.#options.onAcceptError?.(error);
    this.#acceptFailed = true;
  }

  readonly #resumeAccept = (): void => {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#update();
  };

  #update(): void {
    if (this.#stopped !== null) return;
    this.#watcher.onReadable(this.#mayAccept() ? this.#accept : null);
  }

  #mayAccept(): boolean {
    const { concurrency } = this.#limits;
    return (
      this.#started &&
      this.#retry === null &&
      this.#slotsHeld < concurrency &&
      this.#connections.size < concurrency + MAX_WITHOUT_SLOT
    );
  }

  #checkDrained(): void {
    if (this.#stopped !== null && this.#connections.size === 0 && this.#inFlight === 0) {
      this.#drained();
    }
  }
}
