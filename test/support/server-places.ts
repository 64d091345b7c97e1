/** The processes of a server from which a connection of worker 0 can be reached, and such a connection. */
import type { ServerMode } from '../../lib/server/settings';
import type { RunningServer } from './server';
import type { TcpClient } from './tcp-client';

export const PLACES: Record<string, (server: RunningServer) => Promise<number>> = {
  'its own worker': (server) => server.worker(0),
  'another worker': (server) => server.worker(1),
  'the master': (server) => Promise.resolve(server.masterPid),
  'the manager': (server) => server.manager(),
  'a user process': (server) => server.user(),
};

/** Of a server with two workers, a connect callback in its plan, and no client before. */
export async function clientOfWorker0(
  server: RunningServer,
  mode: ServerMode,
): Promise<{ client: TcpClient; fd: number }> {
  const [worker, other] = [await server.worker(0), await server.worker(1)];
  // In base mode the one that is awake accepts; in process mode it is the second, by its id.
  if (mode === 'base') process.kill(other, 'SIGSTOP');
  else await server.connect();
  const client = await server.connect();
  const found = () => server.notes('connect').find(({ pid }) => pid === worker);
  await server.until(() => found() !== undefined, 'client of worker 0');
  if (mode === 'base') process.kill(other, 'SIGCONT');
  return { client, fd: found()?.args[0] as number };
}
