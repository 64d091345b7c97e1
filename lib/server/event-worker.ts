/**
 * An event worker: runs the callbacks of connections.
 *
 *   process mode   master's reactor --slot mailbox--> callbacks --send(), close()--> master's mailbox
 *   base mode      own reactor -----------------> callbacks --send(), close()--> own reactor
 *
 *   standby   its predecessor still works on packets of the slot's mailbox: it waits for TAKE_OVER
 *   serving   reads the slot's mailbox; in base mode accepts
 *   draining  reads it no more: waits for its running requests and for the results of its tasks
 */
import type { WorkerRow } from '../pool/worker-table';
import { WorkerLife } from '../pool/worker-life';
import type { Inbox } from './bus/inbox';
import { TAKE_OVER } from './bus/message';
import { ConnectionEvents } from './connection-events';
import { Connections } from './connections';
import type { ServerContext } from './context';
import { ControlClient } from './control';
import { DatagramPorts } from './datagrams';
import { BY_PEER, BY_SERVER, type CloseReason, type Connection } from './reactor/connection';
import { Reactor, type Sink } from './reactor/reactor';
import { ownedCopy } from '../ipc/owned-copy';
import { RequestInbox } from './request-inbox';
import { requestLimit } from '../pool/request-limit';
import { Requests, type Outgoing } from './requests';
import type { Role } from './role';
import { SlotMessages } from './slot-messages';
import { TaskClient } from './task/task-client';

/** The part of maxWaitTime that replies may take to leave, in base mode. */
const FLUSH_PART = 0.8;
const FLUSH_MS = 10_000;

/** How long clients that have just connected, or sent a part of a packet, may take for the rest. */
const UNFINISHED_PART = 0.2;
const UNFINISHED_MS = 300;

/** It may have meant to do more, for other clients. */
function warnOfAbortedCallback(error: Error): void {
  process.emitWarning(`a callback was cut short by another's client: ${error.message}`, {
    type: 'PreforkWarning',
    code: 'PREFORK_CLIENT_GONE',
  });
}

export class EventWorker implements Role, Sink {
  readonly workerId: number;
  readonly isTaskWorker = false;
  readonly connections: Connections;
  readonly tasks: TaskClient;
  readonly #context: ServerContext;
  readonly #row: WorkerRow;
  readonly #life: WorkerLife;
  readonly #requests: Requests;
  readonly #events: ConnectionEvents;
  readonly #slotInbox: RequestInbox;
  readonly #rowInbox: Inbox;
  readonly #reactor: Reactor | null;
  readonly #control: ControlClient;
  readonly #datagrams: DatagramPorts | null;
  #standby: boolean;

