/**
 * Waits for an fd in the event loop: as promises (one wait at a time) or as lasting callbacks.
 * It owns no fd. Whoever closes the fd closes its watcher first.
 */
import { binding, type NativeFdWatcher } from '../binding';
import { generation } from './generation';

const READABLE = 1;
const WRITABLE = 2;

interface Direction {
  waiters: (() => void)[];
  listener: (() => void) | null;
}

export class FdWatcher {
  readonly #native: NativeFdWatcher;
  readonly #read: Direction = { waiters: [], listener: null };
  readonly #write: Direction = { waiters: [], listener: null };
  readonly #generation = generation();
  #watched = 0;

  constructor(fd: number) {
    this.#native = new binding.FdWatcher(fd, (events) => {
      this.#dispatch(events);
    });
  }

  /** Resolves when a read would not block; rejects with the reason of an aborted `signal`. */
  readable(signal?: AbortSignal): Promise<void> {
    return this.#wait(this.#read, signal);
  }

  writable(signal?: AbortSignal): Promise<void> {
    return this.#wait(this.#write, signal);
  }

  /** Calls `listener` whenever the fd is readable; null stops that. */
  onReadable(listener: (() => void) | null): void {
    this.#read.listener = listener;
    this.#update();
  }

  onWritable(listener: (() => void) | null): void {
    this.#write.listener = listener;
    this.#update();
  }

  /** Whether an active watch keeps the event loop running. It does from the start. */
  setRef(on: boolean): void {
    this.#native.setRef(on);
  }

  /** Made by the parent of this process: it never tells anything here. */
  get inherited(): boolean {
    return this.#generation !== generation();
  }

  /** Wakes everybody who waits: their next call on the fd tells them that it is closed. */
  close(): void {
    if (this.inherited) return;
    this.#read.listener = this.#write.listener = null;
    this.#watched = 0;
    this.#native.close();
    for (const wake of [...this.#read.waiters.splice(0), ...this.#write.waiters.splice(0)]) wake();
  }

  #wait(direction: Direction, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        direction.waiters.splice(direction.waiters.indexOf(wake), 1);
        this.#update();
        reject(signal?.reason as Error);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      direction.waiters.push(wake);
      this.#update();
    });
  }

  #dispatch(events: number): void {
    // After an error libuv has stopped the watch; the next call on the fd says what it was.
    if (events < 0) this.#watched = 0;
    const all = events < 0 ? READABLE | WRITABLE : events;
    if (all & READABLE) this.#wake(this.#read);
    if (all & WRITABLE) this.#wake(this.#write);
    this.#update();
  }

  #wake(direction: Direction): void {
    for (const wake of direction.waiters.splice(0)) wake();
    direction.listener?.();
  }

  #update(): void {
    const wanted =
      (this.#isWanted(this.#read) ? READABLE : 0) | (this.#isWanted(this.#write) ? WRITABLE : 0);
    if (wanted === this.#watched) return;
    this.#watched = wanted;
    if (wanted === 0) this.#native.stop();
    else this.#native.start(wanted);
  }

  #isWanted(direction: Direction): boolean {
    return direction.waiters.length > 0 || direction.listener !== null;
  }
}
