import { expect } from 'chai';
import { asNobody, resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const MISUSE = 'errors/misuse.js';
const LIMITS = 'errors/limits.js';

interface Failure {
  code: string;
  message: string;
  ours: boolean;
  left: string[];
  pid: number | null;
  none: null;
  later: boolean;
}

describe('errors: Worker threads', () => {
  assertNothingLeaks();

  it('start in a Worker is ERR_UNSAFE_FORK and says so', async () => {
    const { code, message, later } = (await resultOf(MISUSE, ['inAWorker'])) as Failure;
    expect(code).to.equal('ERR_UNSAFE_FORK');
    expect(message).to.match(/from a Worker thread/);
    expect(later).to.equal(true);
  });

  const moments: [string, string[], NodeJS.ProcessEnv][] = [
    ['made before the library was loaded', ['besideEarlyWorker'], { EARLY_WORKER: '1' }],
    ['made after the library was loaded', ['besideLateWorker'], {}],
    ['made after a first fork', ['besideLateWorkerAfterAFork'], {}],
  ];
  for (const [when, args, env] of moments) {
    it(`start beside a Worker ${when} is ERR_UNSAFE_FORK, and works when that has ended`, async () => {
      const { code, message, ...rest } = (await resultOf(MISUSE, args, { env })) as Failure;
      expect(code).to.equal('ERR_UNSAFE_FORK');
      expect(message).to.match(/while Worker threads run \(Worker/);
      expect(rest).to.include({ ours: true, pid: null, none: null, later: true });
      expect(rest.left).to.deep.equal([]);
    });
  }
});

describe('errors: the end of the process', () => {
  assertNothingLeaks();

  for (const how of ['at the natural end', 'exit']) {
    it(`start and daemon in an exit listener are ERR_UNSAFE_FORK: ${how}`, async () => {
      const { message, ...rest } = (await resultOf(MISUSE, ['inAnExitListener', how])) as Failure;
      expect(message).to.match(/exit listener/);
      expect(rest).to.deep.equal({
        code: 'ERR_UNSAFE_FORK',
        ours: true,
        left: [],
        pid: null,
        none: null,
        daemon: 'ERR_UNSAFE_FORK',
      });
    });
  }
});

describe('errors: misuse', () => {
  assertNothingLeaks();

  it('the constructor refuses a bad callback and pipe type (constructor_reentrancy)', async () => {
    expect(await resultOf(MISUSE, ['constructor'])).to.deep.equal({
      codes: [
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
      ],
      notNew: true,
      works: true,
    });
  });

  it('start with a nulled callback is an error, with a new one it works (null_callback)', async () => {
    const { message, ...rest } = (await resultOf(MISUSE, ['nulled'])) as Failure;
    expect(message).to.match(/callback must be a function/);
    expect(rest).to.deep.equal({
      code: 'ERR_INVALID_ARG_TYPE',
      left: [],
      none: null,
      text: 'again',
    });
  });

  it('a callback that throws ends the child with code 1, the parent goes on (exception)', async () => {
    expect(await resultOf(MISUSE, ['throwing'])).to.deep.equal({
      code: 1,
      text: true,
      later: true,
    });
  });

  it('empty and wrong data, bad sizes and times are errors (read_invalid_size)', async () => {
    const empty = Array(3).fill('ERR_EMPTY_DATA');
    const type = 'ERR_INVALID_ARG_TYPE';
    const range = 'ERR_OUT_OF_RANGE';
    expect(await resultOf(MISUSE, ['data'])).to.deep.equal({
      writes: [...empty, type, type, type, type, type],
      sizes: [range, range, range, range, range, type, type],
      times: [range, range, range, range, type],
    });
  });

  it('every call on a Process without a pipe is ERR_NO_PIPE', async () => {
    const codes = Array(5).fill('ERR_NO_PIPE');
    expect(await resultOf(MISUSE, ['withoutPipe'])).to.deep.equal({
      before: codes,
      after: codes,
      pipe: null,
    });
  });

  it('every call on a pipe before start() is ERR_NOT_STARTED', async () => {
    expect(await resultOf(MISUSE, ['notStarted'])).to.deep.equal(Array(5).fill('ERR_NOT_STARTED'));
  });

  it('a PreforkError has name, code, message and the stack of the caller', async () => {
    expect(await resultOf(MISUSE, ['shape'])).to.deep.equal({
      name: 'PreforkError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: 'callback must be a function, got 7',
      error: true,
      stack: true,
    });
  });
});

describe('errors: limits of the kernel', () => {
  assertNothingLeaks();

  it('EAGAIN of fork: no process to be had, and start works when there is one', async () => {
    const refused = { code: 'EAGAIN', errno: -11, syscall: 'fork', pid: null, none: null };
    expect(await resultOf(LIMITS, ['processes'], asNobody)).to.deep.equal({
      before: true,
      results: [refused, refused, refused],
      same: true,
      later: true,
    });
  });

  it('EMFILE: with too few fds each start fails and leaves the fds as they were', async () => {
    const options = { wrapper: ['prlimit', '--nofile=48'] };
    const { free, ...rest } = (await resultOf(LIMITS, ['fds'], options)) as { free: number };
    expect(free).to.be.within(3, 8);
    expect(rest).to.deep.equal({
      codes: ['EMFILE null null'],
      changed: [],
      started: true,
      before: true,
      same: true,
      later: true,
    });
  });

  it('EMFILE of the very first start, which works when there are fds', async () => {
    const options = { wrapper: ['prlimit', '--nofile=48'] };
    expect(await resultOf(LIMITS, ['firstFds'], options)).to.deep.equal({
      codes: ['EMFILE null null'],
      started: true,
      later: true,
    });
  });
});
