import {
  ProcessPool,
  type DegradedReport,
  type IpcType,
  type PoolEventName,
  type PoolEvents,
  type PoolOptions,
  type PoolStats,
  type ReloadReport,
  type WorkerExitStatus,
  type WorkerStage,
} from 'prefork';
import { equal } from './assert';

export function construction(): void {
  new ProcessPool(4);
  new ProcessPool(4, ProcessPool.IPC_MSGQUEUE, 0x1234, { maxRequest: 1000 });
  equal<IpcType, 0 | 1 | 2 | 3>(true);
  // @ts-expect-error there is no such type of IPC
  new ProcessPool(4, 4);
  // @ts-expect-error not a number
  new ProcessPool('4');
}

export function settings(pool: ProcessPool): void {
  const all: Required<Omit<PoolOptions, 'user' | 'group' | 'chroot'>> = {
    maxRequest: 1000,
    maxRequestGrace: 100,
    maxWaitTime: 3000,
    maxPackageSize: 65536,
    concurrency: 8,
    frameTimeout: 1000,
    restart: { minUptime: 1, initialDelay: 1, maxDelay: 1, jitter: 0.1, breakerAfter: 3 },
    reloadStrategy: 'start-first',
    cpuAffinity: [0, 1],
    title: 'worker',
    controlSocket: '/run/app.sock',
    statusPage: { port: 9100, host: '::1', allowedHosts: ['status.example'] },
  };
  equal<ReturnType<typeof pool.set>, ProcessPool>(true);
  pool.set({ ...all, user: 'nobody', group: 65534, chroot: '/var/empty' }).set({});
  // @ts-expect-error unknown; the nearest is maxRequest
  pool.set({ maxRequests: 1 });
  // @ts-expect-error not a number
  pool.set({ maxWaitTime: '3s' });
  // @ts-expect-error not a strategy
  pool.set({ reloadStrategy: 'all-at-once' });
  // @ts-expect-error unknown
  pool.set({ restart: { tries: 5 } });
}

export function events(pool: ProcessPool): void {
  pool
    .on('start', (own) => equal<typeof own, ProcessPool>(true))
    .on('workerStart', (own, id) => equal<[typeof own, typeof id], [ProcessPool, number]>(true))
    .on('message', async (_, data) => equal<typeof data, Buffer>(true))
    .on('workerStop', (_, id) => equal<typeof id, number>(true))
    .on('workerExit', (_, id) => equal<typeof id, number>(true))
    .on('workerError', (_, __, status) => equal<typeof status, WorkerExitStatus>(true))
    .on('degraded', (_, report) => equal<typeof report, DegradedReport>(true))
    .on('shutdown', () => undefined);
  // As Swoole writes them.
  pool.on('WorkerStart', (_, id) => equal<typeof id, number>(true));
  pool.on('Message', (_, data) => equal<typeof data, Buffer>(true));
  // @ts-expect-error there is no such event
  pool.on('receive', () => undefined);
  // @ts-expect-error a Buffer comes
  pool.on('message', (own: ProcessPool, data: string) => data);
  // @ts-expect-error the same by its other name
  pool.on('Message', (own: ProcessPool, data: string) => data);
  // @ts-expect-error more arguments than there are
  pool.on('start', (own: ProcessPool, id: number) => id);
  // @ts-expect-error no callback
  pool.on('shutdown');
  equal<PoolEventName, keyof PoolEvents>(true);
}

export async function life(pool: ProcessPool): Promise<void> {
  equal<ReturnType<typeof pool.start>, Promise<void>>(true);
  equal<ReturnType<typeof pool.reload>, Promise<ReloadReport | null>>(true);
  equal<ReturnType<typeof pool.shutdown>, Promise<void>>(true);
  equal<ReturnType<typeof pool.sendMessage>, boolean>(true);
  equal<typeof pool.port, number | null>(true);
  await pool.sendMessageAsync(Buffer.alloc(1), 0, { signal: AbortSignal.timeout(1) });
  const { workers, total }: PoolStats = pool.stats();
  equal<(typeof workers)[number]['stage'], WorkerStage>(true);
  equal<typeof total.requests, number>(true);
  equal<ReturnType<ProcessPool[typeof Symbol.asyncDispose]>, Promise<void>>(true);
  // @ts-expect-error fixed at the construction
  pool.workerNum = 5;
}
