/**
 * When a worker that has ended is started again.
 *
 *   lived on, or ended in good order   -> at once; not more often than every 20 ms
 *   died young, or before it served    -> at once the first time, then 100 ms, 200 ms, 400 ms … with
 *                                         jitter, up to a limit; after `breakerAfter` in a row the pool
 *                                         is degraded, and goes on trying at the longest delay
 *   exit code 78                       -> never
 *
 * Pure: it holds no state and asks no clock.
 */

/** EX_CONFIG of sysexits.h: to start this worker again would not help. */
export const EXIT_DO_NOT_RESTART = 78;

/** How long a pool waits before it starts a worker again that has died young. */
export interface RestartOptions {
  /** A worker that ends abnormally sooner than this, or before it is ready, has died young; in ms. Default 1000. */
  minUptime?: number;
  /** The delay after the second young death in a row, in ms; it doubles with each further one. Default 100. */
  initialDelay?: number;
  /** The longest delay, in ms. Default 10,000. */
  maxDelay?: number;
  /** How much a delay may vary, as a part of itself, so that workers do not retry in step. Default 0.2. */
  jitter?: number;
  /** Young deaths in a row after which the pool calls itself degraded. Default 5. */
  breakerAfter?: number;
}

export type RestartPolicy = Required<RestartOptions>;

export const DEFAULT_RESTART: RestartPolicy = {
  minUptime: 1000,
  initialDelay: 100,
  maxDelay: 10_000,
  jitter: 0.2,
  breakerAfter: 5,
};

/** One end of a worker that nobody has asked to end. */
export interface WorkerEnd {
  code: number;
  signal: number;
  uptimeMs: number;
  /** It has become ready. If not, it has died young, however long its start took. */
  served: boolean;
  /** It has become ready and has done work: whatever killed it, it can start. */
  provedItself: boolean;
}

export interface RestartDecision {
  /** In ms; Infinity: never. */
  delay: number;
  /** Young deaths in a row, this one included. */
  failures: number;
  degraded: boolean;
}

/** A worker that has done nothing we know of and ends in good order sooner is started again only then. */
const LEAST_PERIOD_MS = 20;

export function decideRestart(
  policy: RestartPolicy,
  failuresBefore: number,
  end: WorkerEnd,
  random: () => number,
): RestartDecision {
  if (end.signal === 0 && end.code === EXIT_DO_NOT_RESTART) {
    return { delay: Infinity, failures: failuresBefore, degraded: false };
  }
  if (!diedYoung(policy, end)) return { delay: pause(end), failures: 0, degraded: false };
  const failures = failuresBefore + 1;
  return {
    delay: delayAfter(policy, failures, random),
    failures,
    degraded: failures === policy.breakerAfter,
  };
}

/** Whether workers like this one seem unable to serve. A first death by a signal may be somebody's kill. */
export function cannotStart({ delay, failures }: RestartDecision, { code }: WorkerEnd): boolean {
  return delay === Infinity || failures > 1 || (failures === 1 && code !== 0);
}

function endedWell({ code, signal }: WorkerEnd): boolean {
  return code === 0 && signal === 0;
}

function diedYoung(policy: RestartPolicy, end: WorkerEnd): boolean {
  const livedOn = end.served && end.uptimeMs >= policy.minUptime;
  return !endedWell(end) && !livedOn && !end.provedItself;
}

/** Very short jobs are no failure, but shall not keep the master busy with forks alone. */
function pause(end: WorkerEnd): number {
  if (!endedWell(end) || end.provedItself) return 0;
  return Math.max(0, LEAST_PERIOD_MS - end.uptimeMs);
}

function delayAfter(policy: RestartPolicy, failures: number, random: () => number): number {
  if (failures <= 1) return 0;
  const doubled = policy.initialDelay * 2 ** (failures - 2);
  const longest =
    failures >= policy.breakerAfter ? policy.maxDelay : Math.min(doubled, policy.maxDelay);
  return Math.round(longest * (1 + policy.jitter * (random() * 2 - 1)));
}
