/**
 * Submits tasks and gets their results: one for each process that may (event workers, user processes,
 * manager, master).
 *
 *   task()       -> finish event or callback       taskAsync(), taskCo()          -> promise
 *   taskwait(), taskWaitMulti(): block; what else comes in meanwhile is handled afterwards
 */
import { PreforkError } from '../../errors';
import { encodePayload, type Payload } from '../../ipc/payload';
import { checkFunction, invalidType, signalOf } from '../../validate';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import type { ServerSettings } from '../settings';
import { TASKING, type ServerState } from '../state';
import type { WorkerTable } from '../../pool/worker-table';
import { PendingTasks } from './pending-tasks';
import { Submitter } from './submitter';
import { TaskAnswers } from './task-answers';
import { ANY_WORKER, type TaskChannel } from './task-channel';
import { taskTimedOut } from './task-errors';
import { afterInput, checkTimeout, endOf } from './timeouts';
import { Group, Listener, Promised, Single } from './waiters';

const DEFAULT_TIMEOUT_MS = 500;

type ResultListener = (taskId: number, data: unknown) => unknown;

export interface TaskClientOptions {
  bus: Bus;
  state: ServerState;
  table: WorkerTable;
  addresses: Addresses;
  settings: Pick<ServerSettings, 'taskWorkerNum'>;
  channel: TaskChannel;
  /** Of this process; -1: manager or master. */
  workerId: number;
  /** The mailbox that it has adopted and reads. */
  replyAddress: number;
  /** Its row of the worker table; manager and master: the one behind the last. */
  taskRow: number;
  /** The mailbox `replyAddress`; null where nobody may block. */
  inbox: Inbox | null;
  call: {
    /** The finish event. */
    finish: (taskId: number, data: unknown) => unknown;
    /** No task worker was idle. */
    allBusy?: () => void;
    /** From now on results are waited for, or no more. */
    awaiting?: (on: boolean) => void;
  };
}

/** Of {@link Server.taskAsync}. */
export interface TaskAsyncOptions {
  /** In ms; not given: no limit. */
  timeout?: number | undefined;
  /** A task worker, from 0; -1: the next idle one. Default -1. */
  dst?: number | undefined;
  /** Gives up the wait; the task itself goes on. */
  signal?: AbortSignal | undefined;
}

export class TaskClient {
  readonly #options: TaskClientOptions;
  readonly #event: Listener;
  readonly #pending: PendingTasks;
  readonly #answers: TaskAnswers;
  readonly #submitter: Submitter;

