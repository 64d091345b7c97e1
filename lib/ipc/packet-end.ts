/**
 * What the two ends of a packet socket share: the fd, which lives until it is closed explicitly in this
 * process, and a watcher that is made anew after a fork.
 */
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { FdWatcher } from './fd-watcher';

/** What the sender says about a message: it means what the callers agree on. */
export interface PacketMeta {
  /** -2^31 … 2^31 - 1; default 0. */
  sender?: number;
  /** 0 … 2^32 - 1; default 0. */
  tag?: number;
  /** 8 bits; default 0. */
  flags?: number;
}

export interface Packet {
  data: Buffer;
  sender: number;
  tag: number;
  flags: number;
}

/** Stands for "no memfd attached" in calls of the binding. */
export const NO_FD = -1;

export abstract class PacketEnd {
  /** The longest message. */
  readonly maxBytes: number;
  /** The longest message that travels inside its frame; a longer one takes a memfd. */
  readonly inlineLimit: number;
  #fd: number;
  #watcher: FdWatcher | null = null;

  constructor(fd: number, maxBytes: number, inlineLimit: number) {
    this.#fd = fd;
    this.maxBytes = maxBytes;
    this.inlineLimit = inlineLimit;
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** Whether waiting on the event loop keeps the process running. It does from the start. */
  setRef(on: boolean): void {
    this.watcher().setRef(on);
  }

  /** Closes this end in this process; other processes keep theirs. */
  close(): void {
    if (this.closed) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#watcher?.close();
    this.#watcher = null;
    binding.closeFd(fd);
  }

  protected openFd(): number {
    if (this.closed) throw new PreforkError('ERR_NO_PIPE', 'this end of the pipe is closed');
    return this.#fd;
  }

  /** The watcher of this process: one inherited from the parent never tells anything. */
  protected watcher(): FdWatcher {
    if (this.#watcher?.inherited !== false) this.#watcher = new FdWatcher(this.openFd());
    return this.#watcher;
  }

  /** Ends a lasting watch, if this process has one. */
  protected stopWatching(): void {
    if (this.#watcher?.inherited !== false) return;
    this.#watcher.onReadable(null);
    this.#watcher.onWritable(null);
  }
}
