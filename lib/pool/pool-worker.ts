/**
 * A pool's worker, seen from inside:
 *
 *   privileges, signals, title -> workerStart -> ready -> messages -> stop()
 *     stop():  take no more -> wait for running callbacks -> workerExit until the loop is empty
 *              -> workerStop -> exit 0
 *
 * SIGTERM, maxRequest and pool.stop() all end it by stop(). What is still in its queue stays there for
 * its successor. A callback that throws ends the worker, as an uncaught exception does anywhere in Node.
 */
import { binding } from '../binding';
import { Process } from '../process/process';
import type { PoolCallbacks } from './events';
import type { PoolSettings } from './pool-options';
import { dropPrivileges } from './privileges';
import type { ProcessPool } from './process-pool';
import type { Intake, WorkerTransport } from './transport/transport';
import { leaveUnhandled } from './unhandled';
import {
  STAGE_DETACHED,
  STAGE_DRAINING,
  STAGE_READY,
  type WorkerRow,
  type WorkerTable,
} from './worker-table';

/** What the master prepares for a worker before the fork. */
export interface WorkerContext {
  pool: ProcessPool;
  id: number;
  row: WorkerRow;
  table: WorkerTable;
  settings: PoolSettings;
  callbacks: PoolCallbacks;
  /** Null in a pool without messages. */
  makeTransport: ((context: WorkerContext) => WorkerTransport | null) | null;
  /** Tells the master that this worker serves, or leaves, or that there is room for messages again. */
  tellMaster: (what: 'ready' | 'detached' | 'room') => boolean;
}

const EXIT_TICK_MS = 10;

/** A worker ends by itself so long before it would be killed: a tenth of maxWaitTime, 100 ms at least. */
const MARGIN_PART = 0.1;
const MARGIN_MS = 100;

/** maxRequest up to this is taken literally, above it workers get a random extra. */
const NO_JITTER_UP_TO = 10;

