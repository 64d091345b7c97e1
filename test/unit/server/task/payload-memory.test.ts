import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import * as freedMemory from '../../../../lib/ipc/freed-memory';
import { LEAST_BYTES, PayloadMemory } from '../../../../lib/server/task/payload-memory';

const BLOCK = 64 * 1024;
const BLOCKS = 2048;
const KEPT_BLOCKS = 512;
const RELEASED_AT_ONCE = 64;
const MOST = 4 * 1024 * 1024;

/** No process has it: it is over the kernel's highest. */
const DEAD = 0x7fffffff;

function filled(bytes: number, value = 7): Buffer {
  return Buffer.alloc(bytes, value);
}

describe('PayloadMemory', () => {
  let memory: PayloadMemory;
  let clock: sinon.SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'hrtime'] });
    memory = new PayloadMemory();
  });

  afterEach(() => {
    sinon.restore();
  });

  const put = (data: Buffer): Buffer => {
    const reference = memory.put(data);
    if (reference === null) throw new Error('there is no room');
    return reference;
  };

  it('has freed memory kept from the first large one on', () => {
    const keep = sinon.stub(freedMemory, 'keepFreedMemory');
    memory.take(put(filled(BLOCK - 1)));
    sinon.assert.notCalled(keep);
    for (let i = 0; i < 3; i++) memory.take(put(filled(BLOCK)));
    sinon.assert.calledOnce(keep);
  });

  for (const bytes of [LEAST_BYTES, BLOCK - 1, BLOCK, BLOCK + 1, 1_000_000, MOST]) {
    it(`keeps ${bytes} bytes until they are taken`, () => {
      const data = Buffer.alloc(bytes, 'some pattern');
      const reference = put(data);
      expect(reference.length).to.be.below(200);
      expect(memory.used).to.equal(Math.ceil(bytes / BLOCK));
      expect(memory.take(reference)?.equals(data)).to.equal(true);
      expect(memory.used).to.equal(0);
    });
  }

  it('leaves what is small or very large to others', () => {
    expect(memory.put(filled(LEAST_BYTES - 1))).to.equal(null);
    expect(memory.put(filled(MOST + 1))).to.equal(null);
  });

  it('keeps many at once, wherever there is room', () => {
    const references = Array.from({ length: 8 }, (_, i) => put(filled(200_000, i)));
    for (const i of [1, 4, 6]) memory.free(references[i] as Buffer);
    const scattered = put(filled(1_000_000, 99));
    for (const i of [0, 2, 3, 5, 7]) {
      expect(memory.take(references[i] as Buffer)?.equals(filled(200_000, i))).to.equal(true);
    }
    expect(memory.take(scattered)?.equals(filled(1_000_000, 99))).to.equal(true);
  });

  it('has no room when all is used, and takes nothing then', () => {
    for (let i = 0; i < BLOCKS - 1; i++) put(filled(LEAST_BYTES));
    expect(memory.put(filled(BLOCK + 1))).to.equal(null);
    expect(memory.used).to.equal(BLOCKS - 1);
    put(filled(BLOCK));
  });

  it('tells who comes too late', () => {
    const reference = put(filled(100_000));
    memory.free(reference);
    put(filled(100_000, 8));
    expect(memory.take(reference)).to.equal(null);
    expect(memory.used).to.equal(2);
  });

  it('does not free what has been filled anew', () => {
    const reference = put(filled(100_000));
    memory.take(reference);
    const next = put(filled(100_000, 8));
    expect(memory.free(reference)).to.equal(false);
    expect(memory.take(next)?.equals(filled(100_000, 8))).to.equal(true);
  });

  it('reads nothing for what is no reference', () => {
    const good = put(filled(100_000));
    const elsewhere = Buffer.from(good);
    elsewhere.writeUInt16LE(BLOCKS, 8);
    const longer = Buffer.from(good);
    longer.writeUInt32LE(MOST, 4);
    for (const bad of [Buffer.alloc(0), Buffer.alloc(9), good.subarray(0, 8), elsewhere, longer]) {
      expect(memory.take(bad)).to.equal(null);
    }
    expect(memory.take(good)?.length).to.equal(100_000);
  });

  describe('gives pages back that only a burst has needed', () => {
    let release: sinon.SinonSpy;

    beforeEach(() => {
      clock.tick(1000);
      release = sinon.spy(binding, 'releasePages');
    });

    const burst = (blocks: number): Buffer[] =>
      Array.from({ length: blocks }, () => put(filled(BLOCK)));
    const takeAll = (references: Buffer[]): void => {
      for (const reference of references) expect(memory.take(reference)).to.have.length(BLOCK);
    };

    it('ten seconds later, some each second', () => {
      takeAll(burst(KEPT_BLOCKS + 2 * RELEASED_AT_ONCE + 1));
      clock.tick(9000);
      sinon.assert.notCalled(release);
      clock.tick(1000);
      sinon.assert.callCount(release, RELEASED_AT_ONCE);
      clock.tick(60_000);
      sinon.assert.callCount(release, 2 * RELEASED_AT_ONCE + 1);
      expect(clock.countTimers()).to.equal(0);
      expect(memory.used).to.equal(0);
    });

    it('to the kernel: they are zero, and can be used again', () => {
      takeAll(burst(KEPT_BLOCKS + 1));
      clock.tick(11_000);
      const [pages] = release.firstCall.args as [Uint8Array];
      expect(pages.every((byte) => byte === 0)).to.equal(true);
      takeAll(burst(KEPT_BLOCKS + 1));
      clock.tick(11_000);
      sinon.assert.calledTwice(release);
    });

    it('not while they are in use', () => {
      const references = burst(KEPT_BLOCKS + 2);
      clock.tick(60_000);
      sinon.assert.notCalled(release);
      takeAll(references);
      clock.tick(1000);
      sinon.assert.calledTwice(release);
    });

    it('and none of the first: without a burst there is no timer', () => {
      takeAll(burst(KEPT_BLOCKS));
      expect(clock.countTimers()).to.equal(0);
    });
  });

  describe('when room is short', () => {
    const fill = (pid: number): void => {
      const stub = sinon.stub(process, 'pid').value(pid);
      for (let i = 0; i < BLOCKS; i++) put(filled(LEAST_BYTES));
      stub.restore();
    };
    const after = (seconds: number): void => {
      const time = process.hrtime.bigint() + BigInt(seconds) * 1_000_000_000n;
      sinon.stub(process.hrtime, 'bigint').returns(time);
      expect(memory.put(filled(LEAST_BYTES)), 'before it is looked for').to.equal(null);
    };

    it('takes back what dead processes have left a minute ago', () => {
      fill(DEAD);
      after(70);
      expect(memory.used).to.equal(0);
    });

    it('not before: somebody may be about to read it', () => {
      fill(DEAD);
      after(50);
      expect(memory.used).to.equal(BLOCKS);
    });

    it('nothing of those that live', () => {
      fill(process.pid);
      after(3600);
      expect(memory.used).to.equal(BLOCKS);
    });
  });
});
