/** What the two ends of a packet socket share: limits, and what a message carries besides its data. */
import { PreforkError } from '../errors';
import type { MemfdCount } from './memfd-count';
import { OwnedFd } from './owned-fd';

/** What the sender says about a message: it means what the callers agree on. */
export interface PacketMeta {
  /** -2^31 … 2^31 - 1; default 0. */
  sender?: number;
  /** 0 … 2^32 - 1; default 0. */
  tag?: number;
  /** 8 bits; default 0. */
  flags?: number;
}

export interface Packet {
  data: Buffer;
  sender: number;
  tag: number;
  flags: number;
}

/** Stands for "no memfd attached" in calls of the binding. */
export const NO_FD = -1;

export abstract class PacketEnd extends OwnedFd {
  /** The longest message. */
  readonly maxBytes: number;
  /** The longest message that travels inside its frame; a longer one takes a memfd. */
  readonly inlineLimit: number;
  /** Null: nobody counts. */
  protected readonly memfds: MemfdCount | null;

  constructor(fd: number, maxBytes: number, inlineLimit: number, memfds: MemfdCount | null = null) {
    super(fd);
    this.maxBytes = maxBytes;
    this.inlineLimit = inlineLimit;
    this.memfds = memfds;
  }

  /** Whether waiting on the event loop keeps the process running. It does from the start. */
  setRef(on: boolean): void {
    this.watcher().setRef(on);
  }

  protected override closedError(): PreforkError {
    return new PreforkError('ERR_NO_PIPE', 'this end of the pipe is closed');
  }
}
