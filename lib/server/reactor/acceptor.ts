/** Accepts the connections of one port. The listening socket may be shared with other processes. */
import { FdWatcher } from '../../ipc/fd-watcher';
import type { ListeningSocket } from '../../ipc/listening-socket';
import type { ServerPort } from '../port';

/** After a failed accept, as a rule for want of fds. */
const RETRY_MS = 100;

export class Acceptor {
  readonly #listening: ListeningSocket;
  readonly #watcher: FdWatcher;
  readonly #perTurn: number;
  readonly #onConnection: (fd: number) => void;
  #retry: NodeJS.Timeout | null = null;
  #stopped = false;
  #failing = false;

  constructor(port: ServerPort, perTurn: number, onConnection: (fd: number) => void) {
    this.#listening = port.stream as ListeningSocket;
    this.#watcher = new FdWatcher(this.#listening.fd);
    this.#perTurn = perTurn;
    this.#onConnection = onConnection;
  }

  start(): void {
    this.#watcher.onReadable(() => {
      this.#accept();
    });
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#watcher.close();
  }

  #accept(): void {
    try {
      for (let accepted = 0; accepted < this.#perTurn && !this.#stopped; accepted++) {
        const fd = this.#listening.accept();
        if (fd === null) return;
        this.#failing = false;
        this.#onConnection(fd);
      }
    } catch (error) {
      this.#pause(error as Error);
    }
  }

  /** The connection that could not be accepted keeps the socket readable: watching it would spin. */
  #pause(error: Error): void {
    this.#watcher.onReadable(null);
    this.#retry = setTimeout(() => {
      if (!this.#stopped) this.start();
    }, RETRY_MS);
    if (this.#failing) return;
    this.#failing = true;
    process.emitWarning(`connections cannot be accepted for the moment: ${error.message}`, {
      type: 'PreforkWarning',
      code: 'PREFORK_ACCEPT_FAILED',
    });
  }
}