export class PoolWorker implements Intake {
  readonly #context: WorkerContext;
  readonly #transport: WorkerTransport | null;
  readonly #limit: number;
  #running = 0;
  #taken = 0;
  #stopping = false;
  #detached = false;
  #inBurst = false;
  #whenIdle: (() => void) | null = null;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#transport = context.makeTransport?.(context) ?? null;
    this.#limit = requestLimit(context.settings);
  }

  /** Whether it goes on taking messages. */
  get running(): boolean {
    return !this.#stopping;
  }

  async start(): Promise<void> {
    const { pool, id, row, callbacks } = this.#context;
    row.pid = process.pid;
    row.startedAt = Date.now();
    this.#settleIn();
    process.once('beforeExit', () => {
      this.#finish();
    });
    if (this.#transport === null) {
      this.#ready();
      await callbacks.call('workerStart', pool, id);
      return;
    }
    await callbacks.call('workerStart', pool, id);
    this.#ready();
    if (this.running) this.#transport.start(this);
  }

  /** Ends this worker in good order. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#context.row.stage = STAGE_DRAINING;
    if (this.#transport === null && !this.#context.callbacks.has('workerExit')) this.#finish();
    this.#limitStopTime();
    void this.#drain();
  }

  /** Leaves the pool: the master starts a successor, and this process ends when its own work does. */
  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#stopping = true;
    binding.setParentDeathSignal(0);
    this.#context.row.stage = STAGE_DETACHED;
    this.#context.tellMaster('detached');
    void this.#transport?.stop();
  }

  hasRoom(): boolean {
    const underLimit = this.#limit === 0 || this.#taken < this.#limit;
    return !this.#stopping && underLimit && this.#running < this.#context.settings.concurrency;
  }

  taking(): void {
    this.#taken++;
    this.#context.row.taken++;
  }

  notTaken(empty: boolean): void {
    const { row, table, id } = this.#context;
    this.#taken--;
    row.taken--;
    if (empty) table.noteEmpty(id);
  }

  /** The clock is read once for all of them. */
  burst(on: boolean): void {
    this.#inBurst = on;
    if (!on && this.#running === 0) this.#countBusyTime();
  }

  handle(data: Buffer): Promise<void> | void {
    const { pool, row, table, id, callbacks } = this.#context;
    table.countTaken(id, 1);
    if (row.busySince === 0) row.busySince = Date.now();
    row.busy = ++this.#running;
    let result: unknown;
    try {
      result = callbacks.call('message', pool, data);
    } catch (error) {
      // If somebody catches it after all, the message counts as handled; if not, it is lost.
      setImmediate(() => {
        this.#done();
      });
      throw error;
    }
    if (result instanceof Promise) return this.#await(result);
    this.#done();
  }

  async #await(result: Promise<unknown>): Promise<void> {
    try {
      await result;
    } catch (error) {
      leaveUnhandled(error);
      await new Promise(setImmediate);
    }
    this.#done();
  }

  #done(): void {
    const { row } = this.#context;
    row.handled++;
    row.busy = --this.#running;
    if (this.#running === 0) {
      if (!this.#inBurst) this.#countBusyTime();
      this.#whenIdle?.();
    }
    if (this.#limit > 0 && row.handled >= this.#limit) this.stop();
    else if (!this.#stopping) this.#transport?.resume();
  }

  #countBusyTime(): void {
    const { row } = this.#context;
    if (row.busySince === 0) return;
    row.busyTime += Date.now() - row.busySince;
    row.busySince = 0;
  }

  /** Signals first: one that arrives from now on finds a worker that knows how to end. */
  #settleIn(): void {
    const { id, settings } = this.#context;
    Process.signal('SIGTERM', () => {
      if (this.#detached) endBy('SIGTERM');
      else this.stop();
    });
    // A terminal sends these to the whole group: the master decides what they mean.
    for (const signal of ['SIGINT', 'SIGUSR1', 'SIGUSR2'] as const) {
      Process.signal(signal, Process.SIG_IGN);
    }
    if (settings.title !== null) process.title = `${settings.title} ${String(id)}`;
    bindToCpu(settings.cpuAffinity, id);
    dropPrivileges(settings);
  }

  #ready(): void {
    if (this.#stopping) return;
    this.#context.row.stage = STAGE_READY;
    this.#context.tellMaster('ready');
  }

  async #drain(): Promise<void> {
    await this.#transport?.stop();
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    const { pool, id, callbacks } = this.#context;
    if (!callbacks.has('workerExit')) return;
    const tick = (): void => {
      callbacks.call('workerExit', pool, id);
    };
    tick();
    setInterval(tick, EXIT_TICK_MS).unref();
  }

  /** Something, say a timer of the user's, keeps the loop alive: better to end than to be killed. */
  #limitStopTime(): void {
    const { maxWaitTime } = this.#context.settings;
    if (maxWaitTime === 0) return;
    setTimeout(() => {
      process.emitWarning(
        `worker ${String(this.#context.id)} was told to end and is ended now, because its event loop ` +
          `is kept alive by: ${process.getActiveResourcesInfo().join(', ')}`,
        { type: 'PreforkWarning', code: 'PREFORK_WORKER_EXIT_FORCED' },
      );
      setImmediate(() => {
        this.#finish();
      });
    }, patience(maxWaitTime)).unref();
  }

  #finish(): never {
    const { pool, id, callbacks } = this.#context;
    this.#stopping = true;
    if (!this.#detached) callbacks.call('workerStop', pool, id);
    process.exit();
  }
}

/** From the SIGTERM to the forced end, in ms: at least half of what there is. */
export function patience(maxWaitTime: number): number {
  const margin = Math.max(maxWaitTime * MARGIN_PART, MARGIN_MS);
  return Math.max(maxWaitTime - margin, maxWaitTime / 2);
}

/** How many messages a worker takes; 0: no limit. */
function requestLimit({ maxRequest, maxRequestGrace }: PoolSettings): number {
  const standard = maxRequest > NO_JITTER_UP_TO ? Math.floor(maxRequest / 2) : 0;
  const grace = maxRequestGrace ?? standard;
  return maxRequest === 0 || grace === 0
    ? maxRequest
    : maxRequest + 1 + Math.floor(Math.random() * grace);
}

/** As if it had never been caught. */
function endBy(signal: NodeJS.Signals): void {
  Process.signal(signal, null);
  process.kill(process.pid, signal);
}

function bindToCpu(affinity: boolean | readonly number[], id: number): void {
  if (affinity === false) return;
  const cpus = affinity === true ? Process.getAffinity() : affinity;
  Process.setAffinity([cpus[id % cpus.length] as number]);
}
