/** Long runs. PREFORK_STRESS_FORKS raises the number of forks under load, say to 20000. */
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const FORKS = Number(process.env['PREFORK_STRESS_FORKS'] ?? 2000);
const LONG = 280_000 + FORKS * 100;

async function report(name: string, args: string[], node: string[] = []): Promise<unknown> {
  const result = await runFixture(`stress/${name}.js`, { args, node, timeoutMs: LONG });
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  return JSON.parse(result.stdout);
}

describe('stress', function () {
  this.timeout(LONG);
  assertNothingLeaks();

  it(`forks ${String(FORKS)} times under GC and JIT load without a hang or a wrong exit`, async () => {
    const result = await report('forks-under-load', [String(FORKS)]);
    expect(result).to.deep.equal({ forks: FORKS, right: FORKS });
  });

  it('exchanges messages with 200 children alive at once for 10 s', async () => {
    const result = (await report('many-alive', ['200', '10000'])) as Record<string, number>;
    expect(result).to.include({ clean: 200, wrong: 0 });
    expect(result['fewest']).to.be.greaterThan(0);
  });

  it('ends 500 start/exit/wait cycles with the same fds, no zombie and within 20 MB', async () => {
    const result = (await report('cycles', ['500'], ['--expose-gc'])) as Record<string, number>;
    expect(result).to.include({ fdsGained: 0, zombies: 0 });
    expect(result['rssGainedMb']).to.be.lessThan(20);
  });

  it('survives signals every 100 us during 500 forks', async () => {
    const result = await report('signals-during-forks', ['500']);
    expect(result).to.deep.equal({ right: 500, alarms: true, sent: true });
  });

  it('reports 300 children that ended before the parent reached wait', async () => {
    const result = await report('exit-before-wait', ['300']);
    expect(result).to.deep.equal({ right: 300, left: 0, more: null });
  });

  it('forks with 8 pbkdf2 and 20 file reads in flight', async () => {
    const result = await report('work-in-flight', ['20']);
    expect(result).to.deep.equal({ right: 20, inParent: 20 * 28, elsewhere: 0 });
  });

  it('ends 100 children that compile on a small heap', async () => {
    const result = await report('small-heap', ['100'], ['--initial-heap-size=4']);
    expect(result).to.deep.equal({ right: 100 });
  });
});
