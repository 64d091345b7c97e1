/**
 * Signals: callbacks on the event loop, default actions, ignoring, sending.
 *
 * A callback runs between two turns of the loop, never inside other code; a process that blocks (in
 * wait(), read(), a long computation) runs it afterwards. It does not keep the loop alive.
 * See signal(7), kill(2); Swoole\Process::signal.
 */
import { constants } from 'node:os';
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { checkInteger, invalidType } from '../validate';
import { onChildReset } from './child-reset';
import { children } from './children';

/** In place of a callback: the kernel drops the signal. */
export const SIG_IGN: unique symbol = Symbol('SIG_IGN');

/** Gets the number of the signal that came. */
export type SignalCallback = (signo: number) => void;

/** A number, 1 to 64, or a name as in `os.constants.signals`. */
export type Signal = number | NodeJS.Signals;

const SIGRTMAX = 64;
const UNCATCHABLE = new Set<number>([constants.signals.SIGKILL, constants.signals.SIGSTOP]);

/** glibc keeps 32 and 33 to itself. */
const GLIBC_SIGNALS = new Set([32, 33]);

/** What setSignal() was given. */
const registered = new Map<number, SignalCallback | typeof SIG_IGN>();

/** Signals that a pool or server handles in this process, with the name of the owner. */
const reserved = new Map<number, string>();

onChildReset(() => {
  registered.clear();
  reserved.clear();
});

function signalNumber(signal: Signal, lowest: number): number {
  if (typeof signal === 'number') return checkInteger('signo', signal, lowest, SIGRTMAX);
  if (typeof signal !== 'string') throw invalidType('signo', 'a signal number or name', signal);
  const signo = (constants.signals as Record<string, number | undefined>)[signal];
  if (signo !== undefined) return signo;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `signo must be a number from 1 to ${String(SIGRTMAX)} or a name such as SIGTERM, got ${signal}`,
  );
}

function catchable(signal: Signal): number {
  const signo = signalNumber(signal, 1);
  if (UNCATCHABLE.has(signo) || GLIBC_SIGNALS.has(signo)) {
    throw new PreforkError(
      'ERR_OUT_OF_RANGE',
      `signal ${String(signo)} cannot be caught: SIGKILL, SIGSTOP, 32 and 33 have a fixed meaning`,
    );
  }
  const owner = reserved.get(signo);
  if (owner === undefined) return signo;
  throw new PreforkError(
    'ERR_RESERVED_SIGNAL',
    `signal ${String(signo)} belongs to the ${owner} in this process`,
  );
}

/**
 * @param callback - null: the default action again; {@link SIG_IGN}: ignored
 * @throws PreforkError ERR_OUT_OF_RANGE, ERR_INVALID_ARG_TYPE; ERR_NO_SIGNAL_HANDLER for null when
 * nothing is registered; ERR_RESERVED_SIGNAL
 */
export function setSignal(signal: Signal, callback: SignalCallback | null | typeof SIG_IGN): void {
  const signo = catchable(signal);
  if (callback === null) {
    if (!registered.delete(signo)) {
      throw new PreforkError(
        'ERR_NO_SIGNAL_HANDLER',
        `signal ${String(signo)} has no callback that could be removed`,
      );
    }
    binding.signalDefault(signo);
    return;
  }
  if (callback !== SIG_IGN && typeof callback !== 'function') {
    throw invalidType('callback', 'a function, null or Process.SIG_IGN', callback);
  }
  apply(signo, callback);
  registered.set(signo, callback);
}

function apply(signo: number, callback: SignalCallback | typeof SIG_IGN): void {
  if (callback === SIG_IGN) binding.signalIgnore(signo);
  else binding.signalWatch(signo, callback);
}

/**
 * Takes signals for a pool or server: {@link setSignal} refuses them in this process until
 * {@link releaseSignals}. What the user had registered waits meanwhile.
 */
export function reserveSignals(owner: string, callbacks: Record<string, () => void>): void {
  for (const [signal, callback] of Object.entries(callbacks)) {
    // Keys of objects are strings, those that were numbers too.
    const signo = signalNumber(Number(signal) || (signal as Signal), 1);
    reserved.set(signo, owner);
    binding.signalWatch(signo, callback);
  }
}

/** Ends what {@link reserveSignals} began: the user's callbacks, or the default actions, again. */
export function releaseSignals(owner: string): void {
  for (const [signo, holder] of reserved) {
    if (holder !== owner) continue;
    reserved.delete(signo);
    const callback = registered.get(signo);
    if (callback === undefined) binding.signalDefault(signo);
    else apply(signo, callback);
  }
}

/**
 * @param signal - 0 only asks whether the process exists
 * @returns false when there is no such process
 */
export function sendSignal(pid: number, signal: Signal): boolean {
  checkInteger('pid', pid, -0x80000000, 0x7fffffff);
  const signo = signalNumber(signal, 0);
  // It was reaped; by now the number may belong to a stranger.
  if (children.isUnclaimed(pid)) return false;
  return binding.kill(pid, signo);
}
