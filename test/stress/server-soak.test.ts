/** Servers at full load for PREFORK_SOAK_SECONDS, half of it in each mode: none of their processes grows. */
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const SECONDS = Number(process.env['PREFORK_SOAK_SECONDS'] ?? 30) / 2;
const LONG = (SECONDS + 90) * 1000;

/** A memfd may be on its way. */
const MORE_FILES = 3;
const GROWN_MB = 15;

interface Look {
  files: number;
  rssMb: number;
}

interface Report {
  answered: number;
  unanswered: number;
  dropped: number;
  refused: number;
  wrong: number;
  hung: number;
  details: string[];
  connectionNum: number;
  taskingNum: number;
  /** Of each process, in the order of time. */
  looks: Look[][];
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}

/** How much more it is in the last quarter than in the first. */
function growth(looks: Look[], field: keyof Look): number {
  const quarter = looks.length >> 2;
  const values = looks.map((look) => look[field]);
  return median(values.slice(-quarter)) - median(values.slice(0, quarter));
}

describe('server soak', function () {
  this.timeout(LONG);
  assertNothingLeaks();

  for (const { mode, processes } of [
    { mode: 'process', processes: 5 },
    { mode: 'base', processes: 4 },
  ]) {
    it(`${mode} mode: ${SECONDS} s at full load; as many files and as much memory as before`, async () => {
      const args = [mode, String(SECONDS)];
      const result = await runFixture('server-stress/soak.js', { args, timeoutMs: LONG });
      expect(result.code, result.stdout + result.stderr).to.equal(0);
      const { looks, answered, details, ...rest } = JSON.parse(result.stdout) as Report;
      expect(details.join('\n')).to.equal('');
      expect(rest).to.include({ unanswered: 0, dropped: 0, refused: 0, wrong: 0, hung: 0 });
      expect(rest).to.include({ connectionNum: 0, taskingNum: 0 });
      expect(answered).to.be.greaterThan(SECONDS * 100);
      expect(looks).to.have.length(processes);
      for (const one of looks) {
        expect(growth(one, 'files'), JSON.stringify(one)).to.be.at.most(MORE_FILES);
        expect(growth(one, 'rssMb'), JSON.stringify(one)).to.be.below(GROWN_MB);
      }
    });
  }
});
