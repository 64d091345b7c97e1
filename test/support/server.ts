/**
 * Starts fixtures/server/server.js with callbacks that are written in the test. They are sent as source
 * text: they see their arguments and the globals below, nothing else of the test.
 *
 *   test --plan--> master ── manager ── workers      every process: --notes (stdout)--> test
 *     \--- run(pid, function): a file and a signal --> that process
 *
 * A string `TMP/name` in a plan is a file of the fixture's own: file('name') here.
 */
import { renameSync, writeFileSync } from 'node:fs';
import type { TcpNetConnectOpts } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { expect } from 'chai';
import type { ServerEvents } from '../../lib/server/events';
import type { PortOptions } from '../../lib/server/port-settings';
import type { SockType } from '../../lib/server/port';
import type { Server } from '../../lib/server/server';
import type { ServerMode, ServerOptions } from '../../lib/server/settings';
import type { Process } from '../../lib/process/process';
import { startFixture, type FixtureOptions, type FixtureResult } from './fixture';
import type { RunningFixture } from './fixture';
import { hasEnded } from './processes';
import { TcpClient } from './tcp-client';

declare global {
  /** In the server's processes: tells the test. */
  function note(kind: string, ...args: unknown[]): void;
  /** In the server's processes: does not return until the test calls unblock(name). Notes `blocked`. */
  function block(name: string): void;
  const Server: typeof import('../../lib/server/server').Server;
  const Process: typeof import('../../lib/process/process').Process;
  const DatagramSocket: typeof import('../../lib/ipc/datagram-socket').DatagramSocket;
  const fs: typeof import('node:fs');
  /** Those of the plan. */
  var users: Process[];
}

export const MODES: readonly ServerMode[] = ['process', 'base'];

const ORDER = 35;
const GO = '.go';
const TIMEOUT_MS = 15_000;

type Callbacks = Partial<ServerEvents>;

export interface ServerPlan {
  mode?: ServerMode;
  host?: string;
  type?: SockType;
  settings?: ServerOptions<Server>;
  /** Each of them is noted with its arguments before it is called; null: noted only. */
  on?: { [Name in keyof Callbacks]: Callbacks[Name] | null };
  /** Events that are not noted. */
  quiet?: (keyof ServerEvents)[];
  ports?: PortPlan[];
  users?: UserPlan[];
  /** Just before start(). */
  before?: (server: Server) => unknown;
  /** After its end, in the master. */
  after?: (server: Server) => unknown;
}

export interface PortPlan {
  host: string;
  type: SockType;
  port?: number;
  settings?: PortOptions;
  on?: Callbacks;
}

export interface UserPlan {
  /** Default: it lives on. */
  run?: (server: Server, self: Process) => unknown;
  pipeType?: 0 | 1 | 2;
  redirect?: boolean;
}

export interface Note {
  pid: number;
  kind: string;
  args: unknown[];
}

interface Answer {
  name: string;
  code?: string;
  message: string;
}

/** An error that a function has thrown in a process of the server. */
export class RemoteError extends Error {
  readonly code: string | undefined;

