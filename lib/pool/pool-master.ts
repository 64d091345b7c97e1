/**
 * A pool's master: it forks the workers, keeps them alive by the supervisor, and listens to them.
 *
 *   master ── worker 0 … n-1      each worker: its Process, its row of the table, its part of the channel
 *     ^            |
 *     +- control --+              one packet socket: "ready", "detached"
 */
import { constants } from 'node:os';
import { diagnostics, tellReload } from '../diagnostics';
import { systemError } from '../errors';
import { PacketPair } from '../ipc/packet-socket';
import type { ExitStatus } from '../process/children';
import type { PipePair } from '../process/pipe';
import { allOrNone } from './all-or-none';
import type { DegradedReport, PoolCallbacks, WorkerExitStatus } from './events';
import type { PoolChannel } from './pool-channel';
import type { PoolSettings } from './pool-options';
import { PoolWorker } from './pool-worker';
import type { ProcessPool } from './process-pool';
import type { GroupState } from './reconcile';
import type { ReloadReport } from './reload';
import { Supervisor } from './supervisor';
import type { StartedWorker, WorkerGroup } from './worker-group';
import { WorkerProcess } from './worker-process';
import { WorkerTable, type WorkerRow } from './worker-table';

const GROUP = 'worker';
const READY = 1;
const DETACHED = 2;
const ROOM = 3;
const TAGS = { ready: READY, detached: DETACHED, room: ROOM };
const CONTROL_BYTE = Buffer.from([0]);
const CONTROL_BATCH = 64;
const { SIGTERM } = constants.signals;

/** Workers that may have left by detach() and still run, beside the few that each id has room for. */
const DETACHED_ROWS = 1024;

export interface PoolParts {
  pool: ProcessPool;
  workerNum: number;
  settings: PoolSettings;
  callbacks: PoolCallbacks;
  channel: PoolChannel;
  /** Whether a write to a worker's Process is a message to it. */
  sendsMessages: boolean;
  /** Called in the worker with its inside view. */
  becomeWorker: (worker: PoolWorker, id: number) => void;
  /** All workers have ended with "do not restart me". */
  onNobodyLeft: () => void;
}

export class PoolMaster implements WorkerGroup {
  readonly name = GROUP;
  readonly size: number;
  readonly table: WorkerTable;
  readonly #parts: PoolParts;
  readonly #supervisor: Supervisor;
  readonly #control = new PacketPair();
  readonly #pipes: PipePair[];
  readonly #workers: WorkerProcess[];
  /** Rows of workers that have not ended. */
  readonly #rows = new Map<number, WorkerRow>();
  /** The newest pid of each slot. */
  readonly #newest: number[] = [];
  /** The last one. */
  #reload: Promise<ReloadReport> | null = null;

