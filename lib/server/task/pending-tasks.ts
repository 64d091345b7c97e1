/**
 * The tasks that a process has submitted, from then until they are settled:
 *
 *   FINISH …   results, while the handler runs or later
 *   TASK_DONE, TASK_ERROR, or the death of its worker: settled, and forgotten
 *
 * A waiter may go before that. Its task stays, so that what comes late is known to be nobody's.
 */
import { diagnostics } from '../../diagnostics';
import type { PreforkError } from '../../errors';
import { decodePayload, NOTHING } from '../../ipc/payload';
import { TASKING, TASKS, type ServerState } from '../state';
import type { TaskBoard } from './task-board';
import { decodeError, taskFailed } from './task-errors';
import { FOR_EVENT, KIND_MASK } from './task-message';
import { ANSWERED, NOBODY, type Waiter } from './waiters';

export class PendingTask {
  readonly id: number;
  /** The task worker's id, or ANY_WORKER. */
  readonly slot: number;
  waiter: Waiter;

  constructor(id: number, slot: number, waiter: Waiter) {
    this.id = id;
    this.slot = slot;
    this.waiter = waiter;
  }

  get workerId(): number | null {
    return this.slot < 0 ? null : this.slot;
  }
}

export interface PendingTasksOptions {
  state: ServerState;
  board: TaskBoard;
  /** Of this process. */
  row: number;
  workerId: number;
  /** The finish event. */
  event: Waiter;
  /** A task is settled. */
  onSettled: ((taskId: number) => void) | null;
  /** Somebody waits from now on, or nobody any more. */
  onAwaiting: ((on: boolean) => void) | null;
}

export class PendingTasks {
  readonly #options: PendingTasksOptions;
  readonly #tasks = new Map<number, PendingTask>();
  /** Those with somebody who waits. */
  #awaited = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: PendingTasksOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(id: number): PendingTask | undefined {
    return this.#tasks.get(id);
  }

  all(): Iterable<PendingTask> {
    return this.#tasks.values();
  }

  add(id: number, slot: number, waiter: Waiter): void {
    const { state, board, row, onAwaiting } = this.#options;
    this.#tasks.set(id, new PendingTask(id, slot, waiter));
    if (this.#awaited++ === 0) onAwaiting?.(true);
    state.add(TASKS);
    state.add(TASKING);
    board.addUnsettled(row, 1);
    if (diagnostics.task.wanted) this.#publish('submitted', id, slot);
  }

  /** Resolves when nobody waits for a task of this process. */
  async idle(): Promise<void> {
    if (this.#awaited === 0) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Its waiter has gone: what comes is dropped. */
  abandon(id: number): void {
    const task = this.#tasks.get(id);
    if (task !== undefined) this.#leave(task, NOBODY);
  }

  finish(id: number, kind: number, data: Buffer): void {
    const task = this.#tasks.get(id);
    if (task !== undefined) this.#tell(task, kind & KIND_MASK, data);
    else if ((kind & FOR_EVENT) !== 0) this.#tellEvent(id, kind & KIND_MASK, data);
  }

  done(id: number, kind: number, data: Buffer): void {
    if ((kind & KIND_MASK) !== NOTHING) this.finish(id, kind, data);
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    this.#settle(task);
    task.waiter.ended(id);
    this.#leave(task, NOBODY);
  }

  error(id: number, kind: number, data: Buffer): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    let cause: unknown;
    try {
      cause = decodeError(kind & KIND_MASK, data);
    } catch (error) {
      cause = error;
    }
    this.fail(task, taskFailed(id, task.workerId, cause));
  }

  /** Settles it without a result. */
  fail(task: PendingTask, error: PreforkError): void {
    this.#settle(task, error);
    task.waiter.failed(task.id, error);
    this.#leave(task, NOBODY);
  }

  #tell(task: PendingTask, kind: number, data: Buffer): void {
    if (task.waiter === NOBODY || task.waiter === ANSWERED) return;
    let value: unknown;
    try {
      value = decodePayload(kind, data);
    } catch (error) {
      task.waiter.failed(task.id, taskFailed(task.id, task.workerId, error));
      this.#leave(task, NOBODY);
      return;
    }
    if (!task.waiter.result(task.id, value)) this.#leave(task, ANSWERED);
  }

  /** The task of a predecessor, or one whose handler had ended when it called finish(). */
  #tellEvent(id: number, kind: number, data: Buffer): void {
    const { event } = this.#options;
    try {
      event.result(id, decodePayload(kind, data));
    } catch (error) {
      event.failed(id, taskFailed(id, null, error));
    }
  }

  #settle({ id, slot }: PendingTask, error?: PreforkError): void {
    if (!this.#tasks.delete(id)) return;
    const { state, board, row, onSettled } = this.#options;
    state.add(TASKING, -1);
    board.addUnsettled(row, -1);
    onSettled?.(id);
    if (diagnostics.task.wanted) this.#publish('settled', id, slot, error);
  }

  #publish(
    phase: 'submitted' | 'settled',
    taskId: number,
    dstWorkerId: number,
    error?: PreforkError,
  ): void {
    const { workerId: srcWorkerId } = this.#options;
    const failure = error === undefined ? {} : { error: error.code };
    diagnostics.task.publish({ phase, taskId, srcWorkerId, dstWorkerId, ...failure });
  }

  #leave(task: PendingTask, waiter: Waiter): void {
    const waited = task.waiter !== NOBODY && task.waiter !== ANSWERED;
    task.waiter = waiter;
    if (!waited || --this.#awaited > 0) return;
    this.#options.onAwaiting?.(false);
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
