/**
 * What every task worker process has in hand, in memory that all processes share: from it the others know
 * what is lost when one dies, whoever is killed when.
 *
 *   Int32  row 0: pid | state | from | id | unsent | unsettled | …      row 1: …
 *
 *   idle -- before it reads its queue --> taking -- a task --> holding -- answered --> idle
 *                                            \---- nothing, or no task --------------> idle
 *
 * state is 4 * round + one of these: a reader that sees the same one before and after has read one state.
 * Of a process that is gone the pid is negative. The rows are those of the worker table; one writer each.
 */
import { ROWS_PER_SLOT } from '../../pool/worker-table';
import { SharedMemory } from '../../ipc/shared-memory';

const FIELDS = 8;
const PID = 0;
const STATE = 1;
const FROM = 2;
const ID = 3;
const UNSENT = 4;
const UNSETTLED = 5;

const IDLE = 0;
const TAKING = 1;
const HOLDING = 2;
const STATES = 4;

/** What a process had when it ended. */
export interface LastHeld {
  /** Null: no task. */
  task: { from: number; id: number } | null;
  /** It may have had more: a task that it had just taken, or answers that had not left. */
  unsure: boolean;
}

export class TaskBoard {
  readonly #words: Int32Array;

  /** To be made before the first fork. One more row than there are: manager and master share it. */
  constructor(slots: number) {
    const words = (slots * ROWS_PER_SLOT + 1) * FIELDS;
    const { buffer } = new SharedMemory(words * Int32Array.BYTES_PER_ELEMENT);
    this.#words = new Int32Array(buffer, 0, words);
  }

  /** The process `pid` has this row from now on. */
  claim(row: number, pid: number): void {
    this.#store(row, UNSENT, 0);
    this.#next(row, IDLE);
    this.#store(row, PID, pid);
  }

  taking(row: number): void {
    this.#next(row, TAKING);
  }

  holding(row: number, from: number, id: number): void {
    const at = row * FIELDS;
    this.#words[at + FROM] = from;
    this.#words[at + ID] = id | 0;
    this.#next(row, HOLDING);
  }

  idle(row: number): void {
    this.#next(row, IDLE);
  }

  /** Whether answers of this process wait for room in somebody's mailbox. */
  setUnsent(row: number, on: boolean): void {
    this.#store(row, UNSENT, on ? 1 : 0);
  }

  /** A process of this slot has ended.  @returns what it had; null: its row is another one's already */
  bury(slot: number, pid: number): LastHeld | null {
    for (const row of rowsOf(slot)) {
      const before = Atomics.compareExchange(this.#words, row * FIELDS + PID, pid, -pid);
      if (Math.abs(before) === pid) return this.#lastOf(row);
    }
    return null;
  }

  /** Pids of the slot's processes that have not been buried. */
  living(slot: number): number[] {
    return rowsOf(slot)
      .map((row) => this.#load(row, PID))
      .filter((pid) => pid > 0);
  }

  /** Whether a living process of the slot has this task. */
  holds(slot: number, from: number, id: number): boolean {
    return rowsOf(slot).some((row) => this.#isAlive(row) && this.#has(row, from, id | 0));
  }

  /** Whether it cannot be told at this moment which tasks the living processes of the slot have. */
  isUnsure(slot: number): boolean {
    return rowsOf(slot).some((row) => {
      if (!this.#isAlive(row)) return false;
      return this.#load(row, STATE) % STATES === TAKING || this.#load(row, UNSENT) !== 0;
    });
  }

  /** Tasks that the process of this row has submitted and that have not been settled. */
  addUnsettled(row: number, by: number): void {
    Atomics.add(this.#words, row * FIELDS + UNSETTLED, by);
  }

  /** What a process that is gone has left of them. */
  takeUnsettled(row: number): number {
    return Atomics.exchange(this.#words, row * FIELDS + UNSETTLED, 0);
  }

  #lastOf(row: number): LastHeld {
    const state = this.#load(row, STATE) % STATES;
    const from = this.#load(row, FROM);
    const id = this.#load(row, ID) >>> 0;
    return {
      task: state === HOLDING ? { from, id } : null,
      unsure: state === TAKING || this.#load(row, UNSENT) !== 0,
    };
  }

  #has(row: number, from: number, id: number): boolean {
    for (;;) {
      const state = this.#load(row, STATE);
      if (state % STATES !== HOLDING) return false;
      const same = this.#load(row, FROM) === from && this.#load(row, ID) === id;
      if (this.#load(row, STATE) === state) return same;
    }
  }

  #isAlive(row: number): boolean {
    return this.#load(row, PID) > 0;
  }

  /** One writer: reading and writing need not be one step. */
  #next(row: number, state: number): void {
    const at = row * FIELDS + STATE;
    const round = ((this.#words[at] as number) & ~(STATES - 1)) + STATES;
    Atomics.store(this.#words, at, (round & 0x7fffffff) | state);
  }

  #load(row: number, field: number): number {
    return Atomics.load(this.#words, row * FIELDS + field);
  }

  #store(row: number, field: number, value: number): void {
    Atomics.store(this.#words, row * FIELDS + field, value);
  }
}

function rowsOf(slot: number): number[] {
  return Array.from({ length: ROWS_PER_SLOT }, (_, i) => slot * ROWS_PER_SLOT + i);
}
