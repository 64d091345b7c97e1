/** A TaskClient on a fake bus, and its task workers, played by the test. */
import { encodePayload, decodePayload, type Payload } from '../../../../lib/ipc/payload';
import { STAGE_READY, WorkerTable } from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';
import {
  FINISH,
  IN_MEMORY,
  TASK,
  TASK_DONE,
  TASK_ERROR,
  TASK_MARK,
  WORKER_DIED,
} from '../../../../lib/server/bus/message';
import { ServerState } from '../../../../lib/server/state';
import { MailboxChannel } from '../../../../lib/server/task/mailbox-channel';
import { TaskClient, type TaskClientOptions } from '../../../../lib/server/task/task-client';
import type { TaskChannel } from '../../../../lib/server/task/task-channel';
import { encodeError } from '../../../../lib/server/task/task-errors';
import { FakeBus, FakeInbox, FakeNetwork, type Message } from './fake-bus';

/** Event workers 0 and 1, task workers 2 and 3. */
export const SIZES = { workerNum: 2, taskWorkerNum: 2, userNum: 0 };
export const FIRST = 2;
export const SECOND = 3;

export const DEATH = { pid: 100, code: 0, signal: 9 };

export class Rig {
  readonly addresses = new Addresses(SIZES, false);
  readonly network = new FakeNetwork(this.addresses);
  readonly table = new WorkerTable(this.addresses.slots);
  readonly state = new ServerState(this.addresses.slots);
  readonly replyAddress = this.addresses.row(0);
  readonly bus: FakeBus = this.network.bus(this.replyAddress);
  readonly channel: TaskChannel;
  readonly finished: [id: number, data: unknown][] = [];
  readonly client: TaskClient;
  readonly inbox: FakeInbox;

  constructor(options: Partial<TaskClientOptions> = {}) {
    this.channel = options.channel ?? new MailboxChannel(this.addresses, this.bus.real);
    for (const slot of [FIRST, SECOND]) {
      const row = this.table.claimRow(slot);
      if (row !== null) row.stage = STAGE_READY;
    }
    const inbox = this.bus.inbox(this.replyAddress, {
      handler: (type, kind, id, from, data) => this.client.handle(type, kind, id, from, data),
    });
    this.inbox = inbox as unknown as FakeInbox;
    this.inbox.start();
    this.client = new TaskClient({
      ...{ bus: this.bus.real, state: this.state, table: this.table, addresses: this.addresses },
      ...{ channel: this.channel, settings: SIZES, workerId: 0, replyAddress: this.replyAddress },
      ...{ taskRow: 0, inbox },
      call: {
        finish: (id, data) => this.finished.push([id, data]),
      },
      ...options,
    });
  }

  get board() {
    return this.channel.board;
  }

  /** The next message that a task worker takes. */
  take(slot: number): Message {
    const message = this.network.mailbox(slot).shift();
    if (message === undefined) throw new Error(`nothing in the mailbox of ${slot}`);
    if ((message.type & ~IN_MEMORY) === TASK) this.table.countTaken(slot, 1);
    return message;
  }

  queued(slot: number): number {
    return this.network.mailbox(slot).length;
  }

  /** What the task says. */
  dataOf({ kind, data }: Message): unknown {
    return decodePayload(kind & 3, data);
  }

  /** An answer of a task worker, put into the client's mailbox. */
  answer(type: number, task: Message, payload: Payload, from = FIRST): void {
    const { kind, data } = payload;
    this.network
      .mailbox(this.replyAddress)
      .push({ type, id: task.id, from, data, kind: kind | (task.kind & 4) });
  }

  finish(task: Message, value: unknown): void {
    this.answer(FINISH, task, encodePayload(value));
  }

  done(task: Message, value?: unknown): void {
    this.answer(TASK_DONE, task, encodePayload(value));
  }

  fail(task: Message, error: unknown): void {
    this.answer(TASK_ERROR, task, encodeError(error));
  }

  die(workerId: number, death = DEATH): void {
    const { kind, data } = encodePayload(death);
    this.network
      .mailbox(this.replyAddress)
      .push({ type: WORKER_DIED, id: workerId, kind, from: this.addresses.manager, data });
  }

  /** Sends a mark back, as a task worker does. */
  returnMark(mark: Message, from = FIRST): void {
    if (mark.type !== TASK_MARK) throw new Error(`no mark: ${mark.type}`);
    this.network.mailbox(this.replyAddress).push({ ...mark, from });
  }

  /** The client handles all that is there. */
  turn(): void {
    this.inbox.drain();
  }
}

/** What an action throws. */
export function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}
