/**
 * Which tasks of this process are lost when a task worker dies. What it had in hand stands on the board;
 * the rest of its queue is its successor's. Where the board cannot tell, because it was killed between two
 * steps, the queue itself is asked:
 *
 *   WORKER_DIED -> mark into the queue, behind all tasks -> back from who takes it: none is queued any more
 *     -> whatever no living process has in hand is answered or lost
 *     -> mark to ourselves, behind all answers -> back: what is not answered is lost
 *
 * A caller that blocks looks for its own tasks only: answers to others may lie unread in front of it.
 */
import { TASK_MARK } from '../bus/message';
import type { PendingTask, PendingTasks } from './pending-tasks';
import { ANY_WORKER, type TaskChannel } from './task-channel';
import { workerDied, type Death } from './task-errors';
import type { Waiter } from './waiters';

/** How soon it is looked again at a worker between two steps. */
const RECHECK_MS = 2;

/** After a connection has ended: how long the manager may take to tell why. */
const REASON_MS = 1000;

const NO_DATA = Buffer.from([0]);

const TO_SELF = -2;

interface Check {
  workerId: number | null;
  death: Death | null;
  tasks: PendingTask[];
  /** Only those of this waiter, which blocks; null: all. */
  only: Waiter | null;
  /** Where its mark goes: a slot, or TO_SELF. */
  slot: number;
}

export interface LossesOptions {
  pending: PendingTasks;
  channel: TaskChannel;
  /** Where this process gets its answers. */
  replyAddress: number;
  /** Puts a mark into the own mailbox.  @returns false: there is no room */
  sendToSelf: (mark: number) => boolean;
  /** Ids of the task workers. */
  taskWorkers: readonly number[];
}

export class Losses {
  readonly #options: LossesOptions;
  /** By the id of their mark. */
  readonly #checks = new Map<number, Check>();
  /** Marks that found no room yet. */
  readonly #unsent = new Set<number>();
  readonly #unsure = new Set<Check>();
  readonly #unexplained = new Map<PendingTask, NodeJS.Timeout>();
  #nextMark = 0;
  #recheck: NodeJS.Timeout | null = null;

  constructor(options: LossesOptions) {
    this.#options = options;
    options.channel.onLost?.((taskId) => {
      this.#connectionEnded(taskId);
    });
  }

  /** A task worker process has ended. */
  died(workerId: number, death: Death, only: Waiter | null = null): void {
    const { pending, channel, replyAddress } = this.#options;
    const last = channel.board.bury(workerId, death.pid);
    const held = last?.task?.from === replyAddress ? pending.get(last.task.id) : undefined;
    if (held !== undefined && isOf(held, only)) this.#lose(held, workerId, death);
    channel.findLost?.();
    if (channel.onLost !== undefined) this.#explain(workerId, death, only);
    else if (last === null || last.unsure) this.#askQueue(workerId, death, only);
  }

  /** A mark has come.  @param fromSelf - it was sent by this process to itself */
  marked(mark: number, fromSelf: boolean): void {
    const check = this.#checks.get(mark);
    if (check === undefined) return;
    this.#checks.delete(mark);
    if (fromSelf) this.#loseAll(check);
    else this.#compare(check);
  }

  /** A task was done, but its result was not there any more. */
  answerGone(taskId: number): void {
    const task = this.#options.pending.get(taskId);
    if (task !== undefined) this.#lose(task, task.workerId, null);
  }

  /** Whether a mark is for tasks of `waiter` only: its answer may be looked at before all others. */
  isMarkOf(mark: number, waiter: Waiter): boolean {
    return this.#checks.get(mark)?.only === waiter;
  }

  /** For a caller that blocks: does what else the event loop would do.  @returns whether it is to be called soon again */
  poll(): boolean {
    this.#options.channel.findLost?.();
    this.#lookAgain();
    return this.#mustLookAgain || this.#options.channel.findLost !== undefined;
  }

