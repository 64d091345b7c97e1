import { constants } from 'node:os';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const ALARM = 'signal/alarm.js';

describe('alarm', () => {
  assertNothingLeaks();

  it('ticks every 10 ms until -1 cancels it: eleven times, not more (alarm)', async () => {
    expect(await resultOf(ALARM, ['elevenTicks'])).to.equal(11);
  });

  it('0 cancels', async () => {
    expect(await resultOf(ALARM, ['cancelledByZero'])).to.equal(0);
  });

  it('ITIMER_VIRTUAL raises SIGVTALRM', async () => {
    expect(await resultOf(ALARM, ['virtual'])).to.equal(true);
  });

  it('ITIMER_PROF raises SIGPROF', async () => {
    expect(await resultOf(ALARM, ['prof'])).to.equal(true);
  });

  it('the three timers run side by side', async () => {
    expect(await resultOf(ALARM, ['together'])).to.equal(true);
  });

  it('a child does not inherit it, and has its own', async () => {
    expect(await resultOf(ALARM, ['notInherited'])).to.deep.equal({ code: 3, signal: 0 });
    expect(await resultOf(ALARM, ['inTheChild'])).to.equal(3);
  });

  it('kills a process that has no callback for it', async () => {
    expect(await resultOf(ALARM, ['withoutCallback'])).to.equal(constants.signals.SIGALRM);
  });

  it('takes more than a second, and a year', async () => {
    expect(await resultOf(ALARM, ['longerThanASecond'])).to.equal('no errorno error');
  });

  it('refuses what is no whole number and an unknown timer', async () => {
    expect(await resultOf(ALARM, ['errors'])).to.deep.equal([
      'ERR_INVALID_ARG_TYPE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
    ]);
  });
});
