/**
 * Feeds a worker from a queue in the kernel that it reads by itself: a socket or a POSIX message queue.
 * While the worker has no room nothing is read, the queue fills, and its writers wait.
 */
import { isSystemError } from '../../errors';
import type { Intake, WorkerTransport } from './transport';

export interface MessageSource {
  /** The next message; null when there is none. Never blocks. */
  receive(): Buffer | null;
  /** Whether none is there, where null does not say so. */
  readonly empty?: boolean;
  /** It is not read by this process any more. */
  release?(): void;
  /** Calls the listener in every turn of the loop in which there is something to read. */
  onReadable(listener: (() => void) | null): void;
}

/** Messages handled in one turn of the loop before others have theirs. */
const MESSAGES_PER_TURN = 64;

/** After a system error, in ms. */
const RETRY_MS = 100;

export class PulledMessages implements WorkerTransport {
  readonly #source: MessageSource;
  #intake: Intake | null = null;
  #watching = false;
  #pumping = false;
  #paused = false;

  constructor(source: MessageSource) {
    this.#source = source;
  }

  start(intake: Intake): void {
    this.#intake = intake;
    this.#watch(true);
  }

  resume(): void {
    if (this.#pumping) return;
    this.#watch(!this.#paused && (this.#intake?.hasRoom() ?? false));
  }

  stop(): Promise<void> {
    this.#intake = null;
    this.#watch(false);
    this.#source.release?.();
    return Promise.resolve();
  }

  #pump(): void {
    const intake = this.#intake;
    this.#pumping = true;
    intake?.burst(true);
    try {
      for (let i = 0; i < MESSAGES_PER_TURN && this.#takeOne(); i++);
    } finally {
      this.#pumping = false;
      intake?.burst(false);
      this.resume();
    }
  }

  #takeOne(): boolean {
    const intake = this.#intake;
    if (!intake?.hasRoom()) return false;
    const data = this.#receive(intake);
    if (data === null) return false;
    void intake.handle(data);
    return true;
  }

  #receive(intake: Intake): Buffer | null {
    let data: Buffer | null = null;
    let empty = false;
    intake.taking();
    try {
      data = this.#source.receive();
      empty = data === null && this.#source.empty !== false;
    } catch (error) {
      this.#onError(error as Error);
    }
    if (data === null) intake.notTaken(empty);
    return data;
  }

  /**
   * A bad frame is gone, and the next message is read. A system error, say EMFILE for a large message, has
   * left the message where it was: the queue is readable all the time, so it is looked at again later.
   */
  #onError(error: Error): void {
    process.emitWarning(`a message could not be received: ${error.message}`, {
      type: 'PreforkWarning',
      code: 'PREFORK_RECEIVE_FAILED',
    });
    if (!isSystemError(error)) return;
    this.#paused = true;
    setTimeout(() => {
      this.#paused = false;
      this.resume();
    }, RETRY_MS);
  }

  #watch(on: boolean): void {
    if (on === this.#watching) return;
    this.#watching = on;
    this.#source.onReadable(
      on
        ? () => {
            this.#pump();
          }
        : null,
    );
  }
}
