/**
 * A listening socket with a net.Server or http.Server on it, for the master alone: it does not keep the
 * event loop alive, and forked children close its fds.
 *
 *   open   bound: clients wait in the backlog, nothing is forked yet
 *   start  the server accepts, on a copy of the fd, which it owns
 *   close  all connections end, the file of a unix socket goes
 */
import type { Server, Socket } from 'node:net';
import { binding } from '../binding';
import type { ListeningSocket } from '../ipc/listening-socket';
import { closeInChildren } from './inherited';

export class Listener {
  readonly #listening: ListeningSocket;
  readonly #sockets = new Set<Socket>();
  readonly #release: () => void;
  #server: Server | null = null;
  #serverFd = -1;

  constructor(listening: ListeningSocket) {
    this.#listening = listening;
    this.#release = closeInChildren({ fds: () => this.#fds() });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  start(server: Server): void {
    server.on('connection', (socket) => {
      this.#track(socket);
    });
    // Out of fds, say: those who are connected stay so.
    server.on('error', (error) => {
      process.emitWarning(error);
    });
    this.#serverFd = binding.dup(this.#listening.fd);
    this.#server = server.listen({ fd: this.#serverFd, exclusive: true }).unref();
  }

  close(): void {
    this.#server?.close();
    this.#serverFd = -1;
    for (const socket of this.#sockets) endNow(socket);
    this.#listening.unlink();
    this.#listening.close();
    this.#release();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.unref();
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #fds(): number[] {
    const own = [this.#listening.fd, this.#serverFd];
    return [...own, ...[...this.#sockets].map(fdOf)].filter((fd) => fd >= 0);
  }
}

/** What was written leaves first, as far as the kernel takes it now. */
function endNow(socket: Socket): void {
  socket.end();
  setImmediate(() => socket.destroy());
}

/** -1 once closed. */
function fdOf(socket: Socket): number {
  const handle = Reflect.get(socket, '_handle') as { fd?: number } | null;
  return handle?.fd ?? -1;
}