  constructor(options: TaskClientOptions) {
    const { channel, state, table, taskRow, bus, addresses, call } = options;
    this.#options = options;
    // What a process has not seen settled that had this row before.
    if (options.workerId >= 0) state.add(TASKING, -channel.board.takeUnsettled(taskRow));
    this.#event = new Listener(call.finish);
    this.#pending = new PendingTasks({
      state,
      board: channel.board,
      row: taskRow,
      workerId: options.workerId,
      event: this.#event,
      onSettled: channel.settled?.bind(channel) ?? null,
      onAwaiting: call.awaiting ?? null,
    });
    this.#answers = new TaskAnswers({ ...options, pending: this.#pending });
    this.#submitter = new Submitter({
      ...{ bus, state, table, addresses, channel, taskRow, pending: this.#pending },
      event: this.#event,
      onAllBusy: call.allBusy,
    });
  }

  /** Tasks of this process that have not been settled. */
  get unsettled(): number {
    return this.#pending.size;
  }

  /** Resolves when no result is waited for: not for those of waits that have timed out. */
  idle(): Promise<void> {
    return this.#pending.idle();
  }

  /** See Server.task(). */
  task(data: unknown, dst = ANY_WORKER, callback?: ResultListener | null): number {
    if (callback === undefined || callback === null)
      return this.#submitter.submit(encodePayload(data), dst, this.#event);
    checkFunction('callback', callback);
    return this.#submitter.submit(encodePayload(data), dst, new Listener(callback));
  }

  /** See Server.taskwait(). */
  taskwait(data: unknown, timeout = DEFAULT_TIMEOUT_MS, dst = ANY_WORKER): unknown {
    this.#checkMayBlock('taskwait');
    const end = endOf(timeout);
    const single = new Single();
    const id = this.#submitter.submitWithin(encodePayload(data), dst, single, end);
    if (id === null) return undefined;
    this.#answers.waitFor(single, end);
    if (single.open) this.#pending.abandon(id);
    if (single.error !== null) throw single.error;
    return single.value;
  }

  /** See Server.taskWaitMulti(). */
  taskWaitMulti(tasks: readonly unknown[], timeout = DEFAULT_TIMEOUT_MS): Map<number, unknown> {
    this.#checkMayBlock('taskWaitMulti');
    const payloads = encodeAll(tasks);
    const end = endOf(timeout);
    const group = new Group();
    for (const [index, payload] of payloads.entries()) {
      const id = this.#submitter.submitWithin(payload, ANY_WORKER, group, end);
      if (id === null) break;
      group.add(id, index);
    }
    this.#answers.waitFor(group, end);
    for (const id of group.taskIds) this.#pending.abandon(id);
    return group.results;
  }

  /** See Server.taskAsync(). */
  taskAsync(data: unknown, options: TaskAsyncOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      checkOptions(options);
      const { timeout, dst = ANY_WORKER, signal } = options;
      signal?.throwIfAborted();
      const waiter = new Promised(resolve, reject);
      const id = this.#submitter.submit(encodePayload(data), dst, waiter);
      if (timeout !== undefined || signal !== undefined) {
        this.#limit(id, waiter, timeout, signal);
      }
    });
  }

  /** See Server.taskCo(). */
  taskCo(tasks: readonly unknown[], timeout = DEFAULT_TIMEOUT_MS): Promise<unknown[]> {
    return new Promise((resolve) => {
      const payloads = encodeAll(tasks);
      checkTimeout(timeout);
      this.#submitter.check();
      const answer = (): void => {
        stop();
        resolve(payloads.map((_, index) => group.results.get(index)));
      };
      const group = new Group(answer);
      const stop = afterInput(timeout, () => {
        for (const id of group.taskIds) this.#pending.abandon(id);
        answer();
      });
      this.#submitAll(payloads, group);
      if (!group.open) answer();
    });
  }

  /** A message of the own mailbox.  @returns false: it is no business of tasks */
  handle(type: number, kind: number, id: number, from: number, data: Buffer): boolean {
    return this.#answers.handle(type, kind, id, from, data);
  }

  /** All task workers have been killed together with the manager. */
  managerDied(): void {
    this.#answers.allDied();
  }

  #checkMayBlock(method: string): void {
    if (this.#options.inbox !== null) return;
    throw new PreforkError(
      'ERR_TASK_WORKER_ONLY',
      `${method}() blocks: it is for event workers and user processes; taskAsync() works here, too`,
    );
  }

  #submitAll(payloads: readonly Payload[], group: Group): void {
    for (const [index, payload] of payloads.entries()) {
      try {
        group.add(this.#submitter.submit(payload, ANY_WORKER, group), index);
      } catch (error) {
        process.emitWarning(error as Error);
      }
    }
  }

  #limit(
    id: number,
    waiter: Promised,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): void {
    const giveUp = (error: unknown): void => {
      this.#pending.abandon(id);
      waiter.failed(id, error);
    };
    const expire = (ms: number): void => {
      giveUp(taskTimedOut(id, this.#pending.get(id)?.workerId ?? null, ms));
    };
    const abort = (): void => {
      giveUp(signal?.reason);
    };
    const stop =
      timeout === undefined
        ? null
        : afterInput(timeout, () => {
            expire(timeout);
          });
    waiter.forget = () => {
      stop?.();
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
  }
}

function encodeAll(tasks: readonly unknown[]): Payload[] {
  if (!Array.isArray(tasks)) throw invalidType('tasks', 'an array', tasks);
  return Array.from(tasks, encodePayload);
}

/** @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
function checkOptions(options: TaskAsyncOptions): void {
  signalOf(options);
  if (options.timeout !== undefined) checkTimeout(options.timeout);
}
