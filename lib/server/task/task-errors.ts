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
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : textOf(cause);
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
  cause: Sent | undefined;
}

type Sent = SentError | { isError: false; value: unknown };

/** Causes of causes that travel. A chain may be a ring. */
const MOST_CAUSES = 8;

/** What was thrown, as a payload. Never throws. */
export function encodeError(error: unknown): Payload {
  try {
    return encodePayload(sentOf(error, MOST_CAUSES));
  } catch {
    return encodePayload({ isError: false, value: textOf(error) } satisfies Sent);
  }
}

/** The cause of an ERR_TASK_FAILED. */
export function decodeError(kind: number, data: Buffer): unknown {
  return receivedOf(decodePayload(kind, data) as Sent);
}

/** For people. Never throws, whatever a handler may have thrown. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'a value that has no text';
  }
}

function sentOf(thrown: unknown, causes: number): Sent {
  if (!(thrown instanceof Error)) return { isError: false, value: thrown };
  // Anybody may have put anything there.
  const { name, message, stack, code, cause } = thrown as unknown as Record<string, unknown>;
  const known = typeof code === 'string' || typeof code === 'number' ? code : undefined;
  const texts = { name: textOf(name), message: textOf(message), stack: textOf(stack) };
  return { isError: true, ...texts, code: known, cause: sentCause(cause, causes) };
}

function sentCause(cause: unknown, causes: number): Sent | undefined {
  if (cause === undefined || causes === 0) return undefined;
  if (cause instanceof Error) return sentOf(cause, causes - 1);
  try {
    encodePayload(cause);
    return { isError: false, value: cause };
  } catch {
    return { isError: false, value: textOf(cause) };
  }
}

function receivedOf(sent: Sent): unknown {
  if (!sent.isError) return sent.value;
  const { name, message, stack, code, cause } = sent;
  const error = new Error(message, cause === undefined ? undefined : { cause: receivedOf(cause) });
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
