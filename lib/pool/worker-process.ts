/**
 * The Process of one worker id, as every process of the pool sees it. Its pid is read from the shared
 * table, so it is right also after the worker was replaced, and also in its siblings.
 *
 * All processes of the pool hold both ends of its pipe: the worker uses one, everybody else the other.
 */
import { PreforkError } from '../errors';
import { UnixSocket } from '../ipc/unix-socket';
import type { MessageQueue } from '../ipc/message-queue';
import { ProcessPipe, type PipePair } from '../process/pipe';
import { Process } from '../process/process';
import type { WorkerTable } from './worker-table';

/** A pipe that outlives the processes at its ends. */
export class SharedPipe extends ProcessPipe {
  readonly #pair: PipePair;

  constructor(pair: PipePair) {
    super(pair.parent.kind);
    this.#pair = pair;
    this.open(pair.parent);
  }

  override makePair(): null {
    return null;
  }

  override enterChild(): void {
    this.useWorkerEnd();
  }

  override release(): void {
    // The next worker goes on with it.
  }

  useWorkerEnd(): void {
    this.open(this.#pair.child);
  }

  /** At the end of its owner. */
  closeBoth(): void {
    this.#pair.parent.close();
    this.#pair.child.close();
  }
}

/** What a write does in a pool whose workers get messages: it sends one. */
export type SendToWorker = (data: string | Uint8Array, workerId: number) => boolean;

export class WorkerProcess extends Process {
  override readonly id: number;
  readonly #table: WorkerTable;
  readonly #pipe: SharedPipe;
  readonly #send: SendToWorker | null;

  constructor(
    workerId: number,
    table: WorkerTable,
    pair: PipePair,
    send: SendToWorker | null,
    run: () => unknown,
  ) {
    super(run, false, Process.PIPE_TYPE_NONE);
    this.id = workerId;
    this.#table = table;
    this.#send = send;
    this.channel = this.#pipe = new SharedPipe(pair);
  }

  /** One pair for each worker id, made before the first fork. */
  static makePair(): PipePair {
    const [parent, child] = UnixSocket.pair('dgram');
    return { parent, child };
  }

  /** The pid of the newest worker with this id. */
  override get pid(): number | null {
    const pid = this.#table.current(this.id)?.pid ?? 0;
    return pid === 0 ? super.pid : pid;
  }

  /** To the worker's `message` callback in a pool of IPC_UNIXSOCK, else into its pipe. */
  override write(data: string | Uint8Array): number {
    if (this.#send === null || this.isChild()) return super.write(data);
    return this.#send(data, this.id) ? Buffer.byteLength(data) : 0;
  }

  override close(): never {
    throw new PreforkError(
      'ERR_POOL_PIPE_SHARED',
      'the pipe of a pool worker is shared by all its processes and closed by the pool',
    );
  }

  shareQueue(queue: MessageQueue, key: number): void {
    this.queue.share(queue, key);
  }

  /** In the worker. */
  useWorkerEnd(): void {
    this.#pipe.useWorkerEnd();
  }
}
