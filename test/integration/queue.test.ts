import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { asNobody, resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const QUEUE = 'queue/queue.js';
const ASYNC = 'queue/async.js';
const LIFE = 'queue/life.js';
const UNLIMITED = ['prlimit', '--msgqueue=unlimited'];

/** More messages than msg_max and more bytes than RLIMIT_MSGQUEUE take CAP_SYS_RESOURCE. */
function mayExceedLimits(): boolean {
  return spawnSync('prlimit', [...UNLIMITED.slice(1), 'true']).status === 0;
}

interface Caught {
  code: string;
  message: string;
  cause?: string;
}

describe('queue: push and pop', () => {
  assertNothingLeaks();

  it('carries bytes, NUL included, from parent to child (push, pop, useQueue)', async () => {
    expect(await resultOf(QUEUE, ['toTheChild'])).to.deep.equal({
      pushed: true,
      code: 3,
      freed: true,
    });
  });

  it('carries bytes, NUL included, from child to parent (process_push)', async () => {
    expect(await resultOf(QUEUE, ['fromTheChild'])).to.deep.equal({
      opened: true,
      bytes: [0, 255, 0],
    });
  });

  it('is one queue for both directions', async () => {
    expect(await resultOf(QUEUE, ['bothWays'])).to.equal('HELLO');
  });

  it('is found by its key after the fork, and msgQueueKey tells it while it is open', async () => {
    expect(await resultOf(QUEUE, ['openedByKey'])).to.deep.equal({
      before: null,
      text: 'by key',
      key: true,
      after: null,
    });
  });

  it('keeps the order', async () => {
    expect(await resultOf(QUEUE, ['order'])).to.equal(true);
  });

  it('statQueue counts the messages and tells the limits (process_msgqueue)', async () => {
    expect(await resultOf(QUEUE, ['status'])).to.deep.equal({
      before: 0,
      messages: 5,
      after: 0,
      limits: true,
    });
  });

  it('push waits while the queue is full and wakes after a pop', async () => {
    expect(await resultOf(QUEUE, ['fullBlocks'])).to.equal(true);
  });

  it('pop waits while the queue is empty and wakes after a push', async () => {
    expect(await resultOf(QUEUE, ['emptyBlocks'])).to.deep.equal({
      early: null,
      text: 'popped late',
    });
  });

  it('IPC_NOWAIT: pop is null when empty, push false when full', async () => {
    expect(await resultOf(QUEUE, ['nothingThere'])).to.deep.equal({
      empty: [null, null],
      count: true,
      full: false,
      first: '0',
      room: true,
    });
    expect(await resultOf(QUEUE, ['nothingThereOriented'])).to.deep.equal({
      empty: null,
      full: false,
    });
    expect(await resultOf(QUEUE, ['nowaitAlone'])).to.equal(null);
  });

  it('QUEUE_BALANCE: four consumers share 1,000 jobs, each gets done once', async () => {
    expect(await resultOf(QUEUE, ['consumers'])).to.deep.equal({
      count: 1000,
      distinct: 1000,
      left: 0,
    });
  });

  it('QUEUE_ORIENT: every Process has its own mailbox', async () => {
    expect(await resultOf(QUEUE, ['mailboxes'])).to.deep.equal({
      texts: ['1: for 1', '2: for 2', '3: for 3'],
      freed: [true, true, true],
    });
  });
});

describe('queue: key, capacity and life', () => {
  assertNothingLeaks();

  it('key 0 is the same for two processes of one script, another for another script', async () => {
    expect(await resultOf('queue/key-zero.js', [])).to.deep.equal({
      popped: 'from the first',
      sameKey: true,
      other: 'null',
      otherKey: true,
    });
  });

  it('has mode 0600', async () => {
    expect(await resultOf(LIFE, ['mode'])).to.deep.equal(['600']);
  });

  it('refuses a queue of its name that another user has made', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const { code, message } = (await resultOf(LIFE, ['madeByAStranger'])) as Caught;
    expect(code).to.equal('EACCES');
    expect(message).to.contain('other users may read or write it');
  });

  it('holds as many messages as capacity says', async () => {
    expect(await resultOf(LIFE, ['capacity'])).to.deep.equal({
      maxMessages: 3,
      pushed: [true, true, true, false],
    });
  });

  it('holds 32 MiB with CAP_SYS_RESOURCE (msgq_capacity)', async function () {
    if (!mayExceedLimits()) this.skip();
    const options = { wrapper: UNLIMITED };
    expect(await resultOf(LIFE, ['largeCapacity'], options)).to.deep.equal({
      bytes: 32 * 1024 * 1024,
      messages: 4096,
      after: 0,
    });
  });

  it('names msg_max when the capacity is over it, and opens without one afterwards', async () => {
    const { error, later } = (await resultOf(LIFE, ['overCapacity'], asNobody)) as {
      error: Caught;
      later: boolean;
    };
    expect(error.code).to.equal('ERR_OUT_OF_RANGE');
    expect(error.cause).to.equal('EINVAL');
    expect(error.message).to.match(/at most \d+ messages.*msg_max.*60000/);
    expect(later).to.equal(true);
  });

  it('names RLIMIT_MSGQUEUE when that is in the way', async () => {
    const options = { ...asNobody, wrapper: ['prlimit', '--msgqueue=0'] };
    const error = (await resultOf(LIFE, ['noRoomForQueues'], options)) as Caught;
    expect(error.code).to.equal('EMFILE');
    expect(error.message).to.include('RLIMIT_MSGQUEUE');
  });

  it('outlives the process that made it', async () => {
    expect(await resultOf(LIFE, ['outlives'])).to.equal('left behind');
  });

  it('freeQueue after start removes it: the next with its key is a new one (freeQueue)', async () => {
    expect(await resultOf(LIFE, ['freed'])).to.deep.equal({
      freed: true,
      after: 'ERR_NO_QUEUE',
      again: 0,
    });
  });

  it('freeQueue tells false when somebody else was faster; who has it open goes on', async () => {
    expect(await resultOf(LIFE, ['freedByAnother'])).to.deep.equal({
      freed: [true, false],
      text: 'still there',
    });
  });

  it('useQueue again replaces the queue and keeps what is in the first', async () => {
    expect(await resultOf(LIFE, ['replaced'])).to.deep.equal({
      other: null,
      fds: 1,
      text: 'in the first',
      left: 0,
    });
  });

  it('closes the queues of Process objects that were dropped', async () => {
    expect(await resultOf(LIFE, ['dropped'], { node: ['--expose-gc'] })).to.equal(true);
  });
});

