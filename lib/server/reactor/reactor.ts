/**
 * The reactor: holds the connections of clients in one process, reads and frames what they send, writes
 * what is sent to them. In process mode the master is one, in base mode each event worker.
 *
 *   epoll --turn--> read all that are ready -> framing -> sink (a worker) ... send() -> queue -> flush
 *
 * All of a turn is read with few calls of the kernel, and what its handlers send leaves at its end.
 * See epoll(7).
 */
import { setTimeout as nextTurn } from 'node:timers/promises';
import { binding } from '../../binding';
import { onChildReset } from '../../process/child-reset';
import type { PreforkError } from '../../errors';
import { RareWarning } from '../rare-warning';
import { CLOSED } from '../state';
import type { Connection } from './connection';
import { BY_PEER, BY_SERVER, UNREADABLE, type CloseReason } from './connection';
import { Entrance, type EntranceOptions } from './entrance';
import { EpollSet, READS, WRITES } from './epoll-set';
import { FlushQueue } from './flush-queue';
import { Heartbeat } from './heartbeat';

/** Where the events of connections go. */
export interface Sink {
  connect(connection: Connection): void;
  /** @param data - good until this returns.  @returns false: read no more of it until resumeReading() */
  receive(connection: Connection, data: Buffer): boolean;
  /** The answer to any reason but BY_SERVER is end(): until then what is sent to it still leaves. */
  close(connection: Connection, reason: CloseReason): void;
  bufferFull(connection: Connection): void;
  bufferEmpty(connection: Connection): void;
}

export interface ReactorOptions extends EntranceOptions {
  sink: Sink;
  /** Around each turn. */
  turn: { begin(): void; end(): void };
}

/** How often it is looked whether a packet is whole. */
const UNFINISHED_CHECK_MS = 5;

/** Up to this a copy costs less than a call of the kernel of its own. */
const LONGEST_JOINED = 1024;

/** Those of this process, which its children have to let go. */
const reactors = new Set<Reactor>();

onChildReset(() => {
  for (const reactor of reactors) reactor.abandon();
  reactors.clear();
});

