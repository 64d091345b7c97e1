/**
 * What parent and child of a {@link Process} talk through: its pipe and its message queue.
 *
 * Blocking calls wait in the kernel and stop the event loop meanwhile; each has a twin that does not.
 */
import { Socket } from 'node:net';
import type { QueueStatus } from '../ipc/message-queue';
import { MessageSocket } from '../ipc/message-socket';
import { MAX_READ_BYTES, type SocketKind } from '../ipc/unix-socket';
import { checkData, checkInteger, signalOf } from '../validate';
import { PIPE_MASTER, PIPE_READ, PIPE_WORKER, PIPE_WRITE, QUEUE_BALANCE } from './constants';
import { ProcessPipe } from './pipe';
import { ProcessQueue } from './process-queue';

/** Of calls that wait on the event loop. */
export interface AsyncOptions {
  /** Ends the wait: the promise rejects with the signal's reason, and nothing is lost. */
  signal?: AbortSignal;
}

const LONGEST_TIMEOUT = 0x7fffffff;
const SHUT_RD = 0;
const SHUT_WR = 1;

export abstract class ProcessChannel {
  /** 1 for the first Process made in a process, then 2, 3 … */
  abstract readonly id: number;
  /** Replaced by subclasses that bring a pipe of their own. @internal */
  protected channel: ProcessPipe;
  /** @internal */
  protected readonly queue = new ProcessQueue();
  #exported: Socket | MessageSocket | null = null;

  protected constructor(kind: SocketKind | null) {
    this.channel = new ProcessPipe(kind);
  }

  /** @internal Brings a pipe of the owner's, in place of the one that start() would make. */
  static givePipe(target: ProcessChannel, pipe: ProcessPipe): void {
    target.channel = pipe;
  }

  /** The fd of this side's end of the pipe; null without an open pipe. */
  get pipe(): number | null {
    return this.channel.fd;
  }

  /** The key of the open queue; null without one. */
  get msgQueueKey(): number | null {
    return this.queue.key;
  }

  /**
   * Reads from the pipe and blocks until something is there.  recv(2); Swoole\Process::read.
   *
   * @param size - bytes at most; over 65,536 a stream takes it as 65,536. Default: 8,192 of a stream,
   * the whole message of a dgram pipe.
   * @returns what a stream has, or one message. An empty Buffer at the end: the peer has closed its
   * side or is gone. Null when the time of {@link setTimeout} is over, or at once in non-blocking mode.
   * @throws PreforkError ERR_OUT_OF_RANGE for a size below 1; ERR_NO_PIPE; ERR_NOT_STARTED;
   * ERR_MESSAGE_TOO_BIG when a message is longer than `size`: it is kept for the next read
   */
  read(size?: number): Buffer | null {
    checkReadSize(size);
    if (this.channel.ended) return Buffer.alloc(0);
    const data = this.channel.socket().read(size);
    this.#noteEnd(data);
    return data;
  }

  /**
   * Writes to the pipe and blocks until all is written.  send(2); Swoole\Process::write.
   *
   * @returns bytes written; fewer than given only when the time of {@link setTimeout} is over, or in
   * non-blocking mode, on a stream
   * @throws PreforkError ERR_EMPTY_DATA; ERR_MESSAGE_TOO_BIG with the limit of a dgram pipe;
   * ERR_NO_PIPE; ERR_NOT_STARTED. EPIPE when the peer is gone; EAGAIN when nothing could be written
   * in time
   */
  write(data: string | Uint8Array): number {
    const bytes = checkData(data);
    return this.channel.socket().write(bytes);
  }

  /** {@link read} that does not block the event loop and has no timeout. */
  async readAsync(size?: number, options: AsyncOptions = {}): Promise<Buffer> {
    checkReadSize(size);
    const signal = signalOf(options);
    if (this.channel.ended) return Buffer.alloc(0);
    const data = await this.channel.socket().readAsync(size, signal);
    this.#noteEnd(data);
    return data;
  }

  /** {@link write} that does not block the event loop: resolves when all is written. */
  async writeAsync(data: string | Uint8Array, options: AsyncOptions = {}): Promise<number> {
    const bytes = checkData(data);
    return this.channel.socket().writeAsync(bytes, signalOf(options));
  }

  /** Every chunk or message until the peer closes its side or is gone. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    const wholePieces = this.channel.kind === 'stream' ? MAX_READ_BYTES : undefined;
    for (;;) {
      const data = await this.readAsync(wholePieces);
      if (data.length === 0) return;
      yield data;
    }
  }

  /**
   * A socket on a duplicate of this side's fd, made once: `net.Socket` on a stream, a
   * {@link MessageSocket} on a dgram pipe. Close it when done; `close()` does not.
   * Swoole\Process::exportSocket.
   */
  exportSocket(): Socket | MessageSocket {
    if (this.#exported === null || isClosed(this.#exported)) {
      const fd = this.channel.duplicate();
      this.#exported =
        this.channel.kind === 'stream'
          ? new Socket({ fd, readable: true, writable: true })
          : new MessageSocket(fd);
    }
    return this.#exported;
  }

