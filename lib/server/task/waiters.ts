/** Who wants to know what becomes of a task: the finish event, a callback, a promise, or a caller that blocks. */
import type { PreforkError } from '../../errors';
import { callUser } from '../../pool/unhandled';

export interface Waiter {
  /** A result.  @returns whether more are wanted */
  result(taskId: number, value: unknown): boolean;
  /** The task has ended, without a result or without another one. */
  ended(taskId: number): void;
  failed(taskId: number, error: PreforkError): void;
}

/** What becomes of a task whose waiter has gone. */
export const NOBODY: Waiter = {
  result: () => false,
  ended: () => undefined,
  failed: () => undefined,
};

/** Has its result; that the handler has failed after that is still worth a word. */
export const ANSWERED: Waiter = {
  result: () => false,
  ended: () => undefined,
  failed: (_taskId, error) => {
    if (error.code === 'ERR_TASK_FAILED') warnOf(error);
  },
};

/** Nobody waits for a promise or a return value that could carry it. */
export function warnOf(error: PreforkError): void {
  const { cause } = error;
  const detail = cause instanceof Error ? { detail: cause.stack ?? cause.message } : {};
  process.emitWarning(error.message, {
    type: 'PreforkWarning',
    code: error.code === 'ERR_WORKER_DIED' ? 'PREFORK_TASK_LOST' : 'PREFORK_TASK_FAILED',
    ...detail,
  });
}

/** The finish event, or the callback of one task. All results go there. */
export class Listener implements Waiter {
  readonly #listener: (taskId: number, value: unknown) => unknown;

  constructor(listener: (taskId: number, value: unknown) => unknown) {
    this.#listener = listener;
  }

  /** One that throws must not keep back what came in together with it. */
  result(taskId: number, value: unknown): boolean {
    callUser(() => {
      this.#listener(taskId, value);
    });
    return true;
  }

  ended(): void {
    // Nothing to tell.
  }

  failed(_taskId: number, error: PreforkError): void {
    warnOf(error);
  }
}

/** taskwait(): reads the fields when it is no longer open. */
export class Single implements Waiter {
  open = true;
  value: unknown = undefined;
  error: PreforkError | null = null;

  result(_taskId: number, value: unknown): boolean {
    this.open = false;
    this.value = value;
    return false;
  }

  ended(): void {
    this.open = false;
  }

  failed(_taskId: number, error: PreforkError): void {
    this.open = false;
    this.error = error;
  }
}

/** Several tasks at once. What fails is missing, and told as a warning. */
export class Group implements Waiter {
  /** By index. */
  readonly results = new Map<number, unknown>();
  readonly #indexes = new Map<number, number>();
  readonly #onDone: () => void;

  constructor(onDone: () => void = () => undefined) {
    this.#onDone = onDone;
  }

  add(taskId: number, index: number): void {
    this.#indexes.set(taskId, index);
  }

  get open(): boolean {
    return this.#indexes.size > 0;
  }

  /** Those that are still open. */
  get taskIds(): Iterable<number> {
    return this.#indexes.keys();
  }

  result(taskId: number, value: unknown): boolean {
    const index = this.#indexes.get(taskId);
    if (index !== undefined) this.results.set(index, value);
    this.#settle(taskId);
    return false;
  }

  ended(taskId: number): void {
    this.result(taskId, undefined);
  }

  failed(taskId: number, error: PreforkError): void {
    warnOf(error);
    this.#settle(taskId);
  }

  #settle(taskId: number): void {
    this.#indexes.delete(taskId);
    if (!this.open) this.#onDone();
  }
}

/** taskAsync(). */
export class Promised implements Waiter {
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  /** Takes back timer and abort listener; null: there are none. */
  forget: (() => void) | null = null;

  constructor(resolve: (value: unknown) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  result(_taskId: number, value: unknown): boolean {
    this.forget?.();
    this.#resolve(value);
    return false;
  }

  ended(taskId: number): void {
    this.result(taskId, undefined);
  }

  failed(_taskId: number, error: unknown): void {
    this.forget?.();
    this.#reject(error);
  }
}
