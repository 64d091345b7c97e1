/**
 * How messages reach the workers of a pool, one class for each IPC type. Made in the master before the
 * first fork; what it opens is inherited by every worker, and stays when one is replaced.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { PreforkError } from '../errors';
import type { ListeningSocket } from '../ipc/listening-socket';
import { MessageQueue } from '../ipc/message-queue';
import { QUEUE_BALANCE } from '../process/constants';
import { queueName } from '../process/queue-name';
import { allOrNone } from './all-or-none';
import type { PoolSettings } from './pool-options';
import { LineInbox } from './transport/line-inbox';
import { PulledMessages } from './transport/pulled-messages';
import { StreamTransport, type OpenReply } from './transport/stream-transport';
import type { WorkerTransport } from './transport/transport';
import { WorkerLine } from './transport/worker-line';
import type { WorkerProcess } from './worker-process';
import type { WorkerRow } from './worker-table';

export const IPC_NONE = 0;
export const IPC_UNIXSOCK = 1;
export const IPC_MSGQUEUE = 2;
export const IPC_SOCKET = 3;

/** How messages reach the workers: not at all, by unix sockets, a message queue, or a listening socket. */
export type IpcType =
  typeof IPC_NONE | typeof IPC_UNIXSOCK | typeof IPC_MSGQUEUE | typeof IPC_SOCKET;

/** What a worker's end of a channel may need. */
export interface TransportContext {
  id: number;
  row: WorkerRow;
  tellMaster: (what: 'room') => void;
}

/** What a channel can do; what it does not define, pools of its type do not offer. */
export interface PoolChannel {
  /** In a worker: what feeds its `message` callback. */
  transport?(worker: TransportContext): WorkerTransport;
  /** False when the worker's pipe was full for `timeoutMs`. */
  send?(data: Buffer, workerId: number, timeoutMs: number): boolean;
  /** Null: it was sent at once. */
  sendAsync?(data: Buffer, workerId: number, signal?: AbortSignal): Promise<void> | null;
  /** Adds to the reply of the request that is being handled. */
  write?(data: Buffer): void;
  /** Gives a worker's Process what belongs to it. */
  equip?(worker: WorkerProcess): void;
  /** Whether no message waits for this worker. */
  isEmpty?(workerId: number): boolean;
  /** In the master: a worker says that there is room for messages to it. */
  hasRoom?(workerId: number): void;
  /** In the master: this process of a worker reads no more. */
  workerEnded?(workerId: number, row: WorkerRow): void;
  /** Messages that wait for any worker. */
  queued?(): number;
  /** Only the workers' own pipes are left to close. */
  close?(): void;
}

/** IPC_UNIXSOCK: a line for each worker id, which everybody may send to. */
class UnixSocketChannel implements PoolChannel {
  readonly #lines: WorkerLine[];

  constructor(workerNum: number, maxBytes: number) {
    this.#lines = allOrNone(
      workerNum,
      () => new WorkerLine(maxBytes),
      (line) => {
        line.close();
      },
    );
    rehearse(this.#line(0));
  }

  transport({ id, row, tellMaster }: TransportContext): WorkerTransport {
    const inbox = new LineInbox(this.#line(id), readerId(row), () => {
      tellMaster('room');
    });
    return new PulledMessages(inbox);
  }

  send(data: Buffer, workerId: number, timeoutMs: number): boolean {
    return this.#line(workerId).send(data, timeoutMs);
  }

  sendAsync(data: Buffer, workerId: number, signal?: AbortSignal): Promise<void> | null {
    return this.#line(workerId).sendAsync(data, signal);
  }

  isEmpty(workerId: number): boolean {
    return this.#line(workerId).empty;
  }

  hasRoom(workerId: number): void {
    this.#line(workerId).pump();
  }

  workerEnded(workerId: number, row: WorkerRow): void {
    this.#line(workerId).readerEnded(readerId(row));
  }

  close(): void {
    for (const line of this.#lines) line.close();
  }

  #line(workerId: number): WorkerLine {
    return this.#lines[workerId] as WorkerLine;
  }
}

