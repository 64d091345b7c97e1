/** What a server tells of itself. */
import { workerStats, type WorkerStats } from '../pool/stats';
import { memoryOf, type ReadMemory } from '../process/memory';
import type { ServerContext } from './context';
import {
  ACCEPTED,
  CLOSED,
  DISPATCHED,
  REFUSED,
  REQUESTS,
  RESPONSES,
  TASKING,
  TASKS,
} from './state';

/** What a worker is for. */
export type ServerWorkerKind = 'event' | 'task' | 'user';

/** As of a pool's worker; requests are tasks in a task worker. */
export interface ServerWorkerStats extends WorkerStats {
  /** What it is for. */
  kind: ServerWorkerKind;
}

/** A server at one moment; counters are of the time since its start.  Swoole\Server::stats. */
export interface ServerStats {
  /** In ms since the epoch. */
  startTime: number;
  /** The process that was started. */
  masterPid: number;
  /** In base mode the master's. */
  managerPid: number;
  /** Connections that are open. */
  connectionNum: number;
  /** Connections accepted. */
  acceptCount: number;
  /** Connections closed. */
  closeCount: number;
  /** Connections refused because of maxConnection. */
  abortCount: number;
  /** Event workers. */
  workerNum: number;
  /** Task workers. */
  taskWorkerNum: number;
  /** User processes. */
  userWorkerNum: number;
  /** Event workers that wait. */
  idleWorkerNum: number;
  /** Task workers that wait. */
  taskIdleWorkerNum: number;
  /** Packets given to event workers, in process mode. */
  dispatchCount: number;
  /** Packets that event workers have taken. */
  requestCount: number;
  /** Answers sent to clients. */
  responseCount: number;
  /** Tasks submitted. */
  taskCount: number;
  /** Tasks submitted and not settled. */
  taskingNum: number;
  /** Of the worker that asks; 0 elsewhere. */
  workerRequestCount: number;
  /** In the order of their ids: event workers, task workers, user processes. */
  workers: ServerWorkerStats[];
}

export function serverStats(
  context: ServerContext,
  workerId: number,
  memory: ReadMemory = memoryOf,
): ServerStats {
  const { state, sessions, addresses, table } = context;
  const { workerNum, taskWorkerNum, slots } = addresses;
  const workers = Array.from({ length: slots }, (_, id) => describe(context, id, memory));
  const idle = (kind: ServerWorkerKind): number =>
    workers.filter((worker) => worker.kind === kind && worker.stage === 'idle').length;
  return {
    startTime: state.startedAt,
    masterPid: state.masterPid,
    managerPid: state.managerPid,
    connectionNum: sessions.count,
    acceptCount: state.count(ACCEPTED) >>> 0,
    closeCount: state.count(CLOSED) >>> 0,
    abortCount: state.count(REFUSED) >>> 0,
    ...{ workerNum, taskWorkerNum, userWorkerNum: slots - workerNum - taskWorkerNum },
    idleWorkerNum: idle('event'),
    taskIdleWorkerNum: idle('task'),
    dispatchCount: state.count(DISPATCHED) >>> 0,
    requestCount: state.count(REQUESTS) >>> 0,
    responseCount: state.count(RESPONSES) >>> 0,
    taskCount: state.count(TASKS) >>> 0,
    taskingNum: Math.max(0, state.count(TASKING)),
    workerRequestCount: workerId < 0 ? 0 : (table.current(workerId)?.handled ?? 0),
    workers,
  };
}

function describe(
  { table, addresses }: ServerContext,
  id: number,
  memory: ReadMemory,
): ServerWorkerStats {
  const kind = addresses.isTaskWorker(id) ? 'task' : addresses.isUserProcess(id) ? 'user' : 'event';
  return { ...workerStats(table, id, memory), kind, queued: Math.max(0, table.queued(id)) };
}
