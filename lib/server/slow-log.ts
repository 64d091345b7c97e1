/**
 * The log of slow requests: a request that keeps its process busy for longer than a timeout gets one
 * entry, with the JavaScript stack at that moment, also when it never ends.
 *
 *   master   SlowLog.open(file) ....................... reopen(), close()
 *   worker     \-- fork --> start(timeout, workerId), then begin() and end() around each callback
 *
 * What counts is the time in which the callback keeps the event loop from turning: an asynchronous one
 * ends with its first `await`, and what its promise waits for blocks nobody. Of nested requests the
 * outermost counts. Time in native code (a blocking read, one long JSON.parse) counts, too; the stack
 * is taken when JavaScript then enters a function, or goes round a loop often enough. When the request
 * ends before that, its entry has no stack.
 *
 * A watchdog thread per worker looks at the memory that begin() and end() write; see native/slow-log.cc.
 * A forked child has no watchdog until it starts one: there begin() and end() do nothing.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { binding } from '../binding';
import { PreforkError, systemError } from '../errors';
import { onChildReset } from '../process/child-reset';
import { checkInteger, checkString } from '../validate';

/** Only its owner may read it: stacks tell of the program. */
const MODE = 0o600;
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOCTTY;

const MAX_INT32 = 2 ** 31 - 1;

// The layout of State in native/slow-log.cc.
const MEMORY_BYTES = 48;
const TICKET = 0;
const SLEEP = 1;
const OVERDUE = 2;
const REPORTED = 3;
const KIND = 4;
const FILE = 5;
const STARTED = 4;
const ID = 5;

/** The watchdog sleeps, but not for ever. */
const FOR_A_TIME = 0;

/** The number of each kind; as in native code, a forked child knows those of its parent. */
const kinds = new Map<string, number>();

export class SlowLog {
  static #watched: SlowLog | null = null;

  static {
    onChildReset(() => {
      if (SlowLog.#watched !== null) SlowLog.#watched.#forget();
    });
  }

  readonly file: string;
  #fd: number;
  #words = new Int32Array(0);
  #numbers = new Float64Array(0);
  #watching = false;
  #depth = 0;
  #ticket = 0;
  /** What stands in memory. */
  #kind: string | null = null;

  private constructor(file: string, fd: number) {
    this.file = file;
    this.#fd = fd;
  }

  /**
   * Opens the file to append to it and makes it, with mode 0600, when it is not there. Before privileges
   * are dropped; children inherit it.
   *
   * @throws EACCES, ENOENT, EISDIR and others of open(2), with the path
   */
  static open(file: string): SlowLog {
    const path = resolve(checkString('file', file));
    return new SlowLog(path, openSync(path, FLAGS, MODE));
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Opens the file by its name anew, in this process: after a rotation the old one has another name.
   *
   * @throws of open(2); then the log goes on in the old file
   */
  reopen(): void {
    const old = this.#openFd();
    const fd = openSync(this.file, FLAGS, MODE);
    this.#fd = fd;
    if (this.#watching) Atomics.store(this.#words, FILE, fd);
    closeSync(old);
  }

  /**
   * Starts the watchdog of this process.
   *
   * @param timeoutMs - a request that takes longer is slow
   * @param workerId - for the entries
   * @throws PreforkError ERR_ALREADY_STARTED: a process has one watchdog; EBADF once closed; EAGAIN
   */
  start(timeoutMs: number, workerId: number): void {
    checkInteger('timeoutMs', timeoutMs, 1, MAX_INT32);
    checkInteger('workerId', workerId, 0, MAX_INT32);
    const fd = this.#openFd();
    const memory = new ArrayBuffer(MEMORY_BYTES);
    const words = new Int32Array(memory);
    words[FILE] = fd;
    if (!binding.slowLogStart(memory, timeoutMs, workerId, performance.now())) {
      throw new PreforkError(
        'ERR_ALREADY_STARTED',
        'this process has a slow log already: close it before another one is started',
      );
    }
    this.#words = words;
    this.#numbers = new Float64Array(memory);
    this.#ticket = this.#depth = 0;
    this.#kind = null;
    this.#watching = true;
    SlowLog.#watched = this;
  }

  /**
   * A request begins. Its {@link end} must come, also after an exception.
   *
   * @param kind - one of a few words, such as `receive`; they are kept for ever
   */
  begin(kind: string, id: number): void {
    if (!this.#watching || this.#depth++ > 0) return;
    const words = this.#words;
    if (kind !== this.#kind) this.#setKind(kind);
    this.#numbers[ID] = id;
    this.#numbers[STARTED] = performance.now();
    this.#ticket = (this.#ticket + 1) | 0;
    Atomics.store(words, TICKET, this.#ticket);
    if (Atomics.load(words, SLEEP) !== FOR_A_TIME) binding.slowLogWake();
  }

  /** The request has returned to the event loop. */
  end(): void {
    if (this.#depth === 0 || --this.#depth > 0) return;
    const words = this.#words;
    const ticket = this.#ticket;
    if (Atomics.load(words, OVERDUE) === ticket && words[REPORTED] !== ticket) {
      binding.slowLogLate();
    }
    this.#ticket = (ticket + 1) | 0;
    Atomics.store(words, TICKET, this.#ticket);
  }

  /** Ends the watchdog, if this process has it, and closes this process's fd. */
  close(): void {
    if (this.#watching) {
      this.#forget();
      binding.slowLogStop();
    }
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    closeSync(fd);
  }

  #setKind(kind: string): void {
    this.#words[KIND] = kinds.get(kind) ?? addKind(kind);
    this.#kind = kind;
  }

  #forget(): void {
    this.#watching = false;
    this.#depth = 0;
    SlowLog.#watched = null;
  }

  #openFd(): number {
    if (this.#fd >= 0) return this.#fd;
    throw systemError('EBADF', 'write', 'the slow log is closed');
  }
}

function addKind(kind: string): number {
  const number = binding.slowLogKind(kind);
  kinds.set(kind, number);
  return number;
}
