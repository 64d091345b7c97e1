/**
 * The groups of processes that the manager keeps: event workers, task workers, user processes. Each worker
 * id has a slot of the worker table, and its process a row of that.
 */
import { diagnostics, type RespawnMessage } from '../diagnostics';
import { systemError } from '../errors';
import type { ExitStatus } from '../process/children';
import type { Process } from '../process/process';
import type { StartedWorker, WorkerGroup } from '../pool/worker-group';
import type { WorkerRow, WorkerTable } from '../pool/worker-table';

export interface GroupOptions {
  name: RespawnMessage['kind'];
  /** Of its first worker: ids of a group follow each other. */
  firstId: number;
  size: number;
  startFirst: boolean;
  table: WorkerTable;
  /** The Process of a worker, ready to be started: what `run` is called in. */
  makeProcess: (index: number, run: () => unknown) => Process;
  /** In the new process. `predecessor`: an older one of this id still works. */
  run: (workerId: number, row: WorkerRow, predecessor: boolean) => unknown;
  /** In the manager. The row is the one of the process, still filled. */
  onEnd: (workerId: number, status: ExitStatus, row: WorkerRow, expected: boolean) => void;
  onDegraded: (workerId: number, failures: number, why?: Error) => void;
}

/** A process of a group that has not ended. */
interface Member {
  workerId: number;
  row: WorkerRow;
  /** Serves the mailbox of its slot, or is going to. */
  holdsSlot: boolean;
}

export class ServerGroup implements WorkerGroup {
  readonly name: string;
  readonly size: number;
  readonly startFirst: boolean;
  readonly #options: GroupOptions;
  readonly #members = new Map<number, Member>();
  readonly #started = new Set<number>();

  constructor(options: GroupOptions) {
    this.#options = options;
    this.name = options.name;
    this.size = options.size;
    this.startFirst = options.startFirst;
  }

  start(slotId: number, generation: number): StartedWorker {
    const { table, firstId, makeProcess, run } = this.#options;
    const workerId = firstId + slotId;
    const predecessor = this.#holders(workerId).length > 0;
    const row = table.claimRow(workerId);
    if (row === null) throw tooManyLeaving(workerId);
    row.generation = generation;
    const process = makeProcess(slotId, () => run(workerId, row, predecessor));
    let pid: number;
    try {
      pid = process.start();
    } catch (error) {
      row.clear();
      throw error;
    }
    row.pid = pid;
    this.#members.set(pid, { workerId, row, holdsSlot: true });
    if (this.#started.has(workerId)) this.#noteRespawn(workerId, pid);
    this.#started.add(workerId);
    return { pid, ended: process.exited };
  }

  ended(_slotId: number, pid: number, status: ExitStatus, expected: boolean): void {
    const member = this.#members.get(pid);
    if (member === undefined) return;
    this.#members.delete(pid);
    this.#options.onEnd(member.workerId, status, member.row, expected);
    member.row.clear();
  }

  provedItself(pid: number): boolean {
    return (this.#members.get(pid)?.row.handled ?? 0) > 0;
  }

  degraded(slotId: number, failures: number, why?: Error): void {
    this.#options.onDegraded(this.#options.firstId + slotId, failures, why);
  }

  /** It has let go of its slot's mailbox.  @returns the row that shall serve it now; null: none, or not yet */
  release(pid: number): WorkerRow | null {
    const member = this.#members.get(pid);
    if (member === undefined) return null;
    member.holdsSlot = false;
    return this.successorOf(member.workerId);
  }

  /** The row that shall serve a slot, when nobody older holds it any more. */
  successorOf(workerId: number): WorkerRow | null {
    const holders = this.#holders(workerId);
    return holders.length === 1 ? (holders[0] as Member).row : null;
  }

  /** Rows of all its processes. */
  rows(): WorkerRow[] {
    return [...this.#members.values()].map(({ row }) => row);
  }

  #noteRespawn(workerId: number, pid: number): void {
    const { table, name: kind } = this.#options;
    table.countRestart(workerId);
    if (!diagnostics.respawn.wanted) return;
    diagnostics.respawn.publish({ workerId, kind, pid, restarts: table.restarts(workerId) });
  }

  #holders(workerId: number): Member[] {
    return [...this.#members.values()].filter(
      (member) => member.workerId === workerId && member.holdsSlot,
    );
  }
}

function tooManyLeaving(workerId: number): Error {
  const why = `worker ${workerId} has too many predecessors that have not ended yet`;
  return systemError('EAGAIN', 'fork', why);
}
