import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const LIFE = 'pool/lifecycle.js';
const SIGNALS = 'pool/signals.js';

describe('pool: lifecycle', () => {
  assertNothingLeaks();

  it('workers that end are started again: start, stop, start, stop … (enable_coroutine)', async () => {
    const cycle = [
      ['start', 0],
      ['stop', 0],
    ];
    const expected = [1, 2, 3, 4, 5, 6].flatMap(() => cycle);
    expect(await resultOf(LIFE, ['cycles'])).to.deep.equal(expected);
  });

  it('start, workerStart, shutdown, workerExit, workerStop, in this order and process (master_callback)', async () => {
    expect(await resultOf(LIFE, ['callbackOrder'])).to.deep.equal({
      before: [false, -1],
      notes: [
        ['start', true, true],
        ['workerStart', false, true],
        ['shutdown', true, false],
        ['workerExit', false, false],
        ['workerStop', false, false],
      ],
      after: false,
    });
  });

  it('every callback gets the pool and its worker id; names of events go without case', async () => {
    expect(await resultOf(LIFE, ['eventArguments'])).to.deep.equal([
      'shutdown,true',
      'start,true',
      'workerStart,true,0',
      'workerStart,true,1',
      'workerStop,true,0',
      'workerStop,true,1',
    ]);
  });

  it('masterPid, workerId and workerPid are right; a worker ends the pool by masterPid (master_pid)', async () => {
    expect(await resultOf(LIFE, ['masterPid'])).to.deep.equal({
      before: [-1, -1, -1],
      right: true,
      inMaster: [-1, -1],
    });
  });

  for (const [how, what] of [
    ['masterShutdown', 'shutdown() in the master (shutdown)'],
    ['workerShutdown', 'shutdown() in a worker (shutdown)'],
    ['masterStop', 'stop() in the master'],
    ['dispose', 'Symbol.asyncDispose'],
    ['SIGTERM', 'SIGTERM to the master'],
    ['SIGINT', 'SIGINT to the master'],
  ] as const) {
    it(`${what} ends all workers in good order, and start() settles`, async () => {
      const { kinds, gone, running } = (await resultOf(LIFE, ['endsBy', how])) as {
        kinds: string[];
        gone: boolean;
        running: boolean;
      };
      expect({ gone, running }).to.deep.equal({ gone: true, running: false });
      expect(kinds.filter((kind) => kind !== 'stop')).to.deep.equal(['shutdown']);
      // One that is told to end before it has begun has nothing to stop.
      const stops = how === 'workerShutdown' ? [1, 2] : [2];
      expect(stops).to.include(kinds.filter((kind) => kind === 'stop').length);
    });
  }

  it('shutdown() before the workers have begun ends them, and is no workerError', async () => {
    expect(await resultOf(LIFE, ['shutdownAtOnce'])).to.deep.equal({ errors: [], gone: true });
  });

  it('Symbol.asyncDispose of a pool that does not run is nothing', async () => {
    expect(await resultOf(LIFE, ['disposeWithoutStart'])).to.equal('fine');
  });

  it('a second start() is ERR_POOL_RUNNING and harms nothing (start_twice)', async () => {
    expect(await resultOf(LIFE, ['startTwice'])).to.deep.equal({
      code: 'ERR_POOL_RUNNING',
      unharmed: true,
    });
  });

  it('a pool starts again after its shutdown, another one too, and no fd is left (start_pool_twice_in_same_process)', async () => {
    expect(await resultOf(LIFE, ['startAgain'])).to.deep.equal({ starts: 4, sameFds: true });
  });

  it('shutdown() in the start callback: no worker is forked', async () => {
    expect(await resultOf(LIFE, ['shutdownInStart'])).to.deep.equal({ started: 0, running: false });
  });

  it('the shutdown callback runs once, also when it calls shutdown() itself', async () => {
    expect(await resultOf(LIFE, ['shutdownInShutdown'])).to.equal(1);
    expect(await resultOf(LIFE, ['shutdownTwice'])).to.equal(1);
  });

  it('a start callback that throws: start() rejects, nothing is left, the pool can be started again', async () => {
    expect(await resultOf(LIFE, ['startThrows'])).to.deep.equal({ message: 'mine', fds: 0 });
  });

  it('a second pool while one runs is ERR_POOL_RUNNING, and starts after it', async () => {
    expect(await resultOf(LIFE, ['second'])).to.equal('ERR_POOL_RUNNING');
  });

  it('too few fds for its workers: start() is EMFILE and leaves none open', async () => {
    const options = { wrapper: ['prlimit', '--nofile=300'] };
    expect(await resultOf(LIFE, ['outOfFds'], options)).to.deep.equal({
      code: 'EMFILE',
      left: 0,
      running: false,
    });
  });

  it('workerExit comes again and again until the loop is empty, then workerStop (worker_exit_1)', async () => {
    expect(await resultOf(LIFE, ['workerExit'])).to.deep.equal([
      ['exit', 0],
      ['exit', 0],
      ['exit', 0],
      'stop',
    ]);
  });

  for (const kind of ['IPC_NONE', 'IPC_UNIXSOCK']) {
    it(`an async workerStop is waited for (${kind})`, async () => {
      expect(await resultOf(LIFE, ['asyncStop', kind])).to.deep.equal(['begins', 'ends']);
    });
  }

  it('a timer nobody clears: the worker says what holds it and ends before it is killed (4800)', async () => {
    const { code, stdout, stderr } = await runFixture(LIFE, { args: ['forcedExit'] });
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal(['stop']);
    expect(stderr).to.match(/PREFORK_WORKER_EXIT_FORCED.*worker 0 .*Timeout/s);
  });

  it('4 workers stuck in for(;;) are killed after maxWaitTime and shutdown completes (max_wait_time)', async () => {
    expect(await resultOf(LIFE, ['stuck'])).to.deep.equal({ signals: [9, 9, 9, 9], inTime: true });
  });

  it('stop() in a worker: it takes no more, its successor takes the rest', async () => {
    expect(await resultOf(LIFE, ['stopInWorker'])).to.deep.equal({
      texts: ['a', 'stop', 'b'],
      samePid: [true, false],
      running: [true, false, true],
      errors: 0,
    });
  });
});

