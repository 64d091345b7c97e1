/** Gives tasks to the channel: which worker, which id, and who waits. */
import { PreforkError } from '../../errors';
import { generation } from '../../ipc/generation';
import type { Payload } from '../../ipc/payload';
import { STAGE_READY, type WorkerTable } from '../../pool/worker-table';
import { checkInteger } from '../../validate';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import { TASK } from '../bus/message';
import { chooseIdle, type Workers } from '../dispatch';
import { TASK_ROUND, type ServerState } from '../state';
import type { PendingTasks } from './pending-tasks';
import { ANY_WORKER, type TaskChannel, type TaskMessage } from './task-channel';
import { FOR_EVENT } from './task-message';
import { leftUntil } from './timeouts';
import type { Waiter } from './waiters';

export interface SubmitterOptions {
  bus: Bus;
  state: ServerState;
  table: WorkerTable;
  addresses: Addresses;
  channel: TaskChannel;
  taskRow: number;
  pending: PendingTasks;
  /** The finish event. */
  event: Waiter;
  onAllBusy: (() => void) | undefined;
}

export class Submitter {
  readonly #options: SubmitterOptions;
  readonly #workers: Workers;
  readonly #generation = generation();

  constructor(options: SubmitterOptions) {
    this.#options = options;
    this.#workers = taskWorkersOf(options);
  }

  /** @returns the task's id */
  submit(payload: Payload, dst: number, waiter: Waiter): number {
    const slot = this.#choose(dst);
    const message = this.#message(payload, waiter);
    this.#counted(slot, () => {
      this.#options.channel.submit(slot, message);
      return true;
    });
    this.#options.pending.add(message.id, slot, waiter);
    return message.id;
  }

  /** Blocks while there is no room.  @returns null: there was none in time */
  submitWithin(payload: Payload, dst: number, waiter: Waiter, end: number): number | null {
    const { bus, channel, pending } = this.#options;
    const slot = this.#choose(dst);
    const message = this.#message(payload, waiter);
    bus.flush();
    if (!this.#counted(slot, () => channel.submitWithin(slot, message, leftUntil(end))))
      return null;
    pending.add(message.id, slot, waiter);
    return message.id;
  }

  /** Counted before it is sent: who takes it may be faster than this process. */
  #counted(slot: number, send: () => boolean): boolean {
    const { table } = this.#options;
    if (slot === ANY_WORKER) return send();
    let sent = false;
    table.countSent(slot, 1);
    try {
      sent = send();
    } finally {
      if (!sent) table.countSent(slot, -1);
    }
    return sent;
  }

  #message({ kind, data }: Payload, waiter: Waiter): TaskMessage {
    const { state, taskRow, event } = this.#options;
    const flags = waiter === event ? FOR_EVENT : 0;
    return { type: TASK, id: state.nextTaskId(taskRow), kind: kind | flags, data };
  }

  /** @throws PreforkError ERR_TASK_WORKER_ONLY, ERR_TASK_NO_WORKERS: this process can submit none */
  check(): void {
    if (this.#generation !== generation()) {
      throw new PreforkError(
        'ERR_TASK_WORKER_ONLY',
        'this process was forked by a process of the server: results of tasks would go to that one',
      );
    }
    if (this.#options.addresses.taskWorkerNum === 0) {
      throw new PreforkError(
        'ERR_TASK_NO_WORKERS',
        'this server has no task workers: set taskWorkerNum',
      );
    }
  }

  /** The slot of a task worker, or ANY_WORKER. */
  #choose(dst: number): number {
    const { addresses, channel, onAllBusy } = this.#options;
    this.check();
    const { workerNum, taskWorkerNum } = addresses;
    checkInteger('dstWorkerId', dst, ANY_WORKER, taskWorkerNum - 1);
    if (!channel.targeted) return ANY_WORKER;
    return workerNum + (dst === ANY_WORKER ? chooseIdle(this.#workers, onAllBusy) : dst);
  }
}

function taskWorkersOf({ addresses, table, state }: SubmitterOptions): Workers {
  const { workerNum, taskWorkerNum } = addresses;
  return {
    workerNum: taskWorkerNum,
    isIdle: (index) => {
      const slot = workerNum + index;
      const row = table.current(slot);
      return row?.stage === STAGE_READY && row.busy === 0 && table.queued(slot) <= 0;
    },
    nextRound: () => state.add(TASK_ROUND),
  };
}
