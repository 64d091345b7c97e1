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

type Answer = (response: ControlResponse) => void;

export class ControlClient {
  readonly #socket: Socket;
  readonly #lines = new LineReader(MAX_ANSWER_BYTES);
  readonly #pending = new Map<number, Answer>();
  #lastId = 0;
  /** Why nothing comes any more. */
  #failure: Error | null = null;
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
        reject(new CommandError(whyNot(path, error)));
      };
      socket.once('error', fail);
      socket.once('connect', () => {
        socket.off('error', fail);
        resolve(new ControlClient(socket));
      });
    });
  }

  /** @throws CommandError with what the other side says */
  ask<Op extends Exclude<ControlOp, 'watch'>>(
    op: Op,
    fields: object = {},
  ): Promise<ControlResults[Op]> {
    return new Promise((resolve, reject) => {
      const id = this.#send(op, fields, (response) => {
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
    else if (!response.ok) this.#failure = new Error(response.error.message);
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

function whyNot(path: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ECONNREFUSED') return `${path}: nobody listens there any more`;
  if (code === 'EACCES') return `${path}: this control socket belongs to another user`;
  return code === 'ENOENT' ? `${path}: there is no such socket` : message;
}
