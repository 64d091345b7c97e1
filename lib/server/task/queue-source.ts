/** Feeds a task worker from a message queue, one task at a time. */
import type { MessageQueue } from '../../ipc/message-queue';
import type { Addresses } from '../bus/addresses';
import { TASK_MARK } from '../bus/message';
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
    return this.#options.intake.handle(task.type, task.kind, task.id, task.from, task.data);
  }

  #read(bytes: Buffer) {
    const { files, server, addresses } = this.#options;
    try {
      const packet = decodeTaskPacket(bytes);
      const { type, kind, id, payload, file } = packet;
      const from = senderOf(packet, server, addresses);
      if (type === TASK_MARK && from === NO_SENDER) return null;
      const data = file === null ? payload : files.take(file);
      return { type, kind, id, from, data };
    } catch (error) {
      process.emitWarning(`bad task packet: ${(error as Error).message}`, {
        type: 'PreforkWarning',
        code: 'PREFORK_BAD_TASK_PACKET',
      });
      return null;
    }
  }
}
