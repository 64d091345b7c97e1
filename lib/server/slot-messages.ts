/**
 * What comes in the mailbox of a worker id: in process mode what the master's reactor tells of its
 * connections, in both modes what other processes send to this worker. See bus/message.ts.
 */
import { ownedPart } from '../ipc/owned-copy';
import {
  BUFFER_EMPTY,
  BUFFER_FULL,
  CLOSE,
  CONNECT,
  PACKET,
  PIPE_MESSAGE,
  RECEIVE,
  type MessageHandler,
} from './bus/message';
import type { ConnectionEvents } from './connection-events';
import type { ServerContext } from './context';
import { decodeDatagram } from './datagrams';
import { deliversConnectionEvents } from './dispatch';
import { BY_PEER, BY_SERVER, type CloseReason } from './reactor/connection';
import type { Requests } from './requests';
import type { Session } from './session';
import type { SessionError } from './session-table';

/** The reactor of the master. */
const MASTER_REACTOR = 0;

export interface SlotMessagesOptions {
  context: ServerContext;
  workerId: number;
  events: ConnectionEvents;
  requests: Requests;
  /** Answers the master that a connection may end. */
  end: (session: Session) => void;
}

export class SlotMessages {
  readonly #options: SlotMessagesOptions;
  readonly #deliversEvents: boolean;

  constructor(options: SlotMessagesOptions) {
    this.#options = options;
    const { dispatchMode, enableUnsafeEvent } = options.context.settings;
    this.#deliversEvents = deliversConnectionEvents(dispatchMode, enableUnsafeEvent);
  }

  readonly handle: MessageHandler = (type, kind, id, from, data) => {
    const { context, workerId, events, requests } = this.#options;
    switch (type) {
      case RECEIVE:
        context.table.countTaken(workerId, 1);
        this.#receive(id, data);
        return;
      case PACKET:
        context.table.countTaken(workerId, 1);
        this.#datagram(id, data);
        return;
      case PIPE_MESSAGE:
        events.pipeMessage(from, kind, ownedPart(data));
        break;
      default:
        this.#onConnectionEvent(type, kind, id);
    }
    requests.countHandled();
  };

  /** It counts as no request. */
  #onConnectionEvent(type: number, kind: number, id: number): void {
    const { context, events } = this.#options;
    const session = context.sessions.find(id);
    if (type === CLOSE) this.#close(id, kind as CloseReason, session);
    // Also when it has been closed meanwhile: who counts connections hears of its end as well.
    if (type === CONNECT) events.connect(id, this.#portOf(id, session), MASTER_REACTOR);
    if (typeof session === 'string') return;
    if (type === BUFFER_FULL) events.watermark('bufferFull', id, session.port);
    if (type === BUFFER_EMPTY) events.watermark('bufferEmpty', id, session.port);
  }

  #close(id: number, reason: CloseReason, session: Session | SessionError): void {
    const { events, requests, end } = this.#options;
    const port = this.#portOf(id, session);
    const closed = (): void => {
      if (this.#deliversEvents) events.close(id, port, reason === BY_PEER ? MASTER_REACTOR : -1);
      if (reason !== BY_SERVER && typeof session !== 'string') end(session);
    };
    if (reason === BY_SERVER) closed();
    else requests.afterSession(id, closed);
  }

  #receive(id: number, data: Buffer): void {
    const { context, events, requests } = this.#options;
    const session = context.sessions.find(id);
    const isOpen = typeof session !== 'string' && session.state === 'open';
    // Its connection has ended while the data lay in the mailbox.
    if (!isOpen && context.settings.discardTimeoutRequest) {
      requests.countHandled();
      return;
    }
    events.receive(id, this.#portOf(id, session), MASTER_REACTOR, ownedPart(data));
  }

  #datagram(port: number, bytes: Buffer): void {
    const { data, address, port: from } = decodeDatagram(bytes);
    this.#options.events.packet(port, data, address, from);
  }

  #portOf(id: number, session: Session | SessionError): number {
    return typeof session === 'string' ? this.#options.context.sessions.portOf(id) : session.port;
  }
}
