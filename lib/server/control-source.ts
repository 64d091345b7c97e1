/** What the control socket and the status page see of a server, and can ask of it. In its master. */
import { fstatSync, readSync } from 'node:fs';
import type { ControlSource } from '../control/source';
import type { ConnectionsSnapshot, RequestsSnapshot, SourceState } from '../control/snapshot';
import type { ReadMemory } from '../process/memory';
import type { ServerContext } from './context';
import type { SlowLog } from './slow-log';
import { serverStats, type ServerStats } from './stats';

/** So much of the slow log is shown. */
const TAIL_BYTES = 32 * 1024;

const NOBODY = -1;

export function serverSource(context: ServerContext): ControlSource {
  const { server, state } = context;
  return {
    pids: () => pidsOf(context),
    describe: (memory) => describe(context, memory),
    reload: (onlyTasks) => server.reload(onlyTasks),
    stop: () => {
      if (!state.stopping) void server.shutdown();
    },
    stopWorker: (id) => {
      server.stop(id);
    },
    slowLog: () => (context.slowLog === null ? null : tailOf(context.slowLog)),
  };
}

function pidsOf({ state, table, addresses }: ServerContext): number[] {
  const workers = Array.from({ length: addresses.slots }, (_, id) => table.current(id)?.pid ?? 0);
  return [state.managerPid, ...workers].filter((pid) => pid > 0);
}

function describe(context: ServerContext, memory: ReadMemory): SourceState {
  const stats = serverStats(context, NOBODY, memory);
  const { workers, startTime, masterPid, managerPid, taskWorkerNum, taskCount, taskingNum } = stats;
  return {
    ...{ kind: 'server', mode: context.mode, startedAt: startTime, masterPid, managerPid },
    stopping: context.state.stopping,
    generation: Math.max(0, ...workers.map(({ generation }) => generation)),
    workers,
    queued: workers.reduce((sum, { queued }) => sum + queued, 0),
    connections: connectionsOf(stats),
    requests: requestsOf(stats),
    tasks: taskWorkerNum === 0 ? null : { submitted: taskCount, inFlight: taskingNum },
  };
}

function connectionsOf(stats: ServerStats): ConnectionsSnapshot {
  const { connectionNum, acceptCount, closeCount, abortCount } = stats;
  return { open: connectionNum, accepted: acceptCount, closed: closeCount, refused: abortCount };
}

function requestsOf({ dispatchCount, requestCount, responseCount }: ServerStats): RequestsSnapshot {
  return { dispatched: dispatchCount, received: requestCount, answered: responseCount };
}

/** The file may be rotated meanwhile: the fd is the one that is written to. From a whole line on. */
function tailOf({ fd }: SlowLog): string {
  const { size } = fstatSync(fd);
  const from = Math.max(0, size - TAIL_BYTES);
  const room = Buffer.alloc(size - from);
  const read = readSync(fd, room, 0, room.length, from);
  const text = room.toString('utf8', 0, read);
  return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
}
