/**
 * Where clients come in: accepts on all ports of one process, and gives each connection a session, or
 * refuses it when there are maxConnection already.
 */
import { binding } from '../../binding';
import type { ServerPort } from '../port';
import type { SessionTable } from '../session-table';
import { ACCEPTED, REFUSED, type ServerState } from '../state';
import { Acceptor } from './acceptor';
import { Connection } from './connection';

export interface EntranceOptions {
  /** Of the reactor that the connections belong to, in the session table. */
  id: number;
  ports: readonly ServerPort[];
  sessions: SessionTable;
  state: ServerState;
  /** Connections that are accepted in one turn of the event loop. */
  acceptsPerTurn: number;
}

export class Entrance {
  readonly #options: EntranceOptions;
  readonly #acceptors: Acceptor[] = [];
  readonly #onConnection: (connection: Connection) => void;

  constructor(options: EntranceOptions, onConnection: (connection: Connection) => void) {
    this.#options = options;
    this.#onConnection = onConnection;
    options.ports.forEach((port, index) => {
      if (port.stream === null) return;
      const onFd = (fd: number): void => {
        this.#admit(fd, port, index);
      };
      this.#acceptors.push(new Acceptor(port, options.acceptsPerTurn, onFd));
    });
  }

  open(): void {
    for (const acceptor of this.#acceptors) acceptor.start();
  }

  close(): void {
    for (const acceptor of this.#acceptors) acceptor.stop();
  }

  #admit(fd: number, port: ServerPort, index: number): void {
    const { sessions, state, id } = this.#options;
    const [remoteAddress, remotePort] = binding.peerName(fd);
    const from = { remoteAddress, remotePort, port: index };
    const session = sessions.open({ ...from, worker: -1, reactor: id });
    if (session === null) {
      state.add(REFUSED);
      binding.closeFd(fd);
      return;
    }
    state.add(ACCEPTED);
    if (port.type !== 'unix' && port.setting.openTcpNodelay) setNoDelay(fd);
    this.#onConnection(new Connection(fd, session, port));
  }
}

function setNoDelay(fd: number): void {
  try {
    binding.setNoDelay(fd, 1);
  } catch {
    // The peer is gone already, which the next read tells.
  }
}
