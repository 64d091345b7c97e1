/**
 * The settings of a server. Swoole's names in camelCase, durations in milliseconds.
 *
 *   set({…})   ──> ServerOptions, checked one by one ──> at the start: ServerSettings, and PortSettings
 *   port.set() ──> PortOptions                       ──>              of each port (port-settings.ts)
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { checkControlSocket, checkStatusPage, type ControlOptions } from '../control/options';
import type { Privileges } from '../pool/privileges';
import { invalidType } from '../validate';
import { DISPATCH_MODES, type DispatchFunc, type DispatchMode } from './dispatch';
import { PORT_CHECKS, type PortOptions } from './port-settings';
import {
  callback,
  flag,
  identity,
  integer,
  merge,
  oneOf,
  outOfRange,
  path,
  type Check,
  type Checks,
} from './setting-checks';

/** Who holds the connections: each worker its own, or the master. */
export type ServerMode = 'base' | 'process';
/** How tasks travel: 1 unix sockets, 2 a queue for each task worker, 3 one queue for all, 4 a stream socket. */
export type TaskIpcMode = 1 | 2 | 3 | 4;

const MAX_WORKERS = 4096;
const MAX_CONNECTIONS = 1_048_576;
const DEFAULT_CONNECTIONS = 100_000;
const MAX_CPU = 1023;
const NO_JITTER_UP_TO = 10;

interface OwnOptions<Server> extends Privileges, ControlOptions {
  /** Event workers; 0: as many as CPUs. Default: CPUs, in base mode 1. */
  workerNum?: number;
  /** Task workers. Default 0. */
  taskWorkerNum?: number;
  /** 1 unix sockets (default), 2 a queue per task worker, 3 one queue for all, 4 a stream socket. */
  taskIpcMode?: TaskIpcMode;
  /** Tasks a task worker handles before it makes room for a new one; 0: no limit. Default 0. */
  taskMaxRequest?: number;
  /** Up to so many more, at random. Default: half of taskMaxRequest above 10. */
  taskMaxRequestGrace?: number;
  /** Packets an event worker handles before it makes room for a new one; 0: no limit. Default 0. */
  maxRequest?: number;
  /** Up to so many more, at random. Default: half of maxRequest above 10. */
  maxRequestGrace?: number;
  /** Which worker gets a packet: 1 round, 2 connection (default), 3 idle, 4 IP, 5 uid, 7 idle. */
  dispatchMode?: DispatchMode;
  /** Chooses the worker itself. */
  dispatchFunc?: DispatchFunc<Server>;
  /** Connection events in dispatch modes 1, 3, 5 and 7 too, in any worker and any order. Default false. */
  enableUnsafeEvent?: boolean;
  /** Dispatch modes 1, 3 and 7: drops data of connections that have been closed. Default false. */
  discardTimeoutRequest?: boolean;
  /** Names the queues of taskIpcMode 2 and 3, which then outlive the server; 0: of their own. Default 0. */
  messageQueueKey?: number;
  /** For tasks too large for a queue. Default: os.tmpdir(). */
  taskTmpdir?: string;
  /** A reload starts new workers at once and lets the old ones finish. Default true. */
  reloadAsync?: boolean;
  /** How long a worker may take to end, in ms; 0: no limit. Default 3000. */
  maxWaitTime?: number;
  /** Where the stacks of slow requests are written. */
  requestSlowlogFile?: string;
  /** From when on a request is slow, in ms. Default 1000. */
  requestSlowlogTimeout?: number;
  /** Watches event workers too, not only task workers. Default false. */
  traceEventWorker?: boolean;
  /** Binds every worker to one CPU. Default false. */
  openCpuAffinity?: boolean;
  /** CPUs that no worker is bound to. */
  cpuAffinityIgnore?: readonly number[];
  /** The most that one send() takes, in bytes. Default 2^32 - 1. */
  outputBufferSize?: number;
  /** Connections at a time, at most 1,048,576 and what `ulimit -n` allows. Default 100,000. */
  maxConnection?: number;
  /** Leaves the terminal. Default false. */
  daemonize?: boolean;
  /** Holds the master's pid while the server runs. */
  pidFile?: string;
  /** Gets warnings and ends of workers; of a daemon also stdout and stderr. */
  logFile?: string;
}

