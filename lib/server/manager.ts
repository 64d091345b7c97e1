/**
 * The manager: the process that all workers are forks of. It keeps the script as it was loaded, runs none of
 * its callbacks but those of managerStart, workerError and reloads, and does nothing but supervise. In base
 * mode it is the master itself, in process mode a child of that.
 */
import { tellReload, type RespawnMessage } from '../diagnostics';
import { encodePayload } from '../ipc/payload';
import { Process } from '../process/process';
import type { ExitStatus } from '../process/children';
import { DEFAULT_RESTART } from '../pool/restart-policy';
import type { ReloadReport } from '../pool/reload';
import { Supervisor } from '../pool/supervisor';
import type { WorkerRow } from '../pool/worker-table';
import type { Inbox } from './bus/inbox';
import { CONTROL, TAKE_OVER, WORKER_DIED } from './bus/message';
import { Connections } from './connections';
import type { ServerContext } from './context';
import * as control from './control';
import { EventWorker } from './event-worker';
import type { Role } from './role';
import { CLOSED, TASKING } from './state';
import { TaskClient } from './task/task-client';
import { TaskRole } from './task-role';
import { UserProcess } from './user-process';
import { ServerGroup } from './worker-groups';

const EVENT = 'event';
const TASK = 'task';
const USER = 'user';

const SIGTERM = 15;
const SIGKILL = 9;

export class Manager implements Role {
  readonly workerId = -1;
  readonly isTaskWorker = false;
  readonly connections: Connections;
  readonly tasks: TaskClient;
  readonly #context: ServerContext;
  readonly #supervisor: Supervisor;
  readonly #event: ServerGroup;
  readonly #task: ServerGroup;
  readonly #user: ServerGroup;
  readonly #inbox: Inbox;
  readonly #control: control.ControlClient;
  readonly #onShutdown: () => void;
  #reloading: Promise<ReloadReport> | null = null;