  constructor(parts: PoolParts) {
    const { settings } = parts;
    this.#parts = parts;
    this.size = parts.workerNum;
    this.table = new WorkerTable(this.size, DETACHED_ROWS);
    this.#pipes = this.#makePipes();
    this.#workers = this.#pipes.map((_, id) => this.#makeWorker(id));
    this.#supervisor = new Supervisor([this], {
      maxWaitTime: settings.maxWaitTime,
      restart: settings.restart,
      startFirst: settings.reloadStrategy === 'start-first',
    });
  }

  /** In the constructor, last of what needs fds: what was opened before is closed when they run out. */
  #makePipes(): PipePair[] {
    try {
      return allOrNone(this.size, () => WorkerProcess.makePair(), closePipe);
    } catch (error) {
      this.#control.close();
      throw error;
    }
  }

  worker(id: number): WorkerProcess {
    return this.#workers[id] as WorkerProcess;
  }

  run(): void {
    this.#control.reader.onReadable(() => {
      this.#readControl();
    });
    this.#supervisor.start();
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
    this.#control.close();
    for (const pipe of this.#pipes) closePipe(pipe);
  }

  reload(): Promise<ReloadReport> {
    const reload = this.#supervisor.reload(GROUP);
    if (reload !== this.#reload) tellReload(false, reload);
    this.#reload = reload;
    return reload;
  }

  state(): GroupState {
    return this.#supervisor.state(GROUP);
  }

  /** Of workers that have not ended. */
  pids(): number[] {
    return [...this.#rows.keys()];
  }

  /** Ends a worker in good order, with a successor before or after it, as in a reload. */
  stopWorker(id: number): void {
    const pid = this.#newest[id];
    if (pid === undefined) return;
    if (this.#parts.settings.reloadStrategy === 'start-first') this.#supervisor.replace(pid);
    else this.#supervisor.terminate(pid);
  }

  // What the supervisor asks for.

  start(slotId: number, generation: number): StartedWorker {
    const row = this.table.claimRow(slotId);
    if (row === null) throw tooManyLeaving(slotId);
    row.generation = generation;
    const worker = this.#freeWorker(slotId);
    worker.callback = () => this.#runWorker(slotId, row);
    let pid: number;
    try {
      pid = worker.start();
    } catch (error) {
      row.clear();
      throw error;
    }
    row.pid = pid;
    this.#rows.set(pid, row);
    if (this.#newest[slotId] !== undefined) this.#noteRespawn(slotId, pid);
    this.#newest[slotId] = pid;
    return { pid, ended: worker.exited };
  }

  ended(slotId: number, pid: number, status: ExitStatus, expected: boolean): void {
    const row = this.#rows.get(pid);
    const lostMessages = row === undefined ? 0 : row.taken - row.handled;
    row?.clear();
    if (row !== undefined) this.#parts.channel.workerEnded?.(slotId, row);
    this.#rows.delete(pid);
    // A worker that is told to end before it has begun dies of SIGTERM.
    const endedWell = status.signal === 0 || (expected && status.signal === SIGTERM);
    try {
      if (status.code === 0 && endedWell && lostMessages === 0) return;
      const report: WorkerExitStatus = { ...status, lostMessages };
      this.#parts.callbacks.call('workerError', this.#parts.pool, slotId, report);
    } finally {
      if (this.#nobodyWillRun()) this.#parts.onNobodyLeft();
    }
  }

  provedItself(pid: number): boolean {
    return (this.#rows.get(pid)?.handled ?? 0) > 0;
  }

  degraded(slotId: number, failures: number, why?: Error): void {
    const report: DegradedReport = { workerId: slotId, failures };
    if (why !== undefined) report.error = why;
    const { callbacks, pool } = this.#parts;
    if (callbacks.has('degraded')) callbacks.call('degraded', pool, report);
    else {
      const reason = why === undefined ? '' : `: ${why.message}`;
      process.emitWarning(
        `worker ${String(slotId)} died young ${String(failures)} times in a row${reason}`,
        { type: 'PreforkWarning', code: 'PREFORK_POOL_DEGRADED' },
      );
    }
  }

  #noteRespawn(workerId: number, pid: number): void {
    this.table.countRestart(workerId);
    if (!diagnostics.respawn.wanted) return;
    const restarts = this.table.restarts(workerId);
    diagnostics.respawn.publish({ workerId, kind: GROUP, pid, restarts });
  }

  /** Every worker has said by its exit code that it must not be started again. */
  #nobodyWillRun(): boolean {
    return this.state().slots.every(
      ({ current, startAt }) => current === null && startAt === Infinity,
    );
  }

  /** A worker on its way out keeps its Process: its successor gets another one. */
  #freeWorker(slotId: number): WorkerProcess {
    const newest = this.#newest[slotId];
    if (newest !== undefined && this.#rows.has(newest)) {
      this.#workers[slotId] = this.#makeWorker(slotId);
    }
    return this.worker(slotId);
  }

  #makeWorker(id: number): WorkerProcess {
    const { pool, channel, sendsMessages } = this.#parts;
    const send = sendsMessages
      ? (data: string | Uint8Array, workerId: number) => pool.sendMessage(data, workerId)
      : null;
    const pair = this.#pipes[id] as PipePair;
    const worker = new WorkerProcess(id, this.table, pair, send, () => undefined);
    channel.equip?.(worker);
    return worker;
  }

  #runWorker(id: number, row: WorkerRow): Promise<void> {
    const { pool, settings, callbacks, channel, becomeWorker } = this.#parts;
    this.worker(id).useWorkerEnd();
    const worker = new PoolWorker({
      pool,
      id,
      row,
      table: this.table,
      settings,
      callbacks,
      makeTransport: callbacks.has('message')
        ? (context) => channel.transport?.(context) ?? null
        : null,
      tellMaster: (what) => {
        this.#tellMaster(id, TAGS[what]);
      },
    });
    becomeWorker(worker, id);
    return worker.start();
  }

  /** In a worker. It reaches a master that is busy for long, too: without "ready" a reload would never end. */
  #tellMaster(id: number, tag: number): void {
    const sender = tag === ROOM ? id : process.pid;
    void this.#control.writer.sendAsync(CONTROL_BYTE, { sender, tag });
  }

  #readControl(): void {
    for (const { sender, tag } of this.#control.reader.receiveBatch(CONTROL_BATCH)) {
      if (tag === READY) this.#supervisor.markReady(sender);
      if (tag === DETACHED) this.#letGo(sender);
      if (tag === ROOM) this.#parts.channel.hasRoom?.(sender);
    }
  }

  /** It is reaped as long as this process runs, and does not keep it running. */
  #letGo(pid: number): void {
    const slotId = this.#newest.indexOf(pid);
    if (slotId >= 0) this.worker(slotId).unref();
    this.#supervisor.detach(pid);
  }
}

function closePipe({ parent, child }: PipePair): void {
  parent.close();
  child.close();
}

function tooManyLeaving(slotId: number): Error {
  const why = `worker ${String(slotId)} has too many predecessors that have not ended yet`;
  return systemError('EAGAIN', 'fork', why);
}
