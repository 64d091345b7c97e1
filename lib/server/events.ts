/** The events of a server. Those of a port may be set on the port as well, which then come first. */
import { Callbacks } from '../callbacks';
import type { ReloadReport } from '../pool/reload';
import type { Server } from './server';

/** Where a datagram came from. */
export interface ClientAddress {
  /** Its address; of a unix socket its path. */
  address: string;
  /** Its port; 0 of a unix socket. */
  port: number;
  /** The server's port that it came to: its place in `server.ports`. */
  serverSocket: number;
  /** The number of the server's port that it came to. */
  serverPort: number;
}

/** What a worker has lost that ended abnormally. */
export interface ServerWorkerExit {
  /** Of its place. */
  workerId: number;
  /** Of the process that has ended. */
  pid: number;
  /** 0 to 255; -1: unknown, somebody else has reaped it. */
  code: number;
  /** The signal that ended it; 0: none. */
  signal: number;
  /** Requests that it had taken and not finished, at most: they are not delivered again. */
  lostRequests: number;
}

/** In event workers. */
export interface PortEvents {
  /** A client has connected. */
  connect: (server: Server, fd: number, reactorId: number) => unknown;
  /** A packet came: as the port's framing cuts it, else what one read has brought. */
  receive: (server: Server, fd: number, reactorId: number, data: Buffer) => unknown;
  /** A connection has ended; reactorId -1: it was closed by the server. */
  close: (server: Server, fd: number, reactorId: number) => unknown;
  /** A datagram came. */
  packet: (server: Server, data: Buffer, client: ClientAddress) => unknown;
  /** bufferHighWatermark is reached. */
  bufferFull: (server: Server, fd: number) => unknown;
  /** It has fallen to bufferLowWatermark again. */
  bufferEmpty: (server: Server, fd: number) => unknown;
}

export interface ServerEvents extends PortEvents {
  /** In the master, once all is ready to run. */
  start: (server: Server) => unknown;
  /** In the master, before anything is told to end. */
  beforeShutdown: (server: Server) => unknown;
  /** In the master, when all workers have ended. */
  shutdown: (server: Server) => unknown;
  /** In the manager; in base mode that is the master. */
  managerStart: (server: Server) => unknown;
  /** In the manager, when all workers have ended. */
  managerStop: (server: Server) => unknown;
  /** In the manager, before workers are replaced. */
  beforeReload: (server: Server) => unknown;
  /** In the manager, when they were. */
  afterReload: (server: Server, report: ReloadReport) => unknown;
  /** In the manager, when a worker ended abnormally. */
  workerError: (
    server: Server,
    workerId: number,
    pid: number,
    exitCode: number,
    signal: number,
    status: ServerWorkerExit,
  ) => unknown;
  /** In each event worker and task worker, first. */
  workerStart: (server: Server, workerId: number) => unknown;
  /** In a worker that ends in good order, last. */
  workerStop: (server: Server, workerId: number) => unknown;
  /** In a worker that was told to end, again and again until its event loop is empty. */
  workerExit: (server: Server, workerId: number) => unknown;
  /** In a task worker. What it returns, or what its promise resolves to, is the result. */
  task: (server: Server, taskId: number, srcWorkerId: number, data: unknown) => unknown;
  /** In the process that has submitted the task: a result. */
  finish: (server: Server, taskId: number, data: unknown) => unknown;
  /** A message of sendMessage(); srcWorkerId -1: of manager or master. */
  pipeMessage: (server: Server, srcWorkerId: number, data: unknown) => unknown;
}

export const PORT_EVENTS = [
  'connect',
  'receive',
  'close',
  'packet',
  'bufferFull',
  'bufferEmpty',
] as const satisfies readonly (keyof PortEvents)[];

const SERVER_EVENTS = [
  ...PORT_EVENTS,
  'start',
  'beforeShutdown',
  'shutdown',
  'managerStart',
  'managerStop',
  'beforeReload',
  'afterReload',
  'workerError',
  'workerStart',
  'workerStop',
  'workerExit',
  'task',
  'finish',
  'pipeMessage',
] as const satisfies readonly (keyof ServerEvents)[];

export class ServerCallbacks extends Callbacks<ServerEvents> {
  constructor() {
    super('a server', SERVER_EVENTS);
  }
}
