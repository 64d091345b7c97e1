import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const BLOCKING = 'pipe/blocking.js';
const ENDS = 'pipe/ends.js';
const LIVES = 'pipe/lives.js';

describe('pipe: blocking read and write', () => {
  assertNothingLeaks();

  for (const kind of ['stream', 'dgram']) {
    it(`reads what the child wrote, and write tells the bytes (read, write; ${kind})`, async () => {
      expect(await resultOf(BLOCKING, ['parentReads', kind])).to.deep.equal({
        text: 'hello\0w',
        written: 7,
      });
    });

    it(`lets the child read what the parent wrote and answer (${kind})`, async () => {
      expect(await resultOf(BLOCKING, ['childReads', kind])).to.deep.equal({
        written: 7,
        answer: 'got bytes\0!',
      });
    });

    it(`writes just the bytes of a view on a larger buffer (${kind})`, async () => {
      expect(await resultOf(BLOCKING, ['bytesOfViews', kind])).to.equal('234');
    });

    it(`reads null when the time of setTimeout is over (timeout; ${kind})`, async () => {
      const { data, ms } = (await resultOf(BLOCKING, ['timeout', kind])) as {
        data: null;
        ms: number;
      };
      expect(data).to.equal(null);
      expect(ms).to.be.within(45, 2000);
    });

    it(`waits without limit again after setTimeout(0) (${kind})`, async () => {
      expect(await resultOf(BLOCKING, ['withoutTimeoutAgain', kind])).to.deep.equal([null, 'late']);
    });

    it(`reads null at once after setBlocking(false), and blocks again after true (${kind})`, async () => {
      expect(await resultOf(BLOCKING, ['nonBlocking', kind])).to.deep.equal({
        nothing: null,
        answer: 'answer',
      });
    });
  }

  it('carries 10 MB through a stream in both directions', async () => {
    expect(await resultOf(BLOCKING, ['bothWays'])).to.deep.equal({
      fromChild: true,
      written: 10 * 1024 * 1024,
      fromParent: true,
    });
  });

  it('reads 8,192 bytes of a stream by default and 65,536 at most', async () => {
    expect(await resultOf(BLOCKING, ['clampedSize'])).to.deep.equal([8192, 10, 65536]);
  });

  it('keeps the boundaries of messages on a dgram pipe', async () => {
    expect(await resultOf(BLOCKING, ['boundaries'])).to.deep.equal([1, 70000, 3, 8193]);
  });

  it('keeps a message longer than the size for the next read', async () => {
    const { error, again, kept, next } = (await resultOf(BLOCKING, ['longerThanSize'])) as {
      error: { code: string; message: string };
      again: string;
      kept: boolean;
      next: string;
    };
    expect(error.code).to.equal('ERR_MESSAGE_TOO_BIG');
    expect(error.message).to.match(/100 bytes.* 10 bytes/);
    expect({ again, kept, next }).to.deep.equal({
      again: 'ERR_MESSAGE_TOO_BIG',
      kept: true,
      next: 'next',
    });
  });

  it('refuses a message over the limit, names the limit, and takes one of exactly the limit', async () => {
    const { limit, ...rest } = (await resultOf(BLOCKING, ['overTheLimit'])) as { limit: number };
    expect(limit).to.be.greaterThan(8192);
    expect(rest).to.deep.equal({
      code: 'ERR_MESSAGE_TOO_BIG',
      justOver: 'ERR_MESSAGE_TOO_BIG',
      whole: true,
    });
  });

  it('writes a part when the time is over and throws EAGAIN when nothing went out', async () => {
    expect(await resultOf(BLOCKING, ['writeTimeout'])).to.deep.equal({
      partial: true,
      code: 'EAGAIN',
    });
  });

  it('throws EAGAIN from a non-blocking write to a full dgram pipe', async () => {
    expect(await resultOf(BLOCKING, ['nonBlockingWrite'])).to.deep.equal({
      code: 'EAGAIN',
      some: true,
    });
  });

  it('loses none of 1,024 messages of 8,192 bytes (write_in_worker)', async () => {
    expect(await resultOf(BLOCKING, ['manyMessages'])).to.deep.equal({ right: 1024, atEnd: 0 });
  });

  it('carries packets with a length in front through a stream (coro/set_protocol)', async () => {
    expect(await resultOf(BLOCKING, ['packets'])).to.deep.equal({ right: 100, atEnd: 0 });
  });
});

