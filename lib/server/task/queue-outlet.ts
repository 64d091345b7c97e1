/** One process's way into a message queue: what finds no room waits here, in order. */
import { binding } from '../../binding';
import { FdWatcher } from '../../ipc/fd-watcher';
import { generation } from '../../ipc/generation';
import type { MessageQueue } from '../../ipc/message-queue';
import { checkRoom } from './task-limits';

const POLLOUT = 4;

interface Waiting {
  packet: Buffer;
  /** Of the payload, wherever it is. */
  bytes: number;
}

export class QueueOutlet {
  readonly #queue: MessageQueue;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #watcher: FdWatcher | null = null;
  #generation = generation();

  constructor(queue: MessageQueue) {
    this.#queue = queue;
  }

  /** The longest packet, in bytes. */
  get messageSize(): number {
    return this.#queue.messageSize;
  }

  /** @throws PreforkError ERR_TASK_QUEUE_FULL */
  checkRoom(bytes: number): void {
    this.#forgetInherited();
    checkRoom(this.#waiting.length, this.#waitingBytes, bytes);
  }

  /** Now, or behind what waits already. */
  push(packet: Buffer, bytes: number): void {
    this.#forgetInherited();
    if (this.#waiting.length === 0 && this.#queue.push(packet, false)) return;
    this.#waiting.push({ packet, bytes });
    this.#waitingBytes += bytes;
    if (this.#waiting.length > 1) return;
    this.#watcher ??= new FdWatcher(this.#queue.fd);
    this.#watcher.onWritable(() => {
      this.#pushWaiting();
    });
  }

  /** Blocks while there is no room.  @returns false: the time is over */
  pushWithin(packet: Buffer, timeoutMs: number): boolean {
    this.#forgetInherited();
    const end = performance.now() + timeoutMs;
    for (;;) {
      this.#pushWaiting();
      if (this.#waiting.length === 0 && this.#queue.push(packet, false)) return true;
      const left = Math.ceil(end - performance.now());
      if (left <= 0) return false;
      binding.pollFd(this.#queue.fd, POLLOUT, left);
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #pushWaiting(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined) break;
      if (!this.#queue.push(first.packet, false)) return;
      this.#waiting.shift();
      this.#waitingBytes -= first.bytes;
    }
    this.#watcher?.onWritable(null);
  }

  /** What a parent has waiting is the parent's. */
  #forgetInherited(): void {
    if (this.#generation === generation()) return;
    this.#generation = generation();
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#watcher = null;
  }
}
