import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const MESSAGES = 'pool/messages.js';
const PRESSURE = 'pool/pressure.js';
const FAILURES = 'pool/failures.js';
const PIPES = 'pool/pipes.js';

interface Deaths {
  got: string[];
  errors: { id: number; code: number; signal: number; lostMessages: number }[];
  queued: number;
  restarts: number;
}

/** The result of a case whose worker dies of an exception, and what it wrote to stderr. */
async function deathsOf(args: string[]): Promise<Deaths & { stderr: string }> {
  const { code, stdout, stderr } = await runFixture(FAILURES, { args });
  expect(code, stderr).to.equal(0);
  return { ...(JSON.parse(stdout) as Deaths), stderr };
}

describe('pool: messages (IPC_UNIXSOCK)', () => {
  assertNothingLeaks();

  it('256 messages of 1 to 8 KB arrive in order and whole (message_async)', async () => {
    expect(await resultOf(MESSAGES, ['inOrder'])).to.deep.equal({ inOrder: true, equal: true });
  });

  it('messages of 1 byte to 64 MiB arrive whole; one byte more is ERR_MESSAGE_TOO_BIG (message_bus)', async () => {
    expect(await resultOf(MESSAGES, ['sizes'])).to.deep.equal({
      tooBig: 'ERR_MESSAGE_TOO_BIG',
      equal: true,
      count: 11,
    });
  });

  it('text goes as UTF-8, NUL bytes included; a view of bytes goes as it is', async () => {
    expect(await resultOf(MESSAGES, ['texts'])).to.deep.equal([
      [true, 'häl\0lo'],
      [true, 'B'],
    ]);
  });

  it('maxPackageSize bounds a message, and what was refused counts nowhere', async () => {
    expect(await resultOf(MESSAGES, ['maxPackageSize'])).to.deep.equal({
      codes: ['no error', 'ERR_MESSAGE_TOO_BIG'],
      rejected: 'ERR_MESSAGE_TOO_BIG',
      queued: 0,
    });
  });

  it('worker ids that do not exist, and data that is none (send_message_invalid_worker, getprocess_5)', async () => {
    const range = 'ERR_OUT_OF_RANGE';
    expect(await resultOf(MESSAGES, ['invalidIds'])).to.deep.equal({
      send: [range, range, range, range],
      sendAsync: [range, range, range, range],
      getProcess: [range, range, range, range, range],
      text: 'ERR_INVALID_ARG_TYPE',
      empty: ['ERR_EMPTY_DATA', 'ERR_INVALID_ARG_TYPE'],
      queued: 0,
    });
  });

  it('every worker sends to every worker, itself included', async () => {
    expect(await resultOf(MESSAGES, ['allToAll'])).to.deep.equal(
      [0, 1, 2].flatMap((to) => [0, 1, 2].map((from) => `${String(to)},from ${String(from)}`)),
    );
  });

  it('getProcess: itself, 70,000 bytes to a sibling, the pid after a kill (getprocess_1 to _4)', async () => {
    expect(await resultOf(MESSAGES, ['getProcess'])).to.deep.equal({
      own: [true, 1],
      written: [70_000],
      got: [[0, 70_000]],
      sibling: true,
      oldObject: true,
    });
  });
});

describe('pool: back-pressure', () => {
  assertNothingLeaks();

  it('sendMessage() in the master is false at once when the pipe is full; all that was taken arrives', async () => {
    expect(await resultOf(PRESSURE, ['fullInMaster'])).to.deep.equal({
      several: true,
      atOnce: true,
      queuedRight: true,
      again: true,
    });
  });

  it('sendMessageAsync() waits, keeps the order, and can be taken back', async () => {
    expect(await resultOf(PRESSURE, ['asyncWaits'])).to.deep.equal({
      early: 0,
      aborted: 'AbortError',
      last: [1, 2, 3],
      count: 4,
    });
  });

  it('sendMessage() in a worker blocks until there is room; nothing is lost', async () => {
    expect(await resultOf(PRESSURE, ['workerBlocks'])).to.deep.equal({
      blocked: true,
      results: [true],
      inOrder: true,
    });
  });

  it('sendMessage() of a worker to itself is false at once: nobody else would make room', async () => {
    expect(await resultOf(PRESSURE, ['toItself'])).to.deep.equal({ several: true, atOnce: true });
  });

  for (const bound of [1, 4, 50]) {
    const expected = Math.min(bound, 20);
    it(`concurrency ${String(bound)}: ${String(expected)} of 20 async handlers run at once, no more`, async () => {
      expect(await resultOf(PRESSURE, ['concurrency', String(bound)])).to.equal(expected);
    });
  }

  it('handlers that run when the pool is shut down are waited for', async () => {
    expect(await resultOf(PRESSURE, ['drains'])).to.deep.equal({ done: 3, errors: 0 });
    expect(await resultOf(PRESSURE, ['shutdownWithQueue'])).to.deep.equal([true, 0]);
  });
});

