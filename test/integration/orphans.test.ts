import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const REAP = 'orphans/reap.js';
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

describe('reapOrphans as PID 1', () => {
  assertNothingLeaks();

  before(function () {
    const { status, stderr } = spawnSync('unshare', [...NAMESPACE.slice(1), 'true']);
    if (status === 0) return;
    console.log(`      skipped, a PID namespace takes root: ${String(stderr).trim()}`);
    this.skip();
  });

  it('reaps adopted orphans, and child_process has the exit of its own', async () => {
    expect(await resultOf(REAP, ['pidOne'], { wrapper: NAMESPACE })).to.deep.equal({
      pid: 1,
      count: 5,
      code: 0,
    });
  });

  it('reaps at once the zombies from before', async () => {
    expect(await resultOf(REAP, ['zombiesFromBefore'], { wrapper: NAMESPACE })).to.equal(true);
  });

  it('reaps no more after reapOrphans(false)', async () => {
    expect(await resultOf(REAP, ['withoutIt'], { wrapper: NAMESPACE })).to.deep.equal({
      first: true,
    });
  });

  it('keeps exit events of child_process, and spawnSync', async () => {
    expect(await resultOf(REAP, ['besideChildProcess'], { wrapper: NAMESPACE })).to.deep.equal({
      codes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      bySync: 'no error',
    });
  });

  it("keeps the status of this library's children", async () => {
    expect(await resultOf(REAP, ['besideOwnChildren'], { wrapper: NAMESPACE })).to.deep.equal([
      0, 1, 2, 3, 4,
    ]);
  });

  it('is refused in a forked child, which is not PID 1', async () => {
    expect(await resultOf(REAP, ['inAChild'], { wrapper: NAMESPACE })).to.equal(5);
  });

  it('PID 1 forks and waits as any process', async () => {
    expect(await resultOf(REAP, ['pidOneForksAndWaits'], { wrapper: NAMESPACE })).to.deep.equal({
      text: true,
      code: 0,
      own: true,
    });
  });
});

describe('reapOrphans elsewhere', () => {
  assertNothingLeaks();

  it('is ERR_UNSUPPORTED_PLATFORM and names the pid; to switch it off is no error', async () => {
    expect(await resultOf(REAP, ['unsupported'])).to.deep.equal({
      code: 'ERR_UNSUPPORTED_PLATFORM',
      named: true,
      off: 'no error',
    });
  });
});
