/** taskIpcMode 1: a task is one packet to the mailbox of its worker. What that has not taken is its successor's. */
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import { TaskBoard } from './task-board';
import type { TaskChannel, TaskIntake, TaskMessage, TaskSource } from './task-channel';
import { checkRoom } from './task-limits';

export class MailboxChannel implements TaskChannel {
  readonly board: TaskBoard;
  readonly targeted = true;
  readonly durable = false;
  readonly usesMailbox = true;
  readonly #addresses: Addresses;
  readonly #bus: Bus;

  constructor(addresses: Addresses, bus: Bus) {
    this.board = new TaskBoard(addresses.slots);
    this.#addresses = addresses;
    this.#bus = bus;
  }

  submit(slot: number, { type, id, kind, data }: TaskMessage): void {
    const address = this.#addresses.slot(slot);
    checkRoom(this.#bus.waitingBytes(address), data.length);
    // Not joined with others: a worker that is killed is to lose one task at most.
    this.#bus.send(address, type, id, data, kind);
  }

  submitWithin(slot: number, { type, id, kind, data }: TaskMessage, timeoutMs: number): boolean {
    const address = this.#addresses.slot(slot);
    return this.#bus.sendWithin(address, type, id, data, kind, timeoutMs);
  }

  open(workerId: number, intake: TaskIntake): TaskSource {
    return new MailboxSource(this.#bus, this.#addresses.slot(workerId), intake);
  }

  close(): void {
    // The bus owns the mailboxes.
  }
}

/** Packets one after the other: of those behind the one in hand nothing is taken. */
class MailboxSource implements TaskSource {
  readonly #intake: TaskIntake;
  readonly #inbox: Inbox;
  #taken = 0;

  constructor(bus: Bus, address: number, intake: TaskIntake) {
    this.#intake = intake;
    this.#inbox = bus.inbox(address, {
      handler: intake.handle,
      onTake: {
        begin: () => {
          intake.taking();
        },
        end: (messages) => {
          if (messages === 0) intake.empty();
          else this.#taken++;
        },
      },
    });
  }

  start(): void {
    this.#inbox.start();
  }

  pause(): void {
    this.#inbox.stop();
  }

  resume(): void {
    this.#inbox.start();
  }

  async drain(): Promise<void> {
    let before: number;
    do {
      await this.#intake.idle();
      before = this.#taken;
      this.#inbox.start();
      this.#inbox.drain();
    } while (this.#taken > before);
  }

  stop(): Promise<void> {
    this.#inbox.stop();
    return Promise.resolve();
  }
}
