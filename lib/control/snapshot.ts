/**
 * What a running pool or server tells of itself at one moment: the same for the `prefork` command, the
 * status page and metrics. Counters only grow while their process lives; rates are for the reader to
 * compute from two snapshots.
 *
 * No imports of code: the command reads these types without loading the addon.
 */
import type { ProcessMemory } from '../process/memory';

/** What a worker does; `none`: no process runs. */
export type SnapshotStage = 'none' | 'starting' | 'idle' | 'busy' | 'draining' | 'detached';
/** `worker` in a pool; the others in a server. */
export type SnapshotWorkerKind = 'worker' | 'event' | 'task' | 'user';

/** One worker; counters are of its present process. */
export interface WorkerSnapshot extends ProcessMemory {
  /** Of its place: its successor has the same. */
  id: number;
  /** What it is for. */
  kind: SnapshotWorkerKind;
  /** Null while none runs, say between two starts. */
  pid: number | null;
  /** What it does. */
  stage: SnapshotStage;
  /** Reloads before it was started. */
  generation: number;
  /** Processes of this id after the first. */
  restarts: number;
  /** Of this process: messages, packets or tasks whose callbacks have ended. */
  requests: number;
  /** Callbacks that run at this moment. */
  running: number;
  /** Sent to it and not yet taken. */
  queued: number;
  /** Time with at least one callback running. */
  busyTimeMs: number;
  /** Age of its process. */
  uptimeMs: number;
}

/** The master: the process that was started. */
export interface MasterSnapshot extends ProcessMemory {
  /** Its process. */
  pid: number;
  /** Time in which its event loop was not waiting. */
  busyTimeMs: number;
}

/** The manager of a server in process mode. */
export interface ManagerSnapshot extends ProcessMemory {
  /** Its process. */
  pid: number;
}

/** Connections of a server since its start. */
export interface ConnectionsSnapshot {
  /** At this moment. */
  open: number;
  /** All that came, without those refused. */
  accepted: number;
  /** Those that have ended. */
  closed: number;
  /** Over maxConnection. */
  refused: number;
}

/** Packets of a server since its start. */
export interface RequestsSnapshot {
  /** Packets given to event workers, in process mode. */
  dispatched: number;
  /** Packets that event workers have taken. */
  received: number;
  /** Answers sent to clients. */
  answered: number;
}

/** Tasks of a server since its start. */
export interface TasksSnapshot {
  /** All of them. */
  submitted: number;
  /** Submitted and not settled. */
  inFlight: number;
}

/** Sums over all workers. */
export interface TotalSnapshot extends ProcessMemory {
  /** Processes that run, without master and manager. */
  workers: number;
  /** Workers that wait. */
  idle: number;
  /** Workers with a callback running. */
  busy: number;
  /** Callbacks that run at this moment. */
  running: number;
  /** Of the present processes. */
  requests: number;
  /** Processes after the first of each worker. */
  restarts: number;
  /** What waits for a worker. */
  queued: number;
}

/** What the owner tells; times are in ms since the epoch. */
export interface SourceState {
  /** Whose snapshot it is. */
  kind: 'pool' | 'server';
  /** Of a server. */
  mode: 'base' | 'process' | null;
  /** Of start(), in ms since the epoch. */
  startedAt: number;
  /** It was told to end. */
  stopping: boolean;
  /** Reloads so far. */
  generation: number;
  masterPid: number;
  /** The same as masterPid where the master is the manager. */
  managerPid: number;
  /** In the order of their ids. */
  workers: WorkerSnapshot[];
  /** All that waits; more than the workers' own where they share a queue. */
  queued: number;
  /** Null of a pool. */
  connections: ConnectionsSnapshot | null;
  /** Null of a pool. */
  requests: RequestsSnapshot | null;
  /** Null of a pool. */
  tasks: TasksSnapshot | null;
}

/** What a pool or server is doing: `prefork status --json`, and `/status.json` of the status page. */
export interface Snapshot extends Omit<SourceState, 'masterPid' | 'managerPid' | 'queued'> {
  /** Of this format: new fields may come, none goes while it stays. */
  version: 1;
  /** When it was made, in ms since the epoch. */
  time: number;
  /** The main script's name. */
  script: string;
  /** `process.version`. */
  node: string;
  /** The process that was started. */
  master: MasterSnapshot;
  /** Null where the master is the manager. */
  manager: ManagerSnapshot | null;
  /** Sums over all workers. */
  total: TotalSnapshot;
  /** Path of the control socket; null: none. */
  controlSocket: string | null;
  /** URL of the status page; null: none. */
  statusPage: string | null;
}

/** What a reload did; null where that is not known to who was asked. */
export interface ReloadSummary {
  /** Reloads so far, with this one. */
  generation: number;
  /** Workers that were replaced. */
  replaced: number;
  /** Of these, workers that had to be killed after `maxWaitTime`. */
  killed: number;
  /** The id of a worker whose successor did not start: the reload has stopped there. */
  failed?: number;
  /** How long it took. */
  durationMs: number;
}
