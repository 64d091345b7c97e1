/** Clients of a reactor that exist only here: their sockets, and the epoll set that watches those. */
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { alignUp } from '../../../../lib/ipc/aligned-buffer';
import { systemError } from '../../../../lib/errors';
import type { ServerPort } from '../../../../lib/server/port';
import { FakeWatcher, type FakeKernel } from '../../fake-kernel';

export const READS = 1;
export const WRITES = 4;
const HANG_UP = 16;

const REMOVE = 2;
const EAGAIN = -11;
const ECONNRESET = -104;
const MOST_EVENTS = 64;
const LONGEST_READ = 65_536;

export class FakeClient {
  /** What it has sent and the server has not read. */
  input: Buffer[] = [];
  /** What the server has sent to it, call by call. */
  readonly writes: string[] = [];
  /** Bytes that it still takes. */
  room = Infinity;
  /** It sends no more. */
  ended = false;
  /** It is not there any more. */
  gone = false;
  /** How the server has closed its side. */
  closed: 'no' | 'shut down' | 'reset' = 'no';
  noDelay = false;

  constructor(
    readonly fd: number,
    readonly name: [address: string, port: number],
  ) {}

  /** All that it got. */
  get received(): string {
    return this.writes.join('');
  }

  write(data: string | Buffer): void {
    this.input.push(Buffer.from(data));
  }

  /** Sends no more, but still reads. */
  end(): void {
    this.ended = true;
  }

  /** Is gone at once, without reading anything. */
  vanish(): void {
    this.gone = true;
    this.input = [];
  }

  receive(room: Uint8Array): number {
    if (this.gone) return ECONNRESET;
    const next = this.input.shift();
    if (next === undefined) return this.ended ? 0 : EAGAIN;
    const taken = Math.min(next.length, room.length, LONGEST_READ);
    room.set(next.subarray(0, taken));
    if (taken < next.length) this.input.unshift(next.subarray(taken));
    return taken;
  }

  send(data: Uint8Array): number {
    if (this.gone) throw systemError('EPIPE', 'send', 'broken pipe');
    const taken = Math.min(data.length, this.room);
    this.room -= taken;
    if (taken > 0) this.writes.push(Buffer.from(data.subarray(0, taken)).toString('latin1'));
    return taken;
  }
}

interface Watch {
  events: number;
  token: number;
}

/** Call it after `fakeKernel()`. */
export class FakeClients {
  readonly #kernel: FakeKernel;
  readonly #clients = new Map<number, FakeClient>();
  readonly #backlogs = new Map<number, FakeClient[]>();
  readonly watched = new Map<number, Watch>();
  epoll = -1;
  /** What accepting the next connection throws. */
  failure: Error | null = null;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
    sinon.stub(binding, 'accept').callsFake((fd) => this.#accept(fd));
    sinon.stub(binding, 'peerName').callsFake((fd) => this.of(fd).name);
    sinon.stub(binding, 'setNoDelay').callsFake((fd) => {
      this.of(fd).noDelay = true;
    });
    sinon.stub(binding, 'send').callsFake((fd, data) => this.of(fd).send(data));
    sinon.stub(binding, 'receive').callsFake((fd, buffer) => this.of(fd).receive(buffer));
    sinon.stub(binding, 'shutdown').callsFake((fd) => {
      if (this.of(fd).gone) throw systemError('ENOTCONN', 'shutdown', 'not connected');
      this.of(fd).closed = 'shut down';
    });
    sinon.stub(binding, 'resetOnClose').callsFake((fd) => {
      this.of(fd).closed = 'reset';
    });
    this.#stubEpoll();
  }

  of(fd: number): FakeClient {
    const client = this.#clients.get(fd);
    if (client === undefined) throw new Error(`fd ${String(fd)} is no client`);
    return client;
  }

  /** It waits in the backlog of a port until {@link accepts}. */
  knock(port: ServerPort, name: [string, number] = ['10.0.0.1', 40_000]): FakeClient {
    const client = new FakeClient(this.#kernel.openFd(), name);
    this.#clients.set(client.fd, client);
    const fd = port.stream?.fd ?? -1;
    this.#backlogs.set(fd, [...(this.#backlogs.get(fd) ?? []), client]);
    return client;
  }

  /** The event loop says that somebody waits at a port. */
  accepts(port: ServerPort): void {
    FakeWatcher.of(port.stream?.fd ?? -1).fire(1);
  }

  connect(port: ServerPort, name?: [string, number]): FakeClient {
    const client = this.knock(port, name);
    this.accepts(port);
    return client;
  }

  waitingAt(port: ServerPort): number {
    return this.#backlogs.get(port.stream?.fd ?? -1)?.length ?? 0;
  }

  /** What epoll watches for a client. */
  eventsOf(client: FakeClient): number {
    return this.watched.get(client.fd)?.events ?? 0;
  }

  isOpen(client: FakeClient): boolean {
    return this.#kernel.openFds.has(client.fd);
  }

  /** The event loop comes round, as often as there is something to do. */
  turn(): void {
    for (let turns = 0; turns < 100 && this.#ready().length > 0; turns++) {
      FakeWatcher.of(this.epoll).fire(1);
    }
  }

  #accept(fd: number): number {
    if (this.failure !== null) throw this.failure;
    return this.#backlogs.get(fd)?.shift()?.fd ?? -1;
  }

  #stubEpoll(): void {
    sinon.stub(binding, 'epollCreate').callsFake(() => (this.epoll = this.#kernel.openFd()));
    sinon.stub(binding, 'epollControl').callsFake((_epoll, operation, fd, events, token) => {
      if (!this.#kernel.openFds.has(fd)) throw systemError('EBADF', 'epoll_ctl', 'closed');
      if (this.watched.has(fd) !== (operation !== 1)) throw new Error('epoll_ctl: EEXIST, ENOENT');
      if (operation === REMOVE) this.watched.delete(fd);
      else this.watched.set(fd, { events, token });
    });
    sinon.stub(binding, 'epollReceive').callsFake((_epoll, room, results) => {
      let at = 0;
      const ready = this.#ready().slice(0, MOST_EVENTS);
      ready.forEach(([client, { events, token }], i) => {
        const reported = this.#reported(client, events);
        const reads = (reported & (READS | HANG_UP)) !== 0;
        const received = reads ? client.receive(room.subarray(at)) : EAGAIN;
        at = alignUp(at + Math.max(0, received));
        results.set([token, reported, received], 3 * i);
      });
      return ready.length;
    });
  }

  #ready(): [FakeClient, Watch][] {
    const found: [FakeClient, Watch][] = [];
    for (const [fd, watch] of this.watched) {
      // The kernel forgets what is closed.
      if (!this.#kernel.openFds.has(fd)) this.watched.delete(fd);
      else if (this.#reported(this.of(fd), watch.events) !== 0) found.push([this.of(fd), watch]);
    }
    return found;
  }

  #reported(client: FakeClient, events: number): number {
    const readable = client.input.length > 0 || client.ended || client.gone;
    return (
      (readable ? events & READS : 0) |
      (client.room > 0 || client.gone ? events & WRITES : 0) |
      (client.gone ? HANG_UP : 0)
    );
  }
}
