/**
 * Feeds a worker from a queue in the kernel that it reads by itself: a socket or a POSIX message queue.
 * While the worker has no room nothing is read, the queue fills, and its writers wait.
 */
import type { Intake, WorkerTransport } from './transport';

export interface MessageSource {
  /** The next message; null when there is none. Never blocks. */
  receive(): Buffer | null;
  /** Calls the listener in every turn of the loop in which there is something to read. */
  onReadable(listener: (() => void) | null): void;
}

/** Messages handled in one turn of the loop before others have theirs. */
const MESSAGES_PER_TURN = 64;

export class PulledMessages implements WorkerTransport {
  readonly #source: MessageSource;
  #intake: Intake | null = null;
  #watching = false;
  #pumping = false;

  constructor(source: MessageSource) {
    this.#source = source;
  }

  start(intake: Intake): void {
    this.#intake = intake;
    this.#watch(true);
  }

  resume(): void {
    if (!this.#pumping) this.#watch(this.#intake?.hasRoom() ?? false);
  }

  stop(): Promise<void> {
    this.#intake = null;
    this.#watch(false);
    return Promise.resolve();
  }

  #pump(): void {
    this.#pumping = true;
    try {
      for (let i = 0; i < MESSAGES_PER_TURN && this.#takeOne(); i++);
    } finally {
      this.#pumping = false;
      this.resume();
    }
  }

  #takeOne(): boolean {
    const intake = this.#intake;
    if (!intake?.hasRoom()) return false;
    intake.taking();
    const data = this.#source.receive();
    if (data === null) {
      intake.notTaken();
      return false;
    }
    void intake.handle(data);
    return true;
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
