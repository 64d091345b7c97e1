/**
 * An fd that lives until it is closed here, and its watcher, which is made when it is first needed and anew
 * after a fork: one inherited from the parent never tells anything.
 */
import { binding } from '../binding';
import { FdWatcher } from './fd-watcher';

export abstract class OwnedFd {
  #fd: number;
  #watcher: FdWatcher | null = null;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** Closes it in this process; other processes keep theirs. Does nothing when it is closed already. */
  close(): void {
    if (this.closed) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#watcher?.close();
    this.#watcher = null;
    binding.closeFd(fd);
  }

  protected abstract closedError(): Error;

  protected openFd(): number {
    if (this.closed) throw this.closedError();
    return this.#fd;
  }

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