  constructor(context: ServerContext, workerId: number, row: WorkerRow, standby: boolean) {
    const { addresses, bus, settings, state, table, channel } = context;
    this.#context = context;
    this.workerId = workerId;
    this.#row = row;
    this.#standby = standby;
    const replyAddress = addresses.row(row.index);
    bus.adopt(replyAddress);
    this.#control = new ControlClient(context);
    this.#life = this.#makeLife();
    this.#requests = this.#makeRequests();
    this.#events = new ConnectionEvents(context, this.#requests);
    this.#slotInbox = new RequestInbox(context, workerId, row, {
      handler: this.#makeMessages().handle,
      onTurn: this.#turn,
    });
    this.#rowInbox = bus.inbox(replyAddress, {
      handler: this.#onReply,
      onTurn: this.#turn,
      inBatches: true,
    });
    const isBase = context.mode === 'base';
    this.#reactor = isBase ? this.#makeReactor() : null;
    this.#datagrams = isBase ? new DatagramPorts(context, this.#onOwnDatagram) : null;
    this.connections = new Connections(context, this.#reactor);
    const own = { workerId, replyAddress, taskRow: row.index, inbox: this.#rowInbox };
    const shared = { bus, state, table, addresses, settings, channel };
    const finish = (taskId: number, result: unknown): void => {
      this.#events.finish(taskId, result);
    };
    this.tasks = new TaskClient({ ...shared, ...own, call: { finish } });
  }

  /** In a new process, once. */
  async run(): Promise<void> {
    const { callbacks, server } = this.#context;
    this.#life.settleIn();
    process.once('exit', () => {
      this.#context.bus.flush();
    });
    this.#context.logs.reopenOnSignal();
    this.#startSlowLog();
    this.#rowInbox.start();
    await callbacks.call('workerStart', server, this.workerId);
    if (!this.#life.ready()) return;
    this.#context.logs.catchUp();
    this.#control.ready();
    if (!this.#standby) this.#slotInbox.start();
    this.#reactor?.start();
    this.#datagrams?.start();
  }

  stop(): void {
    this.#life.stop();
  }

  // What the reactor of base mode tells.

  connect({ id, session }: Connection): void {
    session.worker = this.workerId;
    this.#events.connect(id, session.port, this.workerId);
  }

  receive({ id, session }: Connection, data: Buffer): boolean {
    this.#row.taken++;
    // The reactor reads into memory that it uses again.
    this.#events.receive(id, session.port, this.workerId, ownedCopy(data));
    return true;
  }

  close({ id, session }: Connection, reason: CloseReason): void {
    const closed = (): void => {
      this.#events.close(id, session.port, reason === BY_PEER ? this.workerId : -1);
      if (reason !== BY_SERVER) this.#reactor?.end(id, false);
    };
    if (reason === BY_SERVER) closed();
    else this.#requests.afterSession(id, closed);
  }

  bufferFull({ id, session }: Connection): void {
    this.#events.watermark('bufferFull', id, session.port);
  }

  bufferEmpty({ id, session }: Connection): void {
    this.#events.watermark('bufferEmpty', id, session.port);
  }

  #makeLife(): WorkerLife {
    const { server, settings, callbacks } = this.#context;
    const { workerId } = this;
    return new WorkerLife(this.#row, {
      name: `event worker ${workerId}`,
      title: null,
      privileges: settings,
      cpu: this.#context.cpuOf(workerId),
      maxWaitTime: settings.maxWaitTime,
      drain: () => this.#drain(),
      onExitTick: callbacks.has('workerExit')
        ? () => callbacks.call('workerExit', server, workerId)
        : null,
      onEnd: () => callbacks.call('workerStop', server, workerId),
    });
  }

  #makeRequests(): Requests {
    const { settings, slowLog, mode, bus, addresses } = this.#context;
    const outgoing: Outgoing = {
      afterFlush: (listener) => {
        bus.afterFlush(listener);
      },
      whenLeft: () => bus.whenLeft(addresses.master),
    };
    return new Requests({
      row: this.#row,
      outgoing: mode === 'process' ? outgoing : null,
      slowLog: settings.traceEventWorker ? slowLog : null,
      limit: requestLimit(settings.maxRequest, settings.maxRequestGrace),
      onLimit: () => {
        this.#makeRoom();
      },
      onClientsFault: (error, isOwn) => {
        if (this.#context.server.exists(error.fd)) this.connections.close(error.fd, true);
        if (!isOwn) warnOfAbortedCallback(error);
      },
    });
  }

  #makeMessages(): SlotMessages {
    return new SlotMessages({
      context: this.#context,
      workerId: this.workerId,
      events: this.#events,
      requests: this.#requests,
      end: (session) => {
        this.connections.end(session);
      },
    });
  }

  /** The manager starts a successor at once, and this worker ends when it has done its work. */
  #makeRoom(): void {
    if (this.#life.stopping) return;
    this.#control.replace();
    this.#life.stop();
  }

  #makeReactor(): Reactor {
    const { ports, sessions, state } = this.#context;
    return new Reactor({
      id: this.#row.index,
      ports,
      sessions,
      state,
      sink: this,
      turn: this.#context.bus,
      acceptsPerTurn: 1,
    });
  }

  #startSlowLog(): void {
    const { slowLog, settings } = this.#context;
    if (!settings.traceEventWorker) return;
    slowLog?.start(settings.requestSlowlogTimeout, this.workerId);
  }

  /** Around the messages of one turn: what their handlers send leaves at the end. */
  readonly #turn = {
    begin: (): void => {
      this.#context.bus.begin();
      this.#reactor?.cork();
    },
    end: (): void => {
      this.#reactor?.uncork();
      this.#context.bus.end();
    },
  };

  readonly #onOwnDatagram = (port: number, data: Buffer, address: string, from: number): void => {
    this.#row.taken++;
    this.#events.packet(port, data, address, from);
  };

  readonly #onReply = (
    type: number,
    kind: number,
    id: number,
    from: number,
    data: Buffer,
  ): void => {
    if (this.connections.handle(type, kind, id, data)) return;
    if (this.tasks.handle(type, kind, id, from, data)) return;
    // One that was sent to the process that had this mailbox before is of no use.
    if (type === TAKE_OVER && id === process.pid && this.#standby) {
      this.#standby = false;
      if (!this.#life.stopping) this.#slotInbox.start();
    }
  };

  async #drain(): Promise<void> {
    const { bus, addresses, settings, state } = this.#context;
    this.#datagrams?.stop();
    this.#reactor?.stopAccepting();
    // Not even what is there already in this turn.
    if (this.#reactor === null) this.#slotInbox.stop();
    await this.#reactor?.finishReading(
      Math.min(settings.maxWaitTime * UNFINISHED_PART, UNFINISHED_MS),
    );
    // Nobody comes after it: what is left in the mailbox is its own.
    if (state.stopping && !this.#standby) this.#slotInbox.drain();
    this.#slotInbox.stop();
    bus.flush();
    await bus.sent(addresses.master);
    this.#control.released();
    await this.#requests.idle();
    await this.tasks.idle();
    await this.#reactor?.close(settings.maxWaitTime * FLUSH_PART || FLUSH_MS);
    bus.flush();
    await bus.sent(addresses.master);
    this.#rowInbox.stop();
  }
}
