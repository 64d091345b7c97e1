/** The public names of prefork. */
export { PreforkError, type PreforkErrorCode, type SystemError } from './errors';
export type { QueueStatus } from './ipc/message-queue';
export { MessageSocket, type MessageSocketEvents } from './ipc/message-socket';
export type { ExitStatus } from './process/children';
export type { PipeType } from './process/constants';
export type { DaemonOptions } from './process/daemon';
export { Process, type ProcessCallback } from './process/process';
export type { AsyncOptions } from './process/process-channel';
export type { Signal, SignalCallback } from './process/signals';
