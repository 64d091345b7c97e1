/**
 * The connections of a reactor, as the kernel watches them: an epoll set, which the event loop sees as one
 * fd. A turn reads from all that are ready with few calls of the kernel.  See epoll(7).
 */
import { binding } from '../../binding';
import { alignedBuffer, alignUp } from '../../ipc/aligned-buffer';
import { FdWatcher } from '../../ipc/fd-watcher';

export const READS = 1;
export const WRITES = 4;
const ERROR = 8;
const HANG_UP = 16;

const ADD = 1;
const REMOVE = 2;
const CHANGE = 3;
const EAGAIN = -11;

const ROOM_BYTES = 512 * 1024;
const FIELDS = 3;
const MOST_EVENTS = 64;

/** Calls of epoll in one turn, after which timers and others have theirs. */
const CALLS_PER_TURN = 4;

/** One for all of this process: nothing of it is kept. */
let room: Buffer | null = null;

/** Tokens are those that watch() was given. */
export interface EpollListener {
  /** @param chunk - good until this returns */
  onData(token: number, chunk: Buffer): void;
  /** It can be written to, or has failed. */
  onWritable(token: number): void;
  /** @param gone - it will not read either */
  onEnd(token: number, gone: boolean): void;
}

export class EpollSet {
  readonly #fd = binding.epollCreate();
  readonly #watcher = new FdWatcher(this.#fd);
  readonly #listener: EpollListener;
  readonly #results = new Int32Array(FIELDS * MOST_EVENTS);

  constructor(listener: EpollListener) {
    this.#listener = listener;
  }

  /** Calls `onReady` when turn() has something to do. */
  start(onReady: () => void): void {
    this.#watcher.onReadable(onReady);
  }

  /** @param before - READS, WRITES or both, as the last call for this fd said; 0: first, or nothing */
  watch(fd: number, token: number, before: number, wanted: number): void {
    if (before === wanted) return;
    const operation = before === 0 ? ADD : wanted === 0 ? REMOVE : CHANGE;
    binding.epollControl(this.#fd, operation, fd, wanted, token);
  }

  turn(): void {
    for (let calls = 0; calls < CALLS_PER_TURN; calls++) {
      room ??= alignedBuffer(ROOM_BYTES);
      const events = binding.epollReceive(this.#fd, room, this.#results);
      this.#tell(events, room);
      if (events < MOST_EVENTS) return;
    }
  }

  close(): void {
    this.#watcher.close();
    binding.closeFd(this.#fd);
  }

  /** In a child of the process that has made it. */
  abandon(): void {
    binding.closeFd(this.#fd);
  }

  #tell(events: number, bytes: Buffer): void {
    const results = this.#results;
    let at = 0;
    for (let i = 0; i < FIELDS * events; i += FIELDS) {
      const token = results[i] as number;
      const reported = results[i + 1] as number;
      const received = results[i + 2] as number;
      if ((reported & WRITES) !== 0) this.#listener.onWritable(token);
      if (received > 0) {
        const chunk = bytes.subarray(at, at + received);
        at = alignUp(at + received);
        this.#listener.onData(token, chunk);
      } else if (received !== EAGAIN || (reported & (HANG_UP | ERROR)) !== 0) {
        this.#listener.onEnd(token, received !== 0);
      }
    }
  }
}
