/** Warnings of what comes as a task and is none. Whoever sends garbage sends much of it: so many are told. */

const MOST_IN_ONE_SECOND = 10;
const SECOND_MS = 1000;

let since = -Infinity;
let told = 0;
let untold = 0;

export function warnOfBadPacket(message: string, now = performance.now()): void {
  if (Math.abs(now - since) >= SECOND_MS) {
    since = now;
    told = 0;
  }
  if (++told > MOST_IN_ONE_SECOND) {
    untold++;
    return;
  }
  const more = untold === 0 ? '' : ` (and ${untold} before it that were not told)`;
  untold = 0;
  process.emitWarning(`bad task packet: ${message}${more}`, {
    type: 'PreforkWarning',
    code: 'PREFORK_BAD_TASK_PACKET',
  });
}