  #askQueue(workerId: number, death: Death, only: Waiter | null): void {
    const { pending, channel } = this.#options;
    const slot = channel.targeted ? workerId : ANY_WORKER;
    const tasks = [...pending.all()].filter((task) => task.slot === slot && isOf(task, only));
    if (tasks.length === 0) return;
    // A mark on its way may be lost together with this process: the new one asks for its tasks as well.
    for (const [mark, check] of this.#checks) {
      if (check.slot !== slot || check.only !== only) continue;
      this.#checks.delete(mark);
      this.#unsent.delete(mark);
      ({ workerId, death } = { workerId: check.workerId ?? workerId, death: check.death ?? death });
    }
    this.#mark({ workerId, death, tasks, only, slot });
  }

  /** None of the tasks is queued any more: who has them? */
  #compare(check: Check): void {
    const { channel, replyAddress, pending, taskWorkers } = this.#options;
    const { board } = channel;
    this.#unsure.delete(check);
    const open = check.tasks.filter((task) => pending.get(task.id) === task);
    if (open.length === 0) return;
    const slots = open[0]?.slot === ANY_WORKER ? taskWorkers : [open[0]?.slot as number];
    if (slots.some((slot) => board.isUnsure(slot))) {
      this.#unsure.add(check);
      this.#lookAgainSoon();
      return;
    }
    const inHand = ({ id }: PendingTask): boolean =>
      slots.some((slot) => board.holds(slot, replyAddress, id));
    this.#askSelf({ ...check, tasks: open.filter((task) => !inHand(task)) });
  }

  #askSelf(check: Check): void {
    if (check.tasks.length > 0) this.#mark({ ...check, slot: TO_SELF });
  }

  #mark(check: Check): void {
    const mark = this.#nextMark;
    this.#nextMark = (mark + 1) >>> 0;
    this.#checks.set(mark, check);
    this.#unsent.add(mark);
    this.#sendMark(mark, check);
  }

  #sendMark(mark: number, { slot }: Check): void {
    const { channel, sendToSelf } = this.#options;
    const message = { type: TASK_MARK, id: mark, kind: 0, data: NO_DATA };
    const sent = slot === TO_SELF ? sendToSelf(mark) : channel.submitWithin(slot, message, 0);
    if (sent) this.#unsent.delete(mark);
    else this.#lookAgainSoon();
  }

  get #mustLookAgain(): boolean {
    return this.#unsure.size > 0 || this.#unsent.size > 0;
  }

  #lookAgain(): void {
    for (const check of [...this.#unsure]) this.#compare(check);
    for (const mark of [...this.#unsent]) this.#sendMark(mark, this.#checks.get(mark) as Check);
  }

  #lookAgainSoon(): void {
    if (this.#recheck !== null) return;
    this.#recheck = setTimeout(() => {
      this.#recheck = null;
      this.#lookAgain();
    }, RECHECK_MS);
  }

  #loseAll({ tasks, workerId, death }: Check): void {
    for (const task of tasks) this.#lose(task, workerId, death);
  }

  #lose(task: PendingTask, workerId: number | null, death: Death | null): void {
    const { pending } = this.#options;
    if (pending.get(task.id) !== task) return;
    pending.fail(task, workerDied(task.id, task.workerId ?? workerId, death));
  }

  /** Its worker has ended, or dropped it: why is told by the manager, as a rule. */
  #connectionEnded(taskId: number): void {
    const task = this.#options.pending.get(taskId);
    if (task === undefined || this.#unexplained.has(task)) return;
    const timer = setTimeout(() => {
      this.#unexplained.delete(task);
      this.#askSelf({ workerId: null, death: null, tasks: [task], only: null, slot: TO_SELF });
    }, REASON_MS);
    this.#unexplained.set(task, timer);
  }

  #explain(workerId: number, death: Death, only: Waiter | null): void {
    const tasks = [...this.#unexplained.keys()].filter((task) => isOf(task, only));
    for (const task of tasks) {
      clearTimeout(this.#unexplained.get(task));
      this.#unexplained.delete(task);
    }
    this.#askSelf({ workerId, death, tasks, only, slot: TO_SELF });
  }
}

function isOf(task: PendingTask, only: Waiter | null): boolean {
  return only === null || task.waiter === only;
}
