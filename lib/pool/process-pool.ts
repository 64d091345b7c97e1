/**
 * ProcessPool: a master that keeps N workers alive and loses nothing.
 *
 *   your script = master (its event loop stays free) ── worker 0 … workerNum-1
 *
 * Workers are forks of the master: what it has loaded they share. The facts it follows are those of
 * Swoole\Process\Pool; docs/swoole-map.md says what differs.
 */
import type { Capitalized } from '../callbacks';
import { Control } from '../control/control';
import { PreforkError } from '../errors';
import { generation } from '../ipc/generation';
import { DEFAULT_BACKLOG, ListeningSocket } from '../ipc/listening-socket';
import type { ReadMemory } from '../process/memory';
import type { AsyncOptions } from '../process/process-channel';
import { sendSignal } from '../process/signals';
import { checkData, checkInteger, checkString, signalOf } from '../validate';
import { poolSource } from './control-source';
import { PoolCallbacks, type PoolEventName, type PoolEvents } from './events';
import {
  IPC_MSGQUEUE,
  IPC_NONE,
  IPC_SOCKET,
  IPC_UNIXSOCK,
  makeChannel,
  wrongType,
  type IpcType,
  type PoolChannel,
} from './pool-channel';
import { PoolMaster } from './pool-master';
import { defaultSettings, mergeOptions, type PoolOptions, type PoolSettings } from './pool-options';
import { MasterSignals } from './master-signals';
import type { PoolWorker } from './pool-worker';
import { checkPrivileges } from './privileges';
import type { ReloadReport } from './reload';
import { poolStats, type PoolStats } from './stats';
import type { WorkerProcess } from './worker-process';

const MAX_WORKERS = 4096;
const UNIX_PREFIX = 'unix:';

/** How long sendMessage() blocks a worker while a sibling's pipe is full. The master never blocks. */
const SEND_TIMEOUT_MS = 60_000;

/** The fork generation in which a pool runs as master: its signals are the process's, so there is one. */
let masterGeneration = -1;

/**
 * A master that keeps N workers alive: it starts, replaces and ends them, and loses no message.
 * Workers are forks of the process that calls {@link start}, whose event loop stays free.
 * Swoole\Process\Pool; docs/swoole-map.md says what differs.
 *
 * @example
 * ```ts
 * const pool = new ProcessPool(4, ProcessPool.IPC_UNIXSOCK);
 * pool.on('message', (pool, data) => console.log(pool.workerId, String(data)));
 * pool.on('start', (pool) => pool.sendMessage('hello', 0));
 * await pool.start(); // Until pool.shutdown() or SIGTERM.
 * ```
 */
export class ProcessPool {
  /** No messages: workers do what `workerStart` says. */
  static readonly IPC_NONE = IPC_NONE;
  /** sendMessage() reaches one worker, from the master and other workers. */
  static readonly IPC_UNIXSOCK = IPC_UNIXSOCK;
  /** Workers take messages from one POSIX message queue, which other programs may write to. */
  static readonly IPC_MSGQUEUE = IPC_MSGQUEUE;
  /** Clients connect to a listening socket; a request is a frame, so is its reply. */
  static readonly IPC_SOCKET = IPC_SOCKET;

  /** How many workers there are. */
  readonly workerNum: number;
  /** How messages reach them. */
  readonly ipcType: IpcType;
  readonly #key: number;
  readonly #callbacks = new PoolCallbacks();
  #settings: PoolSettings = defaultSettings();
  #listening: ListeningSocket | null = null;
  #channel: PoolChannel | null = null;
  #master: PoolMaster | null = null;
  #signals: MasterSignals | null = null;
  #control: Control | null = null;
  #worker: PoolWorker | null = null;
  #stopped: Promise<void> | null = null;
  #finish: (() => void) | null = null;
  #masterPid = -1;
  #workerId = -1;

