/** What the control socket and the status page see of a pool, and can ask of it. */
import type { ControlSource } from '../control/source';
import type { ReadMemory } from '../process/memory';
import { checkInteger } from '../validate';
import type { PoolMaster } from './pool-master';
import type { ProcessPool } from './process-pool';
import type { PoolStats } from './stats';

/** @param stats - as of pool.stats() */
export function poolSource(
  pool: ProcessPool,
  master: PoolMaster,
  stats: (memory: ReadMemory) => PoolStats,
): ControlSource {
  const startedAt = Date.now();
  return {
    pids: () => master.pids(),
    describe: (memory) => {
      const { masterPid, generation, workers, total } = stats(memory);
      return {
        ...{ kind: 'pool', mode: null, startedAt, generation, masterPid, managerPid: masterPid },
        stopping: !pool.running,
        workers: workers.map((worker) => ({ ...worker, kind: 'worker' })),
        queued: total.queued,
        ...{ connections: null, requests: null, tasks: null },
      };
    },
    // A pool has one kind of workers.
    reload: () => pool.reload(),
    stop: () => {
      if (pool.running) void pool.shutdown();
    },
    stopWorker: (id) => {
      master.stopWorker(checkInteger('workerId', id, 0, pool.workerNum - 1));
    },
    slowLog: () => null,
  };
}
