/**
 * Requests over a listening socket that the workers share, in one worker: one request per connection.
 *
 *   waiting ---- whole frame --------------------------> answering --> stream-connection.ts
 *      \                                                   ^
 *       `- client is slow -- whole frame --> ready --------'
 *
 * Waiting and answering connections hold one of `concurrency` slots. While all are held nothing is
 * accepted: new connections go to an idle sibling, or stay in the kernel's backlog. A slow client gives
 * its slot back, so that a few of them cannot stop the workers.
 */
import { binding } from '../../binding';
import { FdWatcher } from '../../ipc/fd-watcher';
import { encodeFrame } from '../../ipc/length-frame';
import type { ListeningSocket } from '../../ipc/listening-socket';
import { StreamConnection, type ConnectionLimits, type ConnectionOwner } from './stream-connection';

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
  /** Whether there may be one more, beside `waiting` whose frames have not come yet. Default: always. */
  mayAccept?(waiting: number): boolean;
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

type Limits = ConnectionLimits & { concurrency: number };

const DEFAULT_PACKAGE_BYTES = 2 * 1024 * 1024;
const DEFAULT_FRAME_TIMEOUT = 10_000;

/** Connections beside those with a slot: slow, ready and lingering ones. */
const MAX_WITHOUT_SLOT = 256;

/** After a failed accept, when no connection closes meanwhile. */
const ACCEPT_RETRY_MS = 100;

export class StreamRequests {
  readonly #listening: ListeningSocket;
  readonly #options: StreamRequestsOptions;
  readonly #limits: Limits;
  readonly #watcher: FdWatcher;
  readonly #connections = new Set<StreamConnection>();
  /** Whole frames of slow clients that wait for a slot. */
  readonly #ready: { connection: StreamConnection; body: Buffer }[] = [];
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

  async #answer(connection: StreamConnection, body: Buffer): Promise<void> {
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

  #releaseSlot(connection: StreamConnection): void {
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
      this.#connections.add(new StreamConnection(fd, this.#limits, this.#owner));
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
      this.#connections.size < concurrency + MAX_WITHOUT_SLOT &&
      this.#options.mayAccept?.(this.#slotsHeld - this.#inFlight) !== false
    );
  }

  #checkDrained(): void {
    if (this.#stopped !== null && this.#connections.size === 0 && this.#inFlight === 0) {
      this.#drained();
    }
  }
}
