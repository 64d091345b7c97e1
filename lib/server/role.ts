/** What a process of a running server is, as Server's methods need it. */
import type { ReloadReport } from '../pool/reload';
import type { Connections } from './connections';
import type { TaskClient } from './task/task-client';

export interface Role {
  /** -1 in manager and master. */
  readonly workerId: number;
  readonly isTaskWorker: boolean;
  readonly connections: Connections;
  /** Null in a task worker. */
  readonly tasks: TaskClient | null;
  /** In a task worker: a result of the task that runs. */
  finish?(data: unknown): boolean;
  /** Where workers are replaced, or it is known how to ask for it. */
  reload?(onlyTasks: boolean): Promise<ReloadReport | null>;
  /** Ends this process in good order. */
  stop(): void;
}
