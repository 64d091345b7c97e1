import { expect } from 'chai';
import sinon from 'sinon';
import { STAGE_READY, WorkerTable, type WorkerRow } from '../../../lib/pool/worker-table';
import { Addresses } from '../../../lib/server/bus/addresses';
import type { ServerContext } from '../../../lib/server/context';
import { SessionTable } from '../../../lib/server/session-table';
import {
  ACCEPTED,
  CLOSED,
  DISPATCHED,
  REFUSED,
  REQUESTS,
  RESPONSES,
  ServerState,
  TASKING,
  TASKS,
} from '../../../lib/server/state';
import { serverStats, type ServerStats } from '../../../lib/server/stats';

const NOW = 1_800_000_000_000;
const MEMORY = { rssBytes: 1000, pssBytes: 500 };

describe('serverStats', () => {
  let table: WorkerTable;
  let state: ServerState;
  let sessions: SessionTable;

  /** Event workers 0 and 1, task workers 2 and 3, user process 4. */
  const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 2, userNum: 1 }, false);
  const stats = (workerId = -1): ServerStats =>
    serverStats(
      { table, state, sessions, addresses } as unknown as ServerContext,
      workerId,
      () => MEMORY,
    );
  const row = (slot: number, change: Partial<WorkerRow> = {}): WorkerRow =>
    Object.assign(table.claimRow(slot) as WorkerRow, {
      ...{ pid: 100 + slot, stage: STAGE_READY, startedAt: NOW - 500 },
      ...change,
    });

  beforeEach(() => {
    sinon.useFakeTimers({ now: NOW, toFake: ['Date'] });
    table = new WorkerTable(addresses.slots);
    state = new ServerState(addresses.slots);
    sessions = new SessionTable(10);
  });
  afterEach(() => {
    sinon.restore();
  });

  it('tells of a server on which nothing has happened', () => {
    const { workers, ...rest } = stats();
    expect(rest).to.deep.equal({
      ...{ startTime: 0, masterPid: 0, managerPid: 0 },
      ...{ connectionNum: 0, acceptCount: 0, closeCount: 0, abortCount: 0 },
      ...{ workerNum: 2, taskWorkerNum: 2, userWorkerNum: 1 },
      ...{ idleWorkerNum: 0, taskIdleWorkerNum: 0 },
      ...{ dispatchCount: 0, requestCount: 0, responseCount: 0 },
      ...{ taskCount: 0, taskingNum: 0, workerRequestCount: 0 },
    });
    expect(workers.map(({ id, kind, stage }) => `${id} ${kind} ${stage}`)).to.deep.equal([
      '0 event none',
      '1 event none',
      '2 task none',
      '3 task none',
      '4 user none',
    ]);
  });

  it('tells each counter under its name', () => {
    const counters = [ACCEPTED, CLOSED, REFUSED, DISPATCHED, REQUESTS, RESPONSES, TASKS, TASKING];
    counters.forEach((counter, i) => state.add(counter, i + 1));
    Object.assign(state, { masterPid: 11, managerPid: 12, startedAt: NOW });
    sessions.open({ worker: 0, reactor: 0, port: 0, remoteAddress: '', remotePort: 0 });
    expect(stats()).to.include({
      ...{ masterPid: 11, managerPid: 12, startTime: NOW, connectionNum: 1 },
      ...{ acceptCount: 1, closeCount: 2, abortCount: 3, dispatchCount: 4 },
      ...{ requestCount: 5, responseCount: 6, taskCount: 7, taskingNum: 8 },
    });
  });

  it('shows counters beyond 2^31 as they are, and never a negative number of tasks', () => {
    state.add(REQUESTS, -1);
    state.add(TASKING, -1);
    expect(stats()).to.include({ requestCount: 0xffffffff, taskingNum: 0 });
  });

  it('counts the idle of each kind', () => {
    row(0);
    row(1, { busy: 1, busySince: NOW });
    row(2);
    row(3);
    row(4);
    expect(stats()).to.include({ idleWorkerNum: 1, taskIdleWorkerNum: 2 });
  });

  it('tells of one worker what its row says, and what waits for it', () => {
    row(2, { handled: 9, busy: 2, busySince: NOW - 30, busyTime: 70, generation: 3 });
    table.countSent(2, 1);
    table.countRestart(2);
    expect(stats().workers[2]).to.deep.equal({
      ...{ id: 2, kind: 'task', pid: 102, stage: 'busy', generation: 3, restarts: 1 },
      ...{ requests: 9, running: 2, busyTimeMs: 100, uptimeMs: 500, queued: 1 },
      ...MEMORY,
    });
  });

  it('workerRequestCount is of the worker that asks', () => {
    row(1, { handled: 42 });
    expect([-1, 0, 1].map((id) => stats(id).workerRequestCount)).to.deep.equal([0, 0, 42]);
  });
});
