/**
 * The master of process mode: the reactor, and the parent of the manager.
 *
 *   master (accept, read, frame, dispatch, write) ── manager ── event workers, task workers, user processes
 *
 * Workers may die, and the manager too, without a client noticing: the connections are here.
 */
import { setTimeout } from 'node:timers/promises';
import { Process } from '../process/process';
import type { ExitStatus } from '../process/children';
import { DEFAULT_RESTART } from '../pool/restart-policy';
import { ROWS_PER_SLOT, STAGE_READY } from '../pool/worker-table';
import type { ReloadReport } from '../pool/reload';
import { Supervisor } from '../pool/supervisor';
import type { StartedWorker } from '../pool/worker-group';
import type { Inbox } from './bus/inbox';
import { CONTROL, PACKET } from './bus/message';
import { Connections } from './connections';
import type { ServerContext } from './context';
import { ControlClient, EVENT_WORKER_DIED, SHUTDOWN } from './control';
import { DatagramPorts, encodeDatagram } from './datagrams';
import { DispatchingSink } from './reactor/dispatching-sink';
import { Reactor } from './reactor/reactor';
import type { Role } from './role';
import { DISPATCHED, TASKING } from './state';
import { TaskClient } from './task/task-client';

const MANAGER = 'manager';

/** In process mode all connections belong to the master. */
const REACTOR_ID = 0;

const ACCEPTS_PER_TURN = 64;

/** How long replies may take to leave at the end. */
const FLUSH_MS = 1000;

/** The manager ends three groups, one after the other. */
const GROUPS = 3;
const MANAGER_MARGIN_MS = 1000;

export class Master implements Role {
  readonly workerId = -1;
  readonly isTaskWorker = false;
  readonly connections: Connections;
  readonly tasks: TaskClient;
  readonly #context: ServerContext;
  readonly #sink: DispatchingSink;
  readonly #reactor: Reactor;
  readonly #datagrams: DatagramPorts;
  readonly #inbox: Inbox;
  readonly #control: ControlClient;
  readonly #supervisor: Supervisor;
  readonly #onShutdown: () => void;

