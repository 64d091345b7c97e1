/**
 * What comes back to a process that has submitted tasks: results, errors, deaths of task workers, marks. On
 * the event loop it is handled in its order; a caller that blocks looks out for its own, and what else comes
 * in meanwhile is handled afterwards.
 */
import { PreforkError } from '../../errors';
import { decodePayload } from '../../ipc/payload';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import { FINISH, IN_MEMORY, TASK_DONE, TASK_ERROR, TASK_MARK, WORKER_DIED } from '../bus/message';
import { Losses } from './losses';
import type { PendingTasks } from './pending-tasks';
import type { TaskChannel } from './task-channel';
import type { Death } from './task-errors';
import { leftUntil } from './timeouts';
import { NOBODY, type Waiter } from './waiters';

/** How often a caller that blocks looks at what it is not woken by. */
const POLL_MS = 5;

const SIGKILL = 9;

const NO_DATA = Buffer.alloc(0);

/** Something that a caller blocks for. */
interface Blocking extends Waiter {
  readonly open: boolean;
}

export interface TaskAnswersOptions {
  bus: Bus;
  addresses: Addresses;
  channel: TaskChannel;
  pending: PendingTasks;
  /** The mailbox that this process has adopted and reads. */
  replyAddress: number;
  /** The same; null where nobody may block. */
  inbox: Inbox | null;
}

export class TaskAnswers {
  readonly #options: TaskAnswersOptions;
  readonly #losses: Losses;
  /** What a caller blocks for at this moment. */
  #blocking: Blocking | null = null;

  constructor(options: TaskAnswersOptions) {
    const { bus, addresses, channel, pending, replyAddress } = options;
    const { workerNum, taskWorkerNum } = addresses;
    this.#options = options;
    this.#losses = new Losses({
      ...{ pending, channel, replyAddress },
      sendToSelf: (mark) => bus.sendWithin(replyAddress, TASK_MARK, mark, NO_DATA, 0, 0),
      taskWorkers: Array.from({ length: taskWorkerNum }, (_, i) => workerNum + i),
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
        this.#options.pending.finish(id, kind, data);
        return true;
      case TASK_DONE:
        this.#options.pending.done(id, kind, data);
        return true;
      case TASK_ERROR:
        this.#options.pending.error(id, kind, data);
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

  /** Blocks until it is settled, or the time is over. */
  waitFor(waiter: Blocking, end: number): void {
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

  #handleLarge(type: number, kind: number, id: number, from: number, reference: Buffer): void {
    const data = this.#options.channel.memory.take(reference);
    if (data !== null) this.handle(type, kind, id, from, data);
    // Only after more than a minute in the mailbox, and when its worker has died meanwhile.
    else if (type !== FINISH) this.#losses.answerGone(id);
  }

  /** All task workers have been killed, and nobody tells of each: who would has died as well. */
  allDied(): void {
    const { addresses, channel } = this.#options;
    const { workerNum, taskWorkerNum } = addresses;
    for (let workerId = workerNum; workerId < workerNum + taskWorkerNum; workerId++) {
      for (const pid of channel.board.living(workerId)) {
        this.#losses.died(workerId, { pid, code: 0, signal: SIGKILL });
      }
    }
  }

  #died(workerId: number, kind: number, data: Buffer, only: Waiter | null): void {
    if (!this.#options.addresses.isTaskWorker(workerId)) return;
    this.#losses.died(workerId, decodePayload(kind, data) as Death, only);
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
    const addressee = this.#options.pending.get(id)?.waiter;
    return addressee === waiter || addressee === NOBODY;
  }
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
