import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const LINE = 'pool/line.js';

describe('pool: shared memory and sockets of IPC_UNIXSOCK', () => {
  assertNothingLeaks();

  it('6,000 messages of all sizes from the master and two siblings come whole, each sender in its order', async () => {
    expect(await resultOf(LINE, ['mixed'])).to.deep.equal({ faults: [], errors: 0 });
  });

  it('a worker that sleeps is woken by every message, 3,000 times', async () => {
    expect(await resultOf(LINE, ['wakes'])).to.equal(3000);
  });

  for (const flooder of ['master', 'sibling']) {
    it(`a flood of messages does not keep those of another sender waiting (${flooder})`, async () => {
      expect(await resultOf(LINE, ['fairness', flooder])).to.equal(1);
    });
  }

  it('start-first: the new worker takes over while the old one ends what it has in hand', async () => {
    expect(await resultOf(LINE, ['takeOver'])).to.deep.equal({
      texts: ['hold', 'a', 'llll', 'b'],
      byOthers: [false, true, true, true],
      early: ['a', 'llll', 'b'],
      errors: 0,
    });
  });

  it('what a killed worker has left is handled by its successor, in its order', async () => {
    expect(await resultOf(LINE, ['inheritance'])).to.deep.equal({ faults: [], lost: [1] });
  });
});
