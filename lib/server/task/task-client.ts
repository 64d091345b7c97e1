/**
 * Submits tasks and gets their results: one for each process that may (event workers, user processes,
 * manager, master).
 *
 *   task()       -> finish event or callback       taskAsync(), taskCo()          -> promise
 *   taskwait(), taskWaitMulti(): block; what else comes in meanwhile is handled afterwards
 */
import { PreforkError } from '../../errors';
import { decodePayload, encodePayload, type Payload } from '../../ipc/payload';
import { checkFunction, invalidType } from '../../validate';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import { FINISH, IN_MEMORY, TASK_DONE, TASK_ERROR, TASK_MARK, WORKER_DIED } from '../bus/message';
import type { ServerSettings } from '../settings';
import { TASKING, type ServerState } from '../state';
import type { WorkerTable } from '../../pool/worker-table';
import { Losses } from './losses';
import { PendingTasks } from './pending-tasks';
import { Submitter } from './submitter';
import { ANY_WORKER, type TaskChannel } from './task-channel';
import { taskTimedOut, type Death } from './task-errors';
import { afterInput, checkTimeout, endOf, leftUntil } from './timeouts';
import { Group, Listener, NOBODY, Promised, Single, type Waiter } from './waiters';

const DEFAULT_TIMEOUT_MS = 500;
const NO_DATA = Buffer.alloc(0);

/** How often a caller that blocks looks at what it is not woken by. */
const POLL_MS = 5;

/** Gets the results of one task, in place of the finish event. */
export type TaskCallback<Server> = (server: Server, taskId: number, data: unknown) => unknown;

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

/** Something that a caller blocks for. */
interface Blocking extends Waiter {
  readonly open: boolean;
}

export class TaskClient {
  readonly #options: TaskClientOptions;
  readonly #event: Listener;
  readonly #pending: PendingTasks;
  readonly #losses: Losses;
  readonly #submitter: Submitter;
  /** What a caller blocks for at this moment. */
  #blocking: Blocking | null = null;

  constructor(options: TaskClientOptions) {
    const { channel, state, table, taskRow, replyAddress, bus, addresses, call } = options;
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
    const { workerNum, taskWorkerNum } = addresses;
    this.#losses = new Losses({
      pending: this.#pending,
      channel,
      replyAddress,
      sendToSelf: (mark) => bus.sendWithin(replyAddress, TASK_MARK, mark, NO_DATA, 0, 0),
      taskWorkers: Array.from({ length: taskWorkerNum }, (_, i) => workerNum + i),
    });
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
    this.#block(single, end);
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
    this.#block(group, end);
    for (const id of group.taskIds) this.#pending.abandon(id);
    return group.results;
  }

  /** See Server.taskAsync(). */
  taskAsync(data: unknown, options: TaskAsyncOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { timeout, dst = ANY_WORKER, signal } = options;
      if (timeout !== undefined) checkTimeout(timeout);
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
    switch (type) {
      case FINISH | IN_MEMORY:
      case TASK_DONE | IN_MEMORY:
      case TASK_ERROR | IN_MEMORY:
        this.#handleLarge(type & ~IN_MEMORY, kind, id, from, data);
        return true;
      case FINISH:
        this.#pending.finish(id, kind, data);
        return true;
      case TASK_DONE:
        this.#pending.done(id, kind, data);
        return true;
      case TASK_ERROR:
        this.#pending.error(id, kind, data);
        return true;
      case TASK_MARK:
        this.#losses.marked(id, from === this.#options.replyAddress);
        return true;
      case WORKER_DIED:
        this.#died(id, kind, data, null);
        return true;
      default:
        return false;
    }
  }

  #handleLarge(type: number, kind: number, id: number, from: number, reference: Buffer): void {
    const data = this.#options.channel.memory.take(reference);
    if (data !== null) this.handle(type, kind, id, from, data);
    // Only after more than a minute in the mailbox, and when its worker has died meanwhile.
    else if (type !== FINISH) this.#losses.answerGone(id);
  }

  #died(workerId: number, kind: number, data: Buffer, only: Waiter | null): void {
    if (!this.#options.addresses.isTaskWorker(workerId)) return;
    this.#losses.died(workerId, decodePayload(kind, data) as Death, only);
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

  #block(waiter: Blocking, end: number): void {
    const { inbox } = this.#options;
    if (inbox === null) return;
    const outer = this.#blocking;
    this.#blocking = waiter;
    try {
      while (waiter.open) {
        const left = leftUntil(end);
        const slice = this.#losses.poll() ? Math.min(left, POLL_MS) : left;
        if (!receive(inbox, slice, this.#wanted) && left === 0) break;
      }
    } finally {
      this.#blocking = outer;
    }
  }

  /** What the caller that blocks waits for, and what nobody does, is handled now. */
  readonly #wanted = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): boolean => {
    const waiter = this.#blocking;
    if (waiter === null) return false;
    if (type === WORKER_DIED) {
      this.#died(id, kind, data, waiter);
      return false;
    }
    const isOwn =
      type === TASK_MARK ? this.#losses.isMarkOf(id, waiter) : this.#isAnswerFor(type, id, waiter);
    return isOwn && this.handle(type, kind, id, from, data);
  };

  #isAnswerFor(type: number, id: number, waiter: Waiter): boolean {
    const plain = type & ~IN_MEMORY;
    if (plain !== FINISH && plain !== TASK_DONE && plain !== TASK_ERROR) return false;
    const addressee = this.#pending.get(id)?.waiter;
    return addressee === waiter || addressee === NOBODY;
  }

  #limit(
    id: number,
    waiter: Promised,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): void {
    const giveUp = (error: unknown): void => {
      const workerId = this.#pending.get(id)?.workerId ?? null;
      this.#pending.abandon(id);
      waiter.failed(id, error ?? taskTimedOut(id, workerId, timeout ?? 0));
    };
    const stop =
      timeout === undefined
        ? null
        : afterInput(timeout, () => {
            giveUp(null);
          });
    const abort = (): void => {
      giveUp(signal?.reason);
    };
    waiter.forget = () => {
      stop?.();
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
  }
}

function encodeAll(tasks: readonly unknown[]): Payload[] {
  if (!Array.isArray(tasks)) throw invalidType('tasks', 'an array', tasks);
  return tasks.map(encodePayload);
}

/** As inbox.receiveOne(); what cannot be read costs nobody his result. */
function receive(inbox: Inbox, ms: number, wanted: Parameters<Inbox['receiveOne']>[1]): boolean {
  try {
    return inbox.receiveOne(ms, wanted);
  } catch (error) {
    if (!(error instanceof PreforkError) || error.code !== 'ERR_BAD_FRAME') throw error;
    process.emitWarning(error);
    return true;
  }
}
