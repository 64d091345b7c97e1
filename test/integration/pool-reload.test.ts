import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const RELOAD = 'pool/reload.js';

describe('pool: reload', () => {
  assertNothingLeaks();

  for (const signal of ['SIGUSR1', 'SIGUSR2']) {
    it(`${signal} five times replaces every worker five times (reload)`, async () => {
      expect(await resultOf(RELOAD, ['reloads', signal])).to.deep.equal({
        rounds: [true, true, true, true, true],
        errors: 0,
      });
    });
  }

  it('reload() tells what it did; a second call meanwhile joins it', async () => {
    expect(await resultOf(RELOAD, ['reloadReport'])).to.deep.equal({
      report: { generation: 1, replaced: 3, killed: 0 },
      joined: true,
      measured: true,
      generations: [1, 1, 1],
      allNew: true,
    });
  });

  it('reload() in a worker asks the master', async () => {
    expect(await resultOf(RELOAD, ['reloadInWorker'])).to.deep.equal([[null]]);
  });

  it('stuck workers are killed and replaced too', async () => {
    expect(await resultOf(RELOAD, ['stuckReload'])).to.deep.equal({ replaced: 2, killed: 2 });
  });
});

describe('pool: reload strategies', () => {
  assertNothingLeaks();

  for (const strategy of ['stop-first', 'start-first']) {
    it(`${strategy}: three reloads under load lose no message and handle none twice (3014, 4577, 6069)`, async () => {
      expect(await resultOf(RELOAD, ['reloadUnderLoad', strategy])).to.deep.equal({
        replaced: 9,
        once: true,
        errors: 0,
      });
    });
  }

  it('stop-first: the old one ends before the new one begins', async () => {
    const life = ['begins', 'serves', 'ends'];
    expect(await resultOf(RELOAD, ['order', 'stop-first'])).to.deep.equal([...life, ...life]);
  });

  it('stop-first: it stops at a worker whose successor cannot start, tells which, and the others serve on', async () => {
    expect(await resultOf(RELOAD, ['failedReload'])).to.deep.equal({
      report: { generation: 1, replaced: 1, killed: 0, failed: 0 },
      measured: true,
      sameOthers: true,
      served: true,
      next: { replaced: 3 },
      generations: [2, 2, 2],
    });
  });

  it('start-first: the old one ends when the new one serves', async () => {
    expect(await resultOf(RELOAD, ['order', 'start-first'])).to.deep.equal([
      'begins',
      'serves',
      'begins',
      'serves',
      'ends',
      'ends',
    ]);
  });

  it('start-first: successors that die young leave the old one alone until one serves', async () => {
    expect(await resultOf(RELOAD, ['badSuccessor'])).to.deep.equal({
      servedByOldOrNew: true,
      replaced: true,
      oldGone: true,
      generation: 1,
    });
  });
});
