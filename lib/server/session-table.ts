/**
 * The connections of a server, in memory that all its processes share: any of them can find a session's
 * owner, see whether it is still open, or refuse to send to it.
 *
 *   header   Int32: lastId | wrapped | reactor 0: count | opening, reactor 1: …
 *   slot 0   id | state | worker | … (session.ts)      slot 1   …      capacity: maxConnection and a quarter more
 *
 * A session's slot is `(id - 1) % capacity`, so an id finds it without a search. A new session draws ids
 * until one falls on a free slot. No id is drawn twice within 2^31, and a slot keeps the newest id it
 * ever had: an older one was closed, a newer one was never given out.
 *
 * Ids are drawn and slots claimed by atomics, so several processes may open sessions at a time. The rest
 * of a session is written by its owner, the process that holds the connection, but for bind() and the
 * protection. A slot comes round again only about `capacity` sessions later: a process that looks at one
 * that is just being closed sees that one, not another.
 */
import type { PreforkErrorCode } from '../errors';
import { SharedMemory } from '../ipc/shared-memory';
import { checkInteger } from '../validate';
import { ConnectionError } from './connection-error';
import { Session, SessionCells, SLOT_CELLS, type NewSession } from './session';

const LAST_ID = 0;
const WRAPPED = 1;
const REACTORS = 2;

/** Of a reactor: how many sessions are its own, and the id that it is about to open. */
const REACTOR_CELLS = 2;
const COUNT = 0;
const OPENING = 1;

const MAX_ID = 0x7fffffff;
const MAX_CONNECTIONS = 1_048_576;
/** Slots beyond maxConnection: a few draws find a free one, and a small table remembers closed sessions too. */
const SPARE_SLOTS = 64;

/** Why there is no such session. */
export type SessionError = Extract<
  PreforkErrorCode,
  'ERR_SESSION_NOT_EXIST' | 'ERR_SESSION_CLOSED'
>;

export class SessionTable {
  /** Sessions at a time. */
  readonly maxConnection: number;
  readonly #capacity: number;
  readonly #header: Int32Array;
  readonly #cells: SessionCells;

  /**
   * Make it before the first fork of a process that shall see it.
   *
   * @param maxConnection - 1 to 1,048,576; 140 bytes of memory for each, when it is used
   * @param lastId - ids go on after this one
   * @param reactors - processes that may hold connections
   */
  constructor(maxConnection: number, lastId = 0, reactors = 1) {
    this.maxConnection = checkInteger('maxConnection', maxConnection, 1, MAX_CONNECTIONS);
    checkInteger('lastId', lastId, 0, MAX_ID);
    this.#capacity = maxConnection + Math.ceil(maxConnection / 4) + SPARE_SLOTS;
    const headerCells = REACTORS + REACTOR_CELLS * reactors;
    const cells = headerCells + SLOT_CELLS * this.#capacity;
    const { buffer } = new SharedMemory(cells * Int32Array.BYTES_PER_ELEMENT);
    this.#header = new Int32Array(buffer, 0, headerCells);
    this.#header[LAST_ID] = lastId;
    this.#cells = new SessionCells(buffer, this.#header.byteLength);
  }

