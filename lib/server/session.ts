/** One session, as every process of the server sees it: a view of its slot in the session table. */
import { checkInteger } from '../validate';

/** A slot, in cells of 32 bits; the times take two each, at an even place. */
const ID = 0;
const STATE = 1;
const WORKER = 2;
const REACTOR = 3;
const PORT = 4;
const FLAGS = 5;
const UID = 6;
const REMOTE_PORT = 7;
const SEND_QUEUED = 8;
const ADDRESS_LENGTH = 9;
const CONNECTED_AT = 10;
const RECEIVED_AT = 12;
const SENT_AT = 14;
const ADDRESS = 16;
const ADDRESS_CELLS = 12;
export const SLOT_CELLS = ADDRESS + ADDRESS_CELLS;

/** IPv6 takes at most 45 characters, and a zone may follow. */
const ADDRESS_BYTES = ADDRESS_CELLS * 4;

/** From OPEN on somebody has the session; up to CLOSED the slot may be claimed for another. */
const FREE = 0;
const CLOSED = 1;
const CLAIMED = 2;
const OPEN = 3;
const CLOSING = 4;
const STATE_BITS = 3;
const STATE_MASK = (1 << STATE_BITS) - 1;

const PROTECTED = 1;
const BINDING = 2;
const BOUND = 4;
const NEGATIVE = 8;

export type SessionState = 'open' | 'closing' | 'closed';

export interface NewSession {
  /** The event worker that its events go to; -1: no certain one. */
  worker: number;
  /** The process that holds the connection. */
  reactor: number;
  /** Index of the server's port. */
  port: number;
  /** '' when there is none, as on a unix socket. */
  remoteAddress: string;
  remotePort: number;
}

/** What was known of a session at one moment. Times are in ms since the epoch, 0: never. */
export interface SessionInfo extends NewSession {
  id: number;
  state: SessionState;
  /** Null: not bound. */
  uid: number | null;
  isProtected: boolean;
  sendQueuedBytes: number;
  connectedAt: number;
  lastReceivedAt: number;
  lastSentAt: number;
}

/** Views of the memory of all slots. */
export class SessionCells {
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  readonly bytes: Uint8Array;

  constructor(buffer: ArrayBuffer, offset: number) {
    this.int32 = new Int32Array(buffer, offset);
    this.float64 = new Float64Array(buffer, offset);
    this.bytes = new Uint8Array(buffer, offset);
  }

  /** The newest id that a slot had; 0: none. */
  idAt(base: number): number {
    return Atomics.load(this.int32, base + ID);
  }

  /** Takes a slot that nobody has, for `open`. */
  claim(base: number, id: number): boolean {
    const seen = Atomics.load(this.int32, base + STATE);
    const state = seen & STATE_MASK;
    if (state !== FREE && state !== CLOSED) return false;
    if (!this.#replaceState(base, seen, tag(id, CLAIMED))) return false;
    // Before the fields, so that a reader who checks the id again knows whose they were.
    Atomics.store(this.int32, base + ID, id);
    return true;
  }

  /** Of a process that has died before `open`. */
  giveBack(base: number, id: number): void {
    this.#replaceState(base, tag(id, CLAIMED), tag(id, CLOSED));
  }

  open(base: number, id: number, info: NewSession): void {
    const { int32, bytes } = this;
    int32.fill(0, base + STATE + 1, base + SLOT_CELLS);
    int32[base + WORKER] = info.worker;
    int32[base + REACTOR] = info.reactor;
    int32[base + PORT] = info.port;
    int32[base + REMOTE_PORT] = info.remotePort;
    const length = Math.min(info.remoteAddress.length, ADDRESS_BYTES);
    int32[base + ADDRESS_LENGTH] = length;
    const at = (base + ADDRESS) * Int32Array.BYTES_PER_ELEMENT;
    for (let i = 0; i < length; i++) bytes[at + i] = info.remoteAddress.charCodeAt(i);
    this.float64[(base + CONNECTED_AT) / 2] = Date.now();
    Atomics.store(int32, base + STATE, tag(id, OPEN));
  }

  stateOf(base: number, id: number): SessionState {
    const seen = Atomics.load(this.int32, base + STATE);
    if (seen === tag(id, OPEN)) return 'open';
    return seen === tag(id, CLOSING) ? 'closing' : 'closed';
  }

  /** Only from the state named, and only this session, not one that came after it: false otherwise. */
  change(base: number, id: number, from: 'open' | 'closing', to: 'closing' | 'closed'): boolean {
    const before = tag(id, from === 'open' ? OPEN : CLOSING);
    return this.#replaceState(base, before, tag(id, to === 'closing' ? CLOSING : CLOSED));
  }

  #replaceState(base: number, before: number, after: number): boolean {
    return Atomics.compareExchange(this.int32, base + STATE, before, after) === before;
  }
}

