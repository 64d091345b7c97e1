/**
 * Server: a prefork server with event workers and task workers.
 *
 *   process mode   master (reactor: accept, read, frame, dispatch, write) ── manager ── workers
 *   base mode      master = manager ── event workers (each accepts and serves its own connections),
 *                                      task workers, user processes
 *
 * The facts it follows are those of Swoole\Server; docs/swoole-map.md says what differs.
 */
import type { Capitalized } from '../callbacks';
import { PreforkError } from '../errors';
import { generation } from '../ipc/generation';
import { encodePayload } from '../ipc/payload';
import type { ReloadReport } from '../pool/reload';
import { Process } from '../process/process';
import { checkData, checkFunction, checkInteger, invalidType } from '../validate';
import { PIPE_MESSAGE } from './bus/message';
import type { ServerContext, UserProgram } from './context';
import { ControlClient } from './control';
import { datagramSocketFor } from './datagrams';
import { ServerCallbacks, type ServerEvents } from './events';
import { checkServerCallbacks } from './required-callbacks';
import { runServer, type Running } from './run';
import { ServerPort, type SockType } from './port';
import type { Role } from './role';
import { clientInfo, idleSessions, type ClientInfo } from './client-info';
import {
  mergeServerOptions,
  resolveServerSettings,
  type ServerMode,
  type ServerOptions,
} from './settings';
import { serverStats, type ServerStats } from './stats';
import { shareUserPipe } from './user-process';
import type { TaskAsyncOptions } from './task/task-client';
import { packTask, unpackTask } from './task/task-pack';

const MODES: readonly ServerMode[] = ['base', 'process'];
const MAX_LIST = 100;

/** Gets the result of one task, in place of the `finish` event. */
export type TaskCallback = (server: Server, taskId: number, data: unknown) => unknown;

/** The fork generation in which a server runs: its signals are the process's, so there is one. */
let runningGeneration = -1;

/**
 * A prefork server: event workers answer clients, task workers do slow work, a manager keeps both alive.
 * Swoole\Server; docs/swoole-map.md says what differs.
 *
 * @example
 * ```ts
 * const serv = new Server('127.0.0.1', 9501);
 * serv.set({ workerNum: 2, taskWorkerNum: 2 });
 * serv.on('receive', async (serv, fd, reactorId, data) => {
 *   serv.send(fd, String(await serv.taskAsync(String(data))));
 * });
 * serv.on('task', (serv, taskId, srcWorkerId, data) => `${String(data)} -> OK`);
 * await serv.start(); // Until serv.shutdown() or SIGTERM.
 * ```
 */
export class Server {
  /** For other programs that put tasks into a queue: a task as bytes, and back.  Swoole\Server\Task::pack. */
  static readonly packTask = packTask;
  /** The data of a packed task.  @throws PreforkError ERR_BAD_PACKET */
  static readonly unpackTask = unpackTask;
  /** Who holds the connections: the master (`process`) or each worker its own (`base`). */
  readonly mode: ServerMode;
  /** All ports: the one of the constructor, then those of listen(). */
  readonly ports: ServerPort[] = [];
  readonly #callbacks = new ServerCallbacks();
  readonly #users: UserProgram[] = [];
  #options: ServerOptions<Server> = {};
  #context: ServerContext | null = null;
  #running: Running | null = null;
  #role: Role | null = null;
  #started = false;

  /**
   * Binds at once; clients are accepted from start() on.
   *
   * @param host - an address; of a unix socket its path
   * @param port - 0: one that the kernel chooses, see `port`
   * @param mode - `process`: the master holds the connections, workers may die without a client noticing;
   * `base`: each worker holds its own
   * @param sockType - tcp, tcp6, unix, udp, udp6 or unix_dgram
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  constructor(
    host = '0.0.0.0',
    port = 0,
    mode: ServerMode = 'process',
    sockType: SockType = 'tcp',
  ) {
    if (!MODES.includes(mode)) throw invalidType('mode', "'base' or 'process'", mode);
    this.mode = mode;
    this.listen(host, port, sockType);
  }

  /** The host of the first port. */
  get host(): string {
    return this.#port.host;
  }

