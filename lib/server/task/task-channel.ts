/**
 * How tasks reach the task workers: one class for each taskIpcMode, made in the master before the first
 * fork. Answers travel over the bus in all of them.
 *
 *   1  mailbox-channel.ts   each task worker's mailbox on the bus
 *   2  queue-channel.ts     a POSIX queue for each task worker
 *   3  queue-channel.ts     one POSIX queue, for which they compete
 *   4  stream-channel.ts    a listening unix socket, on which they compete; a connection for each task
 */
import { binding } from '../../binding';
import { PreforkError } from '../../errors';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { ServerSettings } from '../settings';
import { MailboxChannel } from './mailbox-channel';
import { QueueChannel } from './queue-channel';
import { StreamChannel } from './stream-channel';
import type { PayloadMemory } from './payload-memory';
import type { TaskBoard } from './task-board';

/** The slot of a task that any task worker may take. */
export const ANY_WORKER = -1;

/** What goes to a task worker: a task, or a mark that it sends back. */
export interface TaskMessage {
  /** TASK or TASK_MARK. */
  type: number;
  id: number;
  kind: number;
  data: Buffer;
}

/** A task worker, as what feeds it sees it. */
export interface TaskIntake {
  /** Whether another task may be taken now; when there is room again it calls resume(). */
  hasRoom(): boolean;
  /** Before the queue is read. */
  taking(): void;
  /** It was empty. */
  empty(): void;
  /** What it had was no task. */
  notTaken(): void;
  /** It was a task whose data cannot be read: who waits for it is told. */
  unreadable(kind: number, id: number, from: number, error: unknown): void;
  /** Resolves when no task runs. */
  idle(): Promise<void>;
  /** Resolves when no task runs and all answers have left this process. */
  answered(): Promise<void>;
  readonly handle: (type: number, kind: number, id: number, from: number, data: Buffer) => boolean;
}

/** What feeds a task worker. */
export interface TaskSource {
  start(): void;
  /** Takes nothing until resume(). */
  pause(): void;
  resume(): void;
  /** Hands over all that is queued. Resolves when there is nothing any more. */
  drain(): Promise<void>;
  /** Takes no more. Resolves when what it has begun to receive is finished. */
  stop(): Promise<void>;
}

export interface TaskChannel {
  readonly board: TaskBoard;
  /** For large answers, and tasks where they come in mailboxes. */
  readonly memory: PayloadMemory;
  /** Each task worker has a queue of its own: who submits chooses one. */
  readonly targeted: boolean;
  /** What is queued outlives the server. */
  readonly durable: boolean;
  /** Tasks come in the workers' mailboxes, between other messages. */
  readonly usesMailbox: boolean;
  /**
   * Sends now, or in order as soon as there is room.
   *
   * @param slot - a task worker's id, or ANY_WORKER where `targeted` is false
   * @throws PreforkError ERR_TASK_QUEUE_FULL: too much waits already. System errors: nothing was sent
   */
  submit(slot: number, message: TaskMessage): void;
  /** The same, but blocks while there is no room.  @returns false: the time is over, nothing was sent */
  submitWithin(slot: number, message: TaskMessage, timeoutMs: number): boolean;
  /** In a task worker. */
  open(workerId: number, intake: TaskIntake): TaskSource;
  /** Closes this process's copies; in the process that has made it, removes what is left behind. */
  close(): void;

  /** Only where a lost task is told by a connection that ends: who submitted it hears that here. */
  onLost?(listener: (taskId: number) => void): void;
  /** Looks for those now, without waiting for the event loop. */
  findLost?(): void;
  /** Nothing is waited for any more. */
  settled?(taskId: number): void;
}

/**
 * @throws PreforkError ERR_OUT_OF_RANGE for taskIpcMode 4 with chroot. System errors: EMFILE, ENOSPC for
 * queues; ENOENT, EACCES for taskTmpdir
 */
export function makeTaskChannel(
  settings: ServerSettings,
  addresses: Addresses,
  bus: Bus,
): TaskChannel {
  const { taskIpcMode, taskWorkerNum } = settings;
  if (taskIpcMode === 1 || taskWorkerNum === 0) return new MailboxChannel(addresses, bus);
  const uid = uidOf(settings);
  if (taskIpcMode !== 4) return new QueueChannel(settings, addresses, bus, uid);
  if (settings.chroot !== undefined) {
    throw new PreforkError(
      'ERR_OUT_OF_RANGE',
      'taskIpcMode 4 and chroot exclude each other: workers would not find the socket',
    );
  }
  return new StreamChannel(settings, addresses, bus, uid);
}

/** Who the workers run as; null: as this process. */
function uidOf({ user }: ServerSettings): number | null {
  if (typeof user !== 'string') return user ?? null;
  return binding.lookupUser(user)?.[0] ?? null;
}