export class Reactor {
  readonly #options: ReactorOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #entrance: Entrance;
  readonly #heartbeat: Heartbeat;
  readonly #epoll: EpollSet;
  readonly #flushes = new FlushQueue((connection) => {
    this.#flushOne(connection);
  });
  readonly #unreadable = new RareWarning('PREFORK_BAD_PACKET');
  #reading = true;
  #now = Date.now();
  #whenEmpty: (() => void) | null = null;
  receivedBytes = 0;
  sentBytes = 0;

  constructor(options: ReactorOptions) {
    this.#options = options;
    this.#epoll = new EpollSet({
      onData: (id, chunk) => {
        this.#with(id, (connection) => {
          this.#receive(connection, chunk);
        });
      },
      onWritable: (id) => {
        this.#with(id, (connection) => {
          this.#flushes.add(connection);
        });
      },
      onEnd: (id, gone) => {
        this.#with(id, (connection) => {
          this.#peerEnded(connection, gone);
        });
      },
    });
    this.#entrance = new Entrance(options, (connection) => {
      this.#adopt(connection);
    });
    this.#heartbeat = new Heartbeat(options.ports, this.#connections, (connection) => {
      // Who has been silent for so long does not read either.
      this.end(connection.id, connection.queuedBytes > 0);
    });
    reactors.add(this);
  }

  get id(): number {
    return this.#options.id;
  }

  start(): void {
    this.#entrance.open();
    this.#epoll.start(() => {
      this.#turn();
    });
    this.#heartbeat.start();
  }

  stopAccepting(): void {
    this.#entrance.close();
  }

  /**
   * Reads on until no connection is in the middle of a packet, or new and silent, or `timeoutMs` is over.
   * Then what clients send stays in the kernel.
   */
  async finishReading(timeoutMs: number): Promise<void> {
    this.#turn();
    const end = performance.now() + timeoutMs;
    while (performance.now() < end) {
      if (![...this.#connections.values()].some(({ unfinished }) => unfinished)) break;
      await nextTurn(UNFINISHED_CHECK_MS);
    }
    this.stopReading();
  }

  /** What clients send stays in the kernel. */
  stopReading(): void {
    this.#reading = false;
    for (const connection of this.#connections.values()) this.#watch(connection);
  }

  /**
   * Queues data for a connection. The caller may use its buffer again at once.
   *
   * @returns false when the connection is not there any more
   */
  send(id: number, data: Buffer): boolean {
    const connection = this.#connections.get(id);
    if (connection === undefined || connection.state === 'ending') return false;
    if (data.length <= LONGEST_JOINED) {
      connection.push(Buffer.from(data));
      this.#flushes.add(connection);
    } else {
      connection.push(data);
      this.#flushOne(connection, true);
    }
    return true;
  }

  queuedBytes(id: number): number {
    return this.#connections.get(id)?.queuedBytes ?? 0;
  }

  /** Closes a connection: once all is sent, or at once with a reset. */
  end(id: number, reset: boolean): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    connection.session.beginClose();
    if (connection.state === 'inputEnded') connection.toldWorker = true;
    if (reset) {
      this.#remove(connection, true);
      return;
    }
    connection.state = 'ending';
    this.#watch(connection);
    this.#flushes.add(connection);
  }

  pause(id: number, on: boolean): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    connection.paused = on;
    this.#watch(connection);
  }

  /** Those whose worker had too much to do. */
  resumeReading(worker: number): void {
    for (const connection of this.#connections.values()) {
      if (!connection.congested || connection.worker !== worker) continue;
      connection.congested = false;
      this.#watch(connection);
    }
  }

  /** A worker has died, and maybe the news with it that no packet comes any more. */
  repeatClose(worker: number): void {
    for (const connection of this.#connections.values()) {
      if (connection.state === 'inputEnded' && connection.worker === worker) {
        this.#options.sink.close(connection, connection.endedBy);
      }
    }
  }

  /** Ends all connections; resolves when what was sent to them has left, or `timeoutMs` is over. */
  async close(timeoutMs: number): Promise<void> {
    this.stopAccepting();
    this.#heartbeat.stop();
    for (const id of [...this.#connections.keys()]) this.end(id, false);
    this.#flushes.flush();
    if (this.#connections.size > 0) await this.#emptied(timeoutMs);
    for (const connection of [...this.#connections.values()]) this.#remove(connection, false);
    this.#epoll.close();
    reactors.delete(this);
  }

  /** In a child of this process: its copies of the fds would keep the connections open. */
  abandon(): void {
    for (const { fd } of this.#connections.values()) binding.closeFd(fd);
    this.#connections.clear();
    this.#epoll.abandon();
  }

  #with(id: number, act: (connection: Connection) => void): void {
    const connection = this.#connections.get(id);
    if (connection !== undefined) act(connection);
  }

  #emptied(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      setTimeout(resolve, timeoutMs).unref();
    });
  }

  #adopt(connection: Connection): void {
    this.#connections.set(connection.id, connection);
    this.#begin();
    try {
      this.#watch(connection);
      this.#options.sink.connect(connection);
    } catch (error) {
      // The kernel has no room to watch it, say.
      this.#remove(connection, true);
      throw error;
    } finally {
      this.#end();
    }
  }

  #turn(): void {
    this.#now = Date.now();
    this.#begin();
    this.#epoll.turn();
    this.#end();
  }

  #receive(connection: Connection, chunk: Buffer): void {
    if (connection.state !== 'open') return;
    const { sink } = this.#options;
    this.receivedBytes += chunk.length;
    connection.session.lastReceivedAt = this.#now;
    const { framing } = connection;
    for (const packet of framing.push(chunk)) {
      if (!sink.receive(connection, packet)) connection.congested = true;
    }
    if (framing.failure !== null) this.#refuseInput(connection, framing.failure);
    else if (connection.congested) this.#watch(connection);
  }

  /** @param gone - it will not read either */
  #peerEnded(connection: Connection, gone: boolean): void {
    if (gone) {
      connection.drop();
      connection.session.beginClose();
    }
    if (connection.state === 'open') this.#inputEnded(connection, BY_PEER);
    else if (gone && connection.state === 'ending') this.#remove(connection, false);
    else this.#watch(connection);
  }

  /** Where its next packet starts is unknown. Those that came before are still answered. */
  #refuseInput(connection: Connection, why: PreforkError): void {
    const { remoteAddress } = connection.session;
    const from = remoteAddress === '' ? '' : ` from ${remoteAddress}`;
    const cause = why.cause instanceof Error ? `: ${why.cause.message}` : '';
    this.#unreadable.tell(`connection ${connection.id}${from} is closed: ${why.message}${cause}`);
    if (connection.state === 'open') this.#inputEnded(connection, UNREADABLE);
  }

  #inputEnded(connection: Connection, reason: CloseReason): void {
    connection.state = 'inputEnded';
    connection.endedBy = reason;
    this.#watch(connection);
    this.#options.sink.close(connection, reason);
  }

  #begin(): void {
    this.#flushes.cork();
    this.#options.turn.begin();
  }

  #end(): void {
    this.#flushes.uncork();
    this.#options.turn.end();
  }

  /** Inside this, what is sent leaves at the end. */
  cork(): void {
    this.#flushes.cork();
  }

  uncork(): void {
    this.#flushes.uncork();
  }

  /** @param borrowed - as for the connection's flush() */
  #flushOne(connection: Connection, borrowed = false): void {
    if (connection.state === 'closed') return;
    if (connection.queuedBytes > 0) {
      const sent = connection.flush(borrowed);
      if (sent < 0) {
        this.#peerEnded(connection, true);
        return;
      }
      this.sentBytes += sent;
      connection.session.lastSentAt = Date.now();
    }
    connection.session.sendQueuedBytes = Math.min(connection.queuedBytes, 0x7fffffff);
    if (connection.state === 'ending' && connection.queuedBytes === 0) {
      this.#remove(connection, false);
      return;
    }
    this.#watch(connection);
    const crossed = connection.crossedWatermark();
    if (crossed !== null) this.#options.sink[crossed](connection);
  }

  /** Tells epoll what this connection waits for now. One that waits for nothing is taken out: a peer that
   * is gone would be reported again and again. */
  #watch(connection: Connection): void {
    if (connection.state === 'closed') return;
    const { state, paused, congested, queuedBytes, fd, id, watched } = connection;
    const reads = state === 'open' && this.#reading && !paused && !congested;
    const wanted = (reads ? READS : 0) | (queuedBytes > 0 ? WRITES : 0);
    connection.watched = wanted;
    this.#epoll.watch(fd, id, watched, wanted);
  }

  #remove(connection: Connection, reset: boolean): void {
    const { session, toldWorker } = connection;
    connection.drop();
    // A child that was just forked may hold the fd open, and epoll would go on to tell of it.
    this.#epoll.watch(connection.fd, session.id, connection.watched, 0);
    connection.watched = 0;
    connection.close(reset);
    this.#connections.delete(session.id);
    session.beginClose();
    if (!toldWorker) this.#options.sink.close(connection, BY_SERVER);
    this.#options.sessions.close(session.id);
    this.#options.state.add(CLOSED);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }
}
