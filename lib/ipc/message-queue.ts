/**
 * A POSIX message queue: named, kept by the kernel, shared by every process that opens the name.
 * The name outlives all of them until it is unlinked. Mode 0600.
 *
 * See mq_overview(7).
 */
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { binding } from '../binding';
import { isSystemError, PreforkError, withHint } from '../errors';
import { FdWatcher } from './fd-watcher';
import { generation } from './generation';

export interface QueueStatus {
  /** Messages waiting in the queue. */
  messages: number;
  /** How many it holds at most. */
  maxMessages: number;
  /** The longest message it takes, in bytes. */
  messageSize: number;
}

const LIMITS = '/proc/sys/fs/mqueue/';

/** Messages taken at once before others on the event loop have a turn. */
const MESSAGES_PER_TURN = 64;

function kernelLimit(name: string): number {
  return Number(readFileSync(LIMITS + name, 'utf8'));
}

/** Names the limit behind a failing mq_open. */
function explain(error: unknown, capacity: number): Error {
  if (!isSystemError(error)) return error as Error;
  switch (error.code) {
    case 'EINVAL':
      return new PreforkError(
        'ERR_OUT_OF_RANGE',
        `capacity must be at most ${String(kernelLimit('msg_max'))} messages, ` +
          `as ${LIMITS}msg_max says, got ${String(capacity)}`,
        { cause: error },
      );
    case 'EMFILE':
      return withHint(error, 'too many open files, or RLIMIT_MSGQUEUE bytes: see ulimit -n and -q');
    case 'ENOSPC':
      return withHint(
        error,
        `${LIMITS}queues_max allows ${String(kernelLimit('queues_max'))} queues; ` +
          'free those that nobody uses',
      );
    default:
      return error;
  }
}

export class MessageQueue {
  readonly name: string;
  readonly messageSize: number;
  #fd: number;
  #watcher: FdWatcher | null = null;
  #held: { message: Buffer; generation: number } | null = null;
  readonly #room: Buffer;
  #popsThisTurn = 0;

  /**
   * Opens or creates the queue.
   *
   * @param capacity - messages it shall hold; 0: the kernel's default, usually 10.
   */
  constructor(name: string, capacity: number) {
    this.name = name;
    this.#fd = open(name, capacity);
    const [, , messageSize] = binding.mqStat(this.#fd);
    this.messageSize = messageSize;
    this.#room = Buffer.allocUnsafeSlow(messageSize);
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** False when it is full and `mayBlock` is false. */
  push(data: Buffer, mayBlock: boolean): boolean {
    const fd = this.#openFd();
    if (data.length > this.messageSize) throw this.#tooBig(data.length);
    return binding.mqSend(fd, data, 0, data.length, mayBlock);
  }

  /** Null when it is empty and `mayBlock` is false. */
  pop(size: number | undefined, mayBlock: boolean): Buffer | null {
    const message = this.#takeHeld() ?? this.#receive(mayBlock);
    if (message !== null && size !== undefined && message.length > size) {
      this.#held = { message, generation: generation() };
      throw new PreforkError(
        'ERR_MESSAGE_TOO_BIG',
        `a message of ${String(message.length)} bytes, the size asked for is ${String(size)}: ` +
          'it is kept for a pop with a larger size',
      );
    }
    return message;
  }

  async pushAsync(data: Buffer, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    while (!this.push(data, false)) await this.#watch().writable(signal);
  }

  async popAsync(size?: number, signal?: AbortSignal): Promise<Buffer> {
    signal?.throwIfAborted();
    for (;;) {
      const message = this.pop(size, false);
      if (message !== null) {
        if (++this.#popsThisTurn >= MESSAGES_PER_TURN) await this.#yieldTurn();
        return message;
      }
      await this.#watch().readable(signal);
      this.#popsThisTurn = 0;
    }
  }

  /** Calls `listener` whenever a message is there; null stops that. */
  onReadable(listener: (() => void) | null): void {
    this.#watch().onReadable(listener);
  }

  status(): QueueStatus {
    const [messages, maxMessages, messageSize] = binding.mqStat(this.#openFd());
    return { messages, maxMessages, messageSize };
  }

  /** Closes this process's descriptor; the queue stays. */
  close(): void {
    const fd = this.#openFd();
    this.#fd = -1;
    this.#watcher?.close();
    this.#watcher = null;
    binding.closeFd(fd);
  }

  /** Removes the name; the queue itself goes with the last descriptor. False when it had no name. */
  unlink(): boolean {
    return binding.mqUnlink(this.name);
  }

  async #yieldTurn(): Promise<void> {
    this.#popsThisTurn = 0;
    await nextTurn();
  }

  /** What a parent holds is the parent's: in a child it would be a second copy. */
  #takeHeld(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held?.generation === generation() ? held.message : null;
  }

  #receive(mayBlock: boolean): Buffer | null {
    const bytes = binding.mqReceive(this.#openFd(), this.#room, mayBlock);
    return bytes < 0 ? null : Buffer.from(this.#room.subarray(0, bytes));
  }

  #watch(): FdWatcher {
    if (this.#watcher?.inherited !== false) this.#watcher = new FdWatcher(this.#openFd());
    return this.#watcher;
  }

  #tooBig(bytes: number): PreforkError {
    return new PreforkError(
      'ERR_MESSAGE_TOO_BIG',
      `a message of ${String(bytes)} bytes, the limit of this queue is ` +
        `${String(this.messageSize)} bytes (${LIMITS}msgsize_default when it was created)`,
    );
  }

  #openFd(): number {
    if (this.#fd < 0) throw new PreforkError('ERR_NO_QUEUE', 'the queue is closed');
    return this.#fd;
  }
}

function open(name: string, capacity: number): number {
  try {
    const size = capacity > 0 ? kernelLimit('msgsize_default') : 0;
    return binding.mqOpen(name, capacity, size);
  } catch (error) {
    throw explain(error, capacity);
  }
}
