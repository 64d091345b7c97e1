/** What becomes of a task that gives no result, and how a handler's error travels to who waits for it. */
import { PreforkError, type PreforkErrorCode } from '../../errors';
import { decodePayload, encodePayload, type Payload } from '../../ipc/payload';

/** How a worker process has ended. */
export interface Death {
  pid: number;
  /** 0 to 255. */
  code: number;
  /** 0: none. */
  signal: number;
}

/** A task that gave no result: ERR_TASK_FAILED, ERR_TASK_TIMEOUT or ERR_WORKER_DIED. */
export class TaskError extends PreforkError {
  readonly taskId: number;
  /** Null where any task worker may have taken it. */
  readonly workerId: number | null;
  /** ERR_WORKER_DIED: the process that is gone; null when it is not known. */
  readonly pid: number | null = null;
  readonly exitCode: number | null = null;
  readonly signal: number | null = null;

  constructor(
    code: PreforkErrorCode,
    message: string,
    taskId: number,
    workerId: number | null,
    { cause, death }: { cause?: unknown; death?: Death | null } = {},
  ) {
    super(code, message, cause === undefined ? undefined : { cause });
    this.taskId = taskId;
    this.workerId = workerId;
    if (death === undefined || death === null) return;
    this.pid = death.pid;
    this.exitCode = death.code;
    this.signal = death.signal;
  }
}

export function workerDied(taskId: number, workerId: number | null, death: Death | null) {
  const who = workerId === null ? 'its task worker' : `task worker ${workerId}`;
  const how =
    death === null
      ? ''
      : ` (pid ${death.pid}, ${death.signal > 0 ? `signal ${death.signal}` : `exit code ${death.code}`})`;
  const message = `task ${taskId} is lost: ${who} ended while it had it${how}`;
  return new TaskError('ERR_WORKER_DIED', message, taskId, workerId, { death });
}

export function taskFailed(taskId: number, workerId: number | null, cause: unknown): TaskError {
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  const message = `the handler of task ${taskId} has failed: ${what}`;
  return new TaskError('ERR_TASK_FAILED', message, taskId, workerId, { cause });
}

export function taskTimedOut(taskId: number, workerId: number | null, ms: number): TaskError {
  const message = `task ${taskId} gave no result within ${ms} ms`;
  return new TaskError('ERR_TASK_TIMEOUT', message, taskId, workerId);
}

/** For task(), taskwait() and the like in a task worker. */
export function taskInTaskWorker(): PreforkError {
  return new PreforkError(
    'ERR_TASK_IN_TASK_WORKER',
    'a task worker submits no tasks: they could wait for each other for ever',
  );
}

/** An error as a plain object: structured cloning loses the name of a class and all own properties. */
interface SentError {
  isError: true;
  name: string;
  message: string;
  stack: string;
  code: string | number | undefined;
}

/** What was thrown, as a payload. Never throws. */
export function encodeError(error: unknown): Payload {
  if (error instanceof Error) {
    // Anybody may have put anything there.
    const { name, message, stack, code } = error as unknown as Record<string, unknown>;
    const known = typeof code === 'string' || typeof code === 'number' ? code : undefined;
    const texts = { name: String(name), message: String(message), stack: String(stack) };
    return encodePayload({ isError: true, ...texts, code: known } satisfies SentError);
  }
  try {
    return encodePayload({ isError: false, value: error });
  } catch {
    return encodePayload({ isError: false, value: String(error) });
  }
}

/** The cause of an ERR_TASK_FAILED. */
export function decodeError(kind: number, data: Buffer): unknown {
  const sent = decodePayload(kind, data) as SentError | { isError: false; value: unknown };
  if (!sent.isError) return sent.value;
  const { name, message, stack, code } = sent;
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
