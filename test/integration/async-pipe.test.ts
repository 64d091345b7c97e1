import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const ASYNC = 'pipe/async.js';

describe('pipe: without blocking the loop', () => {
  assertNothingLeaks();

  for (const kind of ['stream', 'dgram']) {
    it(`carries a question and its answer (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['questionAndAnswer', kind])).to.deep.equal({
        written: 8,
        answer: 'got question',
        code: 0,
      });
    });

    it(`tells when the child has written, and runs timers meanwhile (process_select; ${kind})`, async () => {
      expect(await resultOf(ASYNC, ['waitsForTheChild', kind])).to.deep.equal([
        'timer',
        'read hello master',
      ]);
    });

    it(`for await takes everything until the child ends (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['iterates', kind])).to.deep.equal({ same: true, whole: true });
    });

    it(`for await in the child ends when the parent has ended writing (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['iteratesInTheChild', kind])).to.equal('end after one two');
    });

    it(`for await can be left by break and begun again (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['iterationEndsByBreak', kind])).to.equal('second');
    });

    it(`an AbortSignal ends a read with its reason, and the next read loses nothing (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['abortedRead', kind])).to.deep.equal({
        name: 'AbortError',
        aborted: 'mine',
        next: 'late go',
      });
    });

    it(`a timer ticks on while a fast child writes without end (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['fastWriter', kind])).to.deep.equal({
        ticked: true,
        some: true,
      });
    });

    it(`answers several outstanding reads in their order (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['readsInOrder', kind])).to.deep.equal(['one', 'two', 'six']);
    });

    it(`reads what is left, then the end, after the child was reaped (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['atTheEnd', kind])).to.deep.equal({
        reads: ['left', '', ''],
        write: 'EPIPE',
      });
    });

    it(`a pending read tells the end when the child ends (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['endWhileReading', kind])).to.deep.equal({
        length: 0,
        code: 1,
      });
    });

    it(`close() rejects pending reads with ERR_NO_PIPE (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['closedWhileReading', kind])).to.deep.equal([
        'ERR_NO_PIPE',
        'ERR_NO_PIPE',
      ]);
    });

    it(`a read pending during a fork stays the parent's (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['pendingDuringAFork', kind])).to.deep.equal([
        'first a',
        'second b',
      ]);
    });

    it(`mixes with blocking calls on both sides (${kind})`, async () => {
      expect(await resultOf(ASYNC, ['mixedWithBlocking', kind])).to.equal(true);
    });
  }

  it('an aborted read leaves the queue of reads to the others', async () => {
    expect(await resultOf(ASYNC, ['abortedIsNotTakenFromTheQueue'])).to.deep.equal({
      name: 'RangeError',
      others: ['one', 'two'],
    });
  });

  it('an AbortSignal ends a write that waits for the reader', async () => {
    expect(await resultOf(ASYNC, ['abortedWrite'])).to.equal('RangeError');
  });

  it('writes 20 MB to a slow reader while timers go on', async () => {
    expect(await resultOf(ASYNC, ['slowReader'])).to.deep.equal({
      written: 20 * 1024 * 1024,
      same: true,
      ticked: true,
    });
  });

  it('a write is not done before the reader took it', async () => {
    expect(await resultOf(ASYNC, ['writerWaits'])).to.deep.equal({
      early: false,
      received: 32 * 1024 * 1024,
    });
  });

  it('several outstanding writes neither mix nor change their order', async () => {
    const { written, same } = (await resultOf(ASYNC, ['writesInOrder'])) as {
      written: number[];
      same: boolean;
    };
    expect(written).to.deep.equal(Array(3).fill(3 * 1024 * 1024));
    expect(same).to.equal(true);
  });

  it('rejects misuse by the same codes as the blocking calls', async () => {
    expect(await resultOf(ASYNC, ['rejections'])).to.deep.equal([
      'ERR_NO_PIPE',
      'ERR_NO_PIPE',
      'ERR_NOT_STARTED',
      'ERR_NOT_STARTED',
      'ERR_EMPTY_DATA',
      'ERR_INVALID_ARG_TYPE',
      'ERR_OUT_OF_RANGE',
    ]);
  });

  it('rejects a message too big in both directions and keeps the one to read', async () => {
    expect(await resultOf(ASYNC, ['messageTooBig'])).to.deep.equal({
      code: 'ERR_MESSAGE_TOO_BIG',
      kept: 100,
      written: 'ERR_MESSAGE_TOO_BIG',
    });
  });
});
