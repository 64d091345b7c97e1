/**
 * taskIpcMode 1: a task is one packet to the mailbox of its worker. What that has not taken is its successor's.
 * Large data go through memory that is shared (payload-memory.ts), and very large ones with a memfd.
 */
import { generation } from '../../ipc/generation';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { Inbox } from '../bus/inbox';
import { IN_MEMORY } from '../bus/message';
import { PayloadMemory } from './payload-memory';
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
  readonly memory = new PayloadMemory();
  /** Of this process's tasks, by id. */
  #references = new Map<number, Buffer>();
  #generation = generation();

  constructor(addresses: Addresses, bus: Bus) {
    this.board = new TaskBoard(addresses.slots);
    this.#addresses = addresses;
    this.#bus = bus;
  }

  submit(slot: number, message: TaskMessage): void {
    const address = this.#addresses.slot(slot);
    const { waitingBytes, waitingPackets } = this.#bus.waitingFor(address);
    checkRoom(waitingPackets, waitingBytes, message.data.length);
    this.#viaMemory(message, ({ type, id, data, kind }) => {
      // Not joined with others: a worker that is killed is to lose one task at most.
      this.#bus.send(address, type, id, data, kind);
      return true;
    });
  }

  submitWithin(slot: number, message: TaskMessage, timeoutMs: number): boolean {
    const address = this.#addresses.slot(slot);
    return this.#viaMemory(message, ({ type, id, data, kind }) =>
      this.#bus.sendWithin(address, type, id, data, kind, timeoutMs),
    );
  }

  #viaMemory(message: TaskMessage, send: (message: TaskMessage) => boolean): boolean {
    const reference = this.memory.put(message.data);
    if (reference === null) return send(message);
    this.#forgetInherited();
    this.#references.set(message.id, reference);
    let sent = false;
    try {
      sent = send({ ...message, type: message.type | IN_MEMORY, data: reference });
    } finally {
      if (!sent) this.settled(message.id);
    }
    return sent;
  }

  /** Its worker has freed the payload, unless it was killed just before. */
  settled(taskId: number): void {
    this.#forgetInherited();
    const reference = this.#references.get(taskId);
    if (reference === undefined) return;
    this.#references.delete(taskId);
    this.memory.free(reference);
  }

  open(workerId: number, intake: TaskIntake): TaskSource {
    return new MailboxSource(this.#bus, this.#addresses.slot(workerId), intake);
  }

  close(): void {
    // The bus owns the mailboxes.
  }

  /** A parent's tasks have ids of their own. */
  #forgetInherited(): void {
    if (this.#generation === generation()) return;
    this.#generation = generation();
    this.#references = new Map();
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
