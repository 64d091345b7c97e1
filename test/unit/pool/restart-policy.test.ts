import { expect } from 'chai';
import {
  cannotStart,
  decideRestart,
  DEFAULT_RESTART,
  EXIT_DO_NOT_RESTART,
  type WorkerEnd,
} from '../../../lib/pool/restart-policy';

const MIDDLE = (): number => 0.5;

const crash = (change: Partial<WorkerEnd> = {}): WorkerEnd => ({
  code: 1,
  signal: 0,
  uptimeMs: 5,
  served: true,
  provedItself: false,
  ...change,
});

/** The delay after each of `count` young deaths in a row. */
function delays(count: number, random: () => number, policy = DEFAULT_RESTART): number[] {
  const found: number[] = [];
  for (let failures = 0; failures < count; failures++) {
    found.push(decideRestart(policy, failures, crash(), random).delay);
  }
  return found;
}

describe('cannotStart', () => {
  for (const [what, before, end, expected] of [
    ['an error at once', 0, { code: 1 }, true],
    ['a first kill', 0, { code: 0, signal: 9 }, false],
    ['a second kill in a row', 1, { code: 0, signal: 9 }, true],
    ['"do not restart me"', 0, { code: EXIT_DO_NOT_RESTART }, true],
    ['an error after a long life', 0, { uptimeMs: 5000 }, false],
    ['an error after a long start', 0, { uptimeMs: 5000, served: false }, true],
    ['an end in good order', 3, { code: 0 }, false],
  ] as const) {
    it(`${what}: ${String(expected)}`, () => {
      const decision = decideRestart(DEFAULT_RESTART, before, crash(end), MIDDLE);
      expect(cannotStart(decision, crash(end))).to.equal(expected);
    });
  }
});

describe('decideRestart', () => {
  it('starts again at once after the first young death, then waits twice as long each time', () => {
    expect(delays(4, MIDDLE)).to.deep.equal([0, 100, 200, 400]);
  });

  it('goes on at the longest delay when the breaker has opened', () => {
    expect(delays(7, MIDDLE).slice(4)).to.deep.equal([10_000, 10_000, 10_000]);
  });

  it('never waits longer than maxDelay before that', () => {
    const policy = { ...DEFAULT_RESTART, breakerAfter: 100, maxDelay: 300 };
    expect(delays(6, MIDDLE, policy)).to.deep.equal([0, 100, 200, 300, 300, 300]);
  });

  it('varies a delay by the jitter, both ways', () => {
    expect(delays(3, () => 0)).to.deep.equal([0, 80, 160]);
    expect(delays(3, () => 1)).to.deep.equal([0, 120, 240]);
    expect(delays(3, () => 0, { ...DEFAULT_RESTART, jitter: 0 })).to.deep.equal([0, 100, 200]);
  });

  it('calls the pool degraded once in a row: at the breaker, not before and not after', () => {
    const told = [0, 1, 2, 3, 4, 5, 6].map(
      (before) => decideRestart(DEFAULT_RESTART, before, crash(), MIDDLE).degraded,
    );
    expect(told).to.deep.equal([false, false, false, false, true, false, false]);
  });

  it('counts the failures', () => {
    expect(decideRestart(DEFAULT_RESTART, 3, crash(), MIDDLE).failures).to.equal(4);
  });

  const anew = { delay: 0, failures: 0, degraded: false };
  for (const [what, end] of [
    ['has lived for minUptime', { uptimeMs: 1000 }],
    ['has done work', { provedItself: true }],
    ['was killed after it had done work', { code: 0, signal: 9, provedItself: true }],
    ['has ended in good order after 20 ms', { code: 0, uptimeMs: 20 }],
    ['has ended in good order at once, after work', { code: 0, uptimeMs: 0, provedItself: true }],
  ] as const) {
    it(`starts a worker again at once that ${what}, and forgets its failures`, () => {
      expect(decideRestart(DEFAULT_RESTART, 4, crash(end), MIDDLE)).to.deep.equal(anew);
    });
  }

  for (const [what, end] of [
    ['exits with an error a moment before minUptime', { uptimeMs: 999 }],
    ['exits with an error after a long start', { uptimeMs: 1e6, served: false }],
    ['is killed by a signal', { code: 0, signal: 11 }],
    ['was killed although the code says 78', { code: EXIT_DO_NOT_RESTART, signal: 9 }],
  ] as const) {
    it(`takes it as a young death when a worker ${what}`, () => {
      const decision = decideRestart(DEFAULT_RESTART, 1, crash(end), MIDDLE);
      expect(decision).to.deep.equal({ delay: 100, failures: 2, degraded: false });
    });
  }

  it('starts jobs that end in good order no more often than every 20 ms, and takes them for no failure', () => {
    for (const [uptimeMs, delay] of [
      [0, 20],
      [5, 15],
      [19, 1],
    ] as const) {
      const decision = decideRestart(DEFAULT_RESTART, 4, crash({ code: 0, uptimeMs }), MIDDLE);
      expect(decision).to.deep.equal({ delay, failures: 0, degraded: false });
    }
  });

  it('never starts a worker again that ended with exit code 78, however long it lived', () => {
    for (const uptimeMs of [0, 1e9]) {
      const end = crash({ code: EXIT_DO_NOT_RESTART, uptimeMs, provedItself: uptimeMs > 0 });
      expect(decideRestart(DEFAULT_RESTART, 2, end, MIDDLE)).to.deep.equal({
        delay: Infinity,
        failures: 2,
        degraded: false,
      });
    }
  });

  it('with minUptime 0 no worker dies young', () => {
    const policy = { ...DEFAULT_RESTART, minUptime: 0 };
    expect(decideRestart(policy, 4, crash({ uptimeMs: 0 }), MIDDLE)).to.deep.equal(anew);
  });
});
