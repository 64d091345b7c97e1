/**
 * Memory of many processes, read seldom: the kernel walks page tables for each, and the reader is a master
 * that has other work. What is older than a second is read again, the oldest first, until the time for one
 * round is spent; the others keep their value until the next round.
 */
import { memoryOf, type ProcessMemory, type ReadMemory } from '../process/memory';

const MAX_AGE_MS = 1000;
const ROUND_MS = 5;

interface Entry {
  memory: ProcessMemory;
  readAt: number;
}

export class MemoryCache {
  readonly #read: ReadMemory;
  readonly #now: () => number;
  #entries = new Map<number, Entry>();

  constructor(read: ReadMemory = memoryOf, now: () => number = () => performance.now()) {
    this.#read = read;
    this.#now = now;
  }

  /** Reads what is old, and forgets every other process. At least one is read if one is old. */
  refresh(pids: readonly number[]): void {
    const kept = new Map<number, Entry>();
    for (const pid of pids) kept.set(pid, this.#entries.get(pid) ?? unread());
    this.#entries = kept;
    const begin = this.#now();
    const old = [...kept].filter(([, { readAt }]) => begin - readAt >= MAX_AGE_MS);
    old.sort(([, one], [, other]) => one.readAt - other.readAt);
    for (const [pid, entry] of old) {
      entry.memory = this.#read(pid);
      entry.readAt = this.#now();
      if (entry.readAt - begin >= ROUND_MS) return;
    }
  }

  of(pid: number | null): ProcessMemory {
    return (pid === null ? undefined : this.#entries.get(pid)?.memory) ?? unread().memory;
  }
}

function unread(): Entry {
  return { memory: { rssBytes: 0, pssBytes: 0 }, readAt: -Infinity };
}
