/** Servers among clients that do everything wrong: their memory stays bounded, and others are served. */
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const LONG = 100_000;

/** All processes of the server together; frames of 400 MB are announced, and tasks of 40 GB. */
const GROWN_MB = 120;
/** 3,000 MB are asked for. Each of 20 connections may have 4 MB waiting, and what a pipe holds. */
const GROWN_BY_REPLIES_MB = 900;
/** On a busy machine. */
const SLOWEST_MS = 5000;

interface Way {
  answered?: number;
  closed?: number;
  /** Others were served before it was over. */
  served?: boolean;
  /** What clients in good order got meanwhile. */
  good: { answers: number; tasks: number; wrong: number; slowestMs: number };
  grownMb: number;
}

interface Report {
  ways: Record<string, Way>;
  connectionNum: number;
  /** Files in memory that are left, of each process. */
  files: number[];
  died: unknown[];
}

async function run(mode: string): Promise<Report> {
  const result = await runFixture('server-stress/hostile.js', { args: [mode], timeoutMs: LONG });
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  expect(result.leftFiles).to.deep.equal([]);
  return JSON.parse(result.stdout) as Report;
}

/** What has to become of those that do wrong. */
const EXPECTED: Record<string, Partial<Way>> = {
  dribble: { answered: 40 },
  halfOpen: { answered: 20, closed: 120 },
  oversize: { closed: 100 },
  garbage: { closed: 50 },
  comeAndGo: {},
  idle: { answered: 2000, served: true },
  readNothing: { served: true },
  readSlowly: { answered: 10 },
  garbageTasks: { served: true },
};

describe('server among hostile clients', function () {
  this.timeout(LONG);
  assertNothingLeaks();

  for (const mode of ['process', 'base']) {
    describe(`${mode} mode`, () => {
      let report: Report;

      before(async () => {
        report = await run(mode);
      });

      it('gives each of them what it deserves', () => {
        const { ways, ...after } = report;
        expect(Object.keys(ways)).to.deep.equal(Object.keys(EXPECTED));
        for (const [name, expected] of Object.entries(EXPECTED)) {
          expect(ways[name], name).to.deep.include(expected);
        }
        expect(after).to.deep.include({ connectionNum: 0, died: [] });
        expect(new Set(after.files), 'memfds left').to.deep.equal(new Set([0]));
      });

      it('serves others meanwhile', () => {
        for (const [name, { good }] of Object.entries(report.ways)) {
          expect(good.wrong, name).to.equal(0);
          expect(good.answers, name).to.be.greaterThan(5);
          expect(good.slowestMs, name).to.be.below(SLOWEST_MS);
        }
      });

      it('needs little memory for them', () => {
        for (const [name, { grownMb }] of Object.entries(report.ways)) {
          const most = name === 'readNothing' ? GROWN_BY_REPLIES_MB : GROWN_MB;
          expect(grownMb, name).to.be.below(most);
        }
      });
    });
  }
});
