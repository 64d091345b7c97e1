/** The control socket: its clients may do what the owner of the process may, so its file has mode 0600. */
import { createServer, type Socket } from 'node:net';
import { ListeningSocket } from '../ipc/listening-socket';
import { ControlSession } from './control-session';
import { Listener } from './listener';
import type { Observer } from './observer';
import type { ControlResponse } from './protocol';
import { leaveDefaultPath, makeDefaultPath } from './socket-path';
import type { ControlSource } from './source';

const MAX_CLIENTS = 32;
const BACKLOG = 16;

export class ControlSocket {
  readonly path: string;
  readonly #isDefault: boolean;
  readonly #listener: Listener;
  #clients = 0;

  /** @param path - true: the default one. @throws EADDRINUSE, EACCES, ENOENT and others, with the path */
  constructor(path: string | true) {
    this.#isDefault = path === true;
    this.path = path === true ? makeDefaultPath() : path;
    this.#listener = new Listener(ListeningSocket.unix(this.path, BACKLOG));
  }

  start(source: ControlSource, observer: Observer): void {
    const server = createServer((socket) => {
      this.#welcome(socket, source, observer);
    });
    this.#listener.start(server);
  }

  close(): void {
    this.#listener.close();
    if (this.#isDefault) leaveDefaultPath(this.path);
  }

  #welcome(socket: Socket, source: ControlSource, observer: Observer): void {
    // A client that goes while it is written to.
    socket.on('error', () => undefined);
    if (this.#clients >= MAX_CLIENTS) {
      refuse(socket);
      return;
    }
    this.#clients++;
    socket.once('close', () => this.#clients--);
    new ControlSession(socket, source, observer).start();
  }
}

function refuse(socket: Socket): void {
  const message = `a control socket has at most ${MAX_CLIENTS} clients`;
  const answer: ControlResponse = {
    id: null,
    ok: false,
    error: { code: 'ERR_TOO_MANY_CLIENTS', message },
  };
  socket.end(`${JSON.stringify(answer)}\n`);
}
