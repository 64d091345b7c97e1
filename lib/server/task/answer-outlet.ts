/**
 * What a task worker answers, on its way to the mailboxes of those who wait. While a mailbox is full its
 * answers wait here, and the board shows it: they would be lost with this process.
 */
import type { Payload } from '../../ipc/payload';
import type { Bus } from '../bus/bus';
import { IN_MEMORY } from '../bus/message';
import type { RunningTask } from './running-task';
import type { TaskChannel } from './task-channel';

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
