/** Feeds a task worker from a message queue, one task at a time. */
import type { MessageQueue } from '../../ipc/message-queue';
import type { Addresses } from '../bus/addresses';
import { TASK_MARK } from '../bus/message';
import { warnOfBadPacket } from './bad-packets';
import type { TaskIntake, TaskSource } from './task-channel';
import type { TaskFiles } from './task-files';
import { decodeTaskPacket, NO_SENDER, senderOf } from './task-packet';

/** Tasks handled in one turn of the loop before others have theirs. */
const TASKS_PER_TURN = 64;

export interface QueueSourceOptions {
  queue: MessageQueue;
  files: TaskFiles;
  /** Of this run; packets of other runs and programs get no answers. */
  server: number;
  addresses: Addresses;
  intake: TaskIntake;
}

export class QueueSource implements TaskSource {
  readonly #options: QueueSourceOptions;
  #watching = false;

  constructor(options: QueueSourceOptions) {
    this.#options = options;
  }

  start(): void {
    this.resume();
  }

  pause(): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.#options.queue.onReadable(null);
  }

  resume(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#options.queue.onReadable(() => {
      for (let i = 0; i < TASKS_PER_TURN && this.#watching && this.#takeOne(); i++);
    });
  }

  async drain(): Promise<void> {
    const { intake } = this.#options;
    do await intake.idle();
    while (this.#takeOne());
  }

  stop(): Promise<void> {
    this.pause();
    return Promise.resolve();
  }

  /** @returns false: the queue is empty, or there is no room */
  #takeOne(): boolean {
    const { queue, intake } = this.#options;
    if (!intake.hasRoom()) return false;
    intake.taking();
    const packet = queue.pop(undefined, false);
    if (packet === null) intake.empty();
    else if (!this.#hand(packet)) intake.notTaken();
    return packet !== null;
  }

  /** @returns false: it was dropped */
  #hand(bytes: Buffer): boolean {
    const task = this.#read(bytes);
    if (task === null) return false;
    const { intake } = this.#options;
    const { type, kind, id, from, data } = task;
    if (Buffer.isBuffer(data)) return intake.handle(type, kind, id, from, data);
    intake.unreadable(kind, id, from, data);
    return true;
  }

  #read(bytes: Buffer) {
    const { server, addresses } = this.#options;
    try {
      const packet = decodeTaskPacket(bytes);
      const { type, kind, id } = packet;
      const from = senderOf(packet, server, addresses);
      if (type === TASK_MARK && from === NO_SENDER) return null;
      return { type, kind, id, from, data: this.#dataOf(packet, from) };
    } catch (error) {
      warnOfBadPacket((error as Error).message);
      return null;
    }
  }

  /** An Error: they cannot be read, say because somebody has removed their file, and `from` waits. */
  #dataOf({ payload, file }: ReturnType<typeof decodeTaskPacket>, from: number): Buffer | Error {
    if (file === null) return payload;
    try {
      return this.#options.files.take(file);
    } catch (error) {
      if (from === NO_SENDER) throw error;
      return error as Error;
    }
  }
}
