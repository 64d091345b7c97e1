/**
 * The one typed door to the C++ addon in native/. Arguments are validated before they come here.
 * A failing system call throws a SystemError.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PreforkError } from './errors';

/** Watches one fd in the event loop. Events: 1 readable, 2 writable; a negative errno on failure. */
export interface NativeFdWatcher {
  start(events: number): void;
  stop(): void;
  close(): void;
  setRef(on: boolean): void;
}

/** Milliseconds a call may block; -1: without limit, 0: not at all. */
type Timeout = number;

export interface Binding {
  /** pid in the parent, 0 in the child; `out[0]` is the child's pidfd. */
  forkChild(out: Int32Array, noop: () => void): number;
  forkDaemon(out: Int32Array, noop: () => void): void;
  leaveParentStack(main: () => void, ending: () => void, exit: () => void): void;
  watchLoopEnd(ending: () => void, exit: () => void): void;
  exitNow(code: number): never;
  releaseInheritedHandles(): void;
  requestsInFlight(): number;
  platformThreads(): number;
  hasBackgroundThreads(): boolean;

  socketPair(type: number, bufferBytes: number): [number, number];
  receive(fd: number, buffer: Uint8Array, offset: number, length: number, timeout: Timeout): number;
  send(fd: number, data: Uint8Array, offset: number, length: number, timeout: Timeout): number;
  writeAll(fd: number, data: Uint8Array): void;
  peekInput(fd: number): number;
  messageLimit(fd: number): number;
  shutdown(fd: number, how: number): void;
  closeFd(fd: number): void;
  dup(fd: number): number;
  dup2(from: number, to: number): void;
  FdWatcher: new (fd: number, callback: (events: number) => void) => NativeFdWatcher;

  epollCreate(): number;
  /** operation: 1 add, 2 remove, 3 change. */
  epollControl(epoll: number, operation: number, fd: number, events: number, token: number): void;
  /** Three results an event: token, what epoll reported, bytes received or a negative errno. The bytes
   * of all stand in `room` one after the other. Never blocks. */
  epollReceive(epoll: number, room: Uint8Array, results: Int32Array): number;
  /** ['', 0] of a unix socket, or when the peer is gone. */
  peerName(fd: number): [address: string, port: number];
  setNoDelay(fd: number, on: number): void;
  resetOnClose(fd: number): void;
  setBacklog(fd: number, backlog: number): void;

  mqOpen(name: string, maxMessages: number, messageSize: number): number;
  mqStat(fd: number): [messages: number, maxMessages: number, messageSize: number];
  mqSend(fd: number, data: Uint8Array, offset: number, length: number, mayBlock: boolean): boolean;
  mqReceive(fd: number, buffer: Uint8Array, mayBlock: boolean): number;
  mqUnlink(name: string): boolean;

  childEpollCreate(): number;
  childEpollAdd(epoll: number, pidfd: number, pid: number): void;
  childEpollRemove(epoll: number, pidfd: number): void;
  childEpollWait(epoll: number, mayBlock: boolean): number[];
  /** undefined: still running; null: somebody else has reaped it. */
  reap(pid: number): [code: number, signal: number] | null | undefined;
  killAndReap(pid: number): void;
  libuvChildren(): number[];
  isSubreaper(): boolean;
  kill(pid: number, signal: number): boolean;

  signalWatch(signo: number, callback: (signo: number) => void): void;
  signalDefault(signo: number): void;
  signalIgnore(signo: number): void;
  setTimer(which: number, microseconds: number): void;

  lookupUser(user: string | number): [uid: number, gid: number, name: string] | undefined;
  lookupGroup(name: string): number | undefined;
  chroot(path: string): void;
  setParentDeathSignal(signal: number): void;

  fillRandom(buffer: Uint8Array): void;

  getPid(): number;
  getParentPid(): number;
  cpuCount(): number;
  setAffinity(cpus: number[]): void;
  getAffinity(): number[];
  setPriority(pid: number, nice: number): void;
  getPriority(pid: number): number;
  exec(file: string, args: string[]): never;

  /** malloc(3) keeps up to 64 MiB of what is freed. */
  keepFreedMemory(): void;
  /** From where `memory` begins up to the next address that is a multiple of `alignment`. */
  bytesToAlignment(memory: Uint8Array, alignment: number): number;
  /** Gives whole pages of shared memory back to the kernel, for all processes: they are zero then. */
  releasePages(pages: Uint8Array): void;
  /** undefined where V8 allows no memory but its own. */
  mapShared(bytes: number): ArrayBuffer | undefined;
  /** A sealed memfd with these bytes. */
  memfdWith(data: Uint8Array): number;
  /** seals: as in fcntl(2), -1 for a file that has none. */
  memfdStat(fd: number): [size: number, seals: number];
  /** From the start of the file; fewer bytes than asked where it ends. */
  memfdRead(fd: number, buffer: Uint8Array): number;

