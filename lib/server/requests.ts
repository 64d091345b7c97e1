/**
 * Runs the callbacks of requests in an event worker and keeps count of them in the worker's row:
 *
 *   taken += 1 -> callback -> (its promise) -> handled += 1 -> what it has sent leaves the process
 *                 \--------- busy --------/    \------------------ unsent -----------------/
 *
 * With a process that is killed those are lost that were taken and not handled, and the unsent.
 *
 * A callback that throws, or whose promise rejects, ends the worker as an uncaught error does anywhere in
 * Node; the other requests that came with it are handled before. But a client that goes away, or does not
 * read, ends only its own connection: see connection-error.ts.
 */
import { leaveUnhandled } from '../pool/unhandled';
import type { WorkerRow } from '../pool/worker-table';
import { isClientsFault, type ConnectionError } from './connection-error';
import type { SlowLog } from './slow-log';

/** The way of replies out of this process. */
export interface Outgoing {
  afterFlush(listener: () => void): void;
  /** Null: all that was flushed has left. */
  whenLeft(): Promise<void> | null;
}

/** For callbacks that belong to no connection. Ids of sessions begin at 1. */
export const NO_SESSION = 0;

export interface RequestsOptions {
  row: WorkerRow;
  /** Null: replies end with the process anyway, because their connections do. */
  outgoing: Outgoing | null;
  /** Null: none is kept. */
  slowLog: SlowLog | null;
  /** Requests after which this worker makes room for a new one; 0: no limit. */
  limit: number;
  onLimit: () => void;
  /** A callback has failed because of a client; `isOwn`: the one whose request it was. */
  onClientsFault: (error: ConnectionError, isOwn: boolean) => void;
}

export class Requests {
  readonly #options: RequestsOptions;
  #running = 0;
  #handled = 0;
  #sent = 0;
  #served = 0;
  #asksForFlush = false;
  /** Promises that have not settled, by session. */
  readonly #pending = new Map<number, number>();
  readonly #whenSettled = new Map<number, () => void>();
  #whenIdle: (() => void) | null = null;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * Runs `callback` as a request. It was counted as taken before.
   *
   * @param id - for the slow log
   */
  run(kind: string, id: number, callback: () => unknown, session = id): void {
    const { row } = this.#options;
    if (this.#running++ === 0) row.busySince = Date.now();
    row.busy = this.#running;
    const result = this.#call(kind, id, callback, session);
    if (result instanceof Promise) void this.#await(session, result);
    else this.#done();
  }

  /** One that was taken needs nothing more. */
  countHandled(): void {
    const { row, outgoing } = this.#options;
    this.#handled++;
    if (outgoing !== null) {
      row.unsent = this.#handled - this.#sent;
      if (!this.#asksForFlush) this.#askForFlush(outgoing);
    }
    row.handled++;
  }

  /** Runs a callback that is no request. */
  guard(kind: string, id: number, callback: () => unknown, session = id): void {
    const result = this.#call(kind, id, callback, session);
    if (!(result instanceof Promise)) return;
    result.catch((error: unknown) => {
      this.#rejected(session, error);
    });
  }

  /** Calls `then` once all requests of a session have ended; at once when there are none. */
  afterSession(session: number, then: () => void): void {
    if (!this.#pending.has(session)) then();
    else this.#whenSettled.set(session, then);
  }

  /** Resolves when no request runs. */
  async idle(): Promise<void> {
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  #call(kind: string, id: number, callback: () => unknown, session: number): unknown {
    const { slowLog } = this.#options;
    slowLog?.begin(kind, id);
    try {
      return callback();
    } catch (error) {
      if (!this.#isForgiven(session, error)) process.nextTick(throwAgain, error);
      return undefined;
    } finally {
      slowLog?.end();
    }
  }

  /** @returns whether it was the fault of a client */
  #rejected(session: number, error: unknown): boolean {
    const forgiven = this.#isForgiven(session, error);
    if (!forgiven) leaveUnhandled(error);
    return forgiven;
  }

  #isForgiven(session: number, error: unknown): boolean {
    if (!isClientsFault(error)) return false;
    this.#options.onClientsFault(error, error.fd === session);
    return true;
  }

  async #await(session: number, result: Promise<unknown>): Promise<void> {
    this.#pending.set(session, (this.#pending.get(session) ?? 0) + 1);
    try {
      await result;
    } catch (error) {
      if (!this.#rejected(session, error)) await new Promise(setImmediate);
    }
    this.#settle(session);
    this.#done();
  }

  #settle(session: number): void {
    const left = (this.#pending.get(session) ?? 1) - 1;
    if (left > 0) {
      this.#pending.set(session, left);
      return;
    }
    this.#pending.delete(session);
    const then = this.#whenSettled.get(session);
    this.#whenSettled.delete(session);
    then?.();
  }

  #askForFlush(outgoing: Outgoing): void {
    this.#asksForFlush = true;
    outgoing.afterFlush(() => {
      this.#asksForFlush = false;
      const flushed = this.#handled;
      const left = outgoing.whenLeft();
      if (left === null) this.#countSent(flushed);
      else {
        void left.then(() => {
          this.#countSent(flushed);
        });
      }
    });
  }

  #countSent(sent: number): void {
    this.#sent = Math.max(this.#sent, sent);
    this.#options.row.unsent = this.#handled - this.#sent;
  }

  #done(): void {
    const { row, limit, onLimit } = this.#options;
    this.countHandled();
    this.#served++;
    row.busy = --this.#running;
    if (this.#running === 0) {
      row.busyTime += Date.now() - row.busySince;
      row.busySince = 0;
      this.#whenIdle?.();
      this.#whenIdle = null;
    }
    if (limit > 0 && this.#served >= limit) onLimit();
  }
}

function throwAgain(error: unknown): never {
  throw error;
}
