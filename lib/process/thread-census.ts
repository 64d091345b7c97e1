/**
 * Counts the threads of this process before a fork (step A1 of the recipe): only the forking thread
 * lives on in the child. Node's own are taken care of; a Worker forbids the fork; a foreign thread, say
 * one of an image library, is lost, and whatever waits for it in the child hangs.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { url as inspectorUrl } from 'node:inspector';
import { threadId, type Worker } from 'node:worker_threads';
import { binding } from '../binding';

const TASKS = '/proc/self/task';

/** The threads of libuv's pool come in addition to those that Node always has, and so does our watchdog. */
const POOL_NAME = 'libuv-worker';
const WATCHDOG_NAME = 'prefork-slowlog';
const ADDITIONAL_NAMES = new Set([POOL_NAME, WATCHDOG_NAME]);

/** Names that Node, V8 and libuv give their threads; Node 20 names none of them. */
const OWN_NAMES = new Set([
  'V8Worker',
  'node-V8Worker',
  'DelayedTaskSche',
  'SignalInspector',
  'InspectorIo',
  'prefork-v8',
  ...ADDITIONAL_NAMES,
]);

/** Threads of the kernel for io_uring: they run no code of the process. */
const KERNEL_PREFIX = 'iou-';

const WORKER_NAMES = new Set(['WorkerThread', 'node-WorkerThre']);

/** The thread of the CPU profiler: on Node 20 and 22 a child waits for it for ever. */
const PROFILER_NAME = 'v8:ProfEvntProc';

const SETTLE_MS = 250;

const DEFAULT_POOL_THREADS = 4;
const MOST_POOL_THREADS = 1024;

/** Besides V8's: the thread that waits for SIGUSR1 to start the inspector. */
const SIGNAL_THREADS = 1;

export interface Census {
  /** Live `Worker` threads, by number or, where only the kernel tells, by thread name. */
  workers: string[];
  /** Whether the CPU profiler runs. */
  profiler: boolean;
  /** Names of threads that are neither Node's nor a Worker's. */
  foreign: string[];
}

const liveWorkers = new Set<Worker>();

process.on('worker', (worker) => {
  liveWorkers.add(worker);
  worker.once('exit', () => liveWorkers.delete(worker));
});

let lastCount = -1;
let lastCensus: Census = { workers: [], profiler: false, foreign: [] };

/** Cheap as long as the number of threads stays the same. */
export function takeCensus(): Census {
  const workers = [...liveWorkers].map((worker) => `Worker ${String(worker.threadId)}`);
  if (workers.length > 0) return { workers, profiler: false, foreign: [] };
  const count = threadCount();
  if (count !== lastCount) {
    lastCensus = settledCensus();
    lastCount = threadCount();
  }
  return lastCensus;
}

/**
 * Node starts short threads of its own, one that reads the root certificates when TLS is loaded: a fork in
 * the middle would leave its locks held in the child for ever. They get the time to end.
 */
function settledCensus(): Census {
  const end = Date.now() + SETTLE_MS;
  for (;;) {
    const census = countThreads(threadNames());
    if (census.foreign.length === 0 || census.profiler || Date.now() >= end) return census;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
}

/** A forked child has one thread, and no Worker of its own yet. */
export function forgetCensus(): void {
  lastCount = -1;
  liveWorkers.clear();
}

export function isMainThread(): boolean {
  return threadId === 0;
}

/** A directory has a link for itself, one in its parent and one from each of its folders. */
function threadCount(): number {
  return statSync(TASKS).nlink - 2;
}

function threadNames(): string[] {
  const names: string[] = [];
  for (const tid of readdirSync(TASKS)) {
    if (Number(tid) === process.pid) continue;
    try {
      const name = readFileSync(`${TASKS}/${tid}/comm`, 'utf8').trim();
      if (!name.startsWith(KERNEL_PREFIX)) names.push(name);
    } catch {
      // The thread has ended meanwhile.
    }
  }
  return names;
}

/** A thread inherits the name of the one that made it, so Node 20's are called as the main thread. */
function countThreads(names: string[]): Census {
  const workers = names.filter((name) => WORKER_NAMES.has(name));
  const rest = names.filter((name) => !OWN_NAMES.has(name) && !WORKER_NAMES.has(name));
  const unnamed = rest.filter((name) => mainThreadNames().has(name));
  const named = rest.filter((name) => !mainThreadNames().has(name));
  const known = names.filter((name) => OWN_NAMES.has(name) && !ADDITIONAL_NAMES.has(name)).length;
  const excess = unnamed.slice(0, excessOf(unnamed.length, known));
  if (excess.length > 0) workers.push(...reportedWorkers(excess));
  const foreign = [...named, ...excess.slice(workers.length)];
  return { workers, profiler: foreign.includes(PROFILER_NAME), foreign };
}

/** How many unnamed threads are more than Node has: V8's, and libuv's pool once it was used. */
function excessOf(unnamed: number, known: number): number {
  const own = Math.max(0, ownUnnamedThreads() - known);
  const excess = Math.max(0, unnamed - own);
  const pool = poolThreads();
  return excess >= pool ? excess - pool : excess;
}

/** As libuv reads it: at least one thread, whatever stands there. */
function poolThreads(): number {
  const size = process.env['UV_THREADPOOL_SIZE'];
  if (size === undefined) return DEFAULT_POOL_THREADS;
  return Math.min(Math.max(Number.parseInt(size, 10) || 1, 1), MOST_POOL_THREADS);
}

function ownUnnamedThreads(): number {
  const inspectorThreads = inspectorUrl() === undefined ? 0 : 1;
  return binding.platformThreads() + SIGNAL_THREADS + inspectorThreads;
}

function mainThreadNames(): Set<string> {
  const current = readFileSync('/proc/self/comm', 'utf8').trim();
  return new Set([current, 'node', process.title.slice(0, 15)]);
}

/** Workers that were started before this library was loaded: Node tells of them in its report only. */
function reportedWorkers(excess: string[]): string[] {
  const report = process.report.getReport() as unknown as { workers?: unknown[] };
  return excess.slice(0, report.workers?.length ?? 0).map(() => 'Worker');
}