  /**
   * @param workerNum - 1 to 4096
   * @param ipcType - how messages reach the workers: IPC_NONE, IPC_UNIXSOCK, IPC_MSGQUEUE or IPC_SOCKET
   * @param msgQueueKey - IPC_MSGQUEUE: as of Process.useQueue(); 0: a queue of this pool alone
   * @throws PreforkError ERR_OUT_OF_RANGE, ERR_INVALID_ARG_TYPE, ERR_UNKNOWN_OPTION
   */
  constructor(
    workerNum: number,
    ipcType: IpcType = IPC_NONE,
    msgQueueKey = 0,
    options: PoolOptions = {},
  ) {
    this.workerNum = checkInteger('workerNum', workerNum, 1, MAX_WORKERS);
    checkInteger('ipcType', ipcType, IPC_NONE, IPC_SOCKET);
    this.ipcType = ipcType;
    this.#key = checkInteger('msgQueueKey', msgQueueKey, 0, 0xffffffff);
    this.set(options);
  }

  /** The master's pid, in every process of the pool; -1 before start(). */
  get masterPid(): number {
    return this.#masterPid;
  }

  /** This worker's id; -1 in the master. */
  get workerId(): number {
    return this.#workerId;
  }

  /** This worker's pid; -1 in the master. */
  get workerPid(): number {
    return this.#workerId < 0 ? -1 : process.pid;
  }

