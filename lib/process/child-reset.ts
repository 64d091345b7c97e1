/**
 * What a forked child does to the JavaScript state it has inherited, before its callback runs
 * (steps C1 to C7 of the recipe). It still stands in the parent's stack, and nothing here may throw.
 */
import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { takeCoverage } from 'node:v8';
import { binding } from '../binding';
import { nextGeneration } from '../ipc/generation';
import { children } from './children';
import type { NodeInternals, TimerList } from './node-internals';
import { renewRandomState } from './random-state';
import { replaceOutput } from './stdio';
import { forgetCensus } from './thread-census';

/** Listeners that speak for the parent: a child that ran its exit hooks would delete its files. */
const PARENT_EVENTS = new Set([
  'exit',
  'beforeExit',
  'uncaughtException',
  'uncaughtExceptionMonitor',
  'unhandledRejection',
  'rejectionHandled',
  'disconnect',
  'message',
]);

/** Things of the parent that a module keeps track of and that a child must let go. */
const forgetters: (() => void)[] = [];

/** `forget` runs in every forked child, before its callback. */
export function onChildReset(forget: () => void): void {
  forgetters.push(forget);
}

export function resetChild(internals: NodeInternals, mathRandomPlace: number): void {
  clearPending(internals);
  removeParentListeners(process);
  dropExceptionCapture();
  replaceStuckOutput();
  binding.releaseInheritedHandles();
  adoptPid();
  process.exitCode = undefined;
  leaveWithoutJoining();
  nextGeneration();
  children.forget();
  forgetCensus();
  for (const forget of forgetters) forget();
  renewRandomState(mathRandomPlace, internals.entropyCaches);
  internals.clearAsyncIdStack();
}

/** What `process` and an EventEmitter have in common. */
type ListenerOwner = Pick<EventEmitter, 'eventNames' | 'removeAllListeners'>;

/**
 * Runs the reset on empty stand-ins, in the parent, once: V8 compiles a function at its first call, and
 * every child would compile them anew, which is a third of its way to the callback.
 */
export function rehearseReset(internals: NodeInternals): void {
  const { tickQueue } = internals;
  clearPending({
    ...internals,
    timerListMap: {},
    immediateQueue: { head: null },
    immediateInfo: new Uint32Array(3),
    timerInfo: new Int32Array(1),
    toggleTimerRef: noop,
    toggleImmediateRef: noop,
    tickQueue: new (tickQueue.constructor as new () => NodeInternals['tickQueue'])(),
    tickInfo: new Uint8Array(2),
    pendingRejections: new Map(),
  });
  const emitter = new EventEmitter().on('newListener', noop).on('removeListener', noop);
  removeParentListeners(emitter.on('SIGTERM', noop).once('exit', noop));
  adoptPid();
  renewRandomState(1, []);
}

function noop(): void {
  // Stands for a listener, or for a switch of Node's that must not be touched in the parent.
}

/** `process.pid` and `process.ppid` are values that Node has stored at its start. */
export function adoptPid(): void {
  const shared = { enumerable: true, configurable: true };
  Object.defineProperty(process, 'pid', { ...shared, value: binding.getPid() });
  Object.defineProperty(process, 'ppid', { ...shared, get: () => binding.getParentPid() });
}

/** The normal exit joins V8's threads, which this process does not have, and hangs. */
export function leaveWithoutJoining(): void {
  const exitNow = (code?: number): never => {
    if (process.env['NODE_V8_COVERAGE'] !== undefined) takeCoverage();
    return binding.exitNow((code ?? 0) & 0xff);
  };
  Object.assign(process, { reallyExit: exitNow });
}

/** Timers, immediates, ticks and unreported rejections: the parent runs them, the child never. */
function clearPending(internals: NodeInternals): void {
  for (const list of Object.values(internals.timerListMap)) clearList(list);
  for (let item = internals.immediateQueue.head; item !== null;) {
    const next = item._idleNext;
    clearImmediate(item as unknown as NodeJS.Immediate);
    item = next;
  }
  internals.immediateInfo.fill(0);
  internals.timerInfo.fill(0);
  internals.toggleTimerRef(false);
  internals.toggleImmediateRef(false);
  while (internals.tickQueue.shift() !== null);
  internals.tickInfo.fill(0);
  internals.pendingRejections.clear();
}

/** A list is a ring: its timers are collected first, because clearing one takes it out. */
function clearList(list: TimerList): void {
  const timers: TimerList[] = [];
  for (let item = list._idleNext; item !== null && item !== list; item = item._idleNext) {
    timers.push(item);
  }
  for (const timer of timers) clearTimeout(timer as unknown as NodeJS.Timeout);
}

function dropExceptionCapture(): void {
  if (!process.hasUncaughtExceptionCaptureCallback()) return;
  try {
    process.setUncaughtExceptionCaptureCallback(null);
  } catch {
    // The domain module is in use: it owns this callback, and domains belong to the code that runs.
  }
}

/**
 * A stream that waits for its last write to end, in the parent, takes no more output here. What it still
 * holds is the parent's to write.
 */
function replaceStuckOutput(): void {
  for (const name of ['stdout', 'stderr'] as const) {
    try {
      if (process[name].writableLength > 0) replaceOutput(name);
    } catch {
      // Closed, or of an unknown kind: nothing waits in it.
    }
  }
}

function removeParentListeners(emitter: ListenerOwner): void {
  for (const event of emitter.eventNames()) {
    if (typeof event !== 'string') continue;
    if (event in constants.signals || PARENT_EVENTS.has(event)) emitter.removeAllListeners(event);
  }
}
