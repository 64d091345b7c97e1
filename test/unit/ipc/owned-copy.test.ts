import { expect } from 'chai';
import { ownedCopy, ownedPart } from '../../../lib/ipc/owned-copy';

const SIZES = [0, 1, 2047, 2048, 4096, 65_535, 65_536, 65_537, 200_000];

function filled(length: number, byte = 1): Buffer {
  return Buffer.alloc(length, byte);
}

describe('ownedCopy', () => {
  for (const length of SIZES) {
    it(`of ${length} bytes stays as it is when what was copied is overwritten`, () => {
      const data = filled(length);
      const copy = ownedCopy(data);
      data.fill(2);
      expect(copy.equals(filled(length))).to.equal(true);
    });
  }

  it('stays as it is when others are made after it', () => {
    const copies = Array.from({ length: 100 }, (_, i) => ownedCopy(filled(3000, i)));
    copies.forEach((copy, i) => {
      expect(copy.equals(filled(3000, i)), String(i)).to.equal(true);
    });
  });

  it('written over does not change the next ones', () => {
    const [first, second] = [ownedCopy(filled(3000, 1)), ownedCopy(filled(3000, 2))];
    first.fill(9);
    expect(second.equals(filled(3000, 2))).to.equal(true);
  });

  it('of a large one has memory of its own', () => {
    expect(ownedCopy(filled(65_537)).buffer.byteLength).to.equal(65_537);
  });

  it('of 2 KB to 64 KB keeps no more than 64 KB of memory', () => {
    for (const length of [2048, 5000, 65_536]) {
      expect(ownedCopy(filled(length)).buffer.byteLength).to.be.at.most(65_600);
    }
  });
});

describe('ownedPart', () => {
  const batch = Buffer.allocUnsafeSlow(32_768);

  it('copies a small part, which would keep all of its batch in memory', () => {
    const part = batch.subarray(100, 4195);
    const owned = ownedPart(part);
    expect(owned.buffer).to.not.equal(batch.buffer);
    expect(owned.equals(part)).to.equal(true);
  });

  it('leaves a part of 4 KB or more as it is', () => {
    const part = batch.subarray(0, 4096);
    expect(ownedPart(part)).to.equal(part);
  });

  it('leaves what is half of its memory or more as it is', () => {
    const memory = Buffer.allocUnsafeSlow(1000);
    const [half, less] = [memory.subarray(0, 500), memory.subarray(0, 499)];
    expect(ownedPart(half)).to.equal(half);
    expect(ownedPart(less)).to.not.equal(less);
  });
});
