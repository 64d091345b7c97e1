/**
 * Runs tasks in a task worker, one at a time, and answers who has submitted them.
 *
 *   mailbox, queue or socket --> handler --> finish(x) …: FINISH     while it runs, or later
 *                                        \-> TASK_DONE with what it returned, or TASK_ERROR
 *
 * An asynchronous handler is awaited before the next task is taken. A handler that fails costs its task,
 * not the worker: who waits for the result gets the error, otherwise it is a warning there.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { PreforkError } from '../../errors';
import { decodePayload, encodePayload, type Payload } from '../../ipc/payload';
import { requestLimit } from '../../pool/request-limit';
import type { WorkerRow, WorkerTable } from '../../pool/worker-table';
import { isThenable } from '../../thenable';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import {
  FINISH,
  IN_MEMORY,
  PIPE_MESSAGE,
  TASK,
  TASK_DONE,
  TASK_ERROR,
  TASK_MARK,
} from '../bus/message';
import type { ServerSettings } from '../settings';
import type { SlowLog } from '../slow-log';
import type { ServerState } from '../state';
import { AnswerOutlet } from './answer-outlet';
import { RunningTask, warnOfFailure, warnOfLateFinish } from './running-task';
import type { TaskChannel, TaskIntake, TaskSource } from './task-channel';
import { encodeError } from './task-errors';
import { FOR_EVENT, KIND_MASK } from './task-message';

export interface TaskWorkerOptions {
  bus: Bus;
  addresses: Addresses;
  table: WorkerTable;
  row: WorkerRow;
  workerId: number;
  settings: Pick<ServerSettings, 'taskMaxRequest' | 'taskMaxRequestGrace'>;
  state: Pick<ServerState, 'stopping'>;
  channel: TaskChannel;
  slowLog: SlowLog | null;
  /** Ends this worker in good order: WorkerLife.stop(). */
  stop: () => void;
  call: {
    /** The task event. */
    task: (taskId: number, srcWorkerId: number, data: unknown) => unknown;
    /** A message of sendMessage(), from the mailbox `from`. */
    pipeMessage: (kind: number, from: number, data: Buffer) => void;
  };
}

export class TaskWorker implements TaskIntake {
  readonly #options: TaskWorkerOptions;
  readonly #source: TaskSource;
  /** Where tasks come another way: for the other messages. */
  readonly #messages: Inbox | null;
  readonly #outlet: AnswerOutlet;
  readonly #limit: number;
  readonly #context = new AsyncLocalStorage<RunningTask>();
  #running: RunningTask | null = null;
  #whenIdle: (() => void)[] = [];
  #paused = false;

  constructor(options: TaskWorkerOptions) {
    const { channel, workerId, bus, addresses, row, settings } = options;
    this.#options = options;
    channel.board.claim(row.index, process.pid);
    this.#source = channel.open(workerId, this);
    this.#messages = channel.usesMailbox
      ? null
      : bus.inbox(addresses.slot(workerId), { handler: this.handle });
    this.#outlet = new AnswerOutlet(bus, channel, row.index);
    this.#limit = requestLimit(settings.taskMaxRequest, settings.taskMaxRequestGrace);
  }

  start(): void {
    this.#source.start();
    this.#messages?.start();
  }

  /** Takes no more, but for what is queued when nobody comes after this worker. Resolves when all is answered. */
  async drain(): Promise<void> {
    const isLast = (): boolean => this.#options.state.stopping;
    this.#messages?.stop();
    if (!isLast() || this.#options.channel.durable) await this.#stopSource();
    await this.idle();
    if (isLast()) await this.#takeRest();
    await this.#stopSource();
    await this.answered();
  }

  /** A message of the own mailbox, or a task.  @returns false: it is no business of task workers */
  readonly handle = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): boolean => {
    if ((type & ~IN_MEMORY) === TASK) {
      this.#take(kind, id, from, data, type !== TASK);
      return true;
    }
    const isKnown = this.#handleOther(type, kind, id, from, data);
    this.notTaken();
    return isKnown;
  };

  /**
   * A result of the task whose handler this is called in, or in what it has started. See Server.finish().
   *
   * @returns false: nobody waits for it, as the task came from outside, or its handler has ended and its result
   * was not for the finish event
   * @throws PreforkError ERR_TASK_NOT_RUNNING; ERR_INVALID_ARG_TYPE for what cannot be cloned
   */
  finish(value: unknown): boolean {
    const task = this.#context.getStore();
    if (task === undefined) {
      throw new PreforkError(
        'ERR_TASK_NOT_RUNNING',
        'finish() gives the result of a task: call it in the task callback or in what that has started',
      );
    }
    const payload = encodePayload(value);
    const isHeard = task.isHeard && this.#outlet.send(task, FINISH, payload);
    if (task.ended && !isHeard && !task.finished) warnOfLateFinish(task);
    task.finished = true;
    return isHeard;
  }

