import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import sinon from 'sinon';
import { poolStats, type PoolStats } from '../../../lib/pool/stats';
import {
  STAGE_DETACHED,
  STAGE_DRAINING,
  STAGE_READY,
  WorkerTable,
  type WorkerRow,
} from '../../../lib/pool/worker-table';

const NOW = 1_800_000_000_000;
/** Above the kernel's largest. */
const NO_SUCH_PID = 4_194_305;

describe('poolStats', () => {
  let table: WorkerTable;

  const row = (slot: number, change: Partial<WorkerRow> = {}): WorkerRow => {
    const claimed = table.claimRow(slot) as WorkerRow;
    return Object.assign(claimed, { pid: NO_SUCH_PID, startedAt: NOW - 500, ...change });
  };
  const stats = (channel = {}): PoolStats => poolStats(77, 4, table, channel, 3);

  beforeEach(() => {
    sinon.useFakeTimers({ now: NOW, toFake: ['Date'] });
    table = new WorkerTable(3);
  });
  afterEach(() => {
    sinon.restore();
  });

  it('tells of a pool without workers', () => {
    const { masterPid, generation, workers, total } = stats();
    expect({ masterPid, generation }).to.deep.equal({ masterPid: 77, generation: 4 });
    expect(workers.map(({ id, pid, stage }) => ({ id, pid, stage }))).to.deep.equal([
      { id: 0, pid: null, stage: 'none' },
      { id: 1, pid: null, stage: 'none' },
      { id: 2, pid: null, stage: 'none' },
    ]);
    expect(total).to.deep.equal({
      workers: 0,
      idle: 0,
      requests: 0,
      restarts: 0,
      queued: 0,
      rssBytes: 0,
      pssBytes: 0,
    });
  });

  it('tells of an idle worker', () => {
    row(1, { stage: STAGE_READY, generation: 4, handled: 12, busyTime: 80 });
    table.countRestart(1);
    expect(stats().workers[1]).to.deep.equal({
      id: 1,
      pid: NO_SUCH_PID,
      stage: 'idle',
      generation: 4,
      restarts: 1,
      requests: 12,
      running: 0,
      busyTimeMs: 80,
      uptimeMs: 500,
      queued: 0,
      rssBytes: 0,
      pssBytes: 0,
    });
  });

  it('counts the time of what runs at this moment as busy', () => {
    row(0, { stage: STAGE_READY, busy: 2, busySince: NOW - 30, busyTime: 80 });
    expect(stats().workers[0]).to.include({ stage: 'busy', running: 2, busyTimeMs: 110 });
  });

  it('names the other stages whatever runs', () => {
    row(0);
    row(1, { stage: STAGE_DRAINING, busy: 1 });
    row(2, { stage: STAGE_DETACHED, busy: 1 });
    expect(stats().workers.map(({ stage }) => stage)).to.deep.equal([
      'starting',
      'draining',
      'detached',
    ]);
  });

  it('tells of the newest worker of an id only', () => {
    row(0, { stage: STAGE_DRAINING, handled: 50 });
    row(0, { stage: STAGE_READY, handled: 1 });
    expect(stats().workers[0]).to.include({ stage: 'idle', requests: 1 });
  });

  it('adds up', () => {
    row(0, { stage: STAGE_READY, handled: 5 });
    row(1, { stage: STAGE_READY, handled: 7, busy: 1, busySince: NOW });
    table.countRestart(0);
    table.countRestart(1);
    table.countSent(0, 1);
    table.countSent(2, 1);
    const { total } = stats({ isEmpty: (id: number) => id === 1 });
    expect(total).to.include({ workers: 2, idle: 1, requests: 12, restarts: 2, queued: 2 });
  });

  it('never counts fewer than none, and believes the kernel whether any waits', () => {
    for (let i = 0; i < 3; i++) table.countTaken(0, 1);
    for (let i = 0; i < 3; i++) table.countSent(1, 1);
    const queued = (isEmpty: boolean) =>
      stats({ isEmpty: () => isEmpty }).workers.map((worker) => worker.queued);
    expect(queued(true)).to.deep.equal([0, 0, 0]);
    expect(queued(false)).to.deep.equal([1, 3, 1]);
  });

  it('counts nothing for a worker where workers have no queues of their own', () => {
    table.countSent(0, 1);
    expect(stats().workers[0]?.queued).to.equal(0);
  });

  it('asks a channel with a queue of its own how many wait', () => {
    table.countSent(0, 1);
    expect(stats({ queued: () => 9 }).total.queued).to.equal(9);
  });

  it('reads the memory of a live process, and adds it up', () => {
    row(0, { pid: process.pid, stage: STAGE_READY });
    row(1, { stage: STAGE_READY });
    const { workers, total } = stats();
    const rss = Number(/Rss:\s+(\d+)/.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]);
    expect(workers[0]?.rssBytes).to.be.closeTo(rss * 1024, rss * 512);
    expect(workers[0]?.pssBytes)
      .to.be.greaterThan(0)
      .and.at.most(workers[0]?.rssBytes as number);
    expect(total.rssBytes).to.equal(workers[0]?.rssBytes);
    expect(total.pssBytes).to.equal(workers[0]?.pssBytes);
  });
});