describe('pool: handlers that fail', () => {
  assertNothingLeaks();

  for (const [kind, name] of [
    ['syncThrow', 'throws'],
    ['rejection', 'is rejected'],
  ] as const) {
    it(`a handler that ${name} ends the worker; the message is told as lost, the rest is handled`, async () => {
      const { stderr, ...deaths } = await deathsOf([kind]);
      expect(deaths).to.deep.equal({
        got: ['a', 'bad', 'b'],
        errors: [{ id: 0, code: 1, signal: 0, lostMessages: 1 }],
        queued: 0,
        restarts: 1,
      });
      expect(stderr).to.include('a bad message');
    });
  }

  it('all handlers in flight are told as lost', async () => {
    const { errors, got, queued } = await deathsOf(['severalLost']);
    expect({ got, queued }).to.deep.equal({ got: ['a', 'b', 'bad'], queued: 0 });
    expect(errors).to.deep.equal([{ id: 0, code: 1, signal: 0, lostMessages: 3 }]);
  });

  for (const kind of ['sync', 'async']) {
    it(`an uncaughtException listener keeps the worker; the message counts as handled (${kind})`, async () => {
      expect(await resultOf(FAILURES, ['caughtByListener', kind])).to.deep.equal({
        got: ['a', 'bad', 'b'],
        errors: [],
        queued: 0,
        restarts: 0,
        uncaught: ['mine'],
      });
    });
  }

  for (const [signal, number] of [
    ['SIGKILL', 9],
    ['SIGSEGV', 11],
    ['SIGABRT', 6],
  ] as const) {
    it(`a worker that dies of ${signal}: told with one lost message, the rest goes to its successor`, async () => {
      expect(await deathsOf(['killed', signal])).to.deep.include({
        got: ['a', 'bad', 'b', 'c'],
        errors: [{ id: 0, code: 0, signal: number, lostMessages: 1 }],
        queued: 0,
        restarts: 1,
      });
    });
  }

  it('callbacks of the master that throw stop neither restarts nor shutdown', async () => {
    expect(await resultOf(FAILURES, ['masterThrows'])).to.deep.equal([
      'degraded',
      'workerError',
      'workerError',
      'workerError',
    ]);
  });

  it('a thenable is waited for like a promise', async () => {
    expect(await resultOf(FAILURES, ['thenable'])).to.deep.equal([
      'begins a',
      'ends a',
      'begins b',
      'ends b',
    ]);
  });

  it('process.exit(9) in a handler is told with its code', async () => {
    const { errors } = await deathsOf(['exitCode']);
    expect(errors).to.deep.equal([{ id: 0, code: 9, signal: 0, lostMessages: 1 }]);
  });

  it('process.exit(0) after a handler loses nothing and is no error', async () => {
    expect(await resultOf(FAILURES, ['exitZero'])).to.deep.equal({
      got: ['last', 'b'],
      errors: [],
    });
  });

  it('a workerStart that is rejected ends the worker; it is started again', async () => {
    const { code, stdout, stderr } = await runFixture(FAILURES, { args: ['startRejects'] });
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal([[{ id: 0, code: 1, signal: 0, lostMessages: 0 }]]);
    expect(stderr).to.include('not yet');
  });
});

describe('pool: maxRequest', () => {
  assertNothingLeaks();

  interface Lives {
    counts: number[];
    errors: number;
  }

  it('up to 10 is taken literally', async () => {
    const { counts, errors } = (await resultOf(FAILURES, ['maxRequest', '10'])) as Lives;
    expect({ counts, errors }).to.deep.equal({ counts: Array(15).fill(10), errors: 0 });
  });

  it('above 10 every worker gets a random extra of up to half', async () => {
    const { counts, errors } = (await resultOf(FAILURES, ['maxRequest', '12'])) as Lives;
    const whole = counts.slice(0, -1);
    expect(errors).to.equal(0);
    expect(Math.min(...whole), String(counts)).to.be.greaterThan(12);
    expect(Math.max(...whole), String(counts)).to.be.at.most(18);
    expect(new Set(whole).size, String(counts)).to.be.greaterThan(1);
  });

  it('maxRequestGrace bounds the extra; 0 is none', async () => {
    const none = (await resultOf(FAILURES, ['maxRequest', '30', '0'])) as Lives;
    expect(none.counts).to.deep.equal([30, 30, 30, 30, 30]);
    const one = (await resultOf(FAILURES, ['maxRequest', '3', '1'])) as Lives;
    expect(new Set(one.counts.slice(0, -1))).to.deep.equal(new Set([4]));
  });

  it('async handlers in flight are part of the count', async () => {
    const { counts, errors } = (await resultOf(FAILURES, ['maxRequestAsync'])) as Lives;
    expect({ counts, errors }).to.deep.equal({ counts: Array(10).fill(7), errors: 0 });
  });
});

describe('pool: the pipe of a worker', () => {
  assertNothingLeaks();

  const heard = [
    [0, 'hello 0'],
    [1, 'hello sibling'],
  ];

  it('worker 1 writes to worker 0 and reads its reply (export_socket)', async () => {
    expect(await resultOf(PIPES, ['sibling'])).to.deep.equal(heard);
  });

  it('the same by exportSocket() (export_socket)', async () => {
    expect(await resultOf(PIPES, ['exported'])).to.deep.equal(heard);
  });

  it('70,000 bytes are one message (getprocess_2)', async () => {
    expect(await resultOf(PIPES, ['large'])).to.deep.equal({
      written: [70_000, 70_001],
      equal: [true, true],
    });
  });

  it('works on after the worker was replaced; what it had not read its successor reads (2953, 2873)', async () => {
    expect(await resultOf(PIPES, ['respawned'])).to.deep.equal([true, true]);
  });

  it("a replaced worker's pid is right in the master and in a sibling (4231)", async () => {
    expect(await resultOf(PIPES, ['pids'])).to.deep.equal([true, true, true, true, true]);
  });

  it('close() is refused, and so is start(), in master and worker', async () => {
    expect(await resultOf(PIPES, ['close'])).to.deep.equal([
      'ERR_POOL_PIPE_SHARED',
      'ERR_POOL_PIPE_SHARED',
      'ERR_POOL_PIPE_SHARED',
      'ERR_POOL_PIPE_SHARED',
      'ERR_ALREADY_STARTED',
    ]);
  });
});
