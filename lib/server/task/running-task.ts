/** A task in a task worker, and the warnings about it that have no other place to go. */
import { RareWarning } from '../rare-warning';
import { textOf } from './task-errors';
import { FOR_EVENT } from './task-message';

const lateFinish = new RareWarning('PREFORK_LATE_FINISH');

/** A task that was taken. It is known to finish() as long as something of its handler runs. */
export class RunningTask {
  readonly id: number;
  /** The mailbox for its answers; negative: nobody waits. */
  readonly from: number;
  readonly flags: number;
  /** It has had a result. */
  finished = false;
  /** Its handler has ended. */
  ended = false;

  constructor(id: number, from: number, flags: number) {
    this.id = id;
    this.from = from;
    this.flags = flags;
  }

  /** Whether a result would reach anybody: the finish event hears of late ones as well. */
  get isHeard(): boolean {
    return this.from >= 0 && (!this.ended || (this.flags & FOR_EVENT) !== 0);
  }
}

export function warnOfLateFinish({ id }: RunningTask): void {
  lateFinish.tell(
    `finish() for task ${id} came after its handler had ended: who waited has gone on without a result. ` +
      'Return a promise from the task callback that settles when the work is done',
  );
}

/** Of a task from outside: nobody waits for it. */
export function warnOfFailure(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : textOf(error);
  process.emitWarning(
    `the handler of a task from outside has failed: ${text}`,
    'PreforkWarning',
    'PREFORK_TASK_FAILED',
  );
}
