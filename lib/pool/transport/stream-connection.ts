/**
 * One connection of IPC_SOCKET, from accept to close: one frame in, at most one out.
 *
 *   reading ---- whole frame --> framed -- reply() --> flushing -- flushed --> closed
 *      |  \                                    |              \--> lingering --> closed
 *      |   `- PATIENCE_MS --> told as slow     `-- client takes nothing --> dropped
 *      `-- bad or truncated frame, `frameTimeout` --> dropped
 *
 * Frames: see length-frame.ts.
 */
import { Socket } from 'node:net';
import { binding } from '../../binding';
import { systemError } from '../../errors';
import { LengthFrameReader } from '../../ipc/length-frame';

/** A frame comes with the connection, as a rule. A client that takes longer does not hold a slot. */
const PATIENCE_MS = 20;

/** For a client that sent more than its frame: how long that is read and thrown away. */
const LINGER_MS = 1000;

const SHUT_RDWR = 2;

export interface ConnectionLimits {
  /** The longest body of a request, in bytes. */
  maxPackageSize: number;
  /** From accept to the whole frame, in ms. */
  frameTimeout: number;
  /** How long the client may take nothing of its reply, in ms. */
  replyTimeout: number;
}

/** What a connection tells of itself. */
export interface ConnectionOwner {
  onFrame: (connection: StreamConnection, body: Buffer) => void;
  onSlow: (connection: StreamConnection) => void;
  onDropped: (error: Error) => void;
  onClosed: (connection: StreamConnection) => void;
}

/** It owns its fd. */
export class StreamConnection {
  /** One of the worker's slots is taken for it. */
  holdsSlot = true;
  /** Its request is handled; the slot is held until that has ended, whatever becomes of the client. */
  answering = false;
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #reader: LengthFrameReader;
  readonly #limits: ConnectionLimits;
  readonly #owner: ConnectionOwner;
  readonly #patience: NodeJS.Timeout;
  #deadline: NodeJS.Timeout;
  #framed = false;
  #flushed = false;
  #settle: () => void = () => undefined;

  constructor(fd: number, limits: ConnectionLimits, owner: ConnectionOwner) {
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
