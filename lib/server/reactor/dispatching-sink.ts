/**
 * Process mode: gives the events of the master's connections to event workers, by their mailboxes. A
 * worker whose mailbox is full is fed no more until it has room: its clients' data stay in the kernel.
 */
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import { BUFFER_EMPTY, BUFFER_FULL, CLOSE, CONNECT, RECEIVE } from '../bus/message';
import {
  CLOSE as CLOSE_CONNECTION,
  deliversConnectionEvents,
  DISCARD,
  DISPATCH_CLOSE,
  DISPATCH_CONNECT,
  DISPATCH_DATA,
  Dispatcher,
  type DispatchFunc,
  type DispatchType,
  type Source,
  type Workers,
} from '../dispatch';
import { STAGE_READY, type WorkerTable } from '../../pool/worker-table';
import type { ServerContext } from '../context';
import { DISPATCHED, ROUND, type ServerState } from '../state';
import { RareWarning } from '../rare-warning';
import { BY_SERVER, type CloseReason, type Connection } from './connection';
import type { Reactor, Sink } from './reactor';

/** From so many bytes on, waiting for one worker, its connections are not read. */
const MAX_WAITING_BYTES = 1024 * 1024;

class TableWorkers implements Workers {
  constructor(
    readonly workerNum: number,
    private readonly table: WorkerTable,
    private readonly state: ServerState,
  ) {}

  isIdle(workerId: number): boolean {
    const row = this.table.current(workerId);
    return row?.stage === STAGE_READY && row.busy === 0 && this.table.queued(workerId) <= 0;
  }

  nextRound(): number {
    return this.state.add(ROUND);
  }
}

export class DispatchingSink implements Sink {
  readonly #addresses: Addresses;
  readonly #bus: Bus;
  readonly #table: WorkerTable;
  readonly #state: ServerState;
  readonly #dispatcher: Dispatcher;
  readonly #sendsEvents: boolean;
  #reactor: Reactor | null = null;
  readonly #allBusy = new RareWarning('PREFORK_NO_IDLE_WORKER');
  #stopped = false;

  constructor(context: ServerContext) {
    const { addresses, bus, table, state, settings, server } = context;
    this.#addresses = addresses;
    this.#bus = bus;
    this.#table = table;
    this.#state = state;
    const { dispatchMode, enableUnsafeEvent, workerNum } = settings;
    const func = settings.dispatchFunc as DispatchFunc<typeof server> | null;
    this.#sendsEvents = deliversConnectionEvents(dispatchMode, enableUnsafeEvent);
    this.#dispatcher = new Dispatcher(
      new TableWorkers(workerNum, table, state),
      dispatchMode,
      func === null ? null : (fd, type, data) => func(server, fd, type, data),
      () => {
        this.#allBusy.tell('no event worker is idle: requests wait in the mailboxes of busy ones');
      },
    );
    for (let worker = 0; worker < workerNum; worker++) {
      bus.onDrain(addresses.slot(worker), () => this.#reactor?.resumeReading(worker));
    }
  }

  attach(reactor: Reactor): void {
    this.#reactor = reactor;
  }

  /** No worker is left to hear of anything. */
  stop(): void {
    this.#stopped = true;
  }

  connect(connection: Connection): void {
    const worker = this.#choose(connection, DISPATCH_CONNECT, null);
    if (worker < 0) return;
    connection.session.worker = worker;
    if (this.#sendsEvents) this.#post(worker, CONNECT, connection.id);
  }

  receive(connection: Connection, data: Buffer): boolean {
    const worker = this.#choose(connection, DISPATCH_DATA, data);
    if (worker < 0) return true;
    connection.session.worker = worker;
    this.#state.add(DISPATCHED);
    this.#table.countSent(worker, 1);
    this.#bus.post(this.#addresses.slot(worker), RECEIVE, connection.id, data);
    return this.#bus.waitingBytes(this.#addresses.slot(worker)) < MAX_WAITING_BYTES;
  }

  /** To the worker that got its data, so that it comes after them; also where events are not delivered. */
  close(connection: Connection, reason: CloseReason): void {
    const worker =
      connection.worker >= 0 ? connection.worker : this.#choose(connection, DISPATCH_CLOSE, null);
    const wantsAnswer = reason !== BY_SERVER;
    if (worker >= 0 && (this.#sendsEvents || wantsAnswer)) {
      this.#post(worker, CLOSE, connection.id, reason);
    } else if (wantsAnswer) this.#reactor?.end(connection.id, false);
  }

  bufferFull({ worker, id }: Connection): void {
    if (this.#sendsEvents && worker >= 0) this.#post(worker, BUFFER_FULL, id);
  }

  bufferEmpty({ worker, id }: Connection): void {
    if (this.#sendsEvents && worker >= 0) this.#post(worker, BUFFER_EMPTY, id);
  }

  #post(worker: number, type: number, id: number, kind = 0): void {
    if (!this.#stopped) this.#bus.post(this.#addresses.slot(worker), type, id, undefined, kind);
  }

  /** A datagram has no connection.  @returns a worker, or a negative number: nobody gets it */
  chooseForDatagram(fd: number, address: string, data: Buffer): number {
    return this.#chooseOrWarn({ fd, uid: null, address }, DISPATCH_DATA, data);
  }

  #choose(connection: Connection, type: DispatchType, data: Buffer | null): number {
    const worker = this.#chooseOrWarn(connection.source, type, data);
    if (worker >= 0) connection.worker = worker;
    else if (worker === CLOSE_CONNECTION) this.#reactor?.end(connection.id, false);
    return worker;
  }

  /** A dispatchFunc that fails must not end the master with all its connections. */
  #chooseOrWarn(source: Source, type: DispatchType, data: Buffer | null): number {
    try {
      return this.#dispatcher.choose(source, type, data);
    } catch (error) {
      process.emitWarning(`a packet was discarded: ${(error as Error).message}`, {
        type: 'PreforkWarning',
        code: 'PREFORK_DISPATCH_FAILED',
      });
      return DISCARD;
    }
  }
}
