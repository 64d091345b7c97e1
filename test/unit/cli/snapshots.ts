/** Snapshots for tests: those of a pool or a server in which nothing happens, but for what a test says. */
import type { Snapshot, WorkerSnapshot } from '../../../lib/control/snapshot';

export const START = 1_800_000_000_000;

export function workerAt(id: number, change: Partial<WorkerSnapshot> = {}): WorkerSnapshot {
  return {
    ...{ id, kind: 'worker', pid: 5000 + id, stage: 'idle', generation: 0, restarts: 0 },
    ...{ requests: 0, running: 0, queued: 0, busyTimeMs: 0, uptimeMs: 90_000 },
    ...{ rssBytes: 40 * 1024 * 1024, pssBytes: 12 * 1024 * 1024 },
    ...change,
  };
}

export function poolAt(
  time: number,
  workers: WorkerSnapshot[],
  change: Partial<Snapshot> = {},
): Snapshot {
  const sum = (pick: (worker: WorkerSnapshot) => number): number =>
    workers.reduce((all, worker) => all + pick(worker), 0);
  return {
    ...{ version: 1, kind: 'pool', mode: null, script: 'app.js', node: 'v24.0.0' },
    ...{ time: START + time, startedAt: START - 3_600_000, stopping: false, generation: 2 },
    master: { pid: 4000, rssBytes: 5e7, pssBytes: 2e7, busyTimeMs: 0 },
    ...{ manager: null, workers, connections: null, requests: null, tasks: null },
    ...{ controlSocket: '/run/x.sock', statusPage: null },
    total: {
      workers: workers.filter(({ pid }) => pid !== null).length,
      idle: workers.filter(({ stage }) => stage === 'idle').length,
      busy: workers.filter(({ stage }) => stage === 'busy').length,
      running: sum(({ running }) => running),
      requests: sum(({ requests }) => requests),
      restarts: sum(({ restarts }) => restarts),
      queued: sum(({ queued }) => queued),
      rssBytes: sum(({ rssBytes }) => rssBytes),
      pssBytes: sum(({ pssBytes }) => pssBytes),
    },
    ...change,
  };
}

export function serverAt(time: number, workers: WorkerSnapshot[]): Snapshot {
  return poolAt(time, workers, {
    ...{ kind: 'server', mode: 'process' },
    manager: { pid: 4001, rssBytes: 4e7, pssBytes: 1e7 },
    connections: { open: 1234, accepted: 2000, closed: 766, refused: 0 },
    requests: { dispatched: 10, received: 10, answered: 10 },
    tasks: { submitted: 50, inFlight: 7 },
  });
}
