import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const QUEUE = 'pool/queue.js';
const allHandled = { code: 0, freed: true, each: true, stops: 2, errors: 0 };

describe('pool: message queue (IPC_MSGQUEUE)', () => {
  assertNothingLeaks();

  it('100 messages of JSON from another Node program are each handled once (msgqueue)', async () => {
    const args = ['external', process.execPath, 'producer.js'];
    expect(await resultOf(QUEUE, args)).to.deep.equal(allHandled);
  });

  it('the same from a Python program that uses the C library alone (msgqueue)', async function () {
    if (spawnSync('python3', ['-c', 'import ctypes']).status !== 0) this.skip();
    const args = ['external', 'python3', 'producer.py'];
    expect(await resultOf(QUEUE, args)).to.deep.equal(allHandled);
  });

  it('one worker handles them in order', async () => {
    expect(await resultOf(QUEUE, ['inOrder'])).to.equal(true);
  });

  it('workers compete: one that is held up leaves the rest to the others', async () => {
    expect(await resultOf(QUEUE, ['competing'])).to.deep.equal({ each: 30, byHeld: 0 });
  });

  it('without a message callback workers push and pop by hand (msgqueue_2)', async () => {
    expect(await resultOf(QUEUE, ['byHand'])).to.deep.equal([[[true]], [['hello worker 1']]]);
  });

  it('workers of an IPC_NONE pool may open a queue of their own (bug_2652)', async () => {
    expect(await resultOf(QUEUE, ['ownQueue'])).to.deep.equal({
      popped: [['hello', true]],
      freed: true,
    });
  });

  it('key 0 is a queue of this pool alone, which nobody else can open (1104, 1165)', async () => {
    expect(await resultOf(QUEUE, ['privateKey'])).to.deep.equal({ opened: [1, 1], got: 1 });
  });

  it('a keyed queue keeps what nobody has taken, before and after the pool', async () => {
    expect(await resultOf(QUEUE, ['keyed'])).to.deep.equal({
      got: ['before', 'between'],
      messages: 1,
      freed: true,
    });
  });

  it('a message of the longest size passes, one byte more is ERR_MESSAGE_TOO_BIG (950, 2424)', async () => {
    expect(await resultOf(QUEUE, ['limits'])).to.deep.equal({
      codes: ['no error', 'ERR_MESSAGE_TOO_BIG'],
      whole: true,
      errors: 0,
    });
  });

  it('pushAsync() waits while it is full, and stats() tells how many wait', async () => {
    expect(await resultOf(QUEUE, ['full'])).to.deep.equal({
      full: true,
      early: false,
      afterwards: 0,
    });
  });

  it('a worker killed with a message in hand loses that one only', async () => {
    const { code, stdout } = await runFixture(QUEUE, { args: ['killed'] });
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ got: ['a', 'bad', 'b', 'c'], lost: 1 });
  });

  it('a reload under load loses nothing', async () => {
    expect(await resultOf(QUEUE, ['reloaded'])).to.deep.equal({
      each: true,
      several: true,
      isNew: true,
      errors: 0,
    });
  });
});