describe('queue: errors', () => {
  assertNothingLeaks();

  it('refuses a message over the limit and names the limit; one of the limit goes', async () => {
    const { error, messageSize, exact, whole } = (await resultOf(QUEUE, ['tooBig'])) as {
      error: Caught;
      messageSize: number;
      exact: boolean;
      whole: boolean;
    };
    expect(error.code).to.equal('ERR_MESSAGE_TOO_BIG');
    expect(error.message).to.include(`${String(messageSize + 1)} bytes`);
    expect(error.message).to.include(`is ${String(messageSize)} bytes`);
    expect({ exact, whole }).to.deep.equal({ exact: true, whole: true });
  });

  it('keeps a message longer than the size for the next pop', async () => {
    const { error, kept, rest } = (await resultOf(QUEUE, ['longerThanSize'])) as {
      error: Caught;
      kept: boolean;
      rest: unknown[];
    };
    expect(error.code).to.equal('ERR_MESSAGE_TOO_BIG');
    expect(error.message).to.match(/100 bytes.* 10:/);
    expect({ kept, rest }).to.deep.equal({ kept: true, rest: ['next', null] });
  });

  it('every call without a queue is ERR_NO_QUEUE', async () => {
    expect(await resultOf(QUEUE, ['noQueue'])).to.deep.equal(Array(4).fill('ERR_NO_QUEUE'));
    expect(await resultOf(ASYNC, ['noQueueAsync'])).to.deep.equal(['ERR_NO_QUEUE', 'ERR_NO_QUEUE']);
  });

  it('refuses empty data, wrong sizes, keys and modes; the open queue stays', async () => {
    expect(await resultOf(QUEUE, ['misuse'])).to.deep.equal({
      codes: [
        'ERR_EMPTY_DATA',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
      ],
      works: true,
    });
  });
});

describe('queue: without blocking the loop', () => {
  assertNothingLeaks();

  it('pushAsync and popAsync between parent and child', async () => {
    expect(await resultOf(ASYNC, ['async'])).to.equal('got a\0b');
  });

  it('wait for a message and for room while timers go on, also with IPC_NOWAIT', async () => {
    expect(await resultOf(ASYNC, ['asyncWaits'])).to.deep.equal([
      'timer',
      'popped late',
      'timer',
      'pushed',
    ]);
  });

  it('30 outstanding popAsync take one message each', async () => {
    expect(await resultOf(ASYNC, ['asyncConsumers'])).to.deep.equal({ count: 30, distinct: 30 });
  });

  it('an AbortSignal ends both waits with its reason and takes no message', async () => {
    expect(await resultOf(ASYNC, ['aborted'])).to.deep.equal({
      reasons: ['AbortError', 'RangeError', 'AbortError'],
      text: 'still comes',
      untouched: true,
    });
  });

  it('a timer ticks on while a fast child pushes without end', async () => {
    expect(await resultOf(ASYNC, ['notStarved'])).to.equal(true);
  });
});
