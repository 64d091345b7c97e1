/** One client of the control socket. */
import type { Socket } from 'node:net';
import { LineReader } from './line-reader';
import type { Observer } from './observer';
import {
  checkRequest,
  ControlError,
  idOf,
  MAX_REQUEST_BYTES,
  parseLine,
  type ControlOp,
  type ControlRequest,
  type ControlResponse,
} from './protocol';
import type { Snapshot } from './snapshot';
import type { ControlSource } from './source';

/** More than this waits for the client to read: it is read from no more until it has. */
const MAX_UNREAD_BYTES = 256 * 1024;

/** Requests that change nothing. */
const LOOKS = new Set<ControlOp>(['status', 'watch', 'slowLog']);

export class ControlSession {
  readonly #socket: Socket;
  readonly #source: ControlSource;
  readonly #observer: Observer;
  readonly #lines = new LineReader(MAX_REQUEST_BYTES);
  #watch: NodeJS.Timeout | null = null;

  constructor(socket: Socket, source: ControlSource, observer: Observer) {
    this.#socket = socket;
    this.#source = source;
    this.#observer = observer;
  }

  start(): void {
    this.#socket.on('data', (chunk) => {
      this.#take(chunk);
    });
    this.#socket.on('drain', () => this.#socket.resume());
    this.#socket.once('close', () => {
      if (this.#watch !== null) clearInterval(this.#watch);
    });
  }

  #take(chunk: Buffer): void {
    let lines: string[];
    try {
      lines = this.#lines.push(chunk);
    } catch (error) {
      this.#fail(null, error);
      this.#socket.destroySoon();
      return;
    }
    for (const line of lines) void this.#handle(line);
  }

  async #handle(line: string): Promise<void> {
    let id: number | null = null;
    try {
      const parsed = parseLine(line);
      id = idOf(parsed);
      const request = checkRequest(parsed);
      const result = await this.#carryOut(request);
      if (!LOOKS.has(request.op)) this.#observer.forget();
      this.#answer({ id: request.id, ok: true, result });
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #carryOut(request: ControlRequest): unknown {
    switch (request.op) {
      case 'status':
        return this.#observer.snapshot();
      case 'watch':
        return this.#startWatch(request.id, request.intervalMs);
      case 'reload':
        return this.#source.reload(request.onlyTasks);
      case 'stop':
        // Its answer leaves before the end begins.
        setImmediate(() => {
          this.#source.stop();
        });
        return null;
      case 'stopWorker':
        this.#source.stopWorker(request.workerId);
        return null;
      case 'slowLog':
        return this.#slowLog();
    }
  }

  /** A second one takes the place of the first. */
  #startWatch(id: number, intervalMs: number): Promise<Snapshot> {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      void this.#tell(id);
    }, intervalMs).unref();
    return this.#observer.snapshot();
  }

  /** A client that is slow misses some. */
  async #tell(id: number): Promise<void> {
    if (!this.#socket.writable || this.#socket.writableLength > 0) return;
    try {
      this.#answer({ id, ok: true, result: await this.#observer.snapshot() });
    } catch (error) {
      this.#fail(id, error);
    }
  }

  #slowLog(): string {
    const text = this.#source.slowLog();
    if (text !== null) return text;
    throw new ControlError(
      'ERR_NO_SLOW_LOG',
      'no slow log is kept: it is a setting of a Server, requestSlowlogFile',
    );
  }

  #fail(id: number | null, error: unknown): void {
    const { message } = error as Error;
    const code = (error as { code?: unknown }).code;
    this.#answer({
      id,
      ok: false,
      error: { code: typeof code === 'string' ? code : 'ERR_FAILED', message },
    });
  }

  #answer(response: ControlResponse): void {
    if (!this.#socket.writable) return;
    this.#socket.write(`${JSON.stringify(response)}\n`);
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) this.#socket.pause();
  }
}
