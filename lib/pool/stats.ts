/** What a pool tells of itself. */
import { memoryOf, type ReadMemory } from '../process/memory';
import type { PoolChannel } from './pool-channel';
import { STAGE_NAMES, STAGE_READY, type WorkerTable } from './worker-table';

/** What a worker does; `none`: no process runs; `draining`: it was told to end and finishes what it has. */
export type WorkerStage = 'none' | 'starting' | 'idle' | 'busy' | 'draining' | 'detached';

/** One worker; counters are of its present process. */
export interface WorkerStats {
  /** Of its place: its successor has the same. */
  id: number;
  /** Null while none runs, say between two starts. */
  pid: number | null;
  /** What it does. */
  stage: WorkerStage;
  /** Reloads before it was started. */
  generation: number;
  /** Processes of this id after the first. */
  restarts: number;
  /** Messages whose callbacks have ended, of this process. */
  requests: number;
  /** Callbacks that run at this moment. */
  running: number;
  /** Part of its life that it was busy, in ms. */
  busyTimeMs: number;
  /** Age of its process. */
  uptimeMs: number;
  /** IPC_UNIXSOCK: messages sent to it that it has not taken. */
  queued: number;
  /** Resident memory: all of it. */
  rssBytes: number;
  /** Proportional: a page that n processes share counts as 1/n. */
  pssBytes: number;
}

/** A pool at one moment. */
export interface PoolStats {
  /** The process that was started. */
  masterPid: number;
  /** Reloads so far. */
  generation: number;
  /** In the order of their ids. */
  workers: WorkerStats[];
  /** Sums over all workers. */
  total: {
    /** Processes that run. */
    workers: number;
    /** Workers that wait. */
    idle: number;
    /** Of the present processes. */
    requests: number;
    /** Processes after the first of each worker. */
    restarts: number;
    /** Messages that no worker has taken yet. */
    queued: number;
    /** Resident memory: shared pages count in each process. */
    rssBytes: number;
    /** Proportional memory: what the workers really take. */
    pssBytes: number;
  };
}

export function poolStats(
  masterPid: number,
  generation: number,
  table: WorkerTable,
  channel: PoolChannel,
  size: number,
  memory: ReadMemory = memoryOf,
): PoolStats {
  const workers = Array.from({ length: size }, (_, id) => {
    return { ...workerStats(table, id, memory), queued: queuedOf(table, channel, id) };
  });
  const sum = (field: 'requests' | 'restarts' | 'queued' | 'rssBytes' | 'pssBytes'): number =>
    workers.reduce((total, worker) => total + worker[field], 0);
  return {
    masterPid,
    generation,
    workers,
    total: {
      workers: workers.filter(({ pid }) => pid !== null).length,
      idle: workers.filter(({ stage }) => stage === 'idle').length,
      requests: sum('requests'),
      restarts: sum('restarts'),
      queued: channel.queued?.() ?? sum('queued'),
      rssBytes: sum('rssBytes'),
      pssBytes: sum('pssBytes'),
    },
  };
}

/** What the kernel has outweighs what was counted. */
function queuedOf(table: WorkerTable, channel: PoolChannel, id: number): number {
  if (channel.isEmpty?.(id) !== false) return 0;
  return Math.max(1, table.queued(id));
}

export function workerStats(
  table: WorkerTable,
  id: number,
  memory: ReadMemory = memoryOf,
): Omit<WorkerStats, 'queued'> {
  const row = table.current(id);
  const pid = row === null || row.pid === 0 ? null : row.pid;
  const now = Date.now();
  const busyNow = row !== null && row.busySince > 0 ? now - row.busySince : 0;
  return {
    id,
    pid,
    stage: stageOf(row?.stage ?? 0, row?.busy ?? 0),
    generation: row?.generation ?? 0,
    restarts: table.restarts(id),
    requests: row?.handled ?? 0,
    running: row?.busy ?? 0,
    busyTimeMs: (row?.busyTime ?? 0) + busyNow,
    uptimeMs: pid === null ? 0 : now - (row?.startedAt ?? now),
    ...memory(pid),
  };
}

function stageOf(stage: number, busy: number): WorkerStage {
  if (stage === STAGE_READY) return busy > 0 ? 'busy' : 'idle';
  return STAGE_NAMES[stage] as Exclude<(typeof STAGE_NAMES)[number], 'ready'>;
}
