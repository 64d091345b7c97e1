import { expect } from 'chai';
import sinon from 'sinon';
import { MemoryCache } from '../../../lib/control/memory-cache';

describe('MemoryCache', () => {
  let now: number;
  let costMs: number;
  const read = sinon.spy((pid: number | null) => {
    now += costMs;
    return { rssBytes: Number(pid), pssBytes: now };
  });
  let cache: MemoryCache;

  beforeEach(() => {
    now = 0;
    costMs = 0;
    read.resetHistory();
    cache = new MemoryCache(read, () => now);
  });

  it('reads each process once a second', async () => {
    await cache.refresh([7, 8]);
    now = 999;
    await cache.refresh([7, 8]);
    expect(read.callCount).to.equal(2);
    now = 1000;
    await cache.refresh([7, 8]);
    expect(read.callCount).to.equal(4);
    expect(cache.of(7)).to.deep.equal({ rssBytes: 7, pssBytes: 1000 });
  });

  it('reads a new process at once', async () => {
    await cache.refresh([7]);
    await cache.refresh([7, 8]);
    expect(read.args).to.deep.equal([[7], [8]]);
  });

  it('knows nothing of others, and forgets those that are gone', async () => {
    await cache.refresh([7]);
    const nothing = { rssBytes: 0, pssBytes: 0 };
    expect([cache.of(null), cache.of(9)]).to.deep.equal([nothing, nothing]);
    await cache.refresh([]);
    expect(cache.of(7)).to.deep.equal(nothing);
  });

  it('lets the event loop turn after a few milliseconds', async () => {
    costMs = 2;
    const turned = sinon.spy();
    const refreshed = cache.refresh([1, 2, 3, 4, 5]);
    expect(read.callCount).to.equal(2);
    setImmediate(turned);
    await refreshed;
    expect(read.callCount).to.equal(5);
    expect(turned.callCount).to.equal(1);
  });

  it('takes at most a fiftieth of the time', async () => {
    costMs = 30;
    await cache.refresh([1, 2]);
    now += 2900;
    await cache.refresh([1, 2]);
    expect(read.callCount).to.equal(2);
    now += 100;
    await cache.refresh([1, 2]);
    expect(read.callCount).to.equal(4);
  });
});
