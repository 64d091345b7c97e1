/**
 * A POSIX message queue: named, kept by the kernel, shared by every process that opens the name.
 * The name outlives all of them until it is unlinked. Mode 0600.
 *
 * See mq_overview(7).
 */
import { readFileSync } from 'node:fs';
import { binding } from '../binding';
import { isSystemError, PreforkError, withHint } from '../errors';
import { alignedBuffer } from './aligned-buffer';
import { generation } from './generation';
import { ownedCopy } from './owned-copy';
import { OwnedFd } from './owned-fd';
import { TurnBudget } from './turn-budget';

/** How full a message queue is, and its limits.  mq_getattr(3). */
export interface QueueStatus {
  /** Messages waiting in the queue. */
  messages: number;
  /** How many it holds at most. */
  maxMessages: number;
  /** The longest message it takes, in bytes. */
  messageSize: number;
}

const LIMITS = '/proc/sys/fs/mqueue/';

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
    case 'EACCES':
      return withHint(error, 'a queue of this name is there, and other users may read or write it');
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

export class MessageQueue extends OwnedFd {
  readonly name: string;
  readonly messageSize: number;
  #held: { message: Buffer; generation: number } | null = null;
  readonly #room: Buffer;
  readonly #turn = new TurnBudget();

  /**
   * Opens or creates the queue.
   *
   * @param capacity - messages it shall hold; 0: the kernel's default, usually 10.
   */
  constructor(name: string, capacity: number) {
    super(open(name, capacity));
    this.name = name;
    const [, , messageSize] = binding.mqStat(this.fd);
    this.messageSize = messageSize;
    this.#room = alignedBuffer(messageSize);
  }

  /** False when it is full and `mayBlock` is false. */
  push(data: Buffer, mayBlock: boolean): boolean {
    const fd = this.openFd();
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
    while (!this.push(data, false)) await this.watcher().writable(signal);
  }

  async popAsync(size?: number, signal?: AbortSignal): Promise<Buffer> {
    signal?.throwIfAborted();
    for (;;) {
      const message = this.pop(size, false);
      if (message !== null) {
        await this.#turn.spend();
        return message;
      }
      await this.watcher().readable(signal);
      this.#turn.renew();
    }
  }

  /** Calls `listener` whenever a message is there; null stops that. */
  onReadable(listener: (() => void) | null): void {
    this.watcher().onReadable(listener);
  }

  status(): QueueStatus {
    const [messages, maxMessages, messageSize] = binding.mqStat(this.openFd());
    return { messages, maxMessages, messageSize };
  }

  /** Removes the name; the queue itself goes with the last descriptor. False when it had no name. */
  unlink(): boolean {
    return binding.mqUnlink(this.name);
  }

  /** What a parent holds is the parent's: in a child it would be a second copy. */
  #takeHeld(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held?.generation === generation() ? held.message : null;
  }

  #receive(mayBlock: boolean): Buffer | null {
    const bytes = binding.mqReceive(this.openFd(), this.#room, mayBlock);
    return bytes < 0 ? null : ownedCopy(this.#room.subarray(0, bytes));
  }

  #tooBig(bytes: number): PreforkError {
    return new PreforkError(
      'ERR_MESSAGE_TOO_BIG',
      `a message of ${String(bytes)} bytes, the limit of this queue is ` +
        `${String(this.messageSize)} bytes (${LIMITS}msgsize_default when it was created)`,
    );
  }

  protected override closedError(): PreforkError {
    return new PreforkError('ERR_NO_QUEUE', 'the queue is closed');
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
