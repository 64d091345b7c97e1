/**
 * The children that this process has forked: who is alive, who has ended, who waits to hear of it.
 *
 *   pidfds of all children -> one epoll fd -> event loop (or a blocking wait)
 *     ended child -> reaped -> its Process; then a pending waitAsync(), or else the mailbox,
 *                              from which wait() and waitAsync() take it later
 *
 * So no zombie is left as long as the loop runs, even if nobody waits. Children of child_process are
 * never touched.
 */
import { binding } from '../binding';
import { diagnostics } from '../diagnostics';
import { FdWatcher } from '../ipc/fd-watcher';

/** How a child ended: by `code`, or by `signal` (a number), in which case the code is 0. */
export interface ExitStatus {
  /** Of the child. */
  pid: number;
  /** 0 to 255; -1 when another part of the program has reaped the child and took its status. */
  code: number;
  /** The signal that ended it; 0: it has ended by itself. */
  signal: number;
}

export interface ChildRecord {
  pid: number;
  pidfd: number;
  /** Keeps the event loop running until the child has ended. */
  keepsLoop: boolean;
  /** The status goes to `onEnd` only: somebody waits for this very child. */
  claimed: boolean;
  onEnd: (status: ExitStatus) => void;
  /** Once it was reaped. */
  status?: ExitStatus;
}

interface Ended {
  status: ExitStatus;
  claimed: boolean;
}

interface Waiter {
  resolve: (status: ExitStatus | null) => void;
}

/** As many as there can be zombies with the kernel's default limit of pids. */
const MAILBOX_LIMIT = 32768;

const STATUS_TAKEN = -1;

class Children {
  #epoll = -1;
  #watcher: FdWatcher | null = null;
  #running = new Map<number, ChildRecord>();
  #mailbox: ExitStatus[] = [];
  #waiters: Waiter[] = [];
  #warned = false;
  /** Running children that keep the event loop. */
  #keepers = 0;

  get count(): number {
    return this.#running.size;
  }

  has(pid: number): boolean {
    return this.#running.has(pid);
  }

  /** By the record: the number of a child that was reaped may by now be another child's. */
  isRunning(record: ChildRecord): boolean {
    return this.#running.get(record.pid) === record;
  }

  /** Whether `pid` has ended and was reaped, but nobody has asked for its status. */
  isUnclaimed(pid: number): boolean {
    return !this.has(pid) && this.#mailbox.some((status) => status.pid === pid);
  }

  /** Opens what watching needs, so that a fork is not followed by a failure. */
  prepare(): void {
    if (this.#watcher !== null) return;
    this.#epoll = binding.childEpollCreate();
    try {
      this.#watcher = new FdWatcher(this.#epoll);
    } catch (error) {
      binding.closeFd(this.#epoll);
      this.#epoll = -1;
      throw error;
    }
    this.#watcher.onReadable(() => {
      for (const ended of this.#reapEnded(false)) this.#deliver(ended);
      this.#settle();
    });
    this.#updateRef();
  }

  /** @throws ENOSPC, ENOMEM of epoll_ctl(2): the child was ended again, because nobody would notice */
  add(record: ChildRecord): void {
    try {
      binding.childEpollAdd(this.#epoll, record.pidfd, record.pid);
    } catch (error) {
      binding.closeFd(record.pidfd);
      binding.killAndReap(record.pid);
      throw error;
    }
    this.#running.set(record.pid, record);
    if (record.keepsLoop) this.#keepers++;
    this.#updateRef();
  }

  setKeepsLoop(record: ChildRecord, on: boolean): void {
    if (!this.isRunning(record) || record.keepsLoop === on) return;
    record.keepsLoop = on;
    this.#keepers += on ? 1 : -1;
    this.#updateRef();
  }

  /** Somebody waits for this very child: wait() shall not report it as well. */
  claim(record: ChildRecord): void {
    record.claimed = true;
    const { status } = record;
    if (status !== undefined) this.#mailbox = this.#mailbox.filter((other) => other !== status);
  }

  wait(mayBlock: boolean): ExitStatus | null {
    for (;;) {
      const status = this.#mailbox.shift();
      if (status !== undefined) return status;
      if (this.#running.size === 0) return null;
      const [first, ...others] = this.#reapEnded(mayBlock);
      // Who waits is told of every child that its wait has reaped, the claimed ones as well.
      for (const { status } of others) this.#deliver({ status, claimed: false });
      this.#settle();
      if (first !== undefined) return first.status;
      if (!mayBlock) return null;
    }
  }

  waitAsync(signal?: AbortSignal): Promise<ExitStatus | null> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const status = this.wait(false);
      if (status !== null || this.#running.size === 0) {
        resolve(status);
        return;
      }
      const abort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        this.#updateRef();
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        resolve: (ended) => {
          signal?.removeEventListener('abort', abort);
          resolve(ended);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.push(waiter);
      this.#updateRef();
    });
  }

  /** In a forked child or daemon: all of this was the parent's. */
  forget(): void {
    for (const { pidfd } of this.#running.values()) binding.closeFd(pidfd);
    // After daemon(3) it is this process's own, and libuv aborts when the fd of a watch is closed.
    this.#watcher?.close();
    if (this.#epoll >= 0) binding.closeFd(this.#epoll);
    this.#epoll = -1;
    this.#watcher = null;
    this.#running = new Map();
    this.#mailbox = [];
    this.#waiters = [];
    this.#keepers = 0;
  }

  #reapEnded(mayBlock: boolean): Ended[] {
    const ended: Ended[] = [];
    for (const pid of binding.childEpollWait(this.#epoll, mayBlock)) {
      const record = this.#running.get(pid);
      const result = binding.reap(pid);
      if (record === undefined || result === undefined) continue;
      this.#running.delete(pid);
      if (record.keepsLoop) this.#keepers--;
      binding.childEpollRemove(this.#epoll, record.pidfd);
      binding.closeFd(record.pidfd);
      const [code, signal] = result ?? [STATUS_TAKEN, 0];
      const status = { pid, code, signal };
      record.status = status;
      ended.push({ status, claimed: record.claimed });
      if (diagnostics.exit.wanted) diagnostics.exit.publish({ ...status });
      record.onEnd(status);
    }
    return ended;
  }

  #deliver({ status, claimed }: Ended): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter.resolve(status);
    else if (!claimed) this.#post(status);
  }

  #post(status: ExitStatus): void {
    if (this.#mailbox.push(status) <= MAILBOX_LIMIT) return;
    this.#mailbox.shift();
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `more than ${String(MAILBOX_LIMIT)} children have ended and nobody asked how: ` +
        'the oldest are forgotten. Call Process.wait(), or use the exited promise',
      { code: 'PREFORK_UNCLAIMED_EXITS' },
    );
  }

  /** With no child left nobody can be answered any more. */
  #settle(): void {
    const hopeless = this.#running.size > 0 ? [] : this.#waiters.splice(0);
    for (const waiter of hopeless) waiter.resolve(null);
    this.#updateRef();
  }

  #updateRef(): void {
    this.#watcher?.setRef(this.#keepers > 0 || this.#waiters.length > 0);
  }
}

export const children = new Children();