  constructor({ name, code, message }: Answer) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

const running = new Set<RunningServer>();

/** At the top of a describe: what a failed test leaves running is ended. */
export function endServersAfterEach(): void {
  afterEach(async () => {
    for (const server of [...running]) await server.kill();
  });
}

const defaults = { mode: 'process', host: '127.0.0.1', type: 'tcp' } as const;

/** Starts a server and waits until it can be connected to. */
export async function startServer(
  plan: ServerPlan,
  options: FixtureOptions = {},
): Promise<RunningServer> {
  const server = beginServer(plan, options);
  await server.ready;
  return server;
}

/** The same for one that may fail. Without a receive callback in the plan it echoes. */
export function beginServer(plan: ServerPlan, options: FixtureOptions = {}): RunningServer {
  const all = { ...defaults, ports: [], users: [], quiet: [], ...plan };
  const full = { ...all, settings: { workerNum: 2, ...plan.settings }, on: plan.on ?? {} };
  const text = JSON.stringify(full, (_, value: unknown) =>
    typeof value === 'function' ? { $function: String(value) } : value,
  );
  const daemon = full.settings.daemonize === true ? DAEMON : {};
  const fixture = startFixture('server/server.js', { ...daemon, ...options, args: [text] });
  return new RunningServer(fixture);
}

/** What start() is refused with: [code, message]. Nothing is left running. */
export async function refusalOf(
  plan: ServerPlan,
  options: FixtureOptions = {},
): Promise<[string, string]> {
  const server = beginServer(plan, options);
  await server.endsWell();
  const [refused] = server.notes('refused');
  expect(server.notes('settled', 'managerStart', 'workerStart')).to.deep.equal([]);
  const { code, message } = refused?.args[0] as { code: string; message: string };
  return [code, message];
}

/** Its stdout is not the test's any more; all of its processes keep this pipe. */
const NOTES_FD = 3;
const DAEMON: FixtureOptions = {
  stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  env: { NOTES_FD: String(NOTES_FD) },
};

export const echo: ServerEvents['receive'] = (server, fd, _, data) => server.send(fd, data);

export class RunningServer {
  readonly fixture: RunningFixture;
  /** Numbers of its ports, from `start` on. */
  ports: number[] = [];
  readonly ready: Promise<void>;
  readonly #notes: Note[] = [];
  readonly #clients: TcpClient[] = [];
  #masterPid: number;
  #stderr = '';
  #rest = '';
  #changed = new Set<() => void>();
  #orders = 0;
  #result: FixtureResult | null = null;

  constructor(fixture: RunningFixture) {
    this.fixture = fixture;
    running.add(this);
    this.#masterPid = fixture.process.pid as number;
    const notes = fixture.process.stdio[NOTES_FD] ?? fixture.process.stdout;
    (notes as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#take(text);
    });
    fixture.process.stderr?.on('data', (text: string) => {
      this.#stderr += text;
      this.#tell();
    });
    void fixture.ended.then(
      (result) => {
        this.#result = result;
        this.#tell();
      },
      () => undefined,
    );
    this.ready = this.noted('ports').then(([first]) => {
      this.ports = first?.args as number[];
      this.#masterPid = first?.pid as number;
    });
    this.ready.catch(() => undefined);
  }

  get masterPid(): number {
    return this.#masterPid;
  }

  /** A file that the plan names `TMP/name`. */
  file(name: string): string {
    return join(this.fixture.temporary, name);
  }

