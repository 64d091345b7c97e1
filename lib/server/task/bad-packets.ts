/** Warnings of what comes as a task and is none. Whoever sends garbage sends much of it. */
import { RareWarning } from '../rare-warning';

const MOST_IN_ONE_SECOND = 10;

const badPackets = new RareWarning('PREFORK_BAD_TASK_PACKET', MOST_IN_ONE_SECOND);

export function warnOfBadPacket(message: string): void {
  badPackets.tell(`bad task packet: ${message}`);
}
