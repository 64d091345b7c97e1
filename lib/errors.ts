/**
 * The one error class of prefork, and errors that carry what the kernel said.
 *
 * Match errors by `code`: it is stable. `message` is for people and may change.
 */
import { constants } from 'node:os';

/** Every code a {@link PreforkError} can have. */
export type PreforkErrorCode =
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_UNSUPPORTED_PLATFORM'
  | 'ERR_UNSUPPORTED_NODE'
  | 'ERR_UNSAFE_FORK'
  | 'ERR_ALREADY_STARTED'
  | 'ERR_NOT_STARTED'
  | 'ERR_NOT_IN_CHILD'
  | 'ERR_NO_PIPE'
  | 'ERR_EMPTY_DATA'
  | 'ERR_MESSAGE_TOO_BIG'
  | 'ERR_BAD_FRAME'
  | 'ERR_NO_QUEUE'
  | 'ERR_NO_SIGNAL_HANDLER'
  | 'ERR_RESERVED_SIGNAL'
  | 'ERR_UNKNOWN_EVENT'
  | 'ERR_UNKNOWN_OPTION'
  | 'ERR_PRIVILEGES'
  | 'ERR_POOL_RUNNING'
  | 'ERR_POOL_NOT_RUNNING'
  | 'ERR_POOL_NO_CALLBACK'
  | 'ERR_POOL_IPC_TYPE'
  | 'ERR_POOL_NOT_LISTENING'
  | 'ERR_POOL_NO_REQUEST'
  | 'ERR_POOL_PIPE_SHARED'
  | 'ERR_SERVER_RUNNING'
  | 'ERR_SERVER_NOT_RUNNING'
  | 'ERR_SERVER_NO_CALLBACK'
  | 'ERR_DATA_TOO_LARGE'
  | 'ERR_OUTPUT_OVERFLOW'
  | 'ERR_BAD_PACKET'
  | 'ERR_TASK_IN_TASK_WORKER'
  | 'ERR_TASK_NO_WORKERS'
  | 'ERR_TASK_WORKER_ONLY'
  | 'ERR_TASK_QUEUE_FULL'
  | 'ERR_TASK_FAILED'
  | 'ERR_TASK_TIMEOUT'
  | 'ERR_TASK_NOT_RUNNING'
  | 'ERR_WORKER_DIED'
  | 'ERR_SESSION_NOT_EXIST'
  | 'ERR_SESSION_CLOSED';

/** Misuse of the library: what was wrong, what was expected, which limit was hit. */
export class PreforkError extends Error {
  /** `PreforkError`. */
  override readonly name = 'PreforkError';
  /** Stable: what to match by. */
  readonly code: PreforkErrorCode;

  constructor(code: PreforkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An error of a system call, shaped as Node shapes them: `code: 'EAGAIN'`, `errno: -11`, `syscall`. */
export interface SystemError extends Error {
  /** The name of the error, `EAGAIN`. */
  code: string;
  /** Its number, negative, as everywhere in Node. */
  errno: number;
  /** The call that has failed. */
  syscall: string;
}

export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'errno' in error && 'code' in error;
}

/** Makes a {@link SystemError} for a condition that our own code found, such as a timeout. */
export function systemError(
  code: keyof typeof constants.errno,
  syscall: string,
  text: string,
): SystemError {
  const error = new Error(`${code}: ${text}, ${syscall}`);
  return Object.assign(error, { code, errno: -constants.errno[code], syscall });
}

/** Adds to a kernel's error which limit was hit and where it is set. */
export function withHint(error: SystemError, hint: string): SystemError {
  error.message += ` (${hint})`;
  return error;
}