  /** Lets processes go on that wait in block(name), and those that come there later. */
  unblock(name: string): void {
    writeFileSync(this.file(`${name}${GO}`), '');
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** What was noted so far, of these kinds, oldest first. */
  notes(...kinds: string[]): Note[] {
    return this.#notes.filter(({ kind }) => kinds.length === 0 || kinds.includes(kind));
  }

  /** The same without pids: `[kind, …args]`. */
  log(...kinds: string[]): unknown[] {
    return this.notes(...kinds).map(({ kind, args }) => [kind, ...args]);
  }

  /** Waits for `count` notes of a kind. */
  async noted(kind: string, count = 1): Promise<Note[]> {
    await this.until(() => this.notes(kind).length >= count, `${String(count)} × ${kind}`);
    return this.notes(kind);
  }

  /** Waits for a condition that depends on notes, stderr or the end. */
  async until(condition: () => boolean, what = String(condition)): Promise<void> {
    const end = Date.now() + TIMEOUT_MS;
    while (!condition()) {
      if (this.#result !== null || Date.now() > end) {
        const seen = JSON.stringify(this.#notes.slice(-40));
        const { code, signal } = this.#result ?? {};
        const why =
          this.#result === null
            ? 'in time'
            : `before it ended: ${JSON.stringify({ code, signal })}`;
        throw new Error(`no ${what} ${why}\n${seen}\n${this.#stderr.slice(-4000)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 100);
        const set = this.#changed;
        function done(): void {
          clearTimeout(timer);
          set.delete(done);
          resolve();
        }
        set.add(done);
      });
    }
  }

  /** The pid of the newest process of a worker; waits for its `nth` one. */
  async worker(id: number, nth = 1): Promise<number> {
    const starts = (): Note[] => this.notes('workerStart').filter(({ args }) => args[0] === id);
    await this.until(() => starts().length >= nth, `start ${String(nth)} of worker ${String(id)}`);
    return (starts().at(-1) as Note).pid;
  }

  async manager(nth = 1): Promise<number> {
    return ((await this.noted('managerStart', nth)).at(-1) as Note).pid;
  }

  async user(nth = 1): Promise<number> {
    return ((await this.noted('userStart', nth)).at(-1) as Note).pid;
  }

  /** Waits until all event workers serve: they do a moment after workerStart. */
  async allServe(): Promise<void> {
    const idle = () =>
      this.run(this.masterPid, (server) => {
        const { idleWorkerNum, workerNum } = server.stats();
        return idleWorkerNum === workerNum;
      });
    while (!(await idle()));
  }

  async connect(index = 0, from: Partial<TcpNetConnectOpts> = {}): Promise<TcpClient> {
    const port = this.ports[index] as number;
    const client = await TcpClient.open({ host: '127.0.0.1', ...from, port });
    this.#clients.push(client);
    return client;
  }

  async connectTo(path: string): Promise<TcpClient> {
    const client = await TcpClient.open({ path });
    this.#clients.push(client);
    return client;
  }

  /** Runs a function in a process of the server. It cannot use variables of the test. */
  async run<Args extends unknown[], Result>(
    pid: number,
    task: (server: Server, ...args: Args) => Result,
    ...args: Args
  ): Promise<Awaited<Result>> {
    const id = this.order(pid, task, ...args);
    const answer = (): Note | undefined =>
      this.notes('returned', 'threw').find((note) => note.args[0] === id);
    await this.until(() => answer() !== undefined, `answer of ${String(pid)} to ${String(task)}`);
    const { kind, args: answered } = answer() as Note;
    if (kind === 'threw') throw new RemoteError(answered[1] as Answer);
    return answered[1] as Awaited<Result>;
  }

  /** The same for one that may not live to answer. */
  order<Args extends unknown[]>(
    pid: number,
    task: (server: Server, ...args: Args) => unknown,
    ...args: Args
  ): number {
    const id = ++this.#orders;
    const file = join(this.fixture.temporary, `${String(pid)}-${String(id)}`);
    const order = { id, run: { $function: String(task) }, args };
    writeFileSync(`${file}.new`, JSON.stringify(order), { mode: 0o666 });
    renameSync(`${file}.new`, file);
    process.kill(pid, ORDER);
    return id;
  }

  /** The code of the error that a function throws in a process of the server. */
  async codeOf<Args extends unknown[]>(
    pid: number,
    task: (server: Server, ...args: Args) => unknown,
    ...args: Args
  ): Promise<string> {
    try {
      await this.run(pid, task, ...args);
    } catch (error) {
      if (error instanceof RemoteError) return error.code ?? error.name;
      throw error;
    }
    return 'no error';
  }

  signal(signal: NodeJS.Signals | number): void {
    process.kill(this.masterPid, signal);
  }

  /** Ends it by SIGTERM: in good order, with nobody killed, nothing else said and nothing left. */
  async stop(stderr?: RegExp): Promise<void> {
    const before = this.notes('workerError').length;
    this.signal('SIGTERM');
    await this.endsWell(stderr);
    expect(this.log('workerError').slice(before), 'killed at the end').to.deep.equal([]);
  }

  /** It ends by itself, in good order. */
  async endsWell(stderr: RegExp = /^$/): Promise<void> {
    const result = await this.end();
    expect(result.stderr, result.stderr).to.match(stderr);
    expect(result).to.include({ code: 0, signal: null });
    const left = result.leftFiles.filter((file) => !file.endsWith(GO));
    expect(left, 'files left').to.deep.equal([]);
  }

  async end(): Promise<FixtureResult> {
    try {
      return await this.fixture.ended;
    } finally {
      this.#forget();
    }
  }

  async kill(): Promise<void> {
    if (this.#result === null && !hasEnded(this.masterPid)) this.signal('SIGKILL');
    await this.fixture.ended.catch(() => undefined);
    this.#forget();
  }

  #forget(): void {
    running.delete(this);
    for (const client of this.#clients) client.destroy();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string;
    for (const line of lines) {
      const [pid, kind, ...args] = JSON.parse(line) as [number, string, ...unknown[]];
      this.#notes.push({ pid, kind, args });
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#changed]) listener();
  }
}