  constructor(context: ServerContext, runManager: () => void, onShutdown: () => void) {
    const { bus, addresses, settings, state, table, channel, ports, sessions } = context;
    this.#context = context;
    this.#onShutdown = onShutdown;
    bus.adopt(addresses.master);
    this.#sink = new DispatchingSink(context);
    const sink = this.#sink;
    this.#reactor = new Reactor({
      ...{ id: REACTOR_ID, ports, sessions, state, sink, turn: bus },
      acceptsPerTurn: ACCEPTS_PER_TURN,
    });
    sink.attach(this.#reactor);
    this.#datagrams = new DatagramPorts(context, this.#onDatagram);
    this.connections = new Connections(context, this.#reactor);
    this.#control = new ControlClient(context);
    this.#inbox = bus.inbox(addresses.master, {
      handler: this.#onMessage,
      inBatches: true,
      onTurn: {
        begin: () => {
          bus.begin();
          this.#reactor.cork();
        },
        end: () => {
          this.#reactor.uncork();
          bus.end();
        },
      },
    });
    this.tasks = new TaskClient({
      ...{ bus, state, table, addresses, settings, channel, workerId: -1, inbox: null },
      replyAddress: addresses.master,
      // The one behind those of the workers.
      taskRow: addresses.manager - addresses.slots,
      call: { finish: this.#onFinish },
    });
    this.#supervisor = this.#makeSupervisor(runManager);
  }

  start(): void {
    this.#inbox.start();
    this.#supervisor.start();
    this.#reactor.start();
    this.#datagrams.start();
  }

  stop(): void {
    this.#onShutdown();
  }

  /** The manager does it. */
  reload(onlyTasks: boolean): Promise<ReloadReport | null> {
    this.#control.reload(onlyTasks);
    return Promise.resolve(null);
  }

  stopWorker(workerId: number): void {
    this.#control.stopWorker(workerId);
  }

  /** Takes no more, lets the workers finish, sends what they have answered. */
  async end(): Promise<void> {
    this.#context.state.stopping = true;
    this.#datagrams.stop();
    this.#reactor.stopAccepting();
    this.#reactor.stopReading();
    await this.#feedTheRest();
    await this.#supervisor.stop();
    this.#inbox.drain();
    this.#sink.stop();
    await this.#reactor.close(FLUSH_MS);
    this.#inbox.stop();
  }

  /** Requests that were read and wait for room in the mailboxes of workers. */
  async #feedTheRest(): Promise<void> {
    const { bus, settings } = this.#context;
    bus.flush();
    const limit = settings.maxWaitTime === 0 ? FLUSH_MS : settings.maxWaitTime;
    await Promise.race([bus.allSent(), setTimeout(limit, undefined, { ref: false })]);
  }

  #makeSupervisor(runManager: () => void): Supervisor {
    const { maxWaitTime } = this.#context.settings;
    const options = {
      maxWaitTime: maxWaitTime === 0 ? 0 : GROUPS * maxWaitTime + MANAGER_MARGIN_MS,
      restart: DEFAULT_RESTART,
      startFirst: false,
    };
    const group = {
      name: MANAGER,
      size: 1,
      start: () => this.#startManager(runManager),
      ended: (_slot: number, _pid: number, status: ExitStatus, expected: boolean) => {
        if (!expected) this.#onManagerDeath(status);
      },
      // What it was started for: a manager that gets no worker to serve would be started again for ever.
      provedItself: () => this.#someWorkerServes(),
      degraded: (_slot: number, failures: number) => {
        process.emitWarning(`the manager died young ${failures} times in a row`, {
          type: 'PreforkWarning',
          code: 'PREFORK_SERVER_DEGRADED',
        });
      },
    };
    return new Supervisor([group], options);
  }

  #someWorkerServes(): boolean {
    const { settings, table } = this.#context;
    for (let worker = 0; worker < settings.workerNum; worker++) {
      if (table.current(worker)?.stage === STAGE_READY) return true;
    }
    return false;
  }

  #startManager(runManager: () => void): StartedWorker {
    const manager = new Process(runManager, false, Process.PIPE_TYPE_NONE);
    const pid = manager.start();
    this.#context.state.managerPid = pid;
    return { pid, ended: manager.exited };
  }

  /** All workers die with it, and its successor reports them and starts others: their rows are free. */
  #onManagerDeath({ pid, code, signal }: ExitStatus): void {
    const { settings, table, addresses } = this.#context;
    process.emitWarning(`the manager ${pid} has ended (code ${code}, signal ${signal})`, {
      type: 'PreforkWarning',
      code: 'PREFORK_MANAGER_DIED',
    });
    this.#context.orphans = table.filledRows().map(({ pid, lost, index }) => {
      return { workerId: addresses.workerOf(addresses.row(index)), pid, lostRequests: lost };
    });
    table.clearRows();
    this.#settleTasks();
    for (let worker = 0; worker < settings.workerNum; worker++) this.#reactor.repeatClose(worker);
  }

  /** The master's own; those of workers that are gone settle nowhere any more. */
  #settleTasks(): void {
    const { addresses, channel, state } = this.#context;
    this.tasks.managerDied();
    const rows = addresses.slots * ROWS_PER_SLOT;
    for (let row = 0; row < rows; row++) state.add(TASKING, -channel.board.takeUnsettled(row));
  }

  readonly #onMessage = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): void => {
    if (this.connections.handle(type, kind, id, data)) return;
    if (type === CONTROL) this.#onControl(kind, id);
    else this.tasks.handle(type, kind, id, from, data);
  };

  #onControl(what: number, id: number): void {
    if (what === EVENT_WORKER_DIED) this.#reactor.repeatClose(id);
    else if (what === SHUTDOWN) this.#onShutdown();
  }

  readonly #onDatagram = (index: number, data: Buffer, address: string, port: number): void => {
    const { addresses, bus, state, table } = this.#context;
    const worker = this.#sink.chooseForDatagram(port, address, data);
    if (worker < 0) return;
    state.add(DISPATCHED);
    table.countSent(worker, 1);
    bus.post(addresses.slot(worker), PACKET, index, encodeDatagram({ address, port, data }));
  };

  readonly #onFinish = (taskId: number, data: unknown): void => {
    this.#context.callbacks.call('finish', this.#context.server, taskId, data);
  };
}
