/**
 * What every process of a server knows of it, in memory that all of them share. Atomics where several
 * write; times and byte counts are doubles, each with one writer.
 *
 *   Int32    masterPid | managerPid | stopping | round | taskRound | reloading | counters …
 *   Int32    row 0: nextTaskId    row 1: …        (a successor goes on counting: ids stay unique)
 *   Float64  startedAt | received | sent
 */
import { ROWS_PER_SLOT } from '../pool/worker-table';
import { SharedMemory } from '../ipc/shared-memory';

const MASTER_PID = 0;
const MANAGER_PID = 1;
const STOPPING = 2;

/** Counters that any process adds to. They wrap at 2^32. */
export const ROUND = 3;
export const TASK_ROUND = 4;
export const ACCEPTED = 5;
export const CLOSED = 6;
export const REFUSED = 7;
export const REQUESTS = 8;
export const RESPONSES = 9;
export const DISPATCHED = 10;
export const TASKS = 11;
/** Tasks that were submitted and have not been settled. */
export const TASKING = 12;
const INTEGERS = 16;

const STARTED_AT = 0;
const DOUBLES = 4;

export class ServerState {
  readonly #integers: Int32Array;
  readonly #taskIds: Int32Array;
  readonly #doubles: Float64Array;

  /** To be made before the first fork. One more row than there are: manager and master share it. */
  constructor(slots: number) {
    const rows = slots * ROWS_PER_SLOT + 1;
    const { buffer } = new SharedMemory(DOUBLES * 8 + (INTEGERS + rows) * 4);
    this.#doubles = new Float64Array(buffer, 0, DOUBLES);
    this.#integers = new Int32Array(buffer, DOUBLES * 8, INTEGERS);
    this.#taskIds = new Int32Array(buffer, DOUBLES * 8 + INTEGERS * 4, rows);
  }

  get masterPid(): number {
    return Atomics.load(this.#integers, MASTER_PID);
  }
  set masterPid(pid: number) {
    Atomics.store(this.#integers, MASTER_PID, pid);
  }

  get managerPid(): number {
    return Atomics.load(this.#integers, MANAGER_PID);
  }
  set managerPid(pid: number) {
    Atomics.store(this.#integers, MANAGER_PID, pid);
  }

  /** The server shuts down: nobody comes after a worker that ends now. */
  get stopping(): boolean {
    return Atomics.load(this.#integers, STOPPING) !== 0;
  }
  set stopping(on: boolean) {
    Atomics.store(this.#integers, STOPPING, on ? 1 : 0);
  }

  /** In ms since the epoch. */
  get startedAt(): number {
    return this.#doubles[STARTED_AT] ?? 0;
  }
  set startedAt(time: number) {
    this.#doubles[STARTED_AT] = time;
  }

  /** Of one of the counters above.  @returns its value before */
  add(counter: number, by = 1): number {
    return Atomics.add(this.#integers, counter, by);
  }

  count(counter: number): number {
    return Atomics.load(this.#integers, counter);
  }

  /** 0 to 2^32 - 1, unique for this row. */
  nextTaskId(row: number): number {
    return Atomics.add(this.#taskIds, row, 1) >>> 0;
  }
}
