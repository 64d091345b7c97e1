/**
 * taskIpcMode 2 and 3: tasks go through POSIX message queues.
 *
 *   2  a queue for each task worker: /prefork.<uid>.<key>.<number of the task worker, from 1>
 *   3  one queue, for which they compete: /prefork.<uid>.<key>
 *
 * With a messageQueueKey the names stay, with what is queued, and other programs may write to them: the
 * same as Process.useQueue() opens with QUEUE_ORIENT and QUEUE_BALANCE. Without one the names are gone
 * before anybody can open them. See mq_overview(7); task-packet.ts for what is sent.
 */
import { randomBytes } from 'node:crypto';
import { MessageQueue } from '../../ipc/message-queue';
import { allOrNone } from '../../pool/all-or-none';
import { QUEUE_BALANCE, QUEUE_ORIENT } from '../../process/constants';
import { queueName } from '../../process/queue-name';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { ServerSettings } from '../settings';
import { QueueOutlet } from './queue-outlet';
import { QueueSource } from './queue-source';
import { PayloadMemory } from './payload-memory';
import { TaskBoard } from './task-board';
import { ANY_WORKER, type TaskChannel, type TaskIntake, type TaskMessage } from './task-channel';
import { TaskFiles } from './task-files';
import { encodeTaskPacket, HEADER_BYTES } from './task-packet';

type QueueSettings = Pick<
  ServerSettings,
  'taskIpcMode' | 'taskWorkerNum' | 'messageQueueKey' | 'taskTmpdir'
>;

export class QueueChannel implements TaskChannel {
  readonly board: TaskBoard;
  readonly memory = new PayloadMemory();
  readonly targeted: boolean;
  readonly durable: boolean;
  readonly usesMailbox = false;
  readonly #addresses: Addresses;
  readonly #bus: Bus;
  readonly #queues: MessageQueue[];
  readonly #outlets: QueueOutlet[];
  readonly #files: TaskFiles;
  readonly #masterPid = process.pid;
  /** Says that a packet is of this run. */
  readonly #server = randomBytes(4).readUInt32LE();

  /** @param uid - who the task workers run as; null: as this process */
  constructor(settings: QueueSettings, addresses: Addresses, bus: Bus, uid: number | null) {
    const { taskIpcMode, taskWorkerNum, messageQueueKey, taskTmpdir } = settings;
    this.board = new TaskBoard(addresses.slots);
    this.targeted = taskIpcMode === 2;
    this.durable = messageQueueKey !== 0;
    this.#addresses = addresses;
    this.#bus = bus;
    this.#files = new TaskFiles(taskTmpdir, messageQueueKey, uid);
    this.#files.checkFolder();
    const names = queueNames(messageQueueKey, this.targeted, taskWorkerNum);
    this.#queues = openQueues(names, this.durable);
    this.#outlets = this.#queues.map((queue) => new QueueOutlet(queue));
    if (this.queued === 0) this.#files.sweep();
  }

  /** Tasks in the queues. */
  get queued(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.status().messages, 0);
  }

  submit(slot: number, message: TaskMessage): void {
    const outlet = this.#outlet(slot);
    outlet.checkRoom(message.data.length);
    this.#withPacket(message, outlet, (packet) => {
      outlet.push(packet, message.data.length);
      return true;
    });
  }

  submitWithin(slot: number, message: TaskMessage, timeoutMs: number): boolean {
    const outlet = this.#outlet(slot);
    return this.#withPacket(message, outlet, (packet) => outlet.pushWithin(packet, timeoutMs));
  }

  open(workerId: number, intake: TaskIntake): QueueSource {
    return new QueueSource({
      queue: this.#queues[this.#index(workerId)] as MessageQueue,
      files: this.#files,
      server: this.#server,
      addresses: this.#addresses,
      intake,
    });
  }

  close(): void {
    for (const outlet of this.#outlets) outlet.close();
    for (const queue of this.#queues) queue.close();
    if (process.pid === this.#masterPid && !this.durable) this.#files.removeOwn();
  }

  #withPacket(
    { type, id, kind, data }: TaskMessage,
    outlet: QueueOutlet,
    send: (packet: Buffer) => boolean,
  ): boolean {
    const packet = { type, kind, id, from: this.#bus.address, server: this.#server };
    if (HEADER_BYTES + data.length <= outlet.messageSize) {
      return send(encodeTaskPacket(packet, data));
    }
    const file = this.#files.write(data);
    let sent = false;
    try {
      sent = send(encodeTaskPacket(packet, file));
    } finally {
      if (!sent) this.#files.discard(file.name);
    }
    return sent;
  }

  #outlet(slot: number): QueueOutlet {
    return this.#outlets[this.#index(slot)] as QueueOutlet;
  }

  #index(slot: number): number {
    return this.targeted && slot !== ANY_WORKER ? slot - this.#addresses.workerNum : 0;
  }
}

function queueNames(key: number, targeted: boolean, taskWorkerNum: number): string[] {
  // No key of a user has this form by chance; for a moment, until the name is removed.
  const used = key === 0 ? (0xe0000000 | process.pid) >>> 0 : key;
  if (!targeted) return [queueName(used, QUEUE_BALANCE, 0)];
  return Array.from({ length: taskWorkerNum }, (_, i) => queueName(used, QUEUE_ORIENT, i + 1));
}

function openQueues(names: readonly string[], durable: boolean): MessageQueue[] {
  return allOrNone(
    names.length,
    (i) => {
      const queue = new MessageQueue(names[i] as string, 0);
      if (!durable) queue.unlink();
      return queue;
    },
    (queue) => {
      queue.close();
    },
  );
}
