/** How much one process may have waiting for room in front of the task workers. */
import { PreforkError } from '../../errors';

export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** What a task that waits costs besides its data: with tiny ones that is most of it. */
const BYTES_OF_A_TASK = 256;

/**
 * One task alone may be larger than the limit.
 *
 * @throws PreforkError ERR_TASK_QUEUE_FULL
 */
export function checkRoom(waitingTasks: number, waitingBytes: number, bytes: number): void {
  const waiting = waitingBytes + waitingTasks * BYTES_OF_A_TASK;
  if (waiting === 0 || waiting + bytes <= MAX_WAITING_BYTES) return;
  throw new PreforkError(
    'ERR_TASK_QUEUE_FULL',
    `the task workers are behind: ${waitingTasks} tasks of this process with ${waitingBytes} bytes wait ` +
      `for them, the limit is ${MAX_WAITING_BYTES} bytes with ${BYTES_OF_A_TASK} more for each task, ` +
      `this one has ${bytes}`,
  );
}
