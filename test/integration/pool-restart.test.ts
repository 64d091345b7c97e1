import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture, startFixture } from '../support/fixture';
import { assertNothingLeaks, eventually } from '../support/leaks';

const RESTART = 'pool/restart.js';

/** Orphans that have ended are zombies until init finds the time. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('pool: restarts', () => {
  assertNothingLeaks();

  it('workers that end at once are backed off, and degraded comes once (529)', async () => {
    const { starts, degraded, errors } = (await resultOf(RESTART, ['crashLoop'])) as {
      starts: [number, number];
      degraded: unknown[];
      errors: number;
    };
    expect(starts[0], 'starts until degraded').to.equal(5);
    expect(starts[1] - starts[0], 'starts in the second after it').to.be.at.most(1);
    expect(degraded).to.deep.equal([[0, 5]]);
    expect(errors).to.equal(starts[1]);
  });

  it('jobs that end in good order at once are started again and again, and degrade nothing', async () => {
    expect(await resultOf(RESTART, ['quickJobs'])).to.deep.equal({
      paced: true,
      degraded: 0,
      errors: 0,
    });
  });

  it('without a degraded callback it is a warning', async () => {
    const { code, stdout, stderr } = await runFixture(RESTART, { args: ['degradedWarning'] });
    expect(code, stderr).to.equal(0);
    const [warning, message] = JSON.parse(stdout) as [string, string];
    expect(warning).to.equal('PREFORK_POOL_DEGRADED');
    expect(message).to.equal('worker 0 died young 2 times in a row');
    expect(stderr).to.include(message);
  });

  it('a worker that can start in the end does', async () => {
    expect(await resultOf(RESTART, ['recovers'])).to.equal(3);
  });

  it('short lives with work done are no crash loop', async () => {
    expect(await resultOf(RESTART, ['quickWork'])).to.deep.equal({ fast: true, degraded: 0 });
  });

  it('exit code 78: never started again, not even by a reload; the others are', async () => {
    expect(await resultOf(RESTART, ['doNotRestart'])).to.deep.equal({
      ids: [0, 0, 0, 1, 2, 2],
      replaced: 2,
      stages: ['idle', 'none', 'idle'],
      codes: [78, 0],
    });
  });

  it('a pool whose workers all say so ends by itself', async () => {
    expect(await resultOf(RESTART, ['nobodyLeft'])).to.deep.equal({
      codes: [78, 78, 78],
      shutdowns: 1,
      running: false,
    });
  });

  it('7 of 8 workers killed in one wake are all reaped, told and replaced (2994, 3058, 1434)', async () => {
    expect(await resultOf(RESTART, ['manyAtOnce'])).to.deep.equal({
      ids: [0, 1, 2, 4, 5, 6, 7],
      restarts: 7,
      gone: 7,
    });
  });

  it('a busy master has zombies only until its loop comes round (580, 1366)', async () => {
    expect(await resultOf(RESTART, ['busyMaster'])).to.deep.equal({
      during: ['Z', 'Z', 'Z', 'Z'],
      whole: 4,
    });
  });

  it("a dead worker's pid is no process of the pool's any more (3797, 4231)", async () => {
    expect(await resultOf(RESTART, ['stalePid'])).to.deep.equal({
      killed: true,
      again: false,
      own: true,
    });
  });

  it('workers killed under load lose what they had in hand, and tell it', async () => {
    const { code, stdout, stderr } = await runFixture(RESTART, { args: ['killsUnderLoad'] });
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ twice: 0, missing: 0 });
  });
});

describe('pool: detach', () => {
  assertNothingLeaks();

  it('the detached worker ends its message while another serves the next (detach)', async () => {
    expect(await resultOf(RESTART, ['detach'])).to.deep.equal({
      texts: ['first', 'second'],
      others: true,
      starts: 2,
      running: false,
      stops: 1,
      inMaster: 'ERR_POOL_NOT_RUNNING',
      errors: 0,
    });
  });

  it('eight may have left an id and still run', async () => {
    expect(await resultOf(RESTART, ['detachMany'])).to.deep.equal({
      texts: ['0', '1', '2', '3', '4', '5', '6', '7'],
      processes: 8,
      degraded: 0,
      errors: 0,
    });
  });

  for (const strategy of ['stop-first', 'start-first']) {
    it(`one that a reload has told to end may still leave, and goes on (${strategy})`, async () => {
      expect(await resultOf(RESTART, ['detachWhileDraining', strategy])).to.deep.equal({
        replaced: 1,
        killed: 0,
        stops: 1,
        errors: 0,
      });
    });
  }

  it('it outlives pool and master, which ends without it, and obeys SIGTERM', async () => {
    // Its copy of the fixture's stdout would keep a pipe open.
    const fixture = startFixture(RESTART, { args: ['detachForGood'], timeoutMs: 10_000 });
    const pid = Number(await fixture.prints(/^\d+$/m));
    try {
      await new Promise((ended) => fixture.process.once('exit', ended));
      expect(isAlive(pid), 'alive after its master').to.equal(true);
      process.kill(pid, 'SIGTERM');
      await eventually(() => {
        expect(isAlive(pid), 'alive after SIGTERM').to.equal(false);
      });
    } finally {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await fixture.ended.catch(() => undefined);
    }
  });
});

describe('pool: the master is killed', () => {
  assertNothingLeaks();

  const kinds = [
    'timers',
    'stuck',
    'idle',
    'queue',
    ...(process.getuid?.() === 0 ? ['dropped'] : []),
  ];
  for (const kind of kinds) {
    it(`kill -9 of the master leaves no process after 1 s (workers: ${kind})`, async () => {
      const fixture = startFixture('pool/orphans.js', { args: [kind] });
      const text = await fixture.prints(/^pids .*\.$/m);
      const pids = text.trim().split(' ').slice(1, -1).map(Number);
      expect(pids).to.have.length(3);
      expect(pids.every(isAlive)).to.equal(true);
      fixture.process.kill('SIGKILL');
      const began = Date.now();
      await fixture.ended;
      await eventually(() => {
        expect(pids.filter(isAlive)).to.deep.equal([]);
      });
      expect(Date.now() - began).to.be.below(1000);
    });
  }
});
