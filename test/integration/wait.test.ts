import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const WAIT = 'wait/wait.js';
const LOOP = 'wait/loop.js';

describe('wait', () => {
  assertNothingLeaks();

  it('tells exit codes and signals (wait)', async () => {
    expect(await resultOf(WAIT, ['statuses'])).to.deep.equal([
      [true, 0, 0],
      [true, 1, 0],
      [true, 0, 15],
    ]);
  });

  it('is null when there are no children', async () => {
    expect(await resultOf(WAIT, ['none'])).to.deep.equal([null, null]);
  });

  it('wait(false) is null when no child is ready; wait() is null when none is left', async () => {
    expect(await resultOf(WAIT, ['noneReady'])).to.deep.equal({
      early: null,
      status: [0, 9],
      after: null,
    });
  });

  it('wait(false) takes a zombie', async () => {
    expect(await resultOf(WAIT, ['ready'])).to.deep.equal({ same: true, code: 3, after: null });
  });

  it('reports each of 20 children once, with its own status', async () => {
    expect(await resultOf(WAIT, ['eachOnce'])).to.deep.equal({ same: true, right: true });
  });

  it('reaps 80 children that ended at once, by wait(false)', async () => {
    expect(await resultOf(WAIT, ['allAtOnce'])).to.deep.equal({ seen: 80, left: 0 });
  });

  it('is not ended by a signal that has a callback', async () => {
    expect(await resultOf(WAIT, ['interrupted'])).to.equal(3);
  });

  it("knows nothing of the parent's children in a child", async () => {
    expect(await resultOf(WAIT, ['childHasOwn'])).to.equal(5);
  });

  it('lets a SIGCHLD callback with a wait(false) loop reap all (coro/signal)', async () => {
    expect(await resultOf(WAIT, ['sigchldLoop'])).to.equal(true);
  });
});

describe('wait: on the event loop', () => {
  assertNothingLeaks();

  it('waitAsync tells each child once, then null', async () => {
    expect(await resultOf(LOOP, ['async'])).to.deep.equal({
      same: true,
      codes: Array(5).fill([2, 0]),
      after: null,
    });
  });

  it('waiters that no child is left for get null', async () => {
    expect(await resultOf(LOOP, ['moreWaitersThanChildren'])).to.deep.equal([2, null, null]);
  });

  it('waitAsync lets timers go on', async () => {
    expect(await resultOf(LOOP, ['timersGoOn'])).to.deep.equal(['timer', 9]);
  });

  it('an AbortSignal ends waitAsync with its reason and takes no status', async () => {
    expect(await resultOf(LOOP, ['aborted'])).to.deep.equal({
      name: 'RangeError',
      before: 'RangeError',
      same: true,
    });
    expect(await resultOf(LOOP, ['abortedAmongOthers'])).to.deep.equal({
      name: 'RangeError',
      same: true,
    });
  });

  it('reaps 80 children that ended at once, and exited tells each its own status', async () => {
    expect(await resultOf(LOOP, ['allAtOnceByTheLoop'])).to.deep.equal({ own: true, left: 0 });
  });

  it('exited takes the status: a later wait does not report it', async () => {
    expect(await resultOf(LOOP, ['exited'])).to.deep.equal({ same: true, code: 6, after: null });
    expect(await resultOf(LOOP, ['exitedAndWaitSideBySide'])).to.deep.equal({
      waited: 1,
      wait: null,
    });
  });

  it('exited may be asked before the start and after the reaping', async () => {
    expect(await resultOf(LOOP, ['exitedAskedBefore'])).to.equal(6);
    expect(await resultOf(LOOP, ['exitedAskedAfter'])).to.deep.equal([6, 6]);
  });

  it('exited is another promise for each run of one object', async () => {
    expect(await resultOf(LOOP, ['exitedOfEachRun'])).to.deep.equal([1, 2, 3]);
  });

  it('leaves no zombie though nobody asks, and a later wait still tells all', async () => {
    expect(await resultOf(LOOP, ['reapedByTheLoop'])).to.deep.equal({
      gone: [false, false, false],
      codes: [4, 4, 4],
      after: null,
    });
    expect(await resultOf(LOOP, ['reapedThenAsync'])).to.equal(4);
  });

  it('starts again after the loop has reaped, and reports both runs', async () => {
    expect(await resultOf(LOOP, ['restartAfterTheLoopReaped'])).to.deep.equal([true, true]);
  });
});

describe('wait: beside child_process', () => {
  assertNothingLeaks();

  it('wait leaves a zombie of child_process to its exit event', async () => {
    expect(await resultOf(WAIT, ['childProcessBesideWait'])).to.deep.equal({
      codes: [1, null, null],
      code: 3,
    });
  });

  it('waitAsync and exit events run side by side', async () => {
    expect(await resultOf(WAIT, ['childProcessBesideWaitAsync'])).to.deep.equal({
      codes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      own: true,
    });
  });

  it('spawnSync takes its own child only', async () => {
    expect(await resultOf(WAIT, ['spawnSyncBetween'])).to.deep.equal({ status: 3, own: true });
  });
});

describe('wait: life of parent and child', () => {
  assertNothingLeaks();

  it("the parent's loop runs until the child has ended", async () => {
    expect(await resultOf(LOOP, ['loopEndsWithTheChild'])).to.deep.equal({ left: 1 });
  });

  it('unref lets the parent end, and its child with it; ref undoes it', async () => {
    expect(await resultOf(LOOP, ['unrefEndsAtOnce'])).to.equal('ended');
    expect(await resultOf(LOOP, ['refAgain'])).to.deep.equal({ left: 1 });
  });

  it('waitAsync keeps the loop for an unreferenced child as well', async () => {
    expect(await resultOf(LOOP, ['waitAsyncKeepsTheLoop'])).to.equal(1);
  });

  it('start twice is ERR_ALREADY_STARTED until the child was reaped', async () => {
    expect(await resultOf(WAIT, ['startedTwice'])).to.deep.equal({
      code: 'ERR_ALREADY_STARTED',
      asZombie: 'ERR_ALREADY_STARTED',
      again: true,
    });
  });

  it('start in its own child is ERR_ALREADY_STARTED', async () => {
    expect(await resultOf(WAIT, ['startedInItself'])).to.deep.equal({ code: 5, pid: true });
  });
});
