/**
 * What every process of a pool may know of every worker, in memory that all of them share:
 *
 *   Int32    slot 0: currentRow | restarts … sent … taken      slot 1: …      (atomics: many writers)
 *   Float64  row 0: pid | stage | busy | generation | startedAt | busySince | busyTime | taken | handled
 *            | unsent, row 1: …                                 (one writer: the worker, before it the master)
 *
 * A slot has several rows, because a worker on its way out still counts while its successor serves.
 * An aligned 8-byte store is never seen half written on x64 and arm64, so counters need no lock.
 */
import { SharedMemory } from '../ipc/shared-memory';

export const ROWS_PER_SLOT = 4;
const ROW_FIELDS = 16;
const SLOT_FIELDS = 48;

/** Fields that different processes write for each message have a cache line of their own. */
const CURRENT_ROW = 0;
const RESTARTS = 1;
const SENT = 16;
const TAKEN = 32;

/** Stages as numbers, in the order of a worker's life. */
export const STAGE_NONE = 0;
export const STAGE_STARTING = 1;
export const STAGE_READY = 2;
export const STAGE_DRAINING = 3;
export const STAGE_DETACHED = 4;

export const STAGE_NAMES = ['none', 'starting', 'ready', 'draining', 'detached'] as const;

/** One worker process's row. */
export class WorkerRow {
  readonly index: number;
  readonly #fields: Float64Array;

  constructor(index: number, fields: Float64Array) {
    this.index = index;
    this.#fields = fields;
  }

  get pid(): number {
    return this.#get(0);
  }
  set pid(value: number) {
    this.#fields[0] = value;
  }
  get stage(): number {
    return this.#get(1);
  }
  set stage(value: number) {
    this.#fields[1] = value;
  }
  /** Messages whose handlers run at this moment. */
  get busy(): number {
    return this.#get(2);
  }
  set busy(value: number) {
    this.#fields[2] = value;
  }
  get generation(): number {
    return this.#get(3);
  }
  set generation(value: number) {
    this.#fields[3] = value;
  }
  /** In ms since the epoch. */
  get startedAt(): number {
    return this.#get(4);
  }
  set startedAt(value: number) {
    this.#fields[4] = value;
  }
  /** When it last turned from idle to busy, in ms since the epoch; 0 while idle. */
  get busySince(): number {
    return this.#get(5);
  }
  set busySince(value: number) {
    this.#fields[5] = value;
  }
  /** Time spent busy before that, in ms. */
  get busyTime(): number {
    return this.#get(6);
  }
  set busyTime(value: number) {
    this.#fields[6] = value;
  }
  /** Messages taken off their queue, or about to be. */
  get taken(): number {
    return this.#get(7);
  }
  set taken(value: number) {
    this.#fields[7] = value;
  }
  /** Messages whose handlers have ended. */
  get handled(): number {
    return this.#get(8);
  }
  set handled(value: number) {
    this.#fields[8] = value;
  }

  /** Of the handled ones those whose replies have not left the worker. */
  get unsent(): number {
    return this.#get(9);
  }
  set unsent(value: number) {
    this.#fields[9] = value;
  }

  /** Messages that are lost with a process that has ended now, at most. */
  get lost(): number {
    return Math.max(0, this.taken - this.handled + this.unsent);
  }

  clear(): void {
    this.#fields.fill(0);
  }

  #get(field: number): number {
    return this.#fields[field] as number;
  }
}

export class WorkerTable {
  readonly #slots: Int32Array;
  readonly #rows: WorkerRow[];
  /** Where the rows begin that any slot may take. */
  readonly #reserve: number;

  /**
   * To be made before the first fork.
   *
   * @param reserve - rows for slots that have used up their own
   */
  constructor(slotCount: number, reserve = 0) {
    const slotBytes = slotCount * SLOT_FIELDS * Int32Array.BYTES_PER_ELEMENT;
    this.#reserve = slotCount * ROWS_PER_SLOT;
    const rowCount = this.#reserve + reserve;
    const rowBytes = ROW_FIELDS * Float64Array.BYTES_PER_ELEMENT;
    const { buffer } = new SharedMemory(rowCount * rowBytes + slotBytes);
    this.#rows = Array.from({ length: rowCount }, (_, index) => {
      return new WorkerRow(index, new Float64Array(buffer, index * rowBytes, ROW_FIELDS));
    });
    this.#slots = new Int32Array(buffer, rowCount * rowBytes, slotCount * SLOT_FIELDS);
    for (let slot = 0; slot < slotCount; slot++) this.#set(slot, CURRENT_ROW, -1);
  }

  /** A row for the next worker of a slot; null while too many of its predecessors have not ended. */
  claimRow(slot: number): WorkerRow | null {
    const first = slot * ROWS_PER_SLOT;
    const free = this.#freeRow(first, first + ROWS_PER_SLOT) ?? this.#freeRow(this.#reserve);
    if (free === undefined) return null;
    free.clear();
    free.stage = STAGE_STARTING;
    this.#set(slot, CURRENT_ROW, free.index);
    return free;
  }

  /** The row of a slot's newest worker; null before the first. */
  current(slot: number): WorkerRow | null {
    const index = Atomics.load(this.#slots, slot * SLOT_FIELDS + CURRENT_ROW);
    return this.#rows[index] ?? null;
  }

  /** Of all workers that have not ended, as far as is known. */
  filledRows(): WorkerRow[] {
    return this.#rows.filter(({ pid }) => pid !== 0);
  }

  /** After the death of whoever started the workers, who have died with it. */
  clearRows(): void {
    for (const row of this.#rows) row.clear();
  }

  restarts(slot: number): number {
    return this.#load(slot, RESTARTS);
  }

  countRestart(slot: number): void {
    this.#add(slot, RESTARTS, 1);
  }

  countSent(slot: number, by: 1 | -1): void {
    this.#add(slot, SENT, by);
  }

  countTaken(slot: number, by: 1 | -1): void {
    this.#add(slot, TAKEN, by);
  }

  /**
   * Messages sent to a slot that no worker of it has taken, as far as counters tell that several processes
   * keep: a moment before or after the kernel has a message. They wrap, their distance does not.
   */
  queued(slot: number): number {
    return Math.max(0, (this.#load(slot, SENT) - this.#load(slot, TAKEN)) | 0);
  }

  /** Nothing waits: forgets what killed processes have not counted. */
  noteEmpty(slot: number): void {
    this.#set(slot, TAKEN, this.#load(slot, SENT));
  }

  #freeRow(begin: number, end = this.#rows.length): WorkerRow | undefined {
    return this.#rows.slice(begin, end).find((row) => row.stage === STAGE_NONE);
  }

  #load(slot: number, field: number): number {
    return Atomics.load(this.#slots, slot * SLOT_FIELDS + field);
  }

  #set(slot: number, field: number, value: number): void {
    Atomics.store(this.#slots, slot * SLOT_FIELDS + field, value);
  }

  #add(slot: number, field: number, value: number): void {
    Atomics.add(this.#slots, slot * SLOT_FIELDS + field, value);
  }
}