describe('pipe: ends', () => {
  assertNothingLeaks();

  for (const kind of ['stream', 'dgram']) {
    it(`reads an empty Buffer again and again after the child closed its end (${kind})`, async () => {
      expect(await resultOf(ENDS, ['childCloses', kind])).to.deep.equal(['last', '', '']);
    });

    it(`reads an empty Buffer after the child has ended, reaped or not (${kind})`, async () => {
      expect(await resultOf(ENDS, ['childEnds', kind])).to.deep.equal(['last', '', '']);
    });

    it(`tells the child the end when the parent closes (${kind})`, async () => {
      expect(await resultOf(ENDS, ['parentCloses', kind])).to.equal(5);
    });

    it(`throws EPIPE in a child whose parent has closed (ignore_sigpipe; ${kind})`, async () => {
      expect(await resultOf(ENDS, ['parentIsGoneForTheChild', kind])).to.deep.equal({
        code: 5,
        signal: 0,
      });
    });

    it(`throws EPIPE after the child was reaped (${kind})`, async () => {
      expect(await resultOf(ENDS, ['writeToTheDead', kind])).to.deep.equal(['EPIPE', 'EPIPE']);
    });

    it(`throws EPIPE after a living child closed its end (ignore_sigpipe_2; ${kind})`, async () => {
      expect(await resultOf(ENDS, ['writeBeforeTheReaping', kind])).to.deep.equal([
        'EPIPE',
        'EPIPE',
      ]);
    });

    it(`reads all of a child that ended without reading its input (${kind})`, async () => {
      expect(await resultOf(ENDS, ['unreadOnBothSides', kind])).to.deep.equal({
        same: true,
        code: 0,
        end: 0,
        write: 'EPIPE',
      });
    });

    it(`reads all of a killed and reaped child that left its input unread (${kind})`, async () => {
      expect(await resultOf(ENDS, ['unreadOnBothSidesReaped', kind])).to.deep.equal({
        same: true,
        signal: 9,
        end: 0,
      });
    });

    it(`reads what was left after the reaping, then the end, and lets the fd go (${kind})`, async () => {
      expect(await resultOf(ENDS, ['readAfterReaping', kind])).to.deep.equal({
        text: 'firstsecond',
        end: [0, 0],
        pipe: null,
      });
    });

    it(`reads what was left when the event loop has reaped the child (${kind})`, async () => {
      expect(await resultOf(ENDS, ['reapedByTheLoop', kind])).to.deep.equal({
        text: 'left',
        write: 'EPIPE',
      });
    });

    it(`may be closed after the reaping, with and without unread data (${kind})`, async () => {
      expect(await resultOf(ENDS, ['closeAfterReaping', kind])).to.deep.equal({
        closed: [true, true],
        after: ['ERR_NO_PIPE', 'ERR_NO_PIPE'],
      });
    });

    it(`close() closes this side: every call is ERR_NO_PIPE then (${kind})`, async () => {
      expect(await resultOf(ENDS, ['closeBoth', kind])).to.deep.equal({
        result: true,
        pipe: null,
        codes: Array(6).fill('ERR_NO_PIPE'),
      });
    });

    it(`close(PIPE_READ) ends reading only (${kind})`, async () => {
      expect(await resultOf(ENDS, ['closeRead', kind])).to.deep.equal({ atEnd: 0, open: true });
    });

    it(`close(PIPE_WRITE) ends writing only: the child reads the end and still answers (${kind})`, async () => {
      expect(await resultOf(ENDS, ['closeWrite', kind])).to.deep.equal({
        first: 'before text',
        second: 'end 0',
        code: 'EPIPE',
      });
    });

    it(`starts again with the same object after the reaping, on a new pipe (${kind})`, async () => {
      expect(await resultOf(LIVES, ['restart', kind])).to.deep.equal({
        pids: 3,
        answers: ['1 one', '1 two', '1 three'],
      });
    });

    it(`shows the end of one child while a sibling lives (${kind})`, async () => {
      expect(await resultOf(LIVES, ['siblingsDoNotHideTheEnd', kind])).to.equal(0);
    });
  }

  it('shapes EPIPE as Node does', async () => {
    const error = (await resultOf(ENDS, ['errorShape'])) as { message: string };
    expect(error).to.include({ code: 'EPIPE', errno: -32, syscall: 'send' });
    expect(error.message).to.match(/^EPIPE: .*, send$/);
  });

  it("close(PIPE_MASTER) closes the parent's end", async () => {
    expect(await resultOf(ENDS, ['closeMaster'])).to.deep.equal({
      result: true,
      pipe: null,
      code: 5,
    });
  });

  it("close(PIPE_WORKER) leaves the parent's end as it is", async () => {
    expect(await resultOf(ENDS, ['closeWorker'])).to.deep.equal({
      result: true,
      text: 'still open',
    });
  });

  it('close() in the child: PIPE_MASTER leaves its end, PIPE_WORKER closes it', async () => {
    expect(await resultOf(ENDS, ['closeInTheChild'])).to.equal('number ');
  });

  it('close() refuses an unknown part', async () => {
    expect(await resultOf(ENDS, ['closeUnknownPart'])).to.deep.equal([
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_INVALID_ARG_TYPE',
    ]);
  });

  it('starts, closes the pipe and waits (start)', async () => {
    expect(await resultOf(LIVES, ['startCloseWait'])).to.deep.equal({
      positive: true,
      reaped: true,
    });
  });

  it('starts again after close() and reaping', async () => {
    expect(await resultOf(LIVES, ['restartAfterClose'])).to.equal('again');
  });

  it('takes no fd and starts no child before start() (ctor)', async () => {
    expect(await resultOf(LIVES, ['neverStarted'])).to.deep.equal({
      fds: 0,
      pid: null,
      pipe: null,
    });
  });

  it('runs 500 Process objects without close() in the room of 64 fds', async function () {
    this.timeout(180_000);
    const options = { wrapper: ['prlimit', '--nofile=64'], timeoutMs: 150_000 };
    expect(await resultOf(LIVES, ['fiveHundred'], options)).to.deep.equal({ kept: 500, few: true });
  });

  it('closes the ends of Process objects that were dropped with unread data', async () => {
    const options = { node: ['--expose-gc'] };
    expect(await resultOf(LIVES, ['droppedUnread'], options)).to.deep.equal({ held: true });
  });

  it('counts the objects: 1, 2, 3 in parent and child (process_id)', async () => {
    expect(await resultOf(LIVES, ['ids'])).to.deep.equal([
      [1, '1'],
      [2, '2'],
      [3, '3'],
    ]);
  });
});
