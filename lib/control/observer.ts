/** Makes snapshots of a source. Those who ask at nearly the same time get the same one. */
import { basename } from 'node:path';
import { MemoryCache } from './memory-cache';
import type { Snapshot, SourceState, TotalSnapshot, WorkerSnapshot } from './snapshot';
import type { ControlSource } from './source';

const FRESH_MS = 50;

export interface Endpoints {
  controlSocket: string | null;
  statusPage: string | null;
}

export class Observer {
  readonly #source: ControlSource;
  readonly #endpoints: Endpoints;
  readonly #memory: MemoryCache;
  /** The newest one, or the one that is being made. */
  #last: Promise<Snapshot> | null = null;
  #lastAt = -Infinity;

  constructor(source: ControlSource, endpoints: Endpoints, memory = new MemoryCache()) {
    this.#source = source;
    this.#endpoints = endpoints;
    this.#memory = memory;
  }

  /** Rejects when the source cannot tell any more. */
  snapshot(): Promise<Snapshot> {
    const now = performance.now();
    if (this.#last === null || now - this.#lastAt >= FRESH_MS) {
      this.#lastAt = Infinity;
      const made = this.#look().finally(() => {
        if (this.#last === made) this.#lastAt = performance.now();
      });
      this.#last = made;
    }
    return this.#last;
  }

  /** Something was done: the next snapshot shall show it. */
  forget(): void {
    this.#last = null;
  }

  async #look(): Promise<Snapshot> {
    await this.#memory.refresh([process.pid, ...this.#source.pids()]);
    const memory = this.#memory.of.bind(this.#memory);
    const { masterPid, managerPid, queued, ...state } = this.#source.describe(memory);
    return {
      version: 1,
      time: Date.now(),
      script: basename(process.argv[1] ?? 'node'),
      node: process.version,
      ...state,
      master: { pid: masterPid, ...memory(masterPid), busyTimeMs: loopBusyTime() },
      manager: managerPid === masterPid ? null : { pid: managerPid, ...memory(managerPid) },
      total: totalOf(state.workers, queued),
      ...this.#endpoints,
    };
  }
}

function loopBusyTime(): number {
  return Math.round(performance.eventLoopUtilization().active);
}

function totalOf(workers: readonly WorkerSnapshot[], queued: SourceState['queued']): TotalSnapshot {
  type Field = 'running' | 'requests' | 'restarts' | 'rssBytes' | 'pssBytes';
  const sum = (field: Field): number => workers.reduce((all, worker) => all + worker[field], 0);
  return {
    workers: workers.filter(({ pid }) => pid !== null).length,
    idle: workers.filter(({ stage }) => stage === 'idle').length,
    busy: workers.filter(({ stage }) => stage === 'busy').length,
    running: sum('running'),
    requests: sum('requests'),
    restarts: sum('restarts'),
    queued,
    rssBytes: sum('rssBytes'),
    pssBytes: sum('pssBytes'),
  };
}
