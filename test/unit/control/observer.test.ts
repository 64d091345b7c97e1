import { expect } from 'chai';
import sinon from 'sinon';
import { MemoryCache } from '../../../lib/control/memory-cache';
import { Observer } from '../../../lib/control/observer';
import type { SourceState } from '../../../lib/control/snapshot';
import type { ControlSource } from '../../../lib/control/source';
import { workerAt } from '../cli/snapshots';

describe('Observer', () => {
  const state = (change: Partial<SourceState> = {}): SourceState => ({
    ...{ kind: 'server', mode: 'process', startedAt: 0, stopping: false, generation: 3 },
    ...{ masterPid: 1, managerPid: 2, queued: 9 },
    workers: [workerAt(0, { restarts: 1 }), workerAt(1, { stage: 'none', pid: null, rssBytes: 5 })],
    ...{ connections: null, requests: null, tasks: null },
    ...change,
  });
  const read = (pid: number | null) => ({ rssBytes: Number(pid) * 10, pssBytes: Number(pid) });
  const endpoints = { controlSocket: '/x', statusPage: null };

  function observe(describe: ControlSource['describe']): Observer {
    const unused = (): never => {
      throw new Error('only looked at');
    };
    const source: ControlSource = {
      pids: () => [1, 2],
      describe,
      ...{ reload: unused, stop: unused, stopWorker: unused, slowLog: unused },
    };
    return new Observer(source, endpoints, new MemoryCache(read));
  }

  it('adds totals, memory and where it is reached', async () => {
    const snapshot = await observe(() => state()).snapshot();
    expect(snapshot.total).to.include({ workers: 1, idle: 1, busy: 0, restarts: 1, queued: 9 });
    expect(snapshot.master).to.include({ pid: 1, rssBytes: 10, pssBytes: 1 });
    expect(snapshot.manager).to.deep.equal({ pid: 2, rssBytes: 20, pssBytes: 2 });
    expect(snapshot).to.include({ version: 1, controlSocket: '/x', statusPage: null });
    expect(snapshot).to.not.have.any.keys('masterPid', 'managerPid', 'queued');
  });

  it('has no manager where that is the master', async () => {
    const snapshot = await observe(() => state({ managerPid: 1 })).snapshot();
    expect(snapshot.manager).to.equal(null);
  });

  it('looks once for those who ask together, and again when something was done', async () => {
    const describeState = sinon.spy(() => state());
    const observer = observe(describeState);
    const [first, second] = await Promise.all([observer.snapshot(), observer.snapshot()]);
    expect(first).to.equal(second);
    observer.forget();
    expect(await observer.snapshot()).to.not.equal(first);
    expect(describeState.callCount).to.equal(2);
  });

  it('fails when the source does, and recovers', async () => {
    let ended = true;
    const observer = observe(() => {
      if (ended) throw new Error('it has ended');
      return state();
    });
    const message = await observer.snapshot().catch((error: unknown) => (error as Error).message);
    expect(message).to.equal('it has ended');
    ended = false;
    observer.forget();
    expect((await observer.snapshot()).generation).to.equal(3);
  });
});