/**
 * Receives once as a worker does, in the master: V8 compiles a function at its first call, and every worker
 * would compile these anew before its first message.
 */
function rehearse(line: WorkerLine): void {
  const nothing = (): void => undefined;
  const inbox = new LineInbox(line, 1, nothing);
  const messages = new PulledMessages(inbox);
  messages.start({
    hasRoom: () => true,
    taking: nothing,
    notTaken: nothing,
    burst: nothing,
    handle: nothing,
  });
  line.ring.put(Buffer.from([0]));
  while (inbox.receive() !== null);
  void messages.stop();
}

/** No other process that lives has it. */
function readerId({ index }: WorkerRow): number {
  return index + 1;
}

/** IPC_MSGQUEUE: one POSIX queue, for which all workers compete; other programs may write to it. */
class QueueChannel implements PoolChannel {
  readonly #queue: MessageQueue;
  readonly #key: number;

  /** @param key - 0: a queue of this pool alone; its name is gone before anybody else can open it */
  constructor(key: number) {
    const isPrivate = key === 0;
    this.#key = isPrivate ? (0xf0000000 | process.pid) >>> 0 : key;
    this.#queue = new MessageQueue(queueName(this.#key, QUEUE_BALANCE, 0), 0);
    if (isPrivate) this.#queue.unlink();
  }

  transport(): WorkerTransport {
    const queue = this.#queue;
    return new PulledMessages({
      receive: () => queue.pop(undefined, false),
      onReadable: (listener) => {
        queue.onReadable(listener);
      },
    });
  }

  equip(worker: WorkerProcess): void {
    worker.shareQueue(this.#queue, this.#key);
  }

  queued(): number {
    return this.#queue.status().messages;
  }

  close(): void {
    this.#queue.close();
  }
}

/** IPC_SOCKET: one listening socket, on which all workers accept. */
class SocketChannel implements PoolChannel {
  readonly #listening: ListeningSocket;
  readonly #settings: PoolSettings;
  readonly #maxBytes: number;
  /** The reply to the request whose callback runs. */
  readonly #reply = new AsyncLocalStorage<OpenReply>();

  constructor(listening: ListeningSocket, settings: PoolSettings, maxBytes: number) {
    this.#listening = listening;
    this.#settings = settings;
    this.#maxBytes = maxBytes;
  }

  transport(): WorkerTransport {
    const { concurrency, frameTimeout } = this.#settings;
    return new StreamTransport(this.#listening, this.#reply, {
      concurrency,
      frameTimeout,
      maxPackageSize: this.#maxBytes,
    });
  }

  write(data: Buffer): void {
    const reply = this.#reply.getStore();
    if (reply?.open !== true) {
      throw new PreforkError(
        'ERR_POOL_NO_REQUEST',
        'write() answers a request: call it inside the message callback, before that has ended',
      );
    }
    // The caller may reuse its buffer before the reply is sent.
    reply.pieces.push(Buffer.from(data));
  }

  close(): void {
    this.#listening.unlink();
    this.#listening.close();
  }
}

const DEFAULT_PACKAGE_BYTES = 2 * 1024 * 1024;
const DEFAULT_MESSAGE_BYTES = 64 * 1024 * 1024;

export function makeChannel(
  ipcType: IpcType,
  workerNum: number,
  key: number,
  settings: PoolSettings,
  listening: ListeningSocket | null,
): PoolChannel {
  switch (ipcType) {
    case IPC_UNIXSOCK:
      return new UnixSocketChannel(workerNum, settings.maxPackageSize ?? DEFAULT_MESSAGE_BYTES);
    case IPC_MSGQUEUE:
      return new QueueChannel(key);
    case IPC_SOCKET:
      if (listening === null) {
        throw new PreforkError(
          'ERR_POOL_NOT_LISTENING',
          'a pool of IPC_SOCKET needs listen() before start()',
        );
      }
      return new SocketChannel(
        listening,
        settings,
        settings.maxPackageSize ?? DEFAULT_PACKAGE_BYTES,
      );
    default:
      return {};
  }
}

export function wrongType(message: string): PreforkError {
  return new PreforkError('ERR_POOL_IPC_TYPE', message);
}