/** What Server.set() takes. */
export type ServerOptions<Server = never> = OwnOptions<Server> & PortOptions;

/** All settings that are not a port's; null: not set. */
export interface ServerSettings extends Privileges, ControlOptions {
  workerNum: number;
  taskWorkerNum: number;
  taskIpcMode: TaskIpcMode;
  taskMaxRequest: number;
  taskMaxRequestGrace: number;
  maxRequest: number;
  maxRequestGrace: number;
  dispatchMode: DispatchMode;
  dispatchFunc: DispatchFunc<never> | null;
  enableUnsafeEvent: boolean;
  discardTimeoutRequest: boolean;
  messageQueueKey: number;
  taskTmpdir: string;
  reloadAsync: boolean;
  maxWaitTime: number;
  requestSlowlogFile: string | null;
  requestSlowlogTimeout: number;
  traceEventWorker: boolean;
  openCpuAffinity: boolean;
  cpuAffinityIgnore: readonly number[];
  outputBufferSize: number;
  maxConnection: number;
  daemonize: boolean;
  pidFile: string | null;
  logFile: string | null;
}

const cpus: Check = (name, value) => {
  if (!Array.isArray(value)) throw invalidType(name, 'an array of CPUs', value);
  return [...new Set(value.map((cpu) => integer(0, MAX_CPU)(name, cpu)))];
};

const OWN_CHECKS: Checks<OwnOptions<never>> = {
  workerNum: integer(0, MAX_WORKERS),
  taskWorkerNum: integer(0, MAX_WORKERS),
  taskIpcMode: oneOf(1, 2, 3, 4),
  taskMaxRequest: integer(0),
  taskMaxRequestGrace: integer(0),
  maxRequest: integer(0),
  maxRequestGrace: integer(0),
  dispatchMode: oneOf(...DISPATCH_MODES),
  dispatchFunc: callback,
  enableUnsafeEvent: flag,
  discardTimeoutRequest: flag,
  messageQueueKey: integer(0, 0xffffffff),
  taskTmpdir: path,
  reloadAsync: flag,
  maxWaitTime: integer(0),
  requestSlowlogFile: path,
  requestSlowlogTimeout: integer(1),
  traceEventWorker: flag,
  openCpuAffinity: flag,
  cpuAffinityIgnore: cpus,
  outputBufferSize: integer(1, 0xffffffff),
  maxConnection: integer(1, MAX_CONNECTIONS),
  daemonize: flag,
  pidFile: path,
  logFile: path,
  controlSocket: checkControlSocket,
  statusPage: checkStatusPage,
  user: identity,
  group: identity,
  chroot: path,
};

const SERVER_CHECKS: Checks<ServerOptions> = { ...OWN_CHECKS, ...PORT_CHECKS };

/**
 * Adds what Server.set() was given to what was set before.
 *
 * @throws PreforkError ERR_UNKNOWN_OPTION with the nearest name, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function mergeServerOptions<Server>(
  previous: ServerOptions<Server>,
  options: ServerOptions<Server>,
): ServerOptions<Server> {
  return merge<ServerOptions<Server>>(previous, options, SERVER_CHECKS);
}

/** The same for a port's set().  @throws as mergeServerOptions; a setting of the server is unknown here */
export function mergePortOptions(previous: PortOptions, options: PortOptions): PortOptions {
  const elsewhere = { known: OWN_CHECKS, place: 'the server, not of one port' };
  return merge<PortOptions>(previous, options, PORT_CHECKS, elsewhere);
}

/** What a port inherits. */
export function portOptionsOf(options: ServerOptions): PortOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => Object.hasOwn(PORT_CHECKS, name)),
  );
}