  /** Header and the first `bytes` of data as one frame; `attachedFd` -1: none. 1 sent, 0 full,
   * -1 the user has too many fds in flight. Never blocks. */
  packetSend(
    fd: number,
    header: Uint8Array,
    data: Uint8Array,
    bytes: number,
    attachedFd: number,
  ): number;
  packetFull(fd: number): boolean;
  /** Up to 64 frames, each at a multiple of `frameBytes` in `room`; two results a frame: its length, and
   * its fd: -1 none, -2 several (closed), -3 lost. Never blocks. */
  packetReceive(
    fd: number,
    room: Uint8Array,
    frameBytes: number,
    frames: number,
    results: Int32Array,
    mayBringFds: boolean,
  ): number;
  /** One frame, if one is there: its body at `offset` of `body`; the rest goes to `room`, as packet.cc
   * draws it. */
  packetTake(
    fd: number,
    room: Uint8Array,
    body: Uint8Array,
    offset: number,
    mayBringFds: boolean,
  ): boolean;
  /** What poll(2) reports; 0: the time is over; -1: a signal came. An fd of -1 just waits. */
  pollFd(fd: number, events: number, timeout: Timeout): number;

  listenTcp(address: string, port: number, backlog: number): [fd: number, port: number];
  listenUnix(path: string, backlog: number): number;
  /** -1 when there is no connection. */
  accept(fd: number): number;
  /** -1 while the backlog of who listens there is full. */
  connectUnix(path: string): number;

  udpBind(address: string, port: number): [fd: number, port: number];
  unixDatagramBind(path: string): number;
  /** The sender's address, or undefined when nothing is there. `results` takes the length of the datagram,
   * more than that of `room` when it was cut, and the sender's port. */
  datagramReceive(fd: number, room: Uint8Array, results: Int32Array): string | undefined;
  /** false: there is no room. */
  udpSend(fd: number, data: Uint8Array, address: string, port: number): boolean;
  unixDatagramSend(fd: number, data: Uint8Array, path: string): boolean;

  /** false: this process has a watchdog already. */
  slowLogStart(memory: ArrayBuffer, timeoutMs: number, workerId: number, now: number): boolean;
  slowLogStop(): void;
  slowLogWake(): void;
  slowLogKind(name: string): number;
  slowLogLate(): void;
}

const ROOT = join(__dirname, '..');
const PLATFORM = `${process.platform}-${process.arch}`;

/** The binary that came with the package or was built at the installation; one built by node-gyp itself. */
function candidates(): string[] {
  return [
    join(ROOT, 'prebuilds', PLATFORM, `prefork.abi${process.versions.modules}.node`),
    join(ROOT, 'build', 'Release', 'prefork.node'),
  ];
}

function load(): Binding {
  if (process.platform !== 'linux') {
    throw new PreforkError(
      'ERR_UNSUPPORTED_PLATFORM',
      `prefork needs Linux: it is built on fork(2), pidfd and epoll; this is ${process.platform}`,
    );
  }
  const failures: string[] = [];
  for (const path of candidates()) {
    if (!existsSync(path)) {
      failures.push(`${path}: not there`);
      continue;
    }
    try {
      // eslint-disable-next-line @typescript-eslint/no-require-imports -- a .node file has no other way
      return require(path) as Binding;
    } catch (error) {
      failures.push(`${path}: ${(error as Error).message}`);
    }
  }
  throw nothingFits(failures);
}

function nothingFits(failures: readonly string[]): PreforkError {
  return new PreforkError(
    'ERR_UNSUPPORTED_NODE',
    `no prefork binary fits Node ${process.version} (ABI ${process.versions.modules}) on ${PLATFORM}. Tried:\n` +
      failures.map((failure) => `  ${failure}\n`).join('') +
      'Build one, with Python 3, make and a C++ compiler: npm rebuild prefork\n' +
      `or, whatever has installed it: node ${join(ROOT, 'scripts', 'build-native.mjs')}\n` +
      'Binaries are in the package for Node 20, 22, 24 and 26, for glibc 2.28 and later, not for musl.',
  );
}

export const binding: Binding = load();
