/**
 * The mailboxes of a server's processes, by number:
 *
 *   slots            one for each worker id: event workers, task workers, user processes
 *   rows             one for each process of an event worker or user process (a row of the worker table)
 *   manager, master  in base mode one process, with one mailbox
 *
 * What is for a worker id, whoever serves it, goes to the slot: requests, tasks, messages. A process on its
 * way out leaves it to its successor. What only one process can use goes to its row: results of its tasks,
 * and commands for connections that it holds.
 */
import { ROWS_PER_SLOT } from '../../pool/worker-table';

export interface GroupSizes {
  workerNum: number;
  taskWorkerNum: number;
  userNum: number;
}

export class Addresses {
  readonly workerNum: number;
  readonly taskWorkerNum: number;
  /** Worker ids: event workers, then task workers, then user processes. */
  readonly slots: number;
  readonly manager: number;
  readonly master: number;
  readonly count: number;

  constructor({ workerNum, taskWorkerNum, userNum }: GroupSizes, masterIsManager: boolean) {
    this.workerNum = workerNum;
    this.taskWorkerNum = taskWorkerNum;
    this.slots = workerNum + taskWorkerNum + userNum;
    this.manager = this.slots * (1 + ROWS_PER_SLOT);
    this.master = masterIsManager ? this.manager : this.manager + 1;
    this.count = this.master + 1;
  }

  slot(workerId: number): number {
    return workerId;
  }

  row(rowIndex: number): number {
    return this.slots + rowIndex;
  }

  /** The worker id that a mailbox belongs to; -1: manager or master. */
  workerOf(address: number): number {
    if (address >= this.manager) return -1;
    return address < this.slots ? address : this.#slotOfRow(address);
  }

  isTaskWorker(workerId: number): boolean {
    return workerId >= this.workerNum && workerId < this.workerNum + this.taskWorkerNum;
  }

  isUserProcess(workerId: number): boolean {
    return workerId >= this.workerNum + this.taskWorkerNum && workerId < this.slots;
  }

  /** Whether there is a mailbox: the rows of task workers have none, because nothing is answered to them. */
  exists(address: number): boolean {
    if (address < this.slots || address >= this.manager) return true;
    return !this.isTaskWorker(this.#slotOfRow(address));
  }

  #slotOfRow(address: number): number {
    return Math.floor((address - this.slots) / ROWS_PER_SLOT);
  }
}