  /** The number of the first port, also when the kernel has chosen it. */
  get port(): number {
    return this.#port.port;
  }

  /** What set() was given, and once the server runs all settings. */
  get setting(): Readonly<ServerOptions<Server>> {
    return { ...this.#options, ...this.#context?.settings } as ServerOptions<Server>;
  }

  /** The id of this worker, task worker or user process; -1 in manager and master. */
  get workerId(): number {
    return this.#role?.workerId ?? -1;
  }

  /** The pid of this worker; 0 in manager and master. */
  get workerPid(): number {
    return this.workerId < 0 ? 0 : process.pid;
  }

  /** 0 before start(). */
  get masterPid(): number {
    return this.#context?.state.masterPid ?? 0;
  }

  /** In base mode the master's. 0 before start(). */
  get managerPid(): number {
    return this.#context?.state.managerPid ?? 0;
  }

  /** Whether this process is a task worker. */
  get taskworker(): boolean {
    return this.#role?.isTaskWorker ?? false;
  }

  /** In the master of a server with a status page: where it is, from the `start` event on. Null elsewhere. */
  get statusUrl(): string | null {
    return this.#running?.statusUrl ?? null;
  }

  /** The ids of all open connections. */
  get connections(): Iterable<number> {
    return this.#runningContext().sessions.ids();
  }

  /**
   * Sets settings; those not named stay. Settings of ports are for all ports that have not been given their own.
   *
   * @throws PreforkError ERR_UNKNOWN_OPTION with the nearest name, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE,
   * ERR_SERVER_RUNNING
   */
  set(options: ServerOptions<Server>): this {
    this.#refuseWhileRunning('set()');
    this.#options = mergeServerOptions(this.#options, options);
    return this;
  }

  /**
   * Sets the callback of an event; names are matched without case, a second callback replaces the first.
   *
   * @throws PreforkError ERR_UNKNOWN_EVENT with the nearest name, ERR_INVALID_ARG_TYPE, ERR_SERVER_RUNNING
   */
  on<Name extends keyof ServerEvents>(event: Name, callback: ServerEvents[Name]): this;
  on<Name extends keyof Capitalized<ServerEvents>>(
    event: Name,
    callback: Capitalized<ServerEvents>[Name],
  ): this;
  on(event: string, callback: unknown): this {
    this.#refuseWhileRunning('on()');
    this.#callbacks.set(event, callback);
    return this;
  }

  /** The callback of an event; null when it has none. */
  getCallback<Name extends keyof ServerEvents>(event: Name): ServerEvents[Name] | null {
    return this.#callbacks.get(event) ?? null;
  }

  /**
   * One more port, with callbacks and settings of its own if it wants.
   *
   * @throws as the constructor; ERR_SERVER_RUNNING
   */
  listen(host: string, port = 0, sockType: SockType = 'tcp'): ServerPort {
    this.#refuseWhileRunning('listen()');
    const made = new ServerPort(host, port, sockType, () => this.#started);
    this.ports.push(made);
    return made;
  }

  /**
   * A process of the user's own, which the manager keeps alive. Its pipe is shared: workers write to it.
   *
   * @returns its worker id
   * @throws PreforkError ERR_SERVER_RUNNING, ERR_INVALID_ARG_TYPE
   */
  addProcess(user: Process): number {
    this.#refuseWhileRunning('addProcess()');
    if (!(user instanceof Process)) throw invalidType('process', 'a Process', user);
    const pipe = user.pipeKind === null ? null : shareUserPipe(user, user.pipeKind);
    this.#users.push({ process: user, pipe });
    const { workerNum, taskWorkerNum } = resolveServerSettings(this.#options, this.mode);
    return workerNum + taskWorkerNum + this.#users.length - 1;
  }

  /**
   * Runs the server. The promise settles in the master, after shutdown().
   *
   * @throws PreforkError ERR_SERVER_RUNNING, also for a second server in one process and for one that has
   * ended; ERR_SERVER_NO_CALLBACK; ERR_PRIVILEGES for a user, group or chroot that cannot be; settings that do
   * not go together. Errors of the first forks and of files
   */
  async start(): Promise<void> {
    if (this.#started || runningGeneration === generation()) {
      throw new PreforkError(
        'ERR_SERVER_RUNNING',
        this.#started ? 'this server was started before' : 'another server runs in this process',
      );
    }
    checkServerCallbacks(this.ports, this.#callbacks, this.#options.taskWorkerNum ?? 0);
    this.#started = true;
    const parts = { server: this, mode: this.mode, callbacks: this.#callbacks, ports: this.ports };
    try {
      this.#running = runServer({
        ...{ ...parts, options: this.#options, users: this.#users },
        onContext: (context) => {
          this.#context = context;
        },
      });
    } catch (error) {
      for (const port of this.ports) port.close();
      throw error;
    }
    runningGeneration = generation();
    this.#role = this.#running.role;
    try {
      await this.#running.run();
    } finally {
      runningGeneration = -1;
      this.#role = null;
    }
  }

  /** @internal In a new process of the server. */
  becomeWorker(role: Role): void {
    this.#role = role;
    this.#running = null;
  }

  /**
   * Ends the server: takes no more, lets workers finish what they have, `shutdown` event.
   *
   * @returns in the master once it has ended; elsewhere at once, as it only asks the master to
   * @throws PreforkError ERR_SERVER_NOT_RUNNING
   */
  shutdown(): Promise<void> {
    if (this.#running !== null) return this.#running.shutdown();
    new ControlClient(this.#runningContext()).shutdown();
    return Promise.resolve();
  }

  /**
   * Replaces workers, and loses neither requests nor results.
   *
   * @param onlyTaskWorkers - leave event workers as they are
   * @returns what was done; null where it only asks the manager to
   * @throws PreforkError ERR_SERVER_NOT_RUNNING
   */
  reload(onlyTaskWorkers = false): Promise<ReloadReport | null> {
    const context = this.#runningContext();
    if (this.#role?.reload !== undefined) return this.#role.reload(onlyTaskWorkers);
    new ControlClient(context).reload(onlyTaskWorkers);
    return Promise.resolve(null);
  }

  /**
   * Ends a worker in good order; another takes its place.
   *
   * @param workerId - of an event worker or task worker; -1: this one
   * @throws PreforkError ERR_SERVER_NOT_RUNNING, ERR_OUT_OF_RANGE
   */
  stop(workerId = -1): void {
    const context = this.#runningContext();
    const { slots } = context.addresses;
    checkInteger('workerId', workerId, this.workerId < 0 ? 0 : -1, slots - 1);
    if (workerId === -1 || workerId === this.workerId) this.#role?.stop();
    else new ControlClient(context).stopWorker(workerId);
  }

  /**
   * Sends data to a client; from any process of the server. What a callback sends leaves when it returns.
   *
   * @param fd - the id of the connection
   * @throws PreforkError ERR_SESSION_NOT_EXIST, ERR_SESSION_CLOSED, ERR_EMPTY_DATA; ERR_DATA_TOO_LARGE over
   * outputBufferSize; ERR_OUTPUT_OVERFLOW while socketBufferSize bytes wait
   */
  send(fd: number, data: string | Uint8Array): boolean {
    this.#runningRole().connections.send(fd, checkData(data));
    return true;
  }

  /**
   * Sends a datagram from one of this server's datagram ports.
   *
   * @param serverSocket - the place of the port in {@link ports}; -1: the first that fits the address
   * @returns false when there is no room for it now
   * @throws PreforkError ERR_OUT_OF_RANGE, ERR_EMPTY_DATA, ERR_MESSAGE_TOO_BIG; errors of sendto(2)
   */
  sendto(address: string, port: number, data: string | Uint8Array, serverSocket = -1): boolean {
    this.#runningContext();
    const from = datagramSocketFor(this.ports, address, serverSocket);
    return from.send(checkData(data), address, port);
  }

  /**
   * Closes a connection, once what was sent to it has left.
   *
   * @param reset - at once, and the client is told by RST
   * @throws PreforkError ERR_SESSION_NOT_EXIST, ERR_SESSION_CLOSED
   */
  close(fd: number, reset = false): boolean {
    this.#runningRole().connections.close(fd, reset);
    return true;
  }

  /** Whether a connection is open. */
  exists(fd: number): boolean {
    const session = this.#runningContext().sessions.find(fd);
    return typeof session !== 'string' && session.state === 'open';
  }

  /** Reads no more of a connection until {@link resume}.  @throws as {@link close} */
  pause(fd: number): boolean {
    this.#runningRole().connections.pause(fd, true);
    return true;
  }

  /** Reads a connection again after {@link pause}.  @throws as {@link close} */
  resume(fd: number): boolean {
    this.#runningRole().connections.pause(fd, false);
    return true;
  }

  /** Keeps a connection out of the heartbeat.  @returns false when it does not exist */
  protect(fd: number, on = true): boolean {
    const session = this.#runningContext().sessions.find(fd);
    if (typeof session === 'string') return false;
    session.isProtected = on;
    return true;
  }

  /**
   * Binds a connection to a uid, for dispatchMode 5; once.
   *
   * @returns false when it is bound already, or does not exist
   * @throws PreforkError ERR_OUT_OF_RANGE
   */
  bind(fd: number, uid: number): boolean {
    const session = this.#runningContext().sessions.find(fd);
    return typeof session !== 'string' && session.bind(uid);
  }

  /** What is known of a connection; null when it does not exist. */
  getClientInfo(fd: number): ClientInfo | null {
    return clientInfo(this.#runningContext(), fd);
  }

  /**
   * Ids of open connections, page by page.
   *
   * @param startFd - the last of the page before; 0: from the first
   * @param count - 1 to 100
   * @throws PreforkError ERR_SESSION_NOT_EXIST for an unknown startFd; ERR_OUT_OF_RANGE
   */
  getClientList(startFd = 0, count = 10): number[] {
    checkInteger('count', count, 1, MAX_LIST);
    const ids = this.#runningContext().sessions.idsAfter(startFd, count);
    if (typeof ids !== 'string') return ids;
    throw new PreforkError(ids, `session ${startFd} does not exist`);
  }

  /**
   * Connections that have been silent for longer than their port's heartbeatIdleTime.
   *
   * @param closeThem - also closes them. Default false
   * @returns their ids; none when heartbeatIdleTime is not set
   */
  heartbeat(closeThem = false): number[] {
    const idle = idleSessions(this.#runningContext());
    if (closeThem) for (const id of idle) if (this.exists(id)) this.close(id);
    return idle;
  }

  /**
   * Gives a task to a task worker; from any process but task workers.
   *
   * @param data - anything that structured cloning takes
   * @param dstWorkerId - 0 to taskWorkerNum - 1; -1: an idle one
   * @param callback - gets the result in place of the `finish` event
   * @returns the task's id, unique together with the worker's
   * @throws PreforkError ERR_TASK_IN_TASK_WORKER, ERR_OUT_OF_RANGE, ERR_TASK_QUEUE_FULL, ERR_SERVER_NOT_RUNNING;
   * ERR_INVALID_ARG_TYPE for what cannot be cloned
   */
  task(data: unknown, dstWorkerId = -1, callback?: TaskCallback | null): number {
    if (callback !== undefined && callback !== null) checkFunction('callback', callback);
    const own =
      callback === null || callback === undefined
        ? undefined
        : (id: number, result: unknown) => callback(this, id, result);
    return this.#taskClient().task(data, dstWorkerId, own);
  }

  /**
   * Gives a task to a task worker and blocks until its result is there. In workers and user processes.
   *
   * @param timeout - in ms
   * @returns the result; undefined when the time is over: a late result is dropped
   * @throws PreforkError ERR_TASK_FAILED with the handler's error as cause; ERR_WORKER_DIED; as {@link task}
   */
  taskwait(data: unknown, timeout = 500, dstWorkerId = -1): unknown {
    return this.#taskClient().taskwait(data, timeout, dstWorkerId);
  }

  /**
   * {@link taskwait} for several tasks at once.
   *
   * @returns results by the index of their task; those that did not come in time, or failed, are absent
   */
  taskWaitMulti(tasks: readonly unknown[], timeout = 500): Map<number, unknown> {
    return this.#taskClient().taskWaitMulti(tasks, timeout);
  }

  /** {@link taskwait} that does not block: a promise of the result. */
  taskAsync(data: unknown, options: TaskAsyncOptions = {}): Promise<unknown> {
    return this.#taskClient().taskAsync(data, options);
  }

  /** Several tasks at once, without blocking: results in their order, undefined where one failed or was late. */
  taskCo(tasks: readonly unknown[], timeout = 500): Promise<unknown[]> {
    return this.#taskClient().taskCo(tasks, timeout);
  }

  /**
   * In a task worker: a result of the task that runs. May be called again for further results. After the
   * handler has ended, only the `finish` event hears of them.
   *
   * @returns false when nobody hears it: the task came from another program, or its handler has ended
   * @throws PreforkError ERR_TASK_NOT_RUNNING outside a task
   */
  finish(data: unknown): boolean {
    const role = this.#runningRole();
    if (role.finish === undefined) {
      throw new PreforkError('ERR_TASK_NOT_RUNNING', 'finish() is called in a task worker');
    }
    return role.finish(data);
  }

  /**
   * Sends a message to the `pipeMessage` callback of another worker, task worker or user process.
   *
   * @param data - anything that structured cloning takes
   * @throws PreforkError ERR_OUT_OF_RANGE, ERR_SERVER_NO_CALLBACK, ERR_SERVER_NOT_RUNNING; ERR_INVALID_ARG_TYPE for
   * what cannot be cloned
   */
  sendMessage(data: unknown, workerId: number): boolean {
    const { addresses, bus } = this.#runningContext();
    checkInteger('workerId', workerId, 0, addresses.slots - 1);
    if (workerId === this.workerId) {
      throw new PreforkError('ERR_OUT_OF_RANGE', 'a worker cannot send a message to itself');
    }
    if (!this.#callbacks.has('pipeMessage')) {
      throw new PreforkError(
        'ERR_SERVER_NO_CALLBACK',
        'sendMessage() needs a pipeMessage callback',
      );
    }
    const { kind, data: bytes } = encodePayload(data);
    bus.send(addresses.slot(workerId), PIPE_MESSAGE, 0, bytes, kind);
    return true;
  }

  /** The pid of a worker; -1: this one. Null when there is none at the moment. */
  getWorkerPid(workerId = -1): number | null {
    const { table, addresses } = this.#runningContext();
    checkInteger('workerId', workerId, -1, addresses.slots - 1);
    const pid = workerId < 0 ? this.workerPid : (table.current(workerId)?.pid ?? 0);
    return pid === 0 ? null : pid;
  }

  /** What the server has done and what it does. From any of its processes. */
  stats(): ServerStats {
    return serverStats(this.#runningContext(), this.workerId);
  }

  /** For `await using`: {@link shutdown}, if the server runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running !== null) await this.#running.shutdown();
  }

  get #port(): ServerPort {
    return this.ports[0] as ServerPort;
  }

  #runningContext(): ServerContext {
    if (this.#context !== null && this.#role !== null) return this.#context;
    throw new PreforkError('ERR_SERVER_NOT_RUNNING', 'the server is not running');
  }

  #runningRole(): Role {
    this.#runningContext();
    return this.#role as Role;
  }

  #taskClient() {
    const { tasks } = this.#runningRole();
    if (tasks !== null) return tasks;
    throw new PreforkError('ERR_TASK_IN_TASK_WORKER', 'a task worker cannot submit tasks');
  }

  #refuseWhileRunning(call: string): void {
    if (this.#started) {
      throw new PreforkError('ERR_SERVER_RUNNING', `${call} has to come before start()`);
    }
  }
}
