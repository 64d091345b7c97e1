/** Calls the callbacks of an event worker, with what they are to be told. */
import { decodePayload } from '../ipc/payload';
import type { ServerContext } from './context';
import { NO_SESSION, type Requests } from './requests';
import { REQUESTS } from './state';

export class ConnectionEvents {
  readonly #context: ServerContext;
  readonly #requests: Requests;

  constructor(context: ServerContext, requests: Requests) {
    this.#context = context;
    this.#requests = requests;
  }

  connect(fd: number, port: number, reactorId: number): void {
    const callback = this.#context.portCallback(port, 'connect');
    if (callback === undefined) return;
    this.#requests.guard('connect', fd, () => callback(this.#context.server, fd, reactorId));
  }

  /** @param data - the callback may keep it */
  receive(fd: number, port: number, reactorId: number, data: Buffer): void {
    const { server, state } = this.#context;
    const callback = this.#context.portCallback(port, 'receive');
    state.add(REQUESTS);
    this.#requests.run('receive', fd, () => callback?.(server, fd, reactorId, data));
  }

  /** @param reactorId - -1: closed by the server */
  close(fd: number, port: number, reactorId: number): void {
    const callback = this.#context.portCallback(port, 'close');
    if (callback === undefined) return;
    this.#requests.guard('close', fd, () => callback(this.#context.server, fd, reactorId));
  }

  watermark(event: 'bufferFull' | 'bufferEmpty', fd: number, port: number): void {
    const callback = this.#context.portCallback(port, event);
    if (callback === undefined) return;
    this.#requests.guard(event, fd, () => callback(this.#context.server, fd));
  }

  packet(port: number, data: Buffer, address: string, from: number): void {
    const { server, state, ports } = this.#context;
    const callback = this.#context.portCallback(port, 'packet');
    const client = { address, port: from, serverSocket: port, serverPort: ports[port]?.port ?? 0 };
    state.add(REQUESTS);
    this.#requests.run('packet', port, () => callback?.(server, data, client), NO_SESSION);
  }

  /** @param data - the callback may keep it */
  pipeMessage(from: number, kind: number, data: Buffer): void {
    const { server, callbacks, addresses } = this.#context;
    const source = addresses.workerOf(from);
    const call = (): unknown =>
      callbacks.call('pipeMessage', server, source, decodePayload(kind, data));
    this.#requests.guard('pipeMessage', source, call, NO_SESSION);
  }

  finish(taskId: number, data: unknown): void {
    const { server, callbacks } = this.#context;
    const call = (): unknown => callbacks.call('finish', server, taskId, data);
    this.#requests.guard('finish', taskId, call, NO_SESSION);
  }
}