/** What some defaults and limits depend on. */
export interface Machine {
  cpus: number;
  /** `ulimit -n` of this process. */
  openFiles: number;
}

export function thisMachine(): Machine {
  // Node has raised the soft limit to the hard one.
  const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return { cpus: availableParallelism(), openFiles: limit === undefined ? Infinity : +limit };
}

/** @throws PreforkError ERR_OUT_OF_RANGE when no CPU is left to bind workers to */
export function resolveServerSettings(
  options: ServerOptions,
  mode: ServerMode,
  machine = thisMachine(),
): ServerSettings {
  return {
    ...resolveWorkers(options, mode, machine),
    ...resolveRequests(options),
    ...resolveLimits(options, machine),
    ...resolveHost(options, machine),
  };
}

type Part<Names extends keyof ServerSettings> = Pick<ServerSettings, Names>;

function resolveWorkers(options: ServerOptions, mode: ServerMode, { cpus }: Machine) {
  const { taskMaxRequest = 0, maxRequest = 0 } = options;
  return {
    workerNum: (options.workerNum ?? (mode === 'base' ? 1 : 0)) || cpus,
    taskWorkerNum: options.taskWorkerNum ?? 0,
    taskIpcMode: options.taskIpcMode ?? 1,
    taskMaxRequest,
    taskMaxRequestGrace: options.taskMaxRequestGrace ?? graceOf(taskMaxRequest),
    maxRequest,
    maxRequestGrace: options.maxRequestGrace ?? graceOf(maxRequest),
    messageQueueKey: options.messageQueueKey ?? 0,
    taskTmpdir: options.taskTmpdir ?? tmpdir(),
    reloadAsync: options.reloadAsync ?? true,
    maxWaitTime: options.maxWaitTime ?? 3000,
  } satisfies Partial<ServerSettings>;
}

function graceOf(limit: number): number {
  return limit > NO_JITTER_UP_TO ? Math.floor(limit / 2) : 0;
}

function resolveRequests(options: ServerOptions) {
  return {
    dispatchMode: options.dispatchMode ?? 2,
    dispatchFunc: options.dispatchFunc ?? null,
    enableUnsafeEvent: options.enableUnsafeEvent ?? false,
    discardTimeoutRequest: options.discardTimeoutRequest ?? false,
    requestSlowlogFile: absolute(options.requestSlowlogFile),
    requestSlowlogTimeout: options.requestSlowlogTimeout ?? 1000,
    traceEventWorker: options.traceEventWorker ?? false,
  } satisfies Partial<ServerSettings>;
}

function absolute(file: string | undefined): string | null {
  return file === undefined ? null : resolve(file);
}

function resolveLimits(
  options: ServerOptions,
  { openFiles }: Machine,
): Part<'outputBufferSize' | 'maxConnection'> {
  return {
    outputBufferSize: options.outputBufferSize ?? 0xffffffff,
    maxConnection: Math.min(options.maxConnection ?? DEFAULT_CONNECTIONS, openFiles),
  };
}

function resolveHost(options: ServerOptions, { cpus }: Machine) {
  const { cpuAffinityIgnore = [], user, group, chroot, controlSocket, statusPage } = options;
  if (cpuAffinityIgnore.length >= cpus) {
    throw outOfRange(
      `cpuAffinityIgnore names ${cpuAffinityIgnore.length} CPUs, this machine has ${cpus}`,
    );
  }
  return {
    openCpuAffinity: options.openCpuAffinity ?? false,
    cpuAffinityIgnore,
    daemonize: options.daemonize ?? false,
    // From the folder of the start: a daemon changes to another.
    pidFile: absolute(options.pidFile),
    logFile: absolute(options.logFile),
    ...(user === undefined ? {} : { user }),
    ...(group === undefined ? {} : { group }),
    ...(chroot === undefined ? {} : { chroot }),
    ...(controlSocket === undefined ? {} : { controlSocket }),
    ...(statusPage === undefined ? {} : { statusPage }),
  };
}
