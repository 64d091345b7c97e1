/** Feeds a task worker from the listening socket of taskIpcMode 4, one task at a time. */
import { binding } from '../../binding';
import { isSystemError } from '../../errors';
import type { ListeningSocket } from '../../ipc/listening-socket';
import { leaveUnhandled } from '../../pool/unhandled';
import { StreamRequests, type Reply } from '../../pool/transport/stream-socket';
import type { Addresses } from '../bus/addresses';
import { TASK } from '../bus/message';
import { warnOfBadPacket } from './bad-packets';
import type { TaskIntake, TaskSource } from './task-channel';
import { badPacket, decodeTaskPacket, senderOf } from './task-packet';

const MAX_FRAME_BYTES = 0x7fffffff;
const POLLIN = 1;
/** How soon it is looked again whether somebody still waits. */
const LOOK_MS = 5;

/** The task was answered. */
const ANSWERED: Reply = [Buffer.from([0])];

export interface StreamSourceOptions {
  listening: ListeningSocket;
  /** Of this run; packets of others get no answers. */
  server: number;
  addresses: Addresses;
  intake: TaskIntake;
}

export class StreamSource implements TaskSource {
  readonly #options: StreamSourceOptions;
  readonly #requests: StreamRequests;
  #stopped = false;

  constructor(options: StreamSourceOptions) {
    this.#options = options;
    this.#requests = new StreamRequests(options.listening, {
      concurrency: 1,
      maxPackageSize: MAX_FRAME_BYTES,
      onRequest: (body) => this.#run(body),
      onError: leaveUnhandled,
      onDropped: (error) => {
        if (!hasGivenUp(error)) warnOfBadPacket(error.message);
      },
      onAcceptError: (error) => {
        process.emitWarning(`tasks cannot be accepted for the moment: ${error.message}`, {
          type: 'PreforkWarning',
          code: 'PREFORK_ACCEPT_FAILED',
        });
      },
    });
  }

  start(): void {
    this.#requests.start();
  }

  pause(): void {
    // It counts by itself what runs.
  }

  resume(): void {
    // See pause().
  }

  async drain(): Promise<void> {
    while (!this.#stopped && this.#somebodyWaits()) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#requests.stop();
  }

  #somebodyWaits(): boolean {
    const { fd } = this.#options.listening;
    return this.#requests.connections > 0 || binding.pollFd(fd, POLLIN, 0) !== 0;
  }

  async #run(body: Buffer): Promise<Reply> {
    const { intake } = this.#options;
    const task = this.#read(body);
    if (task === null) return null;
    intake.handle(TASK, task.kind, task.id, task.from, task.data);
    await intake.answered();
    return ANSWERED;
  }

  #read(body: Buffer) {
    const { server, addresses } = this.#options;
    try {
      const packet = decodeTaskPacket(body);
      const { type, kind, id, payload, file } = packet;
      if (type !== TASK || file !== null) throw badPacket('a task with its payload is wanted here');
      return { kind, id, from: senderOf(packet, server, addresses), data: payload };
    } catch (error) {
      warnOfBadPacket((error as Error).message);
      return null;
    }
  }
}

/**
 * Who has its answer does not wait for the byte, or leaves it unread, for which the kernel resets the
 * connection. A taskwait() whose time is over does not wait for the answer either.
 */
function hasGivenUp(error: Error): boolean {
  if (!isSystemError(error)) return false;
  return error.syscall === 'write' || error.code === 'EPROTO' || error.code === 'ECONNRESET';
}
