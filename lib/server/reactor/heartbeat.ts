/** Ends connections that have been silent for a port's heartbeatIdleTime. */
import type { ServerPort } from '../port';
import type { Connection } from './connection';

export class Heartbeat {
  readonly #ports: readonly ServerPort[];
  readonly #connections: ReadonlyMap<number, Connection>;
  readonly #onIdle: (connection: Connection) => void;
  #timers: NodeJS.Timeout[] = [];

  constructor(
    ports: readonly ServerPort[],
    connections: ReadonlyMap<number, Connection>,
    onIdle: (connection: Connection) => void,
  ) {
    this.#ports = ports;
    this.#connections = connections;
    this.#onIdle = onIdle;
  }

  start(): void {
    for (const port of this.#ports) {
      const { heartbeatIdleTime, heartbeatCheckInterval } = port.setting;
      if (port.stream === null || heartbeatCheckInterval === 0) continue;
      const check = (): void => {
        for (const connection of this.idle(heartbeatIdleTime, port)) this.#onIdle(connection);
      };
      this.#timers.push(setInterval(check, heartbeatCheckInterval).unref());
    }
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Connections, of one port or all, that sent nothing for `idleTime` ms and are not protected. */
  idle(idleTime: number, port?: ServerPort): Connection[] {
    const before = Date.now() - idleTime;
    return [...this.#connections.values()].filter((connection) => {
      if (connection.state !== 'open' || (port !== undefined && connection.port !== port))
        return false;
      const { session } = connection;
      return (session.lastReceivedAt || session.connectedAt) <= before && !session.isProtected;
    });
  }
}
