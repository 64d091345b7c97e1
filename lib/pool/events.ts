/** The events of a pool. Their names are matched without case; a second callback replaces the first. */
import { Callbacks } from '../callbacks';
import type { ExitStatus } from '../process/children';
import type { ProcessPool } from './process-pool';

/** How a worker ended. */
export interface WorkerExitStatus extends ExitStatus {
  /**
   * Messages that the worker had taken and whose callbacks had not ended. They are not delivered again.
   * The last of them may not have left its queue yet, in which case its successor handles it.
   */
  lostMessages: number;
}

/** Why a pool is degraded. */
export interface DegradedReport {
  /** Whose processes die. */
  workerId: number;
  /** Workers of this id that died young, in a row. */
  failures: number;
  /** The system's error when the worker could not even be forked. */
  error?: Error;
}

/** Callbacks of a pool, and the process that each runs in. */
export interface PoolEvents {
  /** In the master, before the first worker. */
  start: (pool: ProcessPool) => unknown;
  /** In each worker, once. In a pool without `message` it is all that the worker does. */
  workerStart: (pool: ProcessPool, workerId: number) => unknown;
  /** In a worker, for each message. */
  message: (pool: ProcessPool, data: Buffer) => unknown;
  /** In a worker that ends in good order, last. */
  workerStop: (pool: ProcessPool, workerId: number) => unknown;
  /** In a worker that was told to end, again and again until its event loop is empty. */
  workerExit: (pool: ProcessPool, workerId: number) => unknown;
  /** In the master, when a worker ended abnormally or lost messages. */
  workerError: (pool: ProcessPool, workerId: number, status: WorkerExitStatus) => unknown;
  /** In the master, when workers of one id die young again and again. */
  degraded: (pool: ProcessPool, report: DegradedReport) => unknown;
  /** In the master, before the workers are told to end. */
  shutdown: (pool: ProcessPool) => unknown;
}

/** The name of an event of a pool. */
export type PoolEventName = keyof PoolEvents;

const NAMES: readonly PoolEventName[] = [
  'start',
  'workerStart',
  'message',
  'workerStop',
  'workerExit',
  'workerError',
  'degraded',
  'shutdown',
];

export class PoolCallbacks extends Callbacks<PoolEvents> {
  constructor() {
    super('a pool', NAMES);
  }
}
