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
import { isThenable } from '../thenable';
import type { PoolCallbacks } from './events';
import type { PoolSettings } from './pool-options';
import type { ProcessPool } from './process-pool';
import { requestLimit } from './request-limit';
import type { Intake, WorkerTransport } from './transport/transport';
import { leaveUnhandled } from './unhandled';
import { WorkerLife } from './worker-life';
import type { WorkerRow, WorkerTable } from './worker-table';

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
  tellMaster: (what: 'ready' | 'detached' | 'room') => void;
}

/** maxRequest up to this is taken literally, above it workers get a random extra. */
const NO_JITTER_UP_TO = 10;

export class PoolWorker implements Intake {
  readonly #context: WorkerContext;
  readonly #transport: WorkerTransport | null;
  readonly #limit: number;
  readonly #life: WorkerLife;
  #running = 0;
  #taken = 0;
  #detached = false;
  #inBurst = false;
  #whenIdle: (() => void) | null = null;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#transport = context.makeTransport?.(context) ?? null;
    this.#limit = limitOf(context.settings);
    this.#life = this.#makeLife();
  }

  /** Whether it goes on taking messages. */
  get running(): boolean {
    return !this.#life.stopping;
  }

  async start(): Promise<void> {
    const { pool, id, callbacks } = this.#context;
    this.#life.settleIn();
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
    this.#life.stop();
  }

  /** Leaves the pool: the master starts a successor, and this process ends when its own work does. */
  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#life.detach();
    binding.setParentDeathSignal(0);
    this.#context.tellMaster('detached');
    void this.#transport?.stop();
  }

  hasRoom(waiting = 0): boolean {
    const { concurrency } = this.#context.settings;
    const underLimit = this.#limit === 0 || this.#taken + waiting < this.#limit;
    return !this.#life.stopping && underLimit && this.#running + waiting < concurrency;
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
    if (isThenable(result)) return this.#await(result);
    this.#done();
  }

  async #await(result: PromiseLike<unknown>): Promise<void> {
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
    else if (!this.#life.stopping) this.#transport?.resume();
  }

  #countBusyTime(): void {
    const { row } = this.#context;
    if (row.busySince === 0) return;
    row.busyTime += Date.now() - row.busySince;
    row.busySince = 0;
  }

  #makeLife(): WorkerLife {
    const { pool, id, row, settings, callbacks } = this.#context;
    return new WorkerLife(row, {
      name: `worker ${String(id)}`,
      title: settings.title === null ? null : `${settings.title} ${String(id)}`,
      privileges: settings,
      cpu: cpuOf(settings.cpuAffinity, id),
      maxWaitTime: settings.maxWaitTime,
      endsAtOnce: this.#transport === null && !callbacks.has('workerExit'),
      drain: () => this.#drain(),
      onExitTick: callbacks.has('workerExit') ? () => callbacks.call('workerExit', pool, id) : null,
      onEnd: () => callbacks.call('workerStop', pool, id),
    });
  }

  #ready(): void {
    if (this.#life.ready()) this.#context.tellMaster('ready');
  }

  async #drain(): Promise<void> {
    await this.#transport?.stop();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }
}

/** How many messages a worker takes; 0: no limit. */
function limitOf({ maxRequest, maxRequestGrace }: PoolSettings): number {
  const standard = maxRequest > NO_JITTER_UP_TO ? Math.floor(maxRequest / 2) : 0;
  return requestLimit(maxRequest, maxRequestGrace ?? standard);
}

function cpuOf(affinity: boolean | readonly number[], id: number): number | null {
  if (affinity === false) return null;
  const cpus = affinity === true ? Process.getAffinity() : affinity;
  return cpus[id % cpus.length] as number;
}
