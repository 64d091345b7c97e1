/** The options of a pool: names, defaults, limits. */
import { availableParallelism } from 'node:os';
import { checkControlSocket, checkStatusPage, type ControlOptions } from '../control/options';
import { PreforkError } from '../errors';
import { nearest } from '../nearest';
import { checkInteger, checkObject, checkString, invalidType } from '../validate';
import type { Privileges } from './privileges';
import { DEFAULT_RESTART, type RestartOptions, type RestartPolicy } from './restart-policy';

/** What ProcessPool.set() takes. Times are in ms. */
export interface PoolOptions extends Privileges, ControlOptions {
  /** Messages a worker handles before it makes room for a new one; 0: no limit. Default 0. */
  maxRequest?: number;
  /** Up to so many more, at random, so that workers do not leave together. Default: half of maxRequest above 10. */
  maxRequestGrace?: number;
  /** From SIGTERM to SIGKILL, in ms; 0: no SIGKILL. Default 3000. */
  maxWaitTime?: number;
  /** The longest message, in bytes. Default 2 MiB; with IPC_UNIXSOCK 64 MiB. */
  maxPackageSize?: number;
  /** Async `message` handlers that may run at once in a worker. Default 1. */
  concurrency?: number;
  /** IPC_SOCKET: how long a client may take to send its frame, or to read its reply, in ms. Default 10,000. */
  frameTimeout?: number;
  /** When a worker that has ended is started again. */
  restart?: RestartOptions;
  /** `stop-first` (default), or `start-first`: the old worker serves until the new one is ready. */
  reloadStrategy?: 'stop-first' | 'start-first';
  /** CPUs that workers are bound to, one after the other; true: all this process may use. */
  cpuAffinity?: boolean | readonly number[];
  /** The workers' title, followed by their id; see Process.name(). */
  title?: string;
}

export interface PoolSettings extends Privileges, ControlOptions {
  maxRequest: number;
  maxRequestGrace: number | null;
  maxWaitTime: number;
  maxPackageSize: number | null;
  concurrency: number;
  frameTimeout: number;
  restart: RestartPolicy;
  reloadStrategy: 'stop-first' | 'start-first';
  cpuAffinity: boolean | readonly number[];
  title: string | null;
}

export function defaultSettings(): PoolSettings {
  return {
    maxRequest: 0,
    maxRequestGrace: null,
    maxWaitTime: 3000,
    maxPackageSize: null,
    concurrency: 1,
    frameTimeout: 10_000,
    restart: DEFAULT_RESTART,
    reloadStrategy: 'stop-first',
    cpuAffinity: false,
    title: null,
  };
}

const MAX_INTEGER = 0x7fffffff;
const MAX_PACKAGE_BYTES = 1024 * 1024 * 1024;

type Check = (name: string, value: unknown) => unknown;

const integer =
  (min: number, max = MAX_INTEGER): Check =>
  (name, value) =>
    checkInteger(name, value, min, max);

const identity: Check = (name, value) => {
  if (typeof value === 'string' && value !== '') return value;
  if (typeof value === 'number') return checkInteger(name, value, 0, 0xfffffffe);
  throw invalidType(name, 'a name or a number', value);
};

const CHECKS: Record<keyof PoolOptions, Check> = {
  maxRequest: integer(0),
  maxRequestGrace: integer(0),
  maxWaitTime: integer(0),
  maxPackageSize: integer(1, MAX_PACKAGE_BYTES),
  concurrency: integer(1, 65536),
  frameTimeout: integer(1),
  restart: checkRestart,
  reloadStrategy: (name, value) => {
    if (value === 'stop-first' || value === 'start-first') return value;
    throw invalidType(name, "'stop-first' or 'start-first'", value);
  },
  cpuAffinity: checkAffinity,
  title: checkString,
  controlSocket: checkControlSocket,
  statusPage: checkStatusPage,
  user: identity,
  group: identity,
  chroot: checkString,
};

/** Adds `options` to `settings`. @throws PreforkError ERR_UNKNOWN_OPTION with the nearest name */
export function mergeOptions(settings: PoolSettings, options: PoolOptions): PoolSettings {
  const merged: Record<string, unknown> = { ...settings };
  for (const [name, value] of Object.entries(checkObject('options', options))) {
    if (!Object.hasOwn(CHECKS, name)) throw unknownOption(name, Object.keys(CHECKS));
    if (value !== undefined) merged[name] = CHECKS[name as keyof PoolOptions](name, value);
  }
  return merged as unknown as PoolSettings;
}

export function unknownOption(name: string, known: readonly string[]): PreforkError {
  return new PreforkError(
    'ERR_UNKNOWN_OPTION',
    `there is no option "${name}"; the nearest is "${nearest(name, known)}"`,
  );
}

function checkRestart(name: string, value: unknown): RestartPolicy {
  const policy: RestartPolicy = { ...DEFAULT_RESTART };
  for (const [key, number] of Object.entries(checkObject(name, value)) as [string, unknown][]) {
    if (!Object.hasOwn(DEFAULT_RESTART, key)) {
      throw unknownOption(`${name}.${key}`, Object.keys(DEFAULT_RESTART));
    }
    if (number === undefined) continue;
    policy[key as keyof RestartPolicy] = checkPolicyNumber(`${name}.${key}`, key, number);
  }
  return policy;
}

/** More jitter than the whole delay would make it negative. */
function checkPolicyNumber(name: string, key: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value);
  const most = key === 'jitter' ? 1 : Infinity;
  if (value >= 0 && value <= most) return value;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `${name} must be a number from 0 to ${String(most)}, got ${String(value)}`,
  );
}

function checkAffinity(name: string, value: unknown): boolean | number[] {
  if (typeof value === 'boolean') return value;
  if (!Array.isArray(value)) throw invalidType(name, 'a boolean or an array of CPUs', value);
  checkInteger(`${name}.length`, value.length, 1, MAX_INTEGER);
  return value.map((cpu) => checkInteger(name, cpu, 0, Math.max(availableParallelism(), 1024) - 1));
}
