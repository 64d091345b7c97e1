/** What a pool tells of itself. */
import { memoryOf, type ReadMemory } from '../process/memory';
import type { PoolChannel } from './pool-channel';
import { STAGE_NAMES, STAGE_READY, type WorkerTable } from './worker-table';

export type WorkerStage = 'none' | 'starting' | 'idle' | 'busy' | 'draining' | 'detached';

export interface WorkerStats {
  id: number;
  /** Null while none runs, say between two starts. */
  pid: number | null;
  stage: WorkerStage;
  generation: number;
  restarts: number;
  /** Messages whose callbacks have ended, of this process. */
  requests: number;
  /** Callbacks that run at this moment. */
  running: number;
  /** Part of its life that it was busy, in ms. */
  busyTimeMs: number;
  uptimeMs: number;
  /** IPC_UNIXSOCK: messages sent to it that it has not taken. */
  queued: number;
  /** Resident memory, in bytes: all of it, and with pages shared by n processes counted as 1/n. */
  rssBytes: number;
  pssBytes: number;
}

export interface PoolStats {
  masterPid: number;
  generation: number;
  workers: WorkerStats[];
  total: {
    workers: number;
    idle: number;
    requests: number;
    restarts: number;
    queued: number;
    rssBytes: number;
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