  /**
   * Bounds blocking reads and writes of this side.  Swoole\Process::setTimeout.
   *
   * @param milliseconds - 0 removes the bound
   */
  setTimeout(milliseconds: number): void {
    checkInteger('milliseconds', milliseconds, 0, LONGEST_TIMEOUT);
    this.channel.socket().setTimeout(milliseconds);
  }

  /** With false, {@link read} and {@link write} never wait.  Swoole\Process::setBlocking. */
  setBlocking(on: boolean): void {
    this.channel.socket().setBlocking(on);
  }

  /**
   * Closes the pipe, or a part of it.  shutdown(2); Swoole\Process::close.
   *
   * @param which - 0 this side's end; PIPE_MASTER or PIPE_WORKER the parent's or the child's end, where
   * the one that is not this side's is closed already; PIPE_READ or PIPE_WRITE ends one direction
   * @throws PreforkError ERR_OUT_OF_RANGE; ERR_NO_PIPE; ERR_NOT_STARTED
   */
  close(which = 0): boolean {
    checkInteger('which', which, 0, PIPE_WRITE);
    if (!this.channel.ended) this.channel.socket();
    const other = this.isChild() ? PIPE_MASTER : PIPE_WORKER;
    if (which === other) return true;
    if (which !== PIPE_READ && which !== PIPE_WRITE) this.channel.close();
    else if (!this.channel.ended) {
      this.channel.socket().shutdown(which === PIPE_READ ? SHUT_RD : SHUT_WR);
    }
    return true;
  }

  /**
   * Opens, or creates, a POSIX message queue for {@link push} and {@link pop}. Called before `start()`,
   * the child has it too. The queue outlives all processes until {@link freeQueue}. Mode 0600.
   * mq_overview(7); Swoole\Process::useQueue.
   *
   * @param key - 0: made of the main script, as ftok(3)
   * @param mode - QUEUE_BALANCE: all with the same key compete; QUEUE_ORIENT: a mailbox for each
   * Process; with `| IPC_NOWAIT` push and pop do not block
   * @param capacity - messages a new queue holds; 0: the kernel's default, usually 10, which is also
   * the most without privilege
   * @throws PreforkError ERR_OUT_OF_RANGE with the kernel's limit; EMFILE, ENOSPC, EACCES
   */
  useQueue(key = 0, mode: number = QUEUE_BALANCE, capacity = 0): boolean {
    this.queue.open(key, mode, capacity, this.id);
    return true;
  }

  /**
   * Puts a message into the queue; blocks while it is full.  mq_send(3).
   *
   * @returns false when it is full and the mode has IPC_NOWAIT
   * @throws PreforkError ERR_NO_QUEUE; ERR_EMPTY_DATA; ERR_MESSAGE_TOO_BIG with the queue's limit
   */
  push(data: string | Uint8Array): boolean {
    return this.queue.push(data);
  }

  /**
   * Takes the oldest message; blocks while there is none.  mq_receive(3).
   *
   * @param size - bytes at most; default: any message
   * @returns null when there is none and the mode has IPC_NOWAIT
   * @throws PreforkError ERR_NO_QUEUE; ERR_OUT_OF_RANGE; ERR_MESSAGE_TOO_BIG when the message is longer
   * than `size`: this process keeps it for its next pop
   */
  pop(size?: number): Buffer | null {
    return this.queue.pop(size);
  }

  /** {@link push} that waits on the event loop, in both modes; resolves to true. */
  async pushAsync(data: string | Uint8Array, options: AsyncOptions = {}): Promise<true> {
    await this.queue.pushAsync(data, signalOf(options));
    return true;
  }

  /** {@link pop} that waits on the event loop, in both modes. */
  async popAsync(size?: number, options: AsyncOptions = {}): Promise<Buffer> {
    return this.queue.popAsync(size, signalOf(options));
  }

  /** How full the queue is, and its limits.  mq_getattr(3). */
  statQueue(): QueueStatus {
    return this.queue.status();
  }

  /**
   * Removes the queue for everybody: those who have it open may go on, nobody can open it again.
   * mq_unlink(3).
   *
   * @returns false when somebody else has removed it already
   */
  freeQueue(): boolean {
    return this.queue.free();
  }

  /** In the child: what was exported before the fork belongs to the parent. @internal */
  protected forgetExported(): void {
    this.#exported = null;
  }

  /** A pipe whose child was reaped is let go when its last byte was read. */
  #noteEnd(data: Buffer | null): void {
    if (data?.length === 0 && this.childIsGone()) this.channel.release();
  }

  /** @internal */
  protected abstract childIsGone(): boolean;

  /** Whether this process is the child. @internal */
  protected abstract isChild(): boolean;
}

function checkReadSize(size: number | undefined): void {
  if (size !== undefined) checkInteger('size', size, 1, Number.MAX_SAFE_INTEGER);
}

function isClosed(socket: Socket | MessageSocket): boolean {
  return socket instanceof Socket ? socket.destroyed : socket.closed;
}