  hasRoom(): boolean {
    return this.#running === null && !this.#paused;
  }

  taking(): void {
    const { channel, row } = this.#options;
    channel.board.taking(row.index);
  }

  empty(): void {
    const { channel, table, workerId } = this.#options;
    if (channel.targeted) table.noteEmpty(workerId);
    this.notTaken();
  }

  notTaken(): void {
    const { channel, row } = this.#options;
    if (this.#running === null) channel.board.idle(row.index);
  }

  unreadable(kind: number, id: number, from: number, error: unknown): void {
    this.#fail(this.#begin(kind, id, from), error);
  }

  /** Resolves when no task runs. */
  async idle(): Promise<void> {
    if (this.#running === null) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #handleOther(type: number, kind: number, id: number, from: number, data: Buffer): boolean {
    switch (type) {
      case TASK_MARK:
        this.#options.bus.send(from, TASK_MARK, id, data);
        return true;
      case PIPE_MESSAGE:
        this.#options.call.pipeMessage(kind, from, data);
        return true;
      default:
        return false;
    }
  }

  #take(kind: number, id: number, from: number, data: Buffer, inMemory: boolean): void {
    const { channel } = this.#options;
    const task = this.#begin(kind, id, from);
    this.#run(task, kind & KIND_MASK, inMemory ? channel.memory.take(data) : data);
  }

  #begin(kind: number, id: number, from: number): RunningTask {
    const { channel, table, row, workerId } = this.#options;
    channel.board.holding(row.index, from, id);
    // Tasks of another run, or from another program, have not been counted.
    if (channel.targeted && from >= 0) table.countTaken(workerId, 1);
    row.taken++;
    row.busy = 1;
    row.busySince = Date.now();
    this.#running = new RunningTask(id, from, kind & FOR_EVENT);
    return this.#running;
  }

  /** @param data - null: it was not there any more, because who has sent it has long gone */
  #run(task: RunningTask, kind: number, data: Buffer | null): void {
    const { slowLog, addresses, call } = this.#options;
    const source = addresses.workerOf(task.from);
    slowLog?.begin('task', task.id);
    let result: unknown;
    let isPending: boolean;
    try {
      if (data === null) throw new PreforkError('ERR_BAD_FRAME', 'the data of the task is gone');
      const value = decodePayload(kind, data);
      result = this.#context.run(task, call.task, task.id, source, value);
      isPending = isThenable(result);
    } catch (error) {
      this.#fail(task, error);
      return;
    } finally {
      slowLog?.end();
    }
    if (isPending) void this.#await(task, result);
    else this.#succeed(task, result);
  }

  async #await(task: RunningTask, result: unknown): Promise<void> {
    this.#source.pause();
    let value: unknown;
    try {
      value = await result;
    } catch (error) {
      this.#fail(task, error);
      this.#resume();
      return;
    }
    this.#succeed(task, value);
    this.#resume();
  }

  #resume(): void {
    if (!this.#paused) this.#source.resume();
  }

  #succeed(task: RunningTask, value: unknown): void {
    let payload: Payload;
    try {
      // From `return serv.finish(x)`: that is one result, not two.
      payload = encodePayload(task.finished && value === true ? undefined : value);
    } catch (error) {
      this.#fail(task, error);
      return;
    }
    task.finished ||= value !== undefined;
    this.#end(task, TASK_DONE, payload);
  }

  #fail(task: RunningTask, error: unknown): void {
    if (task.from < 0) warnOfFailure(error);
    this.#end(task, TASK_ERROR, encodeError(error));
  }

  #end(task: RunningTask, type: number, payload: Payload): void {
    const { channel, row, stop } = this.#options;
    task.ended = true;
    // Before the answer: who gets it is to find this worker idle.
    this.#countEnd();
    try {
      this.#outlet.send(task, type, payload);
    } catch (error) {
      // As a rule, there are no fds left for a large one.
      this.#outlet.send(task, TASK_ERROR, encodeError(error));
    }
    channel.board.idle(row.index);
    this.#running = null;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
    if (this.#limit > 0 && row.handled >= this.#limit) stop();
  }

  #countEnd(): void {
    const { row } = this.#options;
    row.handled++;
    row.busy = 0;
    row.busyTime += Date.now() - row.busySince;
    row.busySince = 0;
  }

  /** Resolves when no task runs and all answers have left this process. */
  async answered(): Promise<void> {
    await this.idle();
    await this.#outlet.sent();
  }

  async #stopSource(): Promise<void> {
    this.#paused = true;
    await this.#source.stop();
  }

  async #takeRest(): Promise<void> {
    this.#messages?.start();
    this.#messages?.drain();
    this.#messages?.stop();
    if (this.#options.channel.durable) return;
    this.#paused = false;
    await this.#source.drain();
    await this.idle();
  }
}
