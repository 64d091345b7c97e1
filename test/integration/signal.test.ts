import { constants } from 'node:os';
import { expect } from 'chai';
import { asNobody, resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const SIGNAL = 'signal/signal.js';
const KILL = 'signal/kill.js';
const BESIDE = 'signal/beside-node.js';
const { SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR2 } = constants.signals;

describe('signal: callbacks', () => {
  assertNothingLeaks();

  it("the child's callback replaces itself, the parent's own never runs, SIGCHLD comes (signal)", async () => {
    expect(await resultOf(SIGNAL, ['replacesItself'])).to.deep.equal({
      texts: ['first 15', 'second 15'],
      code: 0,
      parents: 0,
    });
  });

  it('signals go by name and by number, the callback gets the number', async () => {
    expect(await resultOf(SIGNAL, ['namesAndNumbers'])).to.have.property('right', true);
  });

  it('a second callback replaces the first', async () => {
    expect(await resultOf(SIGNAL, ['replaced'])).to.deep.equal(['second']);
  });

  it('realtime signals 34 to 64 have callbacks, and null takes them away', async () => {
    expect(await resultOf(SIGNAL, ['realtime'])).to.equal(true);
  });

  it('SIGALRM, SIGVTALRM and SIGPROF have callbacks', async () => {
    expect(await resultOf(SIGNAL, ['alarms'])).to.deep.equal([true, true, true]);
  });

  it('a registration works again after the first was removed (signal_twice)', async () => {
    expect(await resultOf(SIGNAL, ['twice'])).to.deep.equal(['first', 'second']);
  });

  it('a callback runs between turns of the loop, never inside other code', async () => {
    expect(await resultOf(SIGNAL, ['neverInside'])).to.deep.equal(['code', 'callback']);
  });

  it('a callback runs after a blocking read, which the signal does not end', async () => {
    expect(await resultOf(SIGNAL, ['afterABlockingRead'])).to.deep.equal(['data', 'callback']);
  });

  it('an exception of a callback is an uncaughtException; promises of it go on', async () => {
    expect(await resultOf(SIGNAL, ['throwingCallback'])).to.deep.equal(['in the callback']);
    expect(await resultOf(SIGNAL, ['asyncCallback'])).to.deep.equal(['begin', 'end']);
  });

  it('callbacks do not keep the loop alive, in the parent and in a child', async () => {
    expect(await resultOf(SIGNAL, ['doesNotKeepTheLoop'])).to.equal('ends');
    expect(await resultOf(SIGNAL, ['childEndsWithCallbacks'])).to.deep.equal({
      code: 0,
      signal: 0,
    });
  });

  it('a process kept by a timer ends when its callback clears it (wait_signal)', async () => {
    expect(await resultOf(SIGNAL, ['waitSignal'])).to.deep.equal({
      text: 'START\nSIGINT\n',
      code: 0,
    });
  });
});

describe('signal: default and ignore', () => {
  assertNothingLeaks();

  it('null brings the default action back: SIGTERM kills', async () => {
    const killed = { code: 0, signal: SIGTERM };
    expect(await resultOf(SIGNAL, ['defaultAgain'])).to.deep.equal(killed);
    expect(await resultOf(SIGNAL, ['defaultAfterIgnore'])).to.deep.equal(killed);
  });

  it('null takes back what has come and was not told yet', async () => {
    expect(await resultOf(SIGNAL, ['nullDropsWhatIsPending'])).to.equal(0);
  });

  it('SIG_IGN ignores, a function handles again, null leaves neither', async () => {
    expect(await resultOf(SIGNAL, ['ignored'])).to.deep.equal({
      ignores: true,
      seen: ['callback'],
      left: false,
    });
  });

  it("a child starts with default actions and does not run the parent's callbacks", async () => {
    expect(await resultOf(SIGNAL, ['childStartsWithDefaults'])).to.deep.equal([
      SIGTERM,
      SIGUSR2,
      SIGINT,
      SIGHUP,
    ]);
  });

  it('what the parent ignores, the child ignores', async () => {
    expect(await resultOf(SIGNAL, ['ignoredStaysIgnored'])).to.deep.equal({ code: 3, signal: 0 });
  });

  it('a child has no callback to remove, and the parent keeps its own', async () => {
    expect(await resultOf(SIGNAL, ['childHasNoneToRemove'])).to.equal(5);
    expect(await resultOf(SIGNAL, ['parentGoesOnAfterAFork'])).to.equal(1);
  });

  it('unknown and uncatchable signals, wrong types and a missing callback are errors', async () => {
    expect(await resultOf(SIGNAL, ['errors'])).to.deep.equal({
      unknown: Array(7).fill('ERR_OUT_OF_RANGE'),
      uncatchable: Array(5).fill('ERR_OUT_OF_RANGE'),
      type: Array(4).fill('ERR_INVALID_ARG_TYPE'),
      none: 'ERR_NO_SIGNAL_HANDLER',
      twice: ['no error', 'no error', 'ERR_NO_SIGNAL_HANDLER'],
    });
  });
});

describe('signal: beside process.on', () => {
  assertNothingLeaks();

  it('both run, and the listener goes on when the callback is removed', async () => {
    expect(await resultOf(BESIDE, ['processOn'])).to.deep.equal({
      both: ['on', 'signal'],
      then: 'on',
    });
  });

  it('the callback goes on when the listener is removed', async () => {
    expect(await resultOf(BESIDE, ['processOffLeavesSignal'])).to.deep.equal(['signal']);
  });

  it('a listener added after SIG_IGN runs', async () => {
    expect(await resultOf(BESIDE, ['processOnAfterIgnore'])).to.deep.equal(['on']);
  });

  it('SIG_IGN silences a listener, null gives it its signal back', async () => {
    expect(await resultOf(BESIDE, ['nullAfterIgnoreBesideProcessOn'])).to.deep.equal([
      'ignored',
      'on',
    ]);
  });

  it("null in a child brings the default action, not the parent's listener", async () => {
    expect(await resultOf(BESIDE, ['ignoredByTheParentBesideProcessOn'])).to.deep.equal({
      code: 0,
      signal: SIGUSR2,
    });
  });

  it('a callback set after SIG_IGN runs also when there is a listener', async () => {
    expect(await resultOf(BESIDE, ['callbackAfterIgnoreBesideProcessOn'])).to.deep.equal([
      'signal',
    ]);
  });
});

describe('signal: beside child_process', () => {
  assertNothingLeaks();

  it('exits of child_process are told while SIGCHLD has a callback and after null', async () => {
    expect(await resultOf(BESIDE, ['childProcessAfterSigchld'])).to.deep.equal([3, 4]);
  });
});

describe('kill', () => {
  assertNothingLeaks();

  it('SIGKILL ends a sleeper (kill)', async () => {
    expect(await resultOf(KILL, ['kill'])).to.deep.equal({ code: 0, signal: SIGKILL });
  });

  it('0 asks whether the process exists; unknown signals and pids are errors', async () => {
    expect(await resultOf(KILL, ['killErrors'])).to.deep.equal({
      alive: true,
      codes: [
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
      ],
      after: false,
      none: false,
    });
  });

  it('a zombie still answers, a reaped child does not', async () => {
    expect(await resultOf(KILL, ['killOfAZombie'])).to.deep.equal({
      zombie: true,
      reaped: false,
      term: false,
    });
  });

  it("another user's process is EPERM", async () => {
    expect(await resultOf(KILL, ['killForbidden'], asNobody)).to.equal('EPERM');
  });

  it('0 and negative pids name process groups', async () => {
    const options = { wrapper: ['setsid', '--wait'] };
    expect(await resultOf(KILL, ['killGroup'], options)).to.deep.equal({
      alive: true,
      own: true,
      code: 0,
      signal: SIGTERM,
    });
  });
});
