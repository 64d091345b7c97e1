/**
 * Process: a child that runs a closure in a real fork(2) of this process.
 *
 *   parent                                  child
 *     start() ---- fork ------------------->  callback(process), then its event loop until it is empty
 *     read/write <==== socketpair ========>   read/write, or stdin/stdout/stderr when redirected
 *     push/pop   <==== message queue =====>   push/pop
 *     exited, Process.wait() <-- pidfd -----  exit
 *
 * The facts it follows are those of Swoole\Process; docs/swoole-map.md says what differs.
 */
import { binding } from '../binding';
import { PreforkError } from '../errors';
import { generation } from '../ipc/generation';
import { checkFunction, checkInteger, checkString, invalidType, signalOf } from '../validate';
import { ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, setAlarm } from './alarm';
import { children, type ChildRecord, type ExitStatus } from './children';
import * as constants from './constants';
import type { PipeType } from './constants';
import { daemonize, type DaemonOptions } from './daemon';
import { forkProcess } from './fork';
import { setForeignThreads, type ForeignThreads } from './fork-guard';
import { reapOrphans } from './orphans';
import type { PipePair } from './pipe';
import { ProcessChannel, type AsyncOptions } from './process-channel';
import { sendSignal, setSignal, SIG_IGN, type Signal, type SignalCallback } from './signals';
import { redirectStdio } from './stdio';

/** Runs in the child; a promise it returns is awaited as long as the event loop has work. */
export type ProcessCallback = (process: Process) => unknown;

const NICE_LOWEST = 19;
const NICE_HIGHEST = -20;
const MAX_EXIT_CODE = 255;

let nextId = 1;

/**
 * One child process: a closure that runs in a fork(2) of this process, with all that this has loaded.
 * An object serves both sides: what start() returns in the parent, the callback gets in the child.
 * Swoole\Process; docs/swoole-map.md says what differs.
 *
 * @example
 * ```ts
 * const child = new Process((self) => {
 *   self.write(`hello from ${self.pid}`);
 * });
 * child.start();
 * console.log(String(await child.readAsync()), await child.exited);
 * ```
 */
export class Process extends ProcessChannel {
  /** No pipe. */
  static readonly PIPE_TYPE_NONE = constants.PIPE_TYPE_NONE;
  /** A pipe of bytes, in both directions. */
  static readonly PIPE_TYPE_STREAM = constants.PIPE_TYPE_STREAM;
  /** A pipe of whole messages, in both directions. The default. */
  static readonly PIPE_TYPE_DGRAM = constants.PIPE_TYPE_DGRAM;
  /** For {@link close}: the end of the parent. */
  static readonly PIPE_MASTER = constants.PIPE_MASTER;
  /** For {@link close}: the end of the child. */
  static readonly PIPE_WORKER = constants.PIPE_WORKER;
  /** For {@link close}: what this side reads. */
  static readonly PIPE_READ = constants.PIPE_READ;
  /** For {@link close}: what this side writes. */
  static readonly PIPE_WRITE = constants.PIPE_WRITE;
  /** Added to the mode of {@link useQueue}: push and pop do not block. */
  static readonly IPC_NOWAIT = constants.IPC_NOWAIT;
  /** For {@link useQueue}: each Process has a mailbox of its own. */
  static readonly QUEUE_ORIENT = constants.QUEUE_ORIENT;
  /** For {@link useQueue}: all with the same key compete for the messages. The default. */
  static readonly QUEUE_BALANCE = constants.QUEUE_BALANCE;
  /** For {@link alarm}: real time; raises SIGALRM. */
  static readonly ITIMER_REAL = ITIMER_REAL;
  /** For {@link alarm}: CPU time of this process in user mode; raises SIGVTALRM. */
  static readonly ITIMER_VIRTUAL = ITIMER_VIRTUAL;
  /** For {@link alarm}: all CPU time of this process; raises SIGPROF. */
  static readonly ITIMER_PROF = ITIMER_PROF;
  /** For {@link signal}, in place of a callback: the kernel drops the signal. */
  static readonly SIG_IGN: typeof SIG_IGN = SIG_IGN;

