/**
 * `process.stdin` of a redirected child. As Node's own, it keeps the event loop only while somebody reads:
 *
 *   idle -- _read() --> watching fd 0 -- data, end, pause(), destroy() --> idle
 *                          ^                                                |
 *                          +------- read(), resume(), on('readable') -------+
 *
 * The fd is the process's, and stays open.
 */
import { Readable } from 'node:stream';
import { MAX_READ_BYTES, UnixSocket } from '../ipc/unix-socket';

class WatchedSocket extends UnixSocket {
  /** Calls `listener` whenever something is there; null stops that. */
  onReadable(listener: (() => void) | null): void {
    if (listener === null) this.stopWatching();
    else this.watcher().onReadable(listener);
  }

  setRef(on: boolean): void {
    this.watcher().setRef(on);
  }
}

export class RedirectedInput extends Readable {
  readonly fd: number;
  readonly #socket: WatchedSocket;
  /** The stream has asked for data that it did not get yet. */
  #wanted = false;

  constructor(fd: number) {
    // Nothing is read ahead: what a paused stream does not take is there for read() of the Process.
    super({ highWaterMark: 0 });
    this.fd = fd;
    this.#socket = new WatchedSocket(fd, 'stream');
    this.#socket.setBlocking(false);
    this.on('newListener', (event) => {
      if (event === 'readable') this.#watchIfWanted();
    });
  }

  override _read(): void {
    this.#wanted = true;
    this.#watchIfWanted();
  }

  /** resume() comes here as well. */
  override read(size?: number): unknown {
    this.#watchIfWanted();
    return super.read(size) as unknown;
  }

  override pause(): this {
    this.#socket.onReadable(null);
    return super.pause();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.onReadable(null);
    done(error);
  }

  /** Lets the process end while this stream is read. */
  unref(): this {
    this.#socket.setRef(false);
    return this;
  }

  /** Undoes {@link unref}. */
  ref(): this {
    this.#socket.setRef(true);
    return this;
  }

  #watchIfWanted(): void {
    if (!this.#wanted || this.destroyed) return;
    this.#socket.onReadable(() => {
      this.#take();
    });
  }

  #take(): void {
    try {
      const chunk = this.#socket.read(MAX_READ_BYTES);
      if (chunk !== null) this.#give(chunk);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** Whoever takes it may ask for more at once. */
  #give(chunk: Buffer): void {
    this.#wanted = false;
    this.#socket.onReadable(null);
    this.push(chunk.length === 0 ? null : chunk);
  }
}
