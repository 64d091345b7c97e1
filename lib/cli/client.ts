/** The client of a control socket. */
import { connect, type Socket } from 'node:net';
import { LineReader } from '../control/line-reader';
import type { ControlOp, ControlResponse, ControlResults } from '../control/protocol';
import type { Snapshot } from '../control/snapshot';

/** A snapshot of 4096 workers has about 1 MB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** What stands in the way of a command; it is shown without a stack. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Nothing serves that socket: its master has gone. */
export class GoneError extends CommandError {}

type Answer = (response: ControlResponse) => void;

export class ControlClient {
  readonly #socket: Socket;
  readonly #lines = new LineReader(MAX_ANSWER_BYTES);
  readonly #pending = new Map<number, Answer>();
  #lastId = 0;
  /** Why nothing comes any more. */
  #failure: Error | null = null;
  #refusal: CommandError | null = null;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#take(chunk);
    });
    socket.on('error', (error) => {
      this.#failure ??= error;
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#endAll();
        resolve();
      });
    });
  }

  /** @throws CommandError */
  static open(path: string): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const fail = (error: NodeJS.ErrnoException): void => {
        reject(whyNot(path, error));
      };
      socket.once('error', fail);
      socket.once('connect', () => {
        socket.off('error', fail);
        resolve(new ControlClient(socket));
      });
    });
  }

  /** What the other side has said instead of serving this client; null: it serves, or has just gone. */
  get refusal(): CommandError | null {
    return this.#refusal;
  }

  /**
   * @param limitMs - a master whose event loop is blocked takes connections, by its kernel, and is silent
   * @throws CommandError with what the other side says, or that it says nothing
   */
  ask<Op extends Exclude<ControlOp, 'watch'>>(
    op: Op,
    fields: object = {},
    limitMs = Infinity,
  ): Promise<ControlResults[Op]> {
    return new Promise((resolve, reject) => {
      const timer = atMost(limitMs, () => {
        reject(new CommandError(silence(limitMs)));
      });
      const id = this.#send(op, fields, (response) => {
        clearTimeout(timer);
        this.#pending.delete(id);
        if (response.ok) resolve(response.result as ControlResults[Op]);
        else reject(new CommandError(response.error.message));
      });
    });
  }

  /** Calls back for a snapshot now and again and again, until the connection ends. */
  watch(intervalMs: number, onSnapshot: (snapshot: Snapshot) => void): void {
    this.#send('watch', { intervalMs }, (response) => {
      if (response.ok) onSnapshot(response.result as Snapshot);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(op: ControlOp, fields: object, answer: Answer): number {
    const id = ++this.#lastId;
    this.#pending.set(id, answer);
    if (this.#failure !== null || this.#socket.destroyed)
      queueMicrotask(() => {
        this.#endAll();
      });
    else this.#socket.write(`${JSON.stringify({ id, op, ...fields })}\n`);
    return id;
  }

  #take(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#answer(JSON.parse(line) as ControlResponse);
    } catch (error) {
      this.#failure = error as Error;
      this.#socket.destroy();
    }
  }

  #answer(response: ControlResponse): void {
    if (response.id !== null) this.#pending.get(response.id)?.(response);
    else if (!response.ok) {
      this.#refusal = new CommandError(response.error.message);
      this.#failure = this.#refusal;
    }
  }

  #endAll(): void {
    const message = this.#failure?.message ?? 'it has closed the connection';
    const answers = [...this.#pending];
    this.#pending.clear();
    for (const [id, answer] of answers) {
      answer({ id, ok: false, error: { code: 'ERR_FAILED', message } });
    }
  }
}

export function silence(ms: number): string {
  return `no answer after ${ms} ms: its event loop is blocked, or it was suspended`;
}

/** Infinity: never. */
function atMost(ms: number, action: () => void): NodeJS.Timeout | undefined {
  return ms === Infinity ? undefined : setTimeout(action, ms);
}

function whyNot(path: string, { code, message }: NodeJS.ErrnoException): CommandError {
  switch (code) {
    case 'ECONNREFUSED':
      return new GoneError(`${path}: nobody listens there any more`);
    case 'ENOENT':
      return new GoneError(`${path}: there is no such socket`);
    case 'EACCES':
      return new CommandError(`${path}: this control socket belongs to another user`);
    case 'EAGAIN': // The kernel takes as many connections as its backlog has room for.
      return new CommandError(`${path}: it takes no connections: its event loop is blocked`);
    default:
      return new CommandError(message);
  }
}
