/** How much one process may have waiting for room in front of the task workers. */
import { PreforkError } from '../../errors';

export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/**
 * One task alone may be larger than the limit.
 *
 * @throws PreforkError ERR_TASK_QUEUE_FULL
 */
export function checkRoom(waitingBytes: number, bytes: number): void {
  if (waitingBytes === 0 || waitingBytes + bytes <= MAX_WAITING_BYTES) return;
  throw new PreforkError(
    'ERR_TASK_QUEUE_FULL',
    `the task workers are behind: ${waitingBytes} bytes of this process wait for them, ` +
      `the limit is ${MAX_WAITING_BYTES} bytes, this task has ${bytes}`,
  );
}
