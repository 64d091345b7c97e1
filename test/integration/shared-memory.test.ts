import { constants } from 'node:buffer';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import { assertNothingLeaks } from '../support/leaks';

const MEMORY = 'ipc/shared-memory.js';

describe('shared memory', () => {
  assertNothingLeaks();

  it('adds without a loss from 4 processes at once (Atomics.add; Int32Array, BigInt64Array)', async () => {
    expect(await resultOf(MEMORY, ['counters'])).to.deep.equal({ small: 400_000, large: 400_000 });
  });

  it('carries a lock between processes (Atomics.compareExchange)', async () => {
    expect(await resultOf(MEMORY, ['lock'])).to.equal(8_000);
  });

  it('is shared with a grandchild', async () => {
    expect(await resultOf(MEMORY, ['grandchild'])).to.equal(5);
  });

  it('is one ArrayBuffer of just the size asked for, all zero', async () => {
    expect(await resultOf(MEMORY, ['size'])).to.deep.equal({
      isArrayBuffer: true,
      length: 10_001,
      zero: true,
    });
  });

  it('is unmapped where it is collected: in the child first, later in the parent', async () => {
    const options = { node: ['--expose-gc'] };
    expect(await resultOf(MEMORY, ['unmappedInTheChildOnly'], options)).to.deep.equal({
      inherited: 1,
      collectedInChild: 1,
      kept: { mapped: true, value: 42 },
    });
  });

  it('leaves nothing mapped of 200 that were made and dropped', async () => {
    expect(await resultOf(MEMORY, ['many'], { node: ['--expose-gc'] })).to.equal(true);
  });

  it('tells ENOMEM when the kernel has not so much', async function () {
    if (constants.MAX_LENGTH < 2 ** 52) this.skip(); // V8's own limit is lower there
    expect(await resultOf(MEMORY, ['tooMuch'])).to.deep.equal({ code: 'ENOMEM', syscall: 'mmap' });
  });
});
