import { expect } from 'chai';
import { History } from '../../../lib/cli/history';
import { ratesBetween } from '../../../lib/cli/rates';
import { poolAt, serverAt, workerAt } from './snapshots';

describe('rates', () => {
  it('are 0 before there are two snapshots, and when no time has passed', () => {
    const now = poolAt(0, [workerAt(0, { requests: 5 })]);
    for (const before of [null, now]) {
      expect(ratesBetween(before, now)).to.deep.equal({
        workers: [{ requestsPerSecond: 0, busy: 0, msPerRequest: null }],
        ...{ requestsPerSecond: 0, tasksPerSecond: 0, busy: 0, masterBusy: 0, msPerRequest: null },
      });
    }
  });

  it('are what has changed, by the time between', () => {
    const before = poolAt(0, [
      workerAt(0, { requests: 10, busyTimeMs: 100 }),
      workerAt(1, { requests: 3, busyTimeMs: 50 }),
    ]);
    const now = poolAt(2000, [
      workerAt(0, { requests: 30, busyTimeMs: 1100 }),
      workerAt(1, { requests: 3, busyTimeMs: 50 }),
    ]);
    now.master.busyTimeMs = 500;
    expect(ratesBetween(before, now)).to.deep.equal({
      workers: [
        { requestsPerSecond: 10, busy: 0.5, msPerRequest: 50 },
        { requestsPerSecond: 0, busy: 0, msPerRequest: null },
      ],
      ...{ requestsPerSecond: 10, tasksPerSecond: 0, busy: 0.25 },
      ...{ masterBusy: 0.25, msPerRequest: 50 },
    });
  });

  it('of a worker that was replaced count from 0', () => {
    const before = poolAt(0, [workerAt(0, { requests: 1000, busyTimeMs: 900 })]);
    const now = poolAt(1000, [workerAt(0, { pid: 77, requests: 4, busyTimeMs: 200 })]);
    const [worker] = ratesBetween(before, now).workers;
    expect(worker).to.deep.equal({ requestsPerSecond: 4, busy: 0.2, msPerRequest: 50 });
  });

  it('stay within their limits whatever the clocks say', () => {
    const before = poolAt(0, [workerAt(0, { requests: 10, busyTimeMs: 500 })]);
    const back = poolAt(1000, [workerAt(0, { requests: 9, busyTimeMs: 100 })]);
    expect(ratesBetween(before, back).workers[0]).to.deep.equal({
      ...{ requestsPerSecond: 0, busy: 0, msPerRequest: null },
    });
    const much = poolAt(1000, [workerAt(0, { requests: 10, busyTimeMs: 5000 })]);
    expect(ratesBetween(before, much).busy).to.equal(1);
  });

  it('tell tasks from requests, and do not wait for user processes to be busy', () => {
    const kinds = ['event', 'task', 'user'] as const;
    const at = (time: number, counts: number[]) =>
      serverAt(
        time,
        kinds.map((kind, id) =>
          workerAt(id, { kind, requests: counts[id] as number, busyTimeMs: id < 2 ? time : 0 }),
        ),
      );
    const rates = ratesBetween(at(0, [0, 0, 0]), at(1000, [8, 3, 0]));
    expect(rates).to.include({ requestsPerSecond: 8, tasksPerSecond: 3, busy: 1 });
  });

  it('are kept for sparklines, the newest last, but not for ever', () => {
    const history = new History();
    for (let i = 0; i < 500; i++) {
      history.add(poolAt(i * 1000, [workerAt(0, { requests: i * i })]));
    }
    expect(history.requests).to.have.length(240);
    expect(history.requests.at(-1)).to.equal(499 * 499 - 498 * 498);
    expect(history.of(0)).to.have.length(240);
    expect(history.of(9)).to.deep.equal([]);
  });
});