describe('pool: signals and threads of the master', () => {
  assertNothingLeaks();

  it('SIGTERM, SIGINT, SIGUSR1, SIGUSR2 are ERR_RESERVED_SIGNAL while it runs, and free afterwards', async () => {
    const reserved = 'ERR_RESERVED_SIGNAL';
    expect(await resultOf(SIGNALS, ['reserved'])).to.deep.equal({
      inside: [reserved, reserved, reserved, reserved, 'no error'],
      after: ['no error', 'no error', 'no error', 'no error'],
    });
  });

  it('a worker may replace its own', async () => {
    expect(await resultOf(SIGNALS, ['inWorker'])).to.deep.equal({
      codes: ['no error', 'no error', 'no error', 'no error'],
      stops: 1,
    });
  });

  it('a callback from before the pool waits meanwhile and is back afterwards', async () => {
    expect(await resultOf(SIGNALS, ['callbackFromBefore'])).to.deep.equal({ during: 0, after: 1 });
  });

  it('after the pool SIGTERM has its default action again', async () => {
    const { signal, stdout } = await runFixture(SIGNALS, { args: ['defaultAgain'] });
    expect({ signal, stdout }).to.deep.equal({ signal: 'SIGTERM', stdout: '' });
  });

  it('SIGINT of a terminal reaches the workers too: the master alone decides', async () => {
    expect(await resultOf(SIGNALS, ['ctrlC'])).to.deep.equal({ stops: 2, errors: 0 });
  });

  it('a Worker thread at start: ERR_UNSAFE_FORK, nothing is left, and it works once the thread has ended', async () => {
    expect(await resultOf(SIGNALS, ['threadAtStart'])).to.deep.equal({
      code: 'ERR_UNSAFE_FORK',
      fds: 0,
      running: false,
      signals: ['no error', 'no error', 'no error', 'no error'],
    });
  });

  it('a Worker thread later on: degraded tells why a worker is not replaced, and it is once the thread has ended', async () => {
    expect(await resultOf(SIGNALS, ['threadLater'])).to.deep.equal({
      codes: ['ERR_UNSAFE_FORK'],
      isNew: true,
    });
  });
});
