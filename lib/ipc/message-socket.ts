/**
 * A dgram socket on the event loop: one `message` event for each message. It owns its fd.
 *
 *   send() -> kernel, or while that is full -> queue -> `drain` once the queue is empty again
 *   kernel -> `message`, or while nobody listens to that: it stays in the kernel
 */
import { EventEmitter } from 'node:events';
import { isSystemError } from '../errors';
import { checkData } from '../validate';
import { FdWatcher } from './fd-watcher';
import { UnixSocket } from './unix-socket';

/** Events of a {@link MessageSocket}. */
export interface MessageSocketEvents {
  /** One whole message. */
  message: [data: Buffer];
  /** All that was queued has left. */
  drain: [];
  /** Of the system; the socket is closed then. */
  error: [error: Error];
  /** Nothing comes any more. */
  close: [];
}

/** Messages handled in one turn of the loop, so that a fast sender does not starve the rest. */
const MESSAGES_PER_TURN = 64;

/** A pipe of whole messages on the event loop: what `exportSocket()` gives for a dgram pipe. */
export class MessageSocket extends EventEmitter<MessageSocketEvents> {
  readonly #socket: UnixSocket;
  readonly #watcher: FdWatcher;
  readonly #queue: Buffer[] = [];

  constructor(fd: number) {
    super();
    this.#socket = new UnixSocket(fd, 'dgram');
    this.#socket.setBlocking(false);
    this.#watcher = new FdWatcher(fd);
    this.#watchInput();
    // Every emitter has this event, of which the map of typed ones knows nothing.
    (this as unknown as EventEmitter).on('newListener', (event) => {
      if (event === 'message' && !this.closed) this.#watchInput();
    });
  }

  /** Messages accepted by {@link send} that the kernel has not taken yet. */
  get queuedMessages(): number {
    return this.#queue.length;
  }

  /** Whether it was closed, by {@link close} or an error. */
  get closed(): boolean {
    return this.#socket.closed;
  }

  /**
   * Sends one message, or queues it while the peer reads too slowly.
   *
   * @returns false when it was queued: wait for `drain` before sending much more.
   * @throws PreforkError ERR_MESSAGE_TOO_BIG, ERR_EMPTY_DATA, ERR_INVALID_ARG_TYPE; ERR_NO_PIPE once
   * closed. A peer that is gone is told by an `error` event with code EPIPE.
   */
  send(data: string | Uint8Array): boolean {
    const message = checkData(data);
    if (this.#queue.length === 0 && this.#trySend(message)) return true;
    // The caller may reuse its buffer before the queue is written.
    this.#queue.push(Buffer.from(message));
    this.#watcher.onWritable(() => {
      this.#flush();
    });
    return false;
  }

  /** Drops what is queued and closes the fd. Emits `close`. */
  close(): void {
    if (this.closed) return;
    this.#queue.length = 0;
    this.#watcher.close();
    this.#socket.close();
    process.nextTick(() => this.emit('close'));
  }

  /** Lets the process end while the socket is open. */
  unref(): this {
    this.#watcher.setRef(false);
    return this;
  }

  /** Undoes {@link unref}. */
  ref(): this {
    this.#watcher.setRef(true);
    return this;
  }

  #watchInput(): void {
    this.#watcher.onReadable(() => {
      this.#receive();
    });
  }

  #receive(): void {
    for (let i = 0; i < MESSAGES_PER_TURN && !this.closed; i++) {
      if (this.listenerCount('message') === 0) {
        this.#leaveInput();
        return;
      }
      const message = this.#tryReceive();
      if (message === null) return;
      if (message.length === 0) {
        this.close();
        return;
      }
      this.emit('message', message);
    }
  }

  /** Nobody takes messages: the end is told all the same, unless a message comes before it. */
  #leaveInput(): void {
    if (this.#socket.atEnd()) this.close();
    else if (this.#socket.hasInput()) this.#watcher.onReadable(null);
  }

  #tryReceive(): Buffer | null {
    try {
      return this.#socket.read();
    } catch (error) {
      this.#fail(error as Error);
      return null;
    }
  }

  #trySend(message: Buffer): boolean {
    try {
      return this.#socket.write(message) > 0;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code !== 'EAGAIN') this.#fail(error);
      return error.code !== 'EAGAIN';
    }
  }

  #flush(): void {
    for (let message; (message = this.#queue[0]) !== undefined; this.#queue.shift()) {
      if (!this.#trySend(message)) return;
    }
    if (this.closed) return;
    this.#watcher.onWritable(null);
    this.emit('drain');
  }

  #fail(error: Error): void {
    process.nextTick(() => this.emit('error', error));
    this.close();
  }
}
