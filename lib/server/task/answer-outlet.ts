/**
 * What a task worker answers, on its way to the mailboxes of those who wait. While a mailbox is full its
 * answers wait here, and the board shows it: they would be lost with this process.
 */
import type { Payload } from '../../ipc/payload';
import type { Bus } from '../bus/bus';
import { IN_MEMORY } from '../bus/message';
import type { TaskChannel } from './task-channel';
import { FOR_EVENT } from './task-message';

/** A task that was taken. It is known to finish() as long as something of its handler runs. */
export class RunningTask {
  readonly id: number;
  /** The mailbox for its answers; negative: nobody waits. */
  readonly from: number;
  readonly flags: number;
  /** It has had a result. */
  finished = false;
  /** Its handler has ended. */
  ended = false;

  constructor(id: number, from: number, flags: number) {
    this.id = id;
    this.from = from;
    this.flags = flags;
  }

  /** Whether a result would reach anybody: the finish event hears of late ones as well. */
  get isHeard(): boolean {
    return this.from >= 0 && (!this.ended || (this.flags & FOR_EVENT) !== 0);
  }
}

export class AnswerOutlet {
  readonly #bus: Bus;
  readonly #channel: TaskChannel;
  readonly #row: number;
  /** Resolves when nothing waits for room in a mailbox. */
  #unsent: Promise<void> | null = null;

  /** @param row - of this process on the board */
  constructor(bus: Bus, channel: TaskChannel, row: number) {
    this.#bus = bus;
    this.#channel = channel;
    this.#row = row;
  }

  /** @returns false: nobody waits for it */
  send(task: RunningTask, type: number, { kind, data }: Payload): boolean {
    const { from, id, flags } = task;
    if (from < 0) return false;
    const reference = this.#channel.memory.put(data);
    if (reference === null) this.#bus.send(from, type, id, data, kind | flags);
    else this.#bus.send(from, type | IN_MEMORY, id, reference, kind | flags);
    if (this.#unsent === null && this.#bus.waitingBytes(from) > 0) {
      this.#unsent = this.#watchUnsent();
    }
    return true;
  }

  /** Resolves when all answers have left this process. */
  async sent(): Promise<void> {
    await this.#unsent;
  }

  async #watchUnsent(): Promise<void> {
    const { board } = this.#channel;
    board.setUnsent(this.#row, true);
    while (this.#bus.allWaitingBytes > 0) await this.#bus.allSent();
    this.#unsent = null;
    board.setUnsent(this.#row, false);
  }
}
