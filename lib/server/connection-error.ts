/** What a call for one connection may fail with: the client is gone, or takes too little. */
import { PreforkError, type PreforkErrorCode } from '../errors';

export class ConnectionError extends PreforkError {
  /** The id of the connection. */
  readonly fd: number;

  constructor(code: PreforkErrorCode, fd: number, message: string) {
    super(code, message);
    this.fd = fd;
  }
}

/**
 * Whether a callback has failed only because a client went away or does not read: it is no error of the
 * program, and anybody could end workers that way.
 */
export function isClientsFault(error: unknown): error is ConnectionError {
  return (
    error instanceof ConnectionError &&
    (error.code === 'ERR_SESSION_CLOSED' || error.code === 'ERR_OUTPUT_OVERFLOW')
  );
}
