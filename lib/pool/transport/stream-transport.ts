/** Feeds a worker with the requests of IPC_SOCKET: see stream-socket.ts for the connections. */
import type { AsyncLocalStorage } from 'node:async_hooks';
import type { ListeningSocket } from '../../ipc/listening-socket';
import { leaveUnhandled } from '../unhandled';
import { StreamRequests, type StreamRequestsOptions } from './stream-socket';
import type { Intake, WorkerTransport } from './transport';

type Limits = Pick<StreamRequestsOptions, 'concurrency' | 'maxPackageSize' | 'frameTimeout'>;

/** What write() adds to while a callback runs. */
export interface OpenReply {
  readonly pieces: Buffer[];
  /** False once the callback has ended: what comes later would be sent to nobody. */
  open: boolean;
}

export class StreamTransport implements WorkerTransport {
  readonly #listening: ListeningSocket;
  readonly #reply: AsyncLocalStorage<OpenReply>;
  readonly #limits: Limits;
  #requests: StreamRequests | null = null;

  /** @param reply - holds the reply of the request whose callback runs */
  constructor(listening: ListeningSocket, reply: AsyncLocalStorage<OpenReply>, limits: Limits) {
    this.#listening = listening;
    this.#reply = reply;
    this.#limits = limits;
  }

  start(intake: Intake): void {
    this.#requests = new StreamRequests(this.#listening, {
      ...this.#limits,
      mayAccept: (waiting) => intake.hasRoom(waiting),
      onTaken: () => {
        intake.taking();
      },
      onRequest: async (data) => {
        const reply: OpenReply = { pieces: [], open: true };
        await this.#reply.run(reply, () => intake.handle(data));
        reply.open = false;
        return reply.pieces;
      },
      // As from any callback: the worker ends unless somebody catches it.
      onError: leaveUnhandled,
      onAcceptError: (error) => {
        process.emitWarning(`connections cannot be accepted for the moment: ${error.message}`, {
          type: 'PreforkWarning',
          code: 'PREFORK_ACCEPT_FAILED',
        });
      },
    });
    this.#requests.start();
  }

  resume(): void {
    // It counts its slots itself.
  }

  async stop(): Promise<void> {
    await this.#requests?.stop();
  }
}
