/** Timeouts of tasks, in milliseconds. */
import { checkInteger } from '../../validate';

/** The longest that Node's timers and poll(2) take. */
const LONGEST_MS = 0x7fffffff;

/** @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function checkTimeout(timeout: number): void {
  checkInteger('timeout', timeout, 0, LONGEST_MS);
}

/** A point of performance.now().  @throws as {@link checkTimeout} */
export function endOf(timeout: number): number {
  checkTimeout(timeout);
  return performance.now() + timeout;
}

export function leftUntil(end: number): number {
  return Math.max(0, Math.ceil(end - performance.now()));
}

/**
 * Calls `then` later. Timers go before input: what has come in time, while the loop was busy, is still
 * handled before.
 *
 * @returns takes it back
 */
export function afterInput(ms: number, then: () => void): () => void {
  let immediate: NodeJS.Immediate | null = null;
  const timer = setTimeout(() => {
    immediate = setImmediate(then);
  }, ms);
  return () => {
    clearTimeout(timer);
    if (immediate !== null) clearImmediate(immediate);
  };
}
