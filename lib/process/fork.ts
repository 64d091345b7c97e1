/**
 * Forks this process so that the child runs a function and then its own event loop:
 *
 *   guard -> park, fork (native) -> parent: pid
 *                                   child: reset what is the parent's -> unwind the stack -> main()
 *
 * The recipe, and why each step is there, is told in docs/fork-safety.md.
 */
import { AsyncResource } from 'node:async_hooks';
import type * as V8 from 'node:v8';
import { binding } from '../binding';
import { diagnostics } from '../diagnostics';
import { PreforkError } from '../errors';
import { adoptPid, leaveWithoutJoining, rehearseReset, resetChild } from './child-reset';
import { children } from './children';
import { nodeInternals, type NodeInternals } from './node-internals';
import { nextMathRandomPlace } from './random-state';
import { checkForkIsSafe, warnOnce } from './fork-guard';
import { forgetCensus } from './thread-census';

/** EX_SOFTWARE of sysexits.h: the child could not be prepared. */
const EXIT_SOFTWARE = 70;

/** What V8 must not do in a process that has no background threads. */
const SYNCHRONOUS_COMPILATION =
  '--no-concurrent-recompilation --no-concurrent-osr --no-concurrent-sparkplug ' +
  '--no-wasm-async-compilation';

/**
 * @param main - what the child runs, at the bottom of its event loop
 * @returns the pid and a pidfd of the child, to the parent only
 * @throws PreforkError ERR_UNSAFE_FORK, ERR_UNSUPPORTED_NODE; EAGAIN, ENOMEM of fork(2), EMFILE
 */
export function forkProcess(main: () => void): ForkedChild {
  const begunAt = performance.now();
  checkForkIsSafe();
  const internals = preparedInternals();
  const mathRandomPlace = nextMathRandomPlace();
  // Binding keeps AsyncLocalStorage as it is here.
  const boundMain = AsyncResource.bind(main, 'prefork.Process');
  const out = new Int32Array(1);
  children.prepare();
  const pid = binding.forkChild(out, noop);
  if (pid > 0) {
    if (diagnostics.fork.wanted) tellFork(pid, begunAt);
    return { pid, pidfd: out[0] as number };
  }
  return becomeChild(() => {
    resetChild(internals, mathRandomPlace);
    adjustToMissingThreads();
    binding.leaveParentStack(boundMain, emitBeforeExit, exit);
  });
}

function tellFork(pid: number, begunAt: number): void {
  const durationMs = Math.round((performance.now() - begunAt) * 1000) / 1000;
  diagnostics.fork.publish({ pid, parentPid: process.pid, durationMs });
}

let rehearsed = false;

/** At the first fork: finds Node's queues, and compiles in advance what every child runs first. */
function preparedInternals(): NodeInternals {
  const internals = nodeInternals();
  if (!rehearsed) {
    rehearsed = true;
    rehearseReset(internals);
    touchOutput();
    AsyncResource.bind(noop, 'prefork.Process')();
  }
  return internals;
}

/** Node makes these streams at their first use; children inherit them ready. */
function touchOutput(): void {
  try {
    for (const stream of ['stdout', 'stderr'] as const) Reflect.get(process, stream);
  } catch {
    // Closed or of an unknown kind: the child will find out when it prints.
  }
}

export interface ForkedChild {
  pid: number;
  pidfd: number;
}

/**
 * The caller goes on in a forked process, in a session of its own, while this process ends.
 *
 * @throws PreforkError ERR_UNSAFE_FORK also while requests of the thread pool are in flight: nobody
 * would ever finish them. See daemon(3).
 */
export function forkDaemon(): void {
  checkForkIsSafe();
  const requests = binding.requestsInFlight();
  if (requests > 0) {
    throw new PreforkError(
      'ERR_UNSAFE_FORK',
      `daemon() would lose ${String(requests)} requests in flight (fs, dns, crypto, sockets): ` +
        'await them first',
    );
  }
  binding.forkDaemon(new Int32Array(1), noop);
  adoptPid();
  leaveWithoutJoining();
  children.forget();
  forgetCensus();
  adjustToMissingThreads();
  binding.watchLoopEnd(emitBeforeExit, exit);
}

/** An error here must not reach the parent's code that stands above in the copied stack. */
function becomeChild(prepare: () => void): never {
  try {
    prepare();
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    binding.writeAll(2, Buffer.from(`prefork: the child could not be prepared: ${text}\n`));
    binding.exitNow(EXIT_SOFTWARE);
  }
  // Termination is taken at a loop's back edge.
  for (;;);
}

function noop(): void {
  // Called while the fork waits for V8's threads: its entry lets V8 do what they wait for.
}

// What Node's main does when nothing keeps the loop alive any more.

function emitBeforeExit(): void {
  process.emit('beforeExit', Number(process.exitCode ?? 0));
}

function exit(): void {
  process.exit();
}

function adjustToMissingThreads(): void {
  if (binding.hasBackgroundThreads()) return;
  setV8Flags(SYNCHRONOUS_COMPILATION);
  warnOnce(
    'PREFORK_NO_BACKGROUND_THREADS',
    "V8's background threads could not be replaced in this child: JavaScript runs, but slower",
  );
}

function setV8Flags(flags: string): void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- needed in this rare case only
  const v8 = require('node:v8') as typeof V8;
  for (const flag of flags.split(' ')) v8.setFlagsFromString(flag);
}
