/**
 * Memory of many processes, read seldom: the kernel walks page tables for each, and the reader is a master
 * that has other work. What is older than a second is read again, a few milliseconds at a time, and the
 * age grows with what reading costs, so that it takes at most a fiftieth of the master's time.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { memoryOf, type ProcessMemory, type ReadMemory } from '../process/memory';

const MIN_AGE_MS = 1000;
const AGE_PER_COST = 50;
const SLICE_MS = 4;

interface Entry {
  memory: ProcessMemory;
  readAt: number;
}

export class MemoryCache {
  readonly #read: ReadMemory;
  readonly #now: () => number;
  #entries = new Map<number, Entry>();
  /** What it took to read them all. */
  #cost = 0;

  constructor(read: ReadMemory = memoryOf, now: () => number = () => performance.now()) {
    this.#read = read;
    this.#now = now;
  }

  /** Reads what is old, and forgets every other process. */
  async refresh(pids: readonly number[]): Promise<void> {
    const kept = new Map<number, Entry>();
    for (const pid of pids) kept.set(pid, this.#entries.get(pid) ?? unread());
    this.#entries = kept;
    const before = this.#now() - Math.max(MIN_AGE_MS, this.#cost * AGE_PER_COST);
    const old = [...kept].filter(([, { readAt }]) => readAt <= before);
    const cost = await this.#readAll(old);
    if (old.length > 0) this.#cost = (cost / old.length) * kept.size;
  }

  of(pid: number | null): ProcessMemory {
    return (pid === null ? undefined : this.#entries.get(pid)?.memory) ?? unread().memory;
  }

  async #readAll(entries: readonly [pid: number, entry: Entry][]): Promise<number> {
    let cost = 0;
    let slice = 0;
    for (const [pid, entry] of entries) {
      if (slice >= SLICE_MS) {
        slice = 0;
        await turn();
      }
      const begin = this.#now();
      entry.memory = this.#read(pid);
      entry.readAt = this.#now();
      slice += entry.readAt - begin;
      cost += entry.readAt - begin;
    }
    return cost;
  }
}

function unread(): Entry {
  return { memory: { rssBytes: 0, pssBytes: 0 }, readAt: -Infinity };
}