/** A state with 29 bits of the id: a process that is late cannot change the state of the slot's next session. */
function tag(id: number, state: number): number {
  return (id << STATE_BITS) | state;
}

/**
 * Good as long as `state` is not 'closed': afterwards its slot may be another session's. `worker`, the
 * times and `sendQueuedBytes` are written by the process that holds the connection, and read by all.
 */
export class Session {
  readonly id: number;
  readonly #cells: SessionCells;
  readonly #base: number;

  constructor(id: number, cells: SessionCells, base: number) {
    this.id = id;
    this.#cells = cells;
    this.#base = base;
  }

  get state(): SessionState {
    return this.#cells.stateOf(this.#base, this.id);
  }

  /** From open to closing.  @returns false when it was not open */
  beginClose(): boolean {
    return this.#cells.change(this.#base, this.id, 'open', 'closing');
  }

  /** -1: no certain one. */
  get worker(): number {
    return this.#get(WORKER);
  }
  set worker(value: number) {
    this.#set(WORKER, value);
  }

  get reactor(): number {
    return this.#get(REACTOR);
  }

  /** Index of the server's port. */
  get port(): number {
    return this.#get(PORT);
  }

  get remotePort(): number {
    return this.#get(REMOTE_PORT);
  }

  get remoteAddress(): string {
    const start = (this.#base + ADDRESS) * Int32Array.BYTES_PER_ELEMENT;
    const end = start + this.#get(ADDRESS_LENGTH);
    return String.fromCharCode(...this.#cells.bytes.subarray(start, end));
  }

  /** Null: not bound. */
  get uid(): number | null {
    const flags = this.#get(FLAGS);
    if ((flags & BOUND) === 0) return null;
    return (flags & NEGATIVE) === 0 ? this.#get(UID) >>> 0 : this.#get(UID);
  }

  /**
   * Binds it to a uid of the user's, once; from any process.
   *
   * @param uid - of 32 bits, signed or unsigned
   * @returns false when it is bound already, or not open
   */
  bind(uid: number): boolean {
    checkInteger('uid', uid, -0x80000000, 0xffffffff);
    if (this.state !== 'open') return false;
    const flags = this.#base + FLAGS;
    if ((Atomics.or(this.#cells.int32, flags, BINDING) & BINDING) !== 0) return false;
    this.#set(UID, uid);
    Atomics.or(this.#cells.int32, flags, uid < 0 ? BOUND | NEGATIVE : BOUND);
    return true;
  }

  /** Kept out of the heartbeat; set from any process. */
  get isProtected(): boolean {
    return (this.#get(FLAGS) & PROTECTED) !== 0;
  }
  set isProtected(on: boolean) {
    if (this.state !== 'open') return;
    const flags = this.#base + FLAGS;
    if (on) Atomics.or(this.#cells.int32, flags, PROTECTED);
    else Atomics.and(this.#cells.int32, flags, ~PROTECTED);
  }

  /** Bytes that wait to be sent. */
  get sendQueuedBytes(): number {
    return this.#get(SEND_QUEUED);
  }
  set sendQueuedBytes(value: number) {
    this.#set(SEND_QUEUED, value);
  }

  /** In ms since the epoch. */
  get connectedAt(): number {
    return this.#time(CONNECTED_AT);
  }

  /** In ms since the epoch; 0: never. */
  get lastReceivedAt(): number {
    return this.#time(RECEIVED_AT);
  }
  set lastReceivedAt(value: number) {
    this.#cells.float64[(this.#base + RECEIVED_AT) / 2] = value;
  }

  /** In ms since the epoch; 0: never. */
  get lastSentAt(): number {
    return this.#time(SENT_AT);
  }
  set lastSentAt(value: number) {
    this.#cells.float64[(this.#base + SENT_AT) / 2] = value;
  }

  /** All of it at once; null when its slot has become another session's meanwhile. */
  info(): SessionInfo | null {
    const { id, state, worker, reactor, port, remoteAddress, remotePort, uid, isProtected } = this;
    const { sendQueuedBytes, connectedAt, lastReceivedAt, lastSentAt } = this;
    const who = { id, state, worker, reactor, port, remoteAddress, remotePort, uid, isProtected };
    const info = { ...who, sendQueuedBytes, connectedAt, lastReceivedAt, lastSentAt };
    return this.#cells.idAt(this.#base) === id ? info : null;
  }

  #get(field: number): number {
    return Atomics.load(this.#cells.int32, this.#base + field);
  }

  #set(field: number, value: number): void {
    Atomics.store(this.#cells.int32, this.#base + field, value);
  }

  // An aligned 8-byte load is never half of two stores on x64 and arm64.
  #time(field: number): number {
    return this.#cells.float64[(this.#base + field) / 2] ?? 0;
  }
}
