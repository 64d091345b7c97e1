/**
 * A small model of the kernel in place of the binding's functions: fds, children, watchers. Nothing is
 * forked, opened or closed for real. `sinon.restore()` takes it away.
 */
import fs from 'node:fs';
import { resolve } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding, type Binding, type NativeFdWatcher } from '../../lib/binding';
import { systemError } from '../../lib/errors';
import { children } from '../../lib/process/children';

/** Far above the fds that the test runner has. */
const FIRST_FD = 1_000_000;
const FIRST_PID = 4_194_305;

export class FakeWatcher implements NativeFdWatcher {
  static all: FakeWatcher[] = [];
  /** What making one throws. */
  static failure: Error | null = null;
  /** What it watches: 1 readable, 2 writable. */
  events = 0;
  starts = 0;
  ref = true;
  closed = false;

  constructor(
    readonly fd: number,
    private readonly callback: (events: number) => void,
  ) {
    if (FakeWatcher.failure !== null) throw FakeWatcher.failure;
    FakeWatcher.all.push(this);
  }

  static of(fd: number): FakeWatcher {
    const found = FakeWatcher.all.filter((watcher) => watcher.fd === fd).at(-1);
    if (found === undefined) throw new Error(`nobody watches fd ${String(fd)}`);
    return found;
  }

  start(events: number): void {
    this.events = events;
    this.starts++;
  }

  stop(): void {
    this.events = 0;
  }

  close(): void {
    this.closed = true;
    this.events = 0;
  }

  setRef(on: boolean): void {
    this.ref = on;
  }

  /** What the event loop does when the fd is ready; `events` may be a negative errno. */
  fire(events: number): void {
    if (events < 0 || (events & this.events) !== 0) this.callback(events);
  }
}

export type Reaped = [code: number, signal: number] | null | undefined;

export class FakeKernel {
  readonly openFds = new Set<number>();
  /** pid -> pidfd of the children that were forked and not reaped. */
  readonly alive = new Map<number, number>();
  readonly #ended = new Map<number, Reaped>();
  #nextFd = FIRST_FD;
  #nextPid = FIRST_PID;
  epoll = -1;

  openFd(): number {
    const fd = this.#nextFd++;
    this.openFds.add(fd);
    return fd;
  }

  close(fd: number): void {
    if (!this.openFds.delete(fd)) throw systemError('EBADF', 'close', `fd ${String(fd)}`);
  }

  /** The next child gets a number that is free again. */
  reusePid(pid: number): void {
    this.#nextPid = pid;
  }

  fork(out: Int32Array): number {
    const pid = this.#nextPid++;
    out[0] = this.openFd();
    this.alive.set(pid, out[0]);
    return pid;
  }

  /** The child has ended; nobody has noticed yet. */
  end(pid: number, code = 0, signal = 0): void {
    this.#ended.set(pid, [code, signal]);
  }

  /** waitpid(2) answers `result` for it: null: reaped by somebody else, undefined: runs on. */
  endAs(pid: number, result: Reaped): void {
    this.#ended.set(pid, result);
  }

  /** The event loop comes round. */
  turn(): void {
    FakeWatcher.of(this.epoll).fire(1);
  }