  /** 1 for the first Process made in a process, then 2, 3 … */
  override readonly id = nextId++;
  /** What the child runs; may be replaced before {@link start}. */
  callback: ProcessCallback;

  readonly #redirect: boolean;
  #pid: number | null = null;
  #record: ChildRecord | null = null;
  /** The fork generation that has started the child, and the one that is the child. */
  #parentGeneration = -1;
  #childGeneration = -1;
  #keepsLoop = true;
  #claimed = false;
  #exit = deferred<ExitStatus>();

  /**
   * @param callback - called in the child with this object
   * @param redirectStdio - the child's stdin, stdout and stderr are its end of the pipe; implies a
   * stream
   * @param pipeType - PIPE_TYPE_NONE, PIPE_TYPE_STREAM or PIPE_TYPE_DGRAM (whole messages)
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  constructor(
    callback: ProcessCallback,
    redirectStdio = false,
    pipeType: PipeType = constants.PIPE_TYPE_DGRAM,
  ) {
    checkFunction('callback', callback);
    checkInteger('pipeType', pipeType, constants.PIPE_TYPE_NONE, constants.PIPE_TYPE_DGRAM);
    super(kindOf(redirectStdio ? constants.PIPE_TYPE_STREAM : pipeType));
    this.callback = callback;
    this.#redirect = redirectStdio;
  }

  /** The child's pid, in parent and child, also after its end; null before the first start. */
  get pid(): number | null {
    return this.#pid;
  }

