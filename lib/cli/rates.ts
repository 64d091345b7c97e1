/** What happens per second: the difference of two snapshots. The status page computes the same. */
import type { Snapshot, WorkerSnapshot } from '../control/snapshot';

export interface WorkerRates {
  requestsPerSecond: number;
  /** Part of the time, 0 to 1. */
  busy: number;
  /** Busy time for each request that has ended; null: none has. */
  msPerRequest: number | null;
}

export interface Rates {
  /** In the order of the snapshot's workers. */
  workers: WorkerRates[];
  /** Of event workers, or of a pool's. */
  requestsPerSecond: number;
  tasksPerSecond: number;
  /** Of all workers, 0 to 1. */
  busy: number;
  /** Of the master's event loop. */
  masterBusy: number;
  msPerRequest: number | null;
}

interface Difference {
  requests: number;
  busyMs: number;
}

/** @param before - null: nothing is known yet */
export function ratesBetween(before: Snapshot | null, now: Snapshot): Rates {
  const ms = before === null ? 0 : now.time - before.time;
  if (before === null || ms <= 0) return noRates(now);
  const older = new Map(before.workers.map((worker) => [worker.id, worker]));
  const each = now.workers.map((worker) => difference(older.get(worker.id), worker, ms));
  const requests = each.reduce((sum, one) => sum + one.requests, 0);
  const busyMs = each.reduce((sum, one) => sum + one.busyMs, 0);
  const working = now.workers.filter(({ pid, kind }) => pid !== null && kind !== 'user').length;
  const tasks = each.reduce((sum, one, i) => sum + (isTask(now.workers[i]) ? one.requests : 0), 0);
  return {
    workers: each.map((one) => ({
      requestsPerSecond: (one.requests / ms) * 1000,
      busy: one.busyMs / ms,
      msPerRequest: perRequest(one),
    })),
    requestsPerSecond: ((requests - tasks) / ms) * 1000,
    tasksPerSecond: (tasks / ms) * 1000,
    busy: working === 0 ? 0 : busyMs / ms / working,
    masterBusy: part(now.master.busyTimeMs - before.master.busyTimeMs, ms),
    msPerRequest: perRequest({ requests, busyMs }),
  };
}

/** The counters of a new process begin at 0. */
function difference(
  before: WorkerSnapshot | undefined,
  now: WorkerSnapshot,
  ms: number,
): Difference {
  const same = before?.pid === now.pid ? before : undefined;
  const requests = now.requests - (same?.requests ?? 0);
  const busyMs = now.busyTimeMs - (same?.busyTimeMs ?? 0);
  return { requests: Math.max(0, requests), busyMs: part(busyMs, ms) * ms };
}

function part(value: number, whole: number): number {
  return Math.min(1, Math.max(0, value / whole));
}

function perRequest({ requests, busyMs }: Difference): number | null {
  return requests === 0 ? null : busyMs / requests;
}

function isTask(worker: WorkerSnapshot | undefined): boolean {
  return worker?.kind === 'task';
}

function noRates({ workers }: Snapshot): Rates {
  return {
    workers: workers.map(() => ({ requestsPerSecond: 0, busy: 0, msPerRequest: null })),
    requestsPerSecond: 0,
    tasksPerSecond: 0,
    busy: 0,
    masterBusy: 0,
    msPerRequest: null,
  };
}
