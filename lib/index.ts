/** The public names of prefork. */
export type { StatusPageOptions } from './control/options';
export type {
  ConnectionsSnapshot,
  ManagerSnapshot,
  MasterSnapshot,
  ReloadSummary,
  RequestsSnapshot,
  Snapshot,
  SnapshotStage,
  SnapshotWorkerKind,
  TasksSnapshot,
  TotalSnapshot,
  WorkerSnapshot,
} from './control/snapshot';
export type {
  DiagnosticMessages,
  ExitMessage,
  ForkMessage,
  ReloadMessage,
  RespawnMessage,
  TaskMessage,
} from './diagnostics';
export { PreforkError, type PreforkErrorCode, type SystemError } from './errors';
export type { QueueStatus } from './ipc/message-queue';
export { MessageSocket, type MessageSocketEvents } from './ipc/message-socket';
export type { ExitStatus } from './process/children';
export type { PipeType } from './process/constants';
export type { DaemonOptions } from './process/daemon';
export type { ForeignThreads } from './process/fork-guard';
export { Process, type ProcessCallback } from './process/process';
export type { AsyncOptions } from './process/process-channel';
export type { Signal, SignalCallback } from './process/signals';

export type { IpcType } from './pool/pool-channel';
export type { DegradedReport, PoolEventName, PoolEvents, WorkerExitStatus } from './pool/events';
export type { PoolOptions } from './pool/pool-options';
export { ProcessPool } from './pool/process-pool';
export type { ReloadReport } from './pool/reload';
export type { RestartOptions } from './pool/restart-policy';
export type { PoolStats, WorkerStage, WorkerStats } from './pool/stats';
export { Server, type TaskCallback } from './server/server';
export type { ClientInfo } from './server/client-info';
export type { ClientAddress, PortEvents, ServerEvents, ServerWorkerExit } from './server/events';
export type { ServerPort, SockType } from './server/port';
export type { PackageLengthFunc, PackageLengthType } from './server/framing/length';
export type { PortOptions, PortSettings } from './server/port-settings';
export type { ServerMode, ServerOptions, TaskIpcMode } from './server/settings';
export type { ServerStats, ServerWorkerKind, ServerWorkerStats } from './server/stats';
export type { TaskAsyncOptions } from './server/task/task-client';
export type { PackTaskOptions } from './server/task/task-pack';
export type { DispatchFunc, DispatchMode, DispatchType } from './server/dispatch';
