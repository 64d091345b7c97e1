/**
 * One process's way to the task socket: a connection for each task, until that is settled.
 *
 *   waiting -- room for a connection --> sending -- all is sent --> sent -- its byte came --> answered
 *                                            \------------------------ it ended ------------> lost
 *
 * Connections own their fds. What waits or is not sent yet counts for the limit.
 */
import { binding } from '../../binding';
import { FdWatcher } from '../../ipc/fd-watcher';
import { generation } from '../../ipc/generation';
import { checkRoom } from './task-limits';

/** Connections at a time, for tasks that nobody blocks for. */
const MAX_CONNECTIONS = 256;

/** The backlog is full: how soon it is tried again. */
const RETRY_MS = 2;

const answer = Buffer.alloc(8);

interface Waiting {
  taskId: number;
  frame: Buffer;
}

class TaskConnection {
  readonly taskId: number;
  /** The worker has said that the answer is on its way. */
  answered = false;
  lost = false;
  readonly #fd: number;
  readonly #watcher: FdWatcher;
  #frame: Buffer | null;
  #sent = 0;

  constructor(taskId: number, fd: number, frame: Buffer) {
    this.taskId = taskId;
    this.#fd = fd;
    this.#frame = frame;
    this.#watcher = new FdWatcher(fd);
  }

  get unsentBytes(): number {
    return this.#frame === null ? 0 : this.#frame.length - this.#sent;
  }

  /** Sends on, for `timeoutMs` at most.  @returns whether all is sent */
  send(timeoutMs: number): boolean {
    if (this.#frame === null) return true;
    try {
      this.#sent += binding.send(this.#fd, this.#frame, this.#sent, this.unsentBytes, timeoutMs);
    } catch {
      // The worker has gone: what it says is read as well.
      this.#frame = null;
      return true;
    }
    if (this.unsentBytes > 0) return false;
    this.#frame = null;
    return true;
  }

  /** Calls the listeners on the event loop. */
  watch(onWritable: (() => void) | null, onReadable: () => void): void {
    this.#watcher.onWritable(onWritable);
    this.#watcher.onReadable(onReadable);
  }

  /** Reads whether it was answered or lost. */
  look(): void {
    if (this.answered || this.lost) return;
    try {
      const bytes = binding.receive(this.#fd, answer, 0, answer.length, 0);
      if (bytes > 0) this.answered = true;
      if (bytes === 0) this.lost = true;
    } catch {
      this.lost = true;
    }
    if (this.answered || this.lost) this.#watcher.onReadable(null);
  }

  close(): void {
    this.#watcher.close();
    binding.closeFd(this.#fd);
  }
}

export class StreamOutlet {
  readonly #path: string;
  #connections = new Map<number, TaskConnection>();
  #waiting: Waiting[] = [];
  #unsentBytes = 0;
  #retry: NodeJS.Timeout | null = null;
  #generation = generation();
  #onLost: (taskId: number) => void = () => undefined;

  constructor(path: string) {
    this.#path = path;
  }

  onLost(listener: (taskId: number) => void): void {
    this.#onLost = listener;
  }

  /** @throws PreforkError ERR_TASK_QUEUE_FULL. EMFILE, ENOENT and others of connect(2) */
  send(taskId: number, frame: Buffer): void {
    this.#forgetInherited();
    checkRoom(this.#waiting.length, this.#unsentBytes, frame.length);
    this.#unsentBytes += frame.length;
    if (this.#waiting.length > 0 || !this.#begin(taskId, frame)) {
      this.#waiting.push({ taskId, frame });
      this.#retrySoon();
    }
  }

  /** Blocks.  @returns false: the time is over, and the task will not be run */
  sendWithin(taskId: number, frame: Buffer, timeoutMs: number): boolean {
    this.#forgetInherited();
    const end = performance.now() + timeoutMs;
    let fd = binding.connectUnix(this.#path);
    for (; fd < 0; fd = binding.connectUnix(this.#path)) {
      if (performance.now() >= end) return false;
      binding.pollFd(-1, 0, RETRY_MS);
    }
    const connection = new TaskConnection(taskId, fd, frame);
    if (!connection.send(Math.max(0, Math.ceil(end - performance.now())))) {
      connection.close();
      return false;
    }
    this.#connections.set(taskId, connection);
    this.#watch(connection);
    return true;
  }

  /** Looks at all connections now. */
  findLost(): void {
    for (const connection of [...this.#connections.values()]) this.#look(connection);
  }

  settled(taskId: number): void {
    const connection = this.#connections.get(taskId);
    if (connection === undefined) return;
    this.#connections.delete(taskId);
    this.#unsentBytes -= connection.unsentBytes;
    connection.close();
    if (this.#waiting.length > 0) this.#sendWaiting();
  }

  close(): void {
    if (this.#generation !== generation()) return;
    if (this.#retry !== null) clearTimeout(this.#retry);
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
    this.#waiting = [];
  }

  /** @returns false: there is no room for a connection at the moment */
  #begin(taskId: number, frame: Buffer): boolean {
    if (this.#connections.size >= MAX_CONNECTIONS) return false;
    const fd = binding.connectUnix(this.#path);
    if (fd < 0) return false;
    const connection = new TaskConnection(taskId, fd, frame);
    this.#connections.set(taskId, connection);
    this.#sendOn(connection);
    return true;
  }

  #sendOn(connection: TaskConnection): void {
    const before = connection.unsentBytes;
    connection.send(0);
    this.#unsentBytes -= before - connection.unsentBytes;
    this.#watch(connection);
  }

  #watch(connection: TaskConnection): void {
    const sendOn = (): void => {
      this.#sendOn(connection);
    };
    connection.watch(connection.unsentBytes > 0 ? sendOn : null, () => {
      this.#look(connection);
    });
  }

  #look(connection: TaskConnection): void {
    connection.look();
    if (connection.lost) this.#onLost(connection.taskId);
  }

  #sendWaiting(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined) return;
      if (!this.#tryToBegin(first)) break;
      this.#waiting.shift();
    }
    this.#retrySoon();
  }

  /** @returns false: not yet */
  #tryToBegin({ taskId, frame }: Waiting): boolean {
    try {
      return this.#begin(taskId, frame);
    } catch {
      // As a rule for want of fds: some may be closed soon.
      return false;
    }
  }

  #retrySoon(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#sendWaiting();
    }, RETRY_MS);
  }

  /** What a parent has waiting, and its connections, are the parent's. */
  #forgetInherited(): void {
    if (this.#generation === generation()) return;
    this.#generation = generation();
    this.#connections = new Map();
    this.#waiting = [];
    this.#unsentBytes = 0;
    this.#retry = null;
  }
}
