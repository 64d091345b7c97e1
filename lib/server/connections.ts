/**
 * The connections of clients, as any process of the server reaches them: by its own reactor, or by the
 * mailbox of the process that holds them.
 */
import { PreforkError } from '../errors';
import { ConnectionError } from './connection-error';
import { END, PAUSE, RESUME, SEND } from './bus/message';
import type { ServerContext } from './context';
import type { Reactor } from './reactor/reactor';
import type { Session } from './session';
import { RESPONSES } from './state';

/**
 * What may wait in this process for the master: it never waits for others, so a sender that is faster waits
 * for it. Otherwise one callback that sends a lot could fill what is there for all clients, and go far over
 * the limit of its own, which only the master knows to be reached.
 */
const MOST_FOR_MASTER = 1024 * 1024;
const PATIENCE_MS = 10_000;

/** The same for another worker of base mode, which may wait for this one. */
const MOST_FOR_WORKER = 64 * 1024 * 1024;

const GRACEFUL = 0;
const RESET = 1;

export class Connections {
  readonly #context: ServerContext;
  readonly #reactor: Reactor | null;

  /** @param reactor - this process's own */
  constructor(context: ServerContext, reactor: Reactor | null) {
    this.#context = context;
    this.#reactor = reactor;
  }

  /** @throws PreforkError ERR_SESSION_NOT_EXIST, ERR_SESSION_CLOSED, ERR_DATA_TOO_LARGE, ERR_OUTPUT_OVERFLOW */
  send(fd: number, data: Buffer): void {
    const { settings, state } = this.#context;
    if (data.length > settings.outputBufferSize) {
      throw new PreforkError(
        'ERR_DATA_TOO_LARGE',
        `${data.length} bytes, the limit (outputBufferSize) is ${settings.outputBufferSize}`,
      );
    }
    const session = this.#openSession(fd);
    this.#checkQueued(session);
    if (this.#isOwn(session)) this.#reactor?.send(fd, data);
    else this.#post(session, data);
    state.add(RESPONSES);
  }

  #post({ id, reactor }: Session, data: Buffer): void {
    const { bus, mode } = this.#context;
    const to = this.#context.reactorAddress(reactor);
    const waiting = bus.waitingBytes(to);
    const most = mode === 'process' ? MOST_FOR_MASTER : MOST_FOR_WORKER;
    if (waiting < most) bus.post(to, SEND, id, data);
    else if (mode === 'base' || !bus.sendWithin(to, SEND, id, data, 0, PATIENCE_MS)) {
      throw overflow(id, waiting, 'of its pipe', most);
    }
  }

  /** @throws PreforkError ERR_SESSION_NOT_EXIST, ERR_SESSION_CLOSED */
  close(fd: number, reset: boolean): void {
    const session = this.#openSession(fd);
    session.beginClose();
    this.end(session, reset);
  }

  /** The answer of a worker to the end of a peer, too. */
  end(session: Session, reset = false): void {
    const { bus } = this.#context;
    if (this.#isOwn(session)) this.#reactor?.end(session.id, reset);
    else {
      const to = this.#context.reactorAddress(session.reactor);
      bus.post(to, END, session.id, undefined, reset ? RESET : GRACEFUL);
    }
  }

  /** @throws PreforkError ERR_SESSION_NOT_EXIST, ERR_SESSION_CLOSED */
  pause(fd: number, on: boolean): void {
    const session = this.#openSession(fd);
    if (this.#isOwn(session)) this.#reactor?.pause(fd, on);
    else {
      const to = this.#context.reactorAddress(session.reactor);
      this.#context.bus.post(to, on ? PAUSE : RESUME, fd);
    }
  }

  /** In the process that holds the connections: what others have asked for. @returns whether it was that */
  handle(type: number, kind: number, id: number, data: Buffer): boolean {
    const reactor = this.#reactor;
    switch (type) {
      case SEND:
        reactor?.send(id, data);
        return true;
      case END:
        reactor?.end(id, kind === RESET);
        return true;
      case PAUSE:
      case RESUME:
        reactor?.pause(id, type === PAUSE);
        return true;
      default:
        return false;
    }
  }

  #isOwn(session: Session): boolean {
    return this.#reactor !== null && session.reactor === this.#reactor.id;
  }

  #openSession(fd: number): Session {
    const session = this.#context.sessions.get(fd);
    if (session.state === 'open') return session;
    throw new ConnectionError('ERR_SESSION_CLOSED', fd, `session ${fd} has been closed`);
  }

  #checkQueued(session: Session): void {
    const own = this.#isOwn(session);
    const queued = own ? (this.#reactor?.queuedBytes(session.id) ?? 0) : session.sendQueuedBytes;
    const limit = this.#context.ports[session.port]?.setting.socketBufferSize ?? 0;
    if (queued >= limit) throw overflow(session.id, queued, 'socketBufferSize', limit);
  }
}

function overflow(id: number, bytes: number, name: string, most: number): ConnectionError {
  return new ConnectionError(
    'ERR_OUTPUT_OVERFLOW',
    id,
    `${bytes} bytes wait to be sent to session ${id}, the limit (${name}) is ${most}`,
  );
}