  /**
   * Resolves when the child started last (before the first start: the first) has ended and was reaped,
   * by whomever. It takes the status: a later {@link Process.wait} does not report this child.
   */
  get exited(): Promise<ExitStatus> {
    if (this.#record === null) this.#claimed = true;
    else children.claim(this.#record);
    return this.#exit.promise;
  }

  /**
   * Forks. Returns in the parent only: the child runs {@link callback}, then its event loop until that
   * is empty, and ends with `process.exitCode`. It is killed when this process dies, unless it calls
   * {@link Process.daemon}. This process's event loop runs until the child has ended: see {@link unref}.
   *
   * @returns the child's pid
   * @throws PreforkError ERR_ALREADY_STARTED until the child was reaped; ERR_UNSAFE_FORK naming what is
   * in the way; ERR_UNSUPPORTED_NODE. EAGAIN, ENOMEM of fork(2), EMFILE. A failed start leaves nothing
   * behind.
   */
  start(): number {
    checkFunction('callback', this.callback);
    if (this.isChild() || this.#isRunning()) {
      throw new PreforkError(
        'ERR_ALREADY_STARTED',
        `this Process runs as pid ${String(this.#pid)}: reap it with Process.wait() first`,
      );
    }
    const pair = this.channel.makePair();
    const pid = this.#fork(pair);
    if (pair !== null) this.channel.attachParentEnd(pair);
    return pid;
  }

  /** @internal Of the pipe that start() makes; null: none. */
  get pipeKind(): 'stream' | 'dgram' | null {
    return this.channel.kind;
  }

  /** Lets this process's event loop end while the child runs; the child is then killed with it. */
  unref(): this {
    return this.#setKeepsLoop(false);
  }

  /** Undoes {@link unref}. */
  ref(): this {
    return this.#setKeepsLoop(true);
  }

  /**
   * Ends the child after its `exit` listeners. To be called in the child.  Swoole\Process::exit.
   *
   * @param code - 0 to 255
   * @throws PreforkError ERR_NOT_IN_CHILD, ERR_OUT_OF_RANGE
   */
  exit(code = 0): never {
    checkInteger('code', code, 0, MAX_EXIT_CODE);
    if (!this.isChild()) {
      throw new PreforkError(
        'ERR_NOT_IN_CHILD',
        `exit() ends the child and is called in it; this is process ${String(process.pid)}`,
      );
    }
    process.exit(code);
  }

  /**
   * Replaces the program of the calling process, which keeps its pid, its environment and redirected
   * stdio.  execv(3); Swoole\Process::exec.
   *
   * @param file - its path; PATH is not searched
   * @param args - without the program's own name
   * @throws the system's error, and this program goes on: ENOENT, EACCES, ENOEXEC, E2BIG
   */
  exec(file: string, args: readonly string[] = []): never {
    if (!Array.isArray(args)) throw invalidType('args', 'an array of strings', args);
    return binding.exec(checkPath(file), Array.from(args, checkWord));
  }

  /** Sets the title that ps(1) shows for the calling process; cut to the room its command line has. */
  name(title: string): void {
    process.title = checkString('title', title);
  }

  /**
   * Sets the nice value of the child, or in the child its own.  setpriority(2).
   *
   * @param priority - -20 (first) to 19 (last)
   * @throws PreforkError ERR_OUT_OF_RANGE, ERR_NOT_STARTED; EACCES or EPERM without privilege
   */
  setPriority(priority: number): void {
    checkInteger('priority', priority, NICE_HIGHEST, NICE_LOWEST);
    binding.setPriority(this.#startedPid(), priority);
  }

  /**
   * The nice value of the child, or in the child its own.  getpriority(2); Swoole\Process::getPriority.
   *
   * @throws PreforkError ERR_NOT_STARTED
   */
  getPriority(): number {
    return binding.getPriority(this.#startedPid());
  }

  /**
   * Waits for the next end of a child that this library has started; each is reported once.
   * waitpid(2); Swoole\Process::wait.
   *
   * @param blocking - false: only look
   * @returns null when no child is left, or none has ended yet and `blocking` is false
   */
  static wait(blocking = true): ExitStatus | null {
    return children.wait(blocking);
  }

  /** {@link Process.wait} that does not block the event loop: resolves to null when no child is left. */
  static async waitAsync(options: AsyncOptions = {}): Promise<ExitStatus | null> {
    return children.waitAsync(signalOf(options));
  }

  /**
   * Says what start() does when threads of other libraries run, which a child does not have: `warn` once
   * (the default, code PREFORK_FOREIGN_THREADS), `error` with ERR_UNSAFE_FORK, or `ignore`.
   */
  static foreignThreads(reaction: ForeignThreads): void {
    if (!['warn', 'error', 'ignore'].includes(reaction)) {
      throw invalidType('reaction', "'warn', 'error' or 'ignore'", reaction);
    }
    setForeignThreads(reaction);
  }

  /**
   * Reaps orphans that this process inherits as PID 1 of a container or as a child subreaper.
   *
   * @throws PreforkError ERR_UNSUPPORTED_PLATFORM when it is neither
   */
  static reapOrphans(on = true): void {
    reapOrphans(on);
  }

  /**
   * Sends a signal.  kill(2); Swoole\Process::kill.
   *
   * @param pid - 0 and negative ones name process groups
   * @param signal - a number, 0 to ask whether the process exists, or a name
   * @returns false when there is no such process
   * @throws PreforkError ERR_OUT_OF_RANGE for an unknown signal; EPERM
   */
  static kill(pid: number, signal: Signal = 'SIGTERM'): boolean {
    return sendSignal(pid, signal);
  }

  /**
   * Says what a signal does in this process; a child starts with the default action of every signal that
   * was not ignored. The callback runs
   * on the event loop and does not keep it alive.  signal(7); Swoole\Process::signal.
   *
   * @param signo - 1 to 64, realtime signals included, or a name
   * @param callback - called with the number; null: the default action again; SIG_IGN: ignored
   * @throws PreforkError ERR_NO_SIGNAL_HANDLER for null when none is registered; ERR_RESERVED_SIGNAL;
   * ERR_OUT_OF_RANGE; ERR_INVALID_ARG_TYPE
   */
  static signal(signo: Signal, callback: SignalCallback | null | typeof SIG_IGN): void {
    setSignal(signo, callback);
  }

  /**
   * Raises SIGALRM, SIGVTALRM or SIGPROF again and again.  setitimer(2); Swoole\Process::alarm.
   *
   * @param usec - microseconds to the first and between the next; 0 or less cancels
   * @param type - ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF
   */
  static alarm(usec: number, type: number = ITIMER_REAL): void {
    setAlarm(usec, type);
  }

  /**
   * Goes on in a new process, in a session of its own, while the calling one ends with code 0. The
   * daemon keeps its event loop, timers and sockets, and outlives its parent.  daemon(3).
   *
   * @throws PreforkError ERR_UNSAFE_FORK also while requests of the thread pool are in flight
   */
  static daemon(options: DaemonOptions = {}): void {
    daemonize(options);
  }

  /**
   * Binds all threads of this process to CPUs.  sched_setaffinity(2).
   *
   * @throws PreforkError ERR_OUT_OF_RANGE for an empty list or an unknown CPU; EINVAL when none of them
   * may be used here
   */
  static setAffinity(cpuIds: readonly number[]): void {
    if (!Array.isArray(cpuIds)) throw invalidType('cpus', 'an array of numbers', cpuIds);
    const count = binding.cpuCount();
    checkInteger('cpus.length', cpuIds.length, 1, count);
    binding.setAffinity(Array.from(cpuIds, (cpu) => checkInteger('cpus', cpu, 0, count - 1)));
  }

  /** The CPUs this process may run on. */
  static getAffinity(): number[] {
    return binding.getAffinity();
  }

  /** @internal */
  protected override isChild(): boolean {
    return this.#childGeneration === generation();
  }

  /** @internal */
  protected override childIsGone(): boolean {
    return !this.isChild() && !this.#isRunning();
  }

  #isRunning(): boolean {
    const own = this.#parentGeneration === generation();
    return own && this.#record !== null && children.isRunning(this.#record);
  }

  #startedPid(): number {
    if (this.#pid !== null) return this.#pid;
    throw new PreforkError('ERR_NOT_STARTED', 'this Process was not started');
  }

  #fork(pair: PipePair | null): number {
    try {
      const { pid, pidfd } = forkProcess(() => this.#runChild(pair));
      this.#adopt(pid, pidfd);
      return pid;
    } catch (error) {
      pair?.parent.close();
      pair?.child.close();
      throw error;
    }
  }

  #adopt(pid: number, pidfd: number): void {
    const exit = this.#pid === null ? this.#exit : deferred<ExitStatus>();
    const record: ChildRecord = {
      pid,
      pidfd,
      keepsLoop: this.#keepsLoop,
      claimed: this.#claimed,
      onEnd: (status) => {
        this.channel.release();
        exit.resolve(status);
      },
    };
    children.add(record);
    this.#pid = pid;
    this.#record = record;
    this.#exit = exit;
    this.#claimed = false;
    this.#parentGeneration = generation();
  }

  #setKeepsLoop(on: boolean): this {
    this.#keepsLoop = on;
    if (this.#record !== null) children.setKeepsLoop(this.#record, on);
    return this;
  }

  #runChild(pair: PipePair | null): unknown {
    this.#pid = process.pid;
    this.#childGeneration = generation();
    nextId = 1;
    this.forgetExported();
    this.channel.enterChild(pair);
    if (this.#redirect && this.pipe !== null) redirectStdio(this.pipe);
    return this.callback(this);
  }
}

function kindOf(type: PipeType): 'stream' | 'dgram' | null {
  if (type === constants.PIPE_TYPE_NONE) return null;
  return type === constants.PIPE_TYPE_STREAM ? 'stream' : 'dgram';
}

function checkPath(file: string): string {
  if (checkWord(file) !== '') return file;
  throw new PreforkError('ERR_OUT_OF_RANGE', 'file must not be empty');
}

/** The kernel ends a word at its first NUL byte. */
function checkWord(value: unknown): string {
  const word = checkString('exec() arguments', value);
  if (!word.includes('\0')) return word;
  throw new PreforkError('ERR_OUT_OF_RANGE', 'exec() arguments must not hold a NUL byte');
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
