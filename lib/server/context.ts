/** What a server's processes have in common: made in the master before the first fork. */
import { Process } from '../process/process';
import type { SharedPipe } from '../pool/worker-process';
import { ROWS_PER_SLOT, WorkerTable } from '../pool/worker-table';
import { Addresses } from './bus/addresses';
import { Bus } from './bus/bus';
import type { PortEvents, ServerCallbacks } from './events';
import type { ServerPort } from './port';
import type { Server } from './server';
import type { ServerMode, ServerSettings } from './settings';
import { SessionTable } from './session-table';
import type { Logs } from './logs';
import type { SlowLog } from './slow-log';
import { ServerState } from './state';
import { makeTaskChannel, type TaskChannel } from './task/task-channel';

export interface ContextParts {
  server: Server;
  mode: ServerMode;
  settings: ServerSettings;
  callbacks: ServerCallbacks;
  ports: readonly ServerPort[];
  users: readonly UserProgram[];
  logs: Logs;
}

/** A process of addProcess(), and the pipe that all processes of the server share with it. */
export interface UserProgram {
  process: Process;
  pipe: SharedPipe | null;
}

/** A worker that died with its manager. */
export interface DeadWorker {
  workerId: number;
  pid: number;
  lostRequests: number;
}

export class ServerContext {
  readonly server: Server;
  readonly mode: ServerMode;
  readonly settings: ServerSettings;
  readonly callbacks: ServerCallbacks;
  readonly ports: readonly ServerPort[];
  readonly users: readonly UserProgram[];
  readonly logs: Logs;
  readonly addresses: Addresses;
  readonly bus: Bus;
  readonly table: WorkerTable;
  readonly state: ServerState;
  readonly sessions: SessionTable;
  readonly channel: TaskChannel;
  /** In a new manager: workers that have died with the one before, to be reported. */
  orphans: DeadWorker[] = [];

  constructor(parts: ContextParts) {
    const { server, mode, settings, callbacks, ports, users, logs } = parts;
    this.server = server;
    this.mode = mode;
    this.settings = settings;
    this.callbacks = callbacks;
    this.ports = ports;
    this.users = users;
    this.logs = logs;
    const { workerNum, taskWorkerNum } = settings;
    const sizes = { workerNum, taskWorkerNum, userNum: users.length };
    this.addresses = new Addresses(sizes, mode === 'base');
    this.table = new WorkerTable(this.addresses.slots);
    this.state = new ServerState(this.addresses.slots);
    const reactors = mode === 'base' ? ROWS_PER_SLOT * workerNum : 1;
    this.sessions = new SessionTable(settings.maxConnection, 0, reactors);
    this.bus = new Bus(this.addresses);
    try {
      this.channel = makeTaskChannel(settings, this.addresses, this.bus);
    } catch (error) {
      this.bus.close();
      throw error;
    }
  }

  get slowLog(): SlowLog | null {
    return this.logs.slowLog;
  }

  /** The callback of a port's event: its own, or the server's. */
  portCallback<Name extends keyof PortEvents>(
    port: number,
    event: Name,
  ): PortEvents[Name] | undefined {
    return this.ports[port]?.callback(event) ?? this.callbacks.get(event);
  }

  /** The mailbox of the process that holds a connection. */
  reactorAddress(reactor: number): number {
    return this.mode === 'process' ? this.addresses.master : this.addresses.row(reactor);
  }

  /** The CPU that a worker is bound to; null: none. */
  cpuOf(workerId: number): number | null {
    const { openCpuAffinity, cpuAffinityIgnore } = this.settings;
    if (!openCpuAffinity) return null;
    const cpus = Process.getAffinity().filter((cpu) => !cpuAffinityIgnore.includes(cpu));
    return cpus[workerId % cpus.length] ?? null;
  }

  /** In a process that accepts no connections. */
  closeListening(): void {
    for (const port of this.ports) port.closeListening();
  }

  close(): void {
    this.channel.close();
    this.bus.close();
    for (const port of this.ports) port.close();
    this.logs.close();
    for (const { pipe } of this.users) pipe?.closeBoth();
  }
}
