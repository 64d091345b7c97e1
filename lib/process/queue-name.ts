/** The kernel names of the queues that useQueue() opens. */
import { statSync } from 'node:fs';
import { PreforkError } from '../errors';
import { QUEUE_BALANCE, QUEUE_ORIENT } from './constants';

/** The same for every process that runs this main script, as ftok(3) makes it. */
export function keyOfMainScript(): number {
  const script = process.argv[1] ?? process.cwd();
  const { dev, ino } = statSync(script);
  return (0x01000000 | ((dev & 0xff) << 16) | (ino & 0xffff)) >>> 0;
}

/**
 * Queues of different users never meet: a queue is mode 0600.
 *
 * @param mailbox - the Process's id in mode QUEUE_ORIENT
 */
export function queueName(key: number, mode: number, mailbox: number): string {
  const name = `/prefork.${String(process.getuid?.() ?? 0)}.${key.toString(16)}`;
  switch (mode) {
    case QUEUE_BALANCE:
      return name;
    case QUEUE_ORIENT:
      return `${name}.${String(mailbox)}`;
    default:
      throw new PreforkError(
        'ERR_OUT_OF_RANGE',
        `mode must be QUEUE_ORIENT (1) or QUEUE_BALANCE (2), with or without IPC_NOWAIT (256), ` +
          `got ${String(mode)}`,
      );
  }
}
