/**
 * What a running pool or server tells of itself at one moment: the same for the `prefork` command, the
 * status page and metrics. Counters only grow while their process lives; rates are for the reader to
 * compute from two snapshots.
 *
 * No imports of code: the command reads these types without loading the addon.
 */
import type { ProcessMemory } from '../process/memory';

export type SnapshotStage = 'none' | 'starting' | 'idle' | 'busy' | 'draining' | 'detached';
/** `worker` in a pool; the others in a server. */
export type SnapshotWorkerKind = 'worker' | 'event' | 'task' | 'user';

export interface WorkerSnapshot extends ProcessMemory {
  id: number;
  kind: SnapshotWorkerKind;
  /** Null while none runs, say between two starts. */
  pid: number | null;
  stage: SnapshotStage;
  generation: number;
  restarts: number;
  /** Of this process: messages, packets or tasks whose callbacks have ended. */
  requests: number;
  /** Callbacks that run at this moment. */
  running: number;
  /** Sent to it and not yet taken. */
  queued: number;
  busyTimeMs: number;
  uptimeMs: number;
}

export interface MasterSnapshot extends ProcessMemory {
  pid: number;
  /** Time in which its event loop was not waiting. */
  busyTimeMs: number;
}

export interface ManagerSnapshot extends ProcessMemory {
  pid: number;
}

export interface ConnectionsSnapshot {
  open: number;
  accepted: number;
  closed: number;
  /** Over maxConnection. */
  refused: number;
}

export interface RequestsSnapshot {
  /** Packets given to event workers, in process mode. */
  dispatched: number;
  received: number;
  answered: number;
}

export interface TasksSnapshot {
  submitted: number;
  /** Submitted and not settled. */
  inFlight: number;
}

export interface TotalSnapshot extends ProcessMemory {
  /** Processes that run, without master and manager. */
  workers: number;
  idle: number;
  busy: number;
  running: number;
  requests: number;
  restarts: number;
  queued: number;
}

/** What the owner tells; times are in ms since the epoch. */
export interface SourceState {
  kind: 'pool' | 'server';
  /** Of a server. */
  mode: 'base' | 'process' | null;
  startedAt: number;
  stopping: boolean;
  generation: number;
  masterPid: number;
  /** The same as masterPid where the master is the manager. */
  managerPid: number;
  workers: WorkerSnapshot[];
  /** All that waits; more than the workers' own where they share a queue. */
  queued: number;
  connections: ConnectionsSnapshot | null;
  requests: RequestsSnapshot | null;
  tasks: TasksSnapshot | null;
}

export interface Snapshot extends Omit<SourceState, 'masterPid' | 'managerPid' | 'queued'> {
  /** Of this format: new fields may come, none goes while it stays. */
  version: 1;
  time: number;
  /** The main script's name. */
  script: string;
  node: string;
  master: MasterSnapshot;
  /** Null where the master is the manager. */
  manager: ManagerSnapshot | null;
  total: TotalSnapshot;
  /** Where it is reached: path and URL. */
  controlSocket: string | null;
  statusPage: string | null;
}

/** What a reload did; null where that is not known to who was asked. */
export interface ReloadSummary {
  generation: number;
  replaced: number;
  killed: number;
  failed?: number;
  durationMs: number;
}