  endedPids(): number[] {
    return [...this.#ended.keys()];
  }

  reap(pid: number): Reaped {
    const result = this.#ended.get(pid);
    this.#ended.delete(pid);
    this.alive.delete(pid);
    return result;
  }
}

/**
 * Replaces what Process needs of the binding. Call it in `beforeEach`.
 *
 * @param recording - whether the replacements are stubs that record their calls: slow in thousands
 */
export function fakeKernel(recording = true): FakeKernel {
  const kernel = new FakeKernel();
  FakeWatcher.all = [];
  FakeWatcher.failure = null;
  sinon.replace(binding, 'FdWatcher', FakeWatcher);
  for (const [name, fake] of Object.entries(syscalls(kernel)) as [keyof Binding, never][]) {
    if (recording) sinon.stub(binding, name).callsFake(fake);
    else sinon.replace(binding, name, fake);
  }
  return kernel;
}

function syscalls(kernel: FakeKernel): Partial<Binding> {
  return {
    forkChild: (out) => kernel.fork(out),
    socketPair: () => [kernel.openFd(), kernel.openFd()],
    closeFd: (fd) => {
      kernel.close(fd);
    },
    dup: () => kernel.openFd(),
    childEpollCreate: () => (kernel.epoll = kernel.openFd()),
    childEpollAdd: () => undefined,
    childEpollRemove: () => undefined,
    childEpollWait: () => kernel.endedPids(),
    reap: (pid) => kernel.reap(pid),
    killAndReap: (pid) => {
      kernel.alive.delete(pid);
    },
    peekInput: () => 0,
    messageLimit: () => 1000,
    kill: () => true,
  };
}

/** Call it in `afterEach`: no stub and no fake child is left to the next test. */
export function removeFakes(): void {
  try {
    children.forget();
  } finally {
    sinon.restore();
  }
}

/** `receive` and `mqReceive` as stubs that put these messages into the caller's buffer, then -1. */
export function fill(...messages: string[]): (buffer: Uint8Array) => number {
  return (buffer) => {
    const message = messages.shift();
    if (message === undefined) return -1;
    buffer.set(Buffer.from(message));
    return Buffer.byteLength(message);
  };
}

/** Lets promises settle whose conditions are fulfilled. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A second instance of lib/`path`, as a new process would load it. */
export function fresh<T>(path: string): T {
  return freshAll([path])[0] as T;
}

/** Modules that know each other: a later one may use those before it. */
export function freshAll(paths: string[]): unknown[] {
  const ids = paths.map((path) => require.resolve(resolve(__dirname, '..', '..', 'lib', path)));
  const loaded = ids.map((id) => require.cache[id]);
  for (const id of ids) Reflect.deleteProperty(require.cache, id);
  try {
    return ids.map((id) => require(id) as unknown);
  } finally {
    ids.forEach((id, i) => {
      if (loaded[i] !== undefined) require.cache[id] = loaded[i];
    });
  }
}

/** The name of a thread that has ended before its name was read. */
export const GONE = '(gone)';

/** /proc tells of these threads besides the main thread, and V8 has four. */
export function fakeThreads(names: string[]): void {
  const real = { stat: fs.statSync, dir: fs.readdirSync, file: fs.readFileSync };
  const tasks = '/proc/self/task';
  const comm = /^\/proc\/self\/task\/(\d+)\/comm$/;
  sinon.stub(binding, 'platformThreads').returns(4);
  sinon.replace(fs, 'statSync', ((path: string, ...rest: never[]) =>
    path === tasks ? { nlink: names.length + 3 } : real.stat(path, ...rest)) as never);
  sinon.replace(fs, 'readdirSync', ((path: string, ...rest: never[]) =>
    path === tasks
      ? [String(process.pid), ...names.keys()].map((tid) =>
          typeof tid === 'number' ? String(tid + FIRST_PID) : tid,
        )
      : real.dir(path, ...rest)) as never);
  sinon.replace(fs, 'readFileSync', ((path: string, ...rest: never[]) => {
    if (path === '/proc/self/comm') return 'node\n';
    const tid = typeof path === 'string' ? comm.exec(path)?.[1] : undefined;
    if (tid === undefined) return real.file(path, ...rest);
    const name = names[Number(tid) - FIRST_PID];
    if (name === GONE) throw systemError('ESRCH', 'read', 'no such process');
    return `${String(name)}\n`;
  }) as never);
}

interface Coded {
  code: string;
  message: string;
}

/** Calls `action` and returns what it throws; its code must be `code`. */
export function thrownBy(action: () => unknown, code: string): Coded {
  let caught: unknown;
  try {
    action();
  } catch (error) {
    caught = error;
  }
  expect(caught, 'thrown').to.be.instanceOf(Error).with.property('code', code);
  return caught as Coded;
}

export async function rejectionOf(promise: Promise<unknown>, code?: string): Promise<Coded> {
  const caught = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(caught, 'rejection').to.be.instanceOf(Error);
  if (code !== undefined) expect(caught).to.have.property('code', code);
  return caught as Coded;
}
