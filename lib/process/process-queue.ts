/** The message queue of one Process object: its key, its mode, and the descriptor behind them. */
import { PreforkError } from '../errors';
import { MessageQueue, type QueueStatus } from '../ipc/message-queue';
import { checkData, checkInteger } from '../validate';
import { IPC_NOWAIT, QUEUE_BALANCE } from './constants';
import { keyOfMainScript, queueName } from './queue-name';

/** Closes the descriptor of a Process that was dropped without freeQueue(). */
const dropped = new FinalizationRegistry<MessageQueue>(closeQuietly);

function closeQuietly(queue: MessageQueue): void {
  if (!queue.closed) queue.close();
}

export class ProcessQueue {
  #queue: MessageQueue | null = null;
  #key: number | null = null;
  #mayBlock = true;
  #shared = false;

  get key(): number | null {
    return this.#key;
  }

  open(key: number, mode: number, capacity: number, mailbox: number): void {
    checkInteger('key', key, 0, 0xffffffff);
    checkInteger('mode', mode, 0, 0xffff);
    checkInteger('capacity', capacity, 0, 65536);
    const chosenKey = key === 0 ? keyOfMainScript() : key;
    const kind = mode & ~IPC_NOWAIT || QUEUE_BALANCE;
    const queue = new MessageQueue(queueName(chosenKey, kind, mailbox), capacity);
    this.#drop();
    dropped.register(this, queue, this);
    this.#use(queue, chosenKey);
    this.#mayBlock = (mode & IPC_NOWAIT) === 0;
  }

  /** Takes a queue that somebody else has opened and will close. */
  share(queue: MessageQueue, key: number): void {
    this.#drop();
    this.#use(queue, key);
    this.#shared = true;
    this.#mayBlock = true;
  }

  push(data: unknown): boolean {
    return this.#open().push(checkData(data), this.#mayBlock);
  }

  pop(size: number | undefined): Buffer | null {
    return this.#open().pop(checkSize(size), this.#mayBlock);
  }

  async pushAsync(data: unknown, signal?: AbortSignal): Promise<void> {
    await this.#open().pushAsync(checkData(data), signal);
  }

  async popAsync(size: number | undefined, signal?: AbortSignal): Promise<Buffer> {
    return this.#open().popAsync(checkSize(size), signal);
  }

  status(): QueueStatus {
    return this.#open().status();
  }

  /** Removes the queue's name for everybody and closes it here. */
  free(): boolean {
    const removed = this.#open().unlink();
    this.#drop();
    return removed;
  }

  #use(queue: MessageQueue, key: number): void {
    this.#queue = queue;
    this.#key = key;
    this.#shared = false;
  }

  #drop(): void {
    if (this.#queue === null) return;
    dropped.unregister(this);
    if (!this.#shared) closeQuietly(this.#queue);
    this.#queue = null;
    this.#key = null;
  }

  #open(): MessageQueue {
    if (this.#queue !== null) return this.#queue;
    throw new PreforkError('ERR_NO_QUEUE', 'no queue is open: call useQueue() first');
  }
}

function checkSize(size: number | undefined): number | undefined {
  return size === undefined ? size : checkInteger('size', size, 1, 0x7fffffff);
}