  /** Sessions that are not closed. */
  get count(): number {
    let sum = 0;
    for (let cell = REACTORS; cell < this.#header.length; cell += REACTOR_CELLS) {
      sum += Atomics.load(this.#header, cell + COUNT);
    }
    return sum;
  }

  /** @returns the new session; null when there are maxConnection already */
  open(info: NewSession): Session | null {
    const own = cellsOf(info.reactor);
    Atomics.add(this.#header, own + COUNT, 1);
    const id = this.count <= this.maxConnection ? this.#claimSlot(own) : 0;
    if (id === 0) Atomics.sub(this.#header, own + COUNT, 1);
    else this.#cells.open(this.#baseOf(id), id, info);
    Atomics.store(this.#header, own + OPENING, 0);
    return id === 0 ? null : this.#session(id);
  }

  /** The session as long as it is open or closing; otherwise the code of the error that says why there is none. */
  find(id: number): Session | SessionError {
    if (!isId(id)) return 'ERR_SESSION_NOT_EXIST';
    const base = this.#baseOf(id);
    if (this.#cells.stateOf(base, id) !== 'closed' && this.#cells.idAt(base) === id) {
      return this.#session(id);
    }
    const wasDrawn = this.#cells.idAt(base) >= id || Atomics.load(this.#header, WRAPPED) !== 0;
    return wasDrawn ? 'ERR_SESSION_CLOSED' : 'ERR_SESSION_NOT_EXIST';
  }

  /** The same for callers that cannot go on without.  @throws PreforkError with find()'s code */
  get(id: number): Session {
    const found = this.find(id);
    if (typeof found !== 'string') return found;
    const what = found === 'ERR_SESSION_CLOSED' ? 'has been closed' : 'does not exist';
    throw new ConnectionError(found, id, `session ${id} ${what}`);
  }

  /** The port's index of a session that may have been closed; 0 when its slot has become another's. */
  portOf(id: number): number {
    const base = this.#baseOf(id);
    return this.#cells.idAt(base) === id ? this.#session(id).port : 0;
  }

  /**
   * From open or closing to closed: its slot is free for another.
   *
   * @returns false when there is no such session, or none any more
   */
  close(id: number): boolean {
    if (!isId(id)) return false;
    const base = this.#baseOf(id);
    // Before, because afterwards the slot may be another's.
    const { reactor } = this.#session(id);
    const closed =
      this.#cells.change(base, id, 'open', 'closed') ||
      this.#cells.change(base, id, 'closing', 'closed');
    if (closed) Atomics.sub(this.#header, cellsOf(reactor) + COUNT, 1);
    return closed;
  }

  /** Closes what a process has left behind, at whatever step it was killed.  @returns the ids */
  closeAllOf(reactor: number): number[] {
    const own = cellsOf(reactor);
    const opening = Atomics.exchange(this.#header, own + OPENING, 0);
    if (opening !== 0) this.#cells.giveBack(this.#baseOf(opening), opening);
    const ids = this.#closeSlotsOf(reactor);
    Atomics.store(this.#header, own + COUNT, 0);
    return ids;
  }

  #closeSlotsOf(reactor: number): number[] {
    const ids: number[] = [];
    for (let slot = 0; slot < this.#capacity; slot++) {
      const id = this.#cells.idAt(slot * SLOT_CELLS);
      if (id === 0 || this.#session(id).reactor !== reactor) continue;
      if (this.close(id)) ids.push(id);
    }
    return ids;
  }

  /**
   * Ids of `count` open sessions at most, in the order of their slots, starting after that of `id`; 0: from
   * the first. `id` may have been closed since. A session that stays open during a walk is seen once.
   */
  idsAfter(id: number, count: number): number[] | SessionError {
    if (id !== 0 && this.find(id) === 'ERR_SESSION_NOT_EXIST') return 'ERR_SESSION_NOT_EXIST';
    const ids: number[] = [];
    let slot = id === 0 ? 0 : this.#slotOf(id) + 1;
    for (; slot < this.#capacity && ids.length < count; slot++) {
      const open = this.#openIn(slot);
      if (open !== 0) ids.push(open);
    }
    return ids;
  }

  /** Ids of all open sessions, in the order of their slots. */
  *ids(): IterableIterator<number> {
    for (let slot = 0; slot < this.#capacity; slot++) {
      const open = this.#openIn(slot);
      if (open !== 0) yield open;
    }
  }

  /** The id of the open session in a slot, or 0. */
  #openIn(slot: number): number {
    const base = slot * SLOT_CELLS;
    const id = this.#cells.idAt(base);
    return id !== 0 && this.#cells.stateOf(base, id) === 'open' ? id : 0;
  }

  /** The id drawn for a slot that was free, or 0. */
  #claimSlot(own: number): number {
    for (let draws = 2 * this.#capacity; draws > 0; draws--) {
      const id = this.#draw();
      Atomics.store(this.#header, own + OPENING, id);
      if (this.#cells.claim(this.#baseOf(id), id)) return id;
    }
    return 0;
  }

  #draw(): number {
    for (;;) {
      // The counter goes through all 32 bits, ids have 31.
      const id = (Atomics.add(this.#header, LAST_ID, 1) + 1) & MAX_ID;
      if (id !== 0) return id;
      Atomics.store(this.#header, WRAPPED, 1);
    }
  }

  #session(id: number): Session {
    return new Session(id, this.#cells, this.#baseOf(id));
  }

  #slotOf(id: number): number {
    return (id - 1) % this.#capacity;
  }

  #baseOf(id: number): number {
    return this.#slotOf(id) * SLOT_CELLS;
  }
}

/** Where a reactor's cells are. */
function cellsOf(reactor: number): number {
  return REACTORS + REACTOR_CELLS * reactor;
}

function isId(id: number): boolean {
  return Number.isInteger(id) && id > 0 && id <= MAX_ID;
}