  /** @param onShutdown - somebody has asked the server to end; in base mode */
  constructor(context: ServerContext, onShutdown: () => void) {
    const { bus, addresses, settings, state, table, channel } = context;
    this.#context = context;
    this.#onShutdown = onShutdown;
    bus.adopt(addresses.manager);
    this.#control = new control.ControlClient(context);
    this.connections = new Connections(context, null);
    this.#inbox = bus.inbox(addresses.manager, { handler: this.#onMessage, inBatches: true });
    this.tasks = new TaskClient({
      ...{ bus, state, table, addresses, settings, channel, workerId: -1, inbox: null },
      replyAddress: addresses.manager,
      // The one behind those of the workers.
      taskRow: addresses.manager - addresses.slots,
      call: { finish: this.#onFinish },
    });
    this.#event = this.#makeEventGroup();
    this.#task = this.#makeTaskGroup();
    this.#user = this.#makeUserGroup();
    this.#supervisor = new Supervisor([this.#event, this.#task, this.#user], {
      maxWaitTime: settings.maxWaitTime,
      restart: DEFAULT_RESTART,
      startFirst: settings.reloadAsync,
    });
  }

  start(): void {
    const { state, callbacks, server } = this.#context;
    state.managerPid = process.pid;
    callbacks.call('managerStart', server);
    for (const { workerId, pid, lostRequests } of this.#context.orphans.splice(0)) {
      this.#report(workerId, { pid, code: 0, signal: SIGKILL }, lostRequests);
    }
    this.#inbox.start();
    this.#inbox.setRef(false);
    this.#supervisor.start();
  }

  /** Ends all workers: event workers first, so that they get the results of their tasks. */
  async end(): Promise<void> {
    this.#context.state.stopping = true;
    await this.#supervisor.stop();
    this.#inbox.stop();
    this.#context.callbacks.call('managerStop', this.#context.server);
  }

  /** In process mode the master is told; in base mode this is the master. */
  stop(): void {
    this.#onShutdown();
  }

  /** Replaces workers. A second call during a reload joins it. */
  reload(onlyTasks: boolean): Promise<ReloadReport> {
    this.#reloading ??= this.#reload(onlyTasks).finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  async #reload(onlyTasks: boolean): Promise<ReloadReport> {
    const { callbacks, server } = this.#context;
    callbacks.call('beforeReload', server);
    const names = onlyTasks ? [TASK] : [EVENT, TASK];
    const reloads = Promise.all(names.map((name) => this.#supervisor.reload(name))).then(joined);
    tellReload(onlyTasks, reloads);
    const report = await reloads;
    callbacks.call('afterReload', server, report);
    return report;
  }

  /** The process of a worker ends in good order, and another takes its place. */
  stopWorker(workerId: number): void {
    const pid = this.#context.table.current(workerId)?.pid ?? 0;
    if (pid > 0) Process.kill(pid, SIGTERM);
  }

  /** All mailboxes that results of tasks may be sent to, but the manager's own. */
  #submitters(): number[] {
    const { addresses } = this.#context;
    const rows = [...this.#event.rows(), ...this.#user.rows()];
    const others = addresses.master === addresses.manager ? [] : [addresses.master];
    return [...rows.map(({ index }) => addresses.row(index)), ...others];
  }

  #makeEventGroup(): ServerGroup {
    const { settings } = this.#context;
    return this.#makeGroup(EVENT, 0, settings.workerNum, {
      startFirst: settings.reloadAsync,
      run: (workerId, row, predecessor) => {
        const worker = new EventWorker(this.#context, workerId, row, predecessor);
        this.#context.server.becomeWorker(worker);
        return worker.run();
      },
      onEnd: this.#onEventWorkerEnd,
    });
  }

  #makeTaskGroup(): ServerGroup {
    const { settings } = this.#context;
    return this.#makeGroup(TASK, settings.workerNum, settings.taskWorkerNum, {
      startFirst: settings.reloadAsync,
      run: (workerId, row) => {
        const worker = new TaskRole(this.#context, workerId, row);
        this.#context.server.becomeWorker(worker);
        return worker.run();
      },
      onEnd: this.#onTaskWorkerEnd,
    });
  }

  #makeUserGroup(): ServerGroup {
    const { settings, users: programs } = this.#context;
    const users = programs.map((program) => new UserProcess(this.#context, program));
    const group = this.#makeGroup(
      USER,
      settings.workerNum + settings.taskWorkerNum,
      programs.length,
      {
        startFirst: false,
        run: (workerId, row) => users[workerId - this.#firstUser()]?.run(workerId, row),
        onEnd: () => {
          // Nothing depends on it.
        },
      },
      (index, run) => (users[index] as UserProcess).prepare(run),
    );
    return group;
  }

  #firstUser(): number {
    const { settings } = this.#context;
    return settings.workerNum + settings.taskWorkerNum;
  }

  #makeGroup(
    name: RespawnMessage['kind'],
    firstId: number,
    size: number,
    how: {
      startFirst: boolean;
      run: (workerId: number, row: WorkerRow, predecessor: boolean) => unknown;
      onEnd: (workerId: number, status: ExitStatus, row: WorkerRow) => void;
    },
    makeProcess = (_: number, run: () => unknown) =>
      new Process(run, false, Process.PIPE_TYPE_NONE),
  ): ServerGroup {
    const { table, state, channel } = this.#context;
    return new ServerGroup({
      ...how,
      ...{ name, firstId, size, makeProcess, table },
      onEnd: (workerId, status, row, expected) => {
        how.onEnd(workerId, status, row);
        // Its tasks settle nowhere any more.
        state.add(TASKING, -channel.board.takeUnsettled(row.index));
        const { code, signal } = status;
        const endedWell = code === 0 && (signal === 0 || (expected && signal === SIGTERM));
        if (!endedWell || row.lost > 0) this.#report(workerId, status, row.lost);
      },
      onDegraded: this.#onDegraded,
    });
  }

  readonly #onEventWorkerEnd = (workerId: number, _: ExitStatus, row: WorkerRow): void => {
    const { mode, sessions, bus, addresses, state } = this.#context;
    if (mode === 'base') state.add(CLOSED, sessions.closeAllOf(row.index).length);
    else this.#control.eventWorkerDied(workerId);
    const successor = this.#event.successorOf(workerId);
    if (successor !== null) bus.send(addresses.row(successor.index), TAKE_OVER, successor.pid);
  };

  readonly #onTaskWorkerEnd = (workerId: number, status: ExitStatus): void => {
    const { bus } = this.#context;
    const { kind, data } = encodePayload(status);
    for (const address of this.#submitters()) bus.send(address, WORKER_DIED, workerId, data, kind);
    this.tasks.handle(WORKER_DIED, kind, workerId, -1, data);
  };

  #report(workerId: number, { pid, code, signal }: ExitStatus, lostRequests: number): void {
    const { callbacks, server, logs } = this.#context;
    const lost = lostRequests === 0 ? '' : `, at most ${lostRequests} requests are lost`;
    logs.write(`worker ${workerId} (pid ${pid}) has ended: code ${code}, signal ${signal}${lost}`);
    const report = { workerId, pid, code, signal, lostRequests };
    callbacks.call('workerError', server, workerId, pid, code, signal, report);
  }

  readonly #onDegraded = (workerId: number, failures: number, why?: Error): void => {
    const reason = why === undefined ? '' : `: ${why.message}`;
    process.emitWarning(`worker ${workerId} died young ${failures} times in a row${reason}`, {
      type: 'PreforkWarning',
      code: 'PREFORK_SERVER_DEGRADED',
    });
  };

  readonly #onFinish = (taskId: number, data: unknown): void => {
    this.#context.callbacks.call('finish', this.#context.server, taskId, data);
  };

  readonly #onMessage = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): void => {
    if (type === CONTROL) this.#onControl(kind, id);
    else this.tasks.handle(type, kind, id, from, data);
  };

  #onControl(what: number, id: number): void {
    switch (what) {
      case control.READY:
        this.#supervisor.markReady(id);
        return;
      case control.RELEASED:
        this.#handOver(id);
        return;
      case control.REPLACE:
        this.#supervisor.replace(id);
        return;
      case control.RELOAD:
      case control.RELOAD_TASKS:
        void this.reload(what === control.RELOAD_TASKS);
        return;
      case control.STOP:
        this.stopWorker(id);
        return;
      case control.SHUTDOWN:
        this.#onShutdown();
    }
  }

  #handOver(pid: number): void {
    const { bus, addresses } = this.#context;
    const successor = this.#event.release(pid);
    if (successor !== null) bus.send(addresses.row(successor.index), TAKE_OVER, successor.pid);
  }
}

function joined(reports: ReloadReport[]): ReloadReport {
  return {
    ...(reports[0] as ReloadReport),
    replaced: reports.reduce((sum, { replaced }) => sum + replaced, 0),
    killed: reports.reduce((sum, { killed }) => sum + killed, 0),
    durationMs: Math.max(...reports.map(({ durationMs }) => durationMs)),
  };
}