  /** From start() until the pool is told to end. In a worker: until that worker is. */
  get running(): boolean {
    if (this.#worker !== null) return this.#worker.running;
    return this.#master !== null && this.#stopped === null;
  }

  /** IPC_SOCKET on TCP: the port that is listened on; null otherwise. */
  get port(): number | null {
    return this.#listening?.port ?? null;
  }

  /** In the master of a pool with a status page: where it is, from the `start` event on. Null otherwise. */
  get statusUrl(): string | null {
    return this.#control?.statusUrl ?? null;
  }

  /**
   * Sets options; those not named stay.
   *
   * @throws PreforkError ERR_UNKNOWN_OPTION with the nearest name; ERR_POOL_RUNNING
   */
  set(options: PoolOptions): this {
    this.#refuseWhileRunning('set()');
    this.#settings = mergeOptions(this.#settings, options);
    return this;
  }

  /**
   * Sets the callback of an event; names are matched without case, a second callback replaces the first.
   *
   * @throws PreforkError ERR_UNKNOWN_EVENT, ERR_POOL_RUNNING; ERR_POOL_IPC_TYPE for `message` in a pool of
   * IPC_NONE
   */
  on<Name extends PoolEventName>(event: Name, callback: PoolEvents[Name]): this;
  on<Name extends keyof Capitalized<PoolEvents>>(
    event: Name,
    callback: Capitalized<PoolEvents>[Name],
  ): this;
  on(event: string, callback: unknown): this {
    this.#refuseWhileRunning('on()');
    if (this.ipcType === IPC_NONE && checkString('event', event).toLowerCase() === 'message') {
      throw wrongType('a pool of IPC_NONE gets no messages');
    }
    this.#callbacks.set(event, callback);
    return this;
  }

  /**
   * IPC_SOCKET: where clients connect. Bound at once, served from start() on.
   *
   * @param host - an address, or `unix:` and a path, whose file is made with mode 0600
   * @param port - of TCP; 0: the kernel's choice, see `port`
   * @throws PreforkError ERR_POOL_IPC_TYPE; ERR_POOL_RUNNING when it listens or runs already. EADDRINUSE, EACCES
   */
  listen(host: string, port = 0, backlog = DEFAULT_BACKLOG): this {
    this.#refuseWhileRunning('listen()');
    if (this.ipcType !== IPC_SOCKET) throw wrongType('listen() needs a pool of IPC_SOCKET');
    if (this.#listening !== null) {
      throw new PreforkError('ERR_POOL_RUNNING', 'this pool listens already');
    }
    checkString('host', host);
    this.#listening = host.startsWith(UNIX_PREFIX)
      ? ListeningSocket.unix(host.slice(UNIX_PREFIX.length), backlog)
      : ListeningSocket.tcp(host, port, backlog);
    return this;
  }

  /**
   * Runs the pool. The promise settles in the master, when all workers have ended after
   * {@link shutdown}, SIGTERM or SIGINT. A stopped pool may be started again.
   *
   * @throws PreforkError ERR_POOL_RUNNING, also for a second pool in one process; ERR_POOL_NO_CALLBACK;
   * ERR_POOL_NOT_LISTENING; ERR_PRIVILEGES for a user, group or chroot that cannot be; the errors of
   * Process.start() for the first workers
   */
  async start(): Promise<void> {
    this.#refuseWhileRunning('start()');
    this.#checkCallbacks();
    if (masterGeneration === generation()) {
      throw new PreforkError('ERR_POOL_RUNNING', 'another pool runs in this process');
    }
    checkPrivileges(this.#settings);
    const channel = makeChannel(
      this.ipcType,
      this.workerNum,
      this.#key,
      this.#settings,
      this.#listening,
    );
    try {
      this.#master = this.#makeMaster(channel);
    } catch (error) {
      channel.close?.();
      this.#listening = null;
      throw error;
    }
    masterGeneration = generation();
    this.#channel = channel;
    this.#masterPid = process.pid;
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    this.#signals = new MasterSignals(
      () => void this.shutdown(),
      () => void this.reload(),
    );
    await this.#run(this.#master);
    return finished;
  }

  /**
   * In a worker: ends it in good order; the master starts another. In the master: as {@link shutdown}.
   */
  stop(): void {
    if (this.#worker !== null) this.#worker.stop();
    else void this.shutdown();
  }

  /**
   * Ends the pool: `shutdown` event, SIGTERM to all workers, SIGKILL after `maxWaitTime`. In a worker it
   * asks the master to.
   *
   * @returns resolves when all workers have ended; in a worker at once
   * @throws PreforkError ERR_POOL_NOT_RUNNING
   */
  shutdown(): Promise<void> {
    if (this.#askMaster('SIGTERM')) return Promise.resolve();
    const master = this.#runningMaster();
    this.#stopped ??= this.#stop(master);
    return this.#stopped;
  }

  /**
   * Replaces all workers, one after the other. No message is lost: what a worker has not taken waits for
   * its successor.
   *
   * @returns what was done; null in a worker, which only asks the master to
   * @throws PreforkError ERR_POOL_NOT_RUNNING
   */
  async reload(): Promise<ReloadReport | null> {
    if (this.#askMaster('SIGUSR1')) return null;
    return this.#runningMaster().reload();
  }

  /**
   * In a worker: leaves the pool, whose master starts another worker at once. This process takes no more
   * messages and ends when its own work does; it outlives the pool.
   *
   * @throws PreforkError ERR_POOL_NOT_RUNNING outside a worker
   */
  detach(): void {
    if (this.#worker === null) {
      throw new PreforkError('ERR_POOL_NOT_RUNNING', 'detach() is called in a worker');
    }
    this.#worker.detach();
  }

  /**
   * IPC_UNIXSOCK: sends a message to a worker, from the master or any worker. Once it returns true the
   * message is in the kernel or in memory that the pool shares: no death of the sender can lose it.
   *
   * @param data - 1 byte to `maxPackageSize`
   * @returns false when the receiver's pipe is full: at once in the master, whose loop must stay free, and in
   * a worker that sends to itself; after 60 s in any other
   * @throws PreforkError ERR_POOL_IPC_TYPE, ERR_POOL_NOT_RUNNING, ERR_OUT_OF_RANGE, ERR_EMPTY_DATA,
   * ERR_MESSAGE_TOO_BIG
   */
  sendMessage(data: string | Uint8Array, workerId: number): boolean {
    const { channel, master } = this.#parts(workerId);
    if (channel.send === undefined) throw wrongType('sendMessage() needs a pool of IPC_UNIXSOCK');
    const bytes = checkData(data);
    master.table.countSent(workerId, 1);
    let sent = false;
    try {
      sent = channel.send(bytes, workerId, this.#patience(workerId));
    } finally {
      if (!sent) master.table.countSent(workerId, -1);
    }
    return sent;
  }

  /** {@link sendMessage} that waits on the event loop until the receiver's pipe takes it. */
  async sendMessageAsync(
    data: string | Uint8Array,
    workerId: number,
    options: AsyncOptions = {},
  ): Promise<void> {
    const { channel, master } = this.#parts(workerId);
    if (channel.sendAsync === undefined) {
      throw wrongType('sendMessageAsync() needs a pool of IPC_UNIXSOCK');
    }
    const bytes = checkData(data);
    const sending = channel.sendAsync(bytes, workerId, signalOf(options));
    if (sending !== null) await sending;
    master.table.countSent(workerId, 1);
  }

  /**
   * IPC_SOCKET: adds to the reply of the request whose `message` callback runs; all pieces are sent as one
   * frame when that has ended.
   *
   * @throws PreforkError ERR_POOL_IPC_TYPE, ERR_POOL_NO_REQUEST, ERR_EMPTY_DATA
   */
  write(data: string | Uint8Array): boolean {
    const { channel } = this.#parts(0);
    if (channel.write === undefined) throw wrongType('write() needs a pool of IPC_SOCKET');
    channel.write(checkData(data));
    return true;
  }

  /**
   * The Process of a worker, as seen from this process; its `pid` stays right when the worker is replaced.
   *
   * @param workerId - default: this worker's own
   * @throws PreforkError ERR_POOL_NOT_RUNNING, ERR_OUT_OF_RANGE
   */
  getProcess(workerId: number = this.#workerId): WorkerProcess {
    return this.#parts(workerId).master.worker(workerId);
  }

  /** What each worker is and has done, read from shared memory and /proc, in any process of the pool. */
  stats(): PoolStats {
    return this.#stats();
  }

  /** For `await using`: {@link shutdown} if the pool runs, and nothing is listened on any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#worker !== null) return;
    if (this.#master !== null) await this.shutdown();
    this.#listening?.unlink();
    this.#listening?.close();
    this.#listening = null;
  }

  #stats(memory?: ReadMemory): PoolStats {
    const { master, channel } = this.#parts(0);
    const { generation } = master.state();
    return poolStats(this.#masterPid, generation, master.table, channel, this.workerNum, memory);
  }

  async #run(master: PoolMaster): Promise<void> {
    try {
      this.#control = Control.open(this.#settings);
      this.#callbacks.call('start', this);
      if (this.#stopped === null) master.run();
      this.#control?.start(poolSource(this, master, (memory) => this.#stats(memory)));
    } catch (error) {
      await this.#end(master);
      throw error;
    }
  }

  #makeMaster(channel: PoolChannel): PoolMaster {
    return new PoolMaster({
      pool: this,
      workerNum: this.workerNum,
      settings: this.#settings,
      callbacks: this.#callbacks,
      channel,
      sendsMessages: this.ipcType === IPC_UNIXSOCK && this.#callbacks.has('message'),
      becomeWorker: (worker, id) => {
        this.#worker = worker;
        this.#workerId = id;
      },
      onNobodyLeft: () => void this.shutdown(),
    });
  }

  async #stop(master: PoolMaster): Promise<void> {
    // First shutdown() has to note that it was called: the callback may call it, too.
    await Promise.resolve();
    try {
      this.#callbacks.call('shutdown', this);
    } finally {
      await this.#end(master);
    }
  }

  async #end(master: PoolMaster): Promise<void> {
    await master.stop();
    this.#control?.close();
    this.#control = null;
    masterGeneration = -1;
    this.#signals?.release();
    this.#channel?.close?.();
    this.#listening = null;
    this.#channel = null;
    this.#master = null;
    this.#stopped = null;
    this.#finish?.();
  }

  /** How long sendMessage() may block. Nobody makes room in a worker's own pipe while that waits for it. */
  #patience(workerId: number): number {
    const toItself = workerId === this.#workerId && this.running;
    return this.#worker === null || toItself ? 0 : SEND_TIMEOUT_MS;
  }

  /** In a worker: the master is told by a signal. */
  #askMaster(signal: 'SIGTERM' | 'SIGUSR1'): boolean {
    if (this.#worker === null) return false;
    sendSignal(this.#masterPid, signal);
    return true;
  }

  #runningMaster(): PoolMaster {
    if (this.#master !== null) return this.#master;
    throw new PreforkError('ERR_POOL_NOT_RUNNING', 'the pool does not run: call start() first');
  }

  #parts(workerId: number): { master: PoolMaster; channel: PoolChannel } {
    const master = this.#runningMaster();
    checkInteger('workerId', workerId, 0, this.workerNum - 1);
    return { master, channel: this.#channel as PoolChannel };
  }

  #refuseWhileRunning(what: string): void {
    if (this.#master === null) return;
    throw new PreforkError('ERR_POOL_RUNNING', `${what} is not possible while the pool runs`);
  }

  #checkCallbacks(): void {
    if (this.#callbacks.has('workerStart') || this.#callbacks.has('message')) return;
    throw new PreforkError(
      'ERR_POOL_NO_CALLBACK',
      this.ipcType === IPC_NONE
        ? 'the workers have nothing to do: set a workerStart callback'
        : 'the workers have nothing to do: set a message or a workerStart callback',
    );
  }
}
