/** What is known of a connection. */
import type { ServerContext } from './context';

/** What is known of a connection.  Swoole\Server::getClientInfo. */
export interface ClientInfo {
  /** The server's port that it came to. */
  serverPort: number;
  /** '' and 0 of a unix socket. */
  remoteIp: string;
  /** The port of the client. */
  remotePort: number;
  /** In base mode the worker that holds it, else 0. */
  reactorId: number;
  /** The event worker that its last event went to; -1: none yet. */
  workerId: number;
  /** In ms since the epoch; 0: never. */
  connectTime: number;
  /** When it has last sent something; in ms since the epoch, 0: never. */
  lastRecvTime: number;
  /** When something was last sent to it; in ms since the epoch, 0: never. */
  lastSendTime: number;
  /** Bytes that wait to be sent. */
  sendQueuedBytes: number;
  /** What bind() has bound it to; null: nothing. */
  uid: number | null;
}

export function clientInfo(context: ServerContext, fd: number): ClientInfo | null {
  const session = context.sessions.find(fd);
  const info = typeof session === 'string' ? null : session.info();
  if (info === null) return null;
  const { remoteAddress, remotePort, connectedAt, lastReceivedAt, lastSentAt } = info;
  return {
    serverPort: context.ports[info.port]?.port ?? 0,
    remoteIp: remoteAddress,
    remotePort,
    reactorId: context.mode === 'base' ? info.worker : 0,
    workerId: info.worker,
    connectTime: connectedAt,
    lastRecvTime: lastReceivedAt,
    lastSendTime: lastSentAt,
    sendQueuedBytes: info.sendQueuedBytes,
    uid: info.uid,
  };
}

/** Sessions that have been silent for longer than the heartbeatIdleTime of their port. */
export function idleSessions({ sessions, ports }: ServerContext): number[] {
  const now = Date.now();
  return [...sessions.ids()].filter((id) => {
    const session = sessions.find(id);
    if (typeof session === 'string' || session.isProtected) return false;
    const limit = ports[session.port]?.setting.heartbeatIdleTime ?? 0;
    return limit > 0 && now - (session.lastReceivedAt || session.connectedAt) > limit;
  });
}
