/**
 * The life of a worker process, seen from inside; what it works on is its owner's.
 *
 *   settleIn: signals, title, CPU, privileges -> owner's start -> ready -> work -> stop()
 *     stop():  drain (take no more, end what runs) -> exit ticks until the event loop is empty
 *              -> end -> exit 0
 *
 * SIGTERM calls stop(). A worker whose loop does not get empty in time ends all the same, before it is killed.
 */
import { Process } from '../process/process';
import { isThenable } from '../thenable';
import { dropPrivileges, type Privileges } from './privileges';
import { leaveUnhandled } from './unhandled';
import { STAGE_DETACHED, STAGE_DRAINING, STAGE_READY, type WorkerRow } from './worker-table';

const EXIT_TICK_MS = 10;

/** A worker ends by itself so long before it would be killed: a tenth of maxWaitTime, 100 ms at least. */
const MARGIN_PART = 0.1;
const MARGIN_MS = 100;

export interface WorkerLifeOptions {
  /** In messages for people: "worker 3". */
  name: string;
  title: string | null;
  privileges: Privileges;
  /** The CPU it is bound to; null: none. */
  cpu: number | null;
  /** From stop() to the forced end, in ms; 0: no limit. */
  maxWaitTime: number;
  /** There is nothing to wait for: stop() ends it at once. */
  endsAtOnce?: boolean;
  /** Takes no more work; resolves when what it has taken is done. */
  drain: () => Promise<void>;
  /** Again and again from then on, until the event loop is empty; null: not wanted. */
  onExitTick: (() => void) | null;
  /** Last. A promise is awaited. */
  onEnd: () => unknown;
}

export class WorkerLife {
  readonly #row: WorkerRow;
  readonly #options: WorkerLifeOptions;
  #stopping = false;
  /** `onEnd` was called. */
  #ending = false;
  #detached = false;
  #forcedEnd: NodeJS.Timeout | undefined;
  #exitTicks: NodeJS.Timeout | undefined;

  constructor(row: WorkerRow, options: WorkerLifeOptions) {
    this.#row = row;
    this.#options = options;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Signals first: one that arrives from now on finds a worker that knows how to end. */
  settleIn(): void {
    const { title, cpu, privileges } = this.#options;
    this.#row.pid = process.pid;
    this.#row.startedAt = Date.now();
    Process.signal('SIGTERM', () => {
      if (this.#detached) endBy('SIGTERM');
      else this.stop();
    });
    // A terminal sends these to the whole group: the master decides what they mean.
    for (const signal of ['SIGINT', 'SIGUSR1', 'SIGUSR2', 'SIGHUP'] as const) {
      Process.signal(signal, Process.SIG_IGN);
    }
    if (title !== null) process.title = title;
    if (cpu !== null) Process.setAffinity([cpu]);
    dropPrivileges(privileges);
    process.once('beforeExit', () => {
      this.#finish();
    });
  }

  /** @returns false when it was told to end meanwhile */
  ready(): boolean {
    if (this.#stopping) return false;
    this.#row.stage = STAGE_READY;
    return true;
  }

  /** Ends this worker in good order. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#row.stage = STAGE_DRAINING;
    if (this.#options.endsAtOnce === true) this.#finish();
    this.#limitStopTime();
    void this.#drain();
  }

  /** It goes on by itself, and ends when its own work does. */
  detach(): void {
    this.#stopping = this.#detached = true;
    this.#row.stage = STAGE_DETACHED;
    // It may have been told to end before.
    clearTimeout(this.#forcedEnd);
    clearInterval(this.#exitTicks);
  }

  /** @returns true while a promise of `onEnd` is waited for */
  #finish(): boolean {
    this.#stopping = true;
    clearInterval(this.#exitTicks);
    const last = this.#ending || this.#detached ? null : this.#options.onEnd();
    this.#ending = true;
    if (isThenable(last)) {
      void this.#exitAfter(last);
      return true;
    }
    process.exit();
  }

  async #exitAfter(last: PromiseLike<unknown>): Promise<void> {
    try {
      await last;
    } catch (error) {
      leaveUnhandled(error);
      await new Promise(setImmediate);
    }
    process.exit();
  }

  async #drain(): Promise<void> {
    const { drain, onExitTick } = this.#options;
    await drain();
    if (onExitTick === null || this.#detached) return;
    this.#exitTicks = setInterval(onExitTick, EXIT_TICK_MS).unref();
    onExitTick();
  }

  /** Something, say a timer of the user's, keeps the loop alive: better to end than to be killed. */
  #limitStopTime(): void {
    const { maxWaitTime, name } = this.#options;
    if (maxWaitTime === 0) return;
    const time = patience(maxWaitTime);
    this.#forcedEnd = setTimeout(() => {
      process.emitWarning(
        `${name} was told to end and is ended now, because its event loop is kept alive by: ` +
          process.getActiveResourcesInfo().join(', '),
        { type: 'PreforkWarning', code: 'PREFORK_WORKER_EXIT_FORCED' },
      );
      setImmediate(() => {
        const goesOn = this.#finish();
        if (goesOn) setTimeout(() => process.exit(), (maxWaitTime - time) / 2).unref();
      });
    }, time).unref();
  }
}

/** From the SIGTERM to the forced end, in ms: at least half of what there is. */
export function patience(maxWaitTime: number): number {
  const margin = Math.max(maxWaitTime * MARGIN_PART, MARGIN_MS);
  return Math.max(maxWaitTime - margin, maxWaitTime / 2);
}

/** As if it had never been caught. */
function endBy(signal: NodeJS.Signals): void {
  Process.signal(signal, null);
  process.kill(process.pid, signal);
}
