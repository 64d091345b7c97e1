/**
 * Interval timers of the kernel, which tell their ticks by signals.
 * See setitimer(2); Swoole\Process::alarm.
 */
import { binding } from '../binding';
import { checkInteger, invalidType } from '../validate';

/** Wall clock time, SIGALRM. */
export const ITIMER_REAL = 0;
/** CPU time in user mode, SIGVTALRM. */
export const ITIMER_VIRTUAL = 1;
/** CPU time in user and kernel mode, SIGPROF. */
export const ITIMER_PROF = 2;

/** About 285 years; what a double holds exactly. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/** @param microseconds - the first tick comes after it, the next ones likewise; 0 or less cancels */
export function setAlarm(microseconds: number, type: number): void {
  checkInteger('type', type, ITIMER_REAL, ITIMER_PROF);
  if (typeof microseconds !== 'number') throw invalidType('usec', 'a number', microseconds);
  checkInteger('usec', microseconds, -LONGEST, LONGEST);
  binding.setTimer(type, Math.max(0, microseconds));
}
