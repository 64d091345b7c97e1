import { expect } from 'chai';
import { binding } from '../../../lib/binding';
import { alignedBuffer, alignUp } from '../../../lib/ipc/aligned-buffer';

const LINE = 64;

describe('alignedBuffer', () => {
  it('has the length asked for, and begins a cache line', () => {
    for (const bytes of [0, 1, 63, 64, 65, 8192, 65_536, 1_000_000]) {
      const buffers = Array.from({ length: 20 }, () => alignedBuffer(bytes));
      for (const buffer of buffers) {
        expect(buffer).to.have.length(bytes);
        expect(binding.bytesToAlignment(buffer, LINE)).to.equal(0);
      }
    }
  });

  it('which is found from anywhere', () => {
    const buffer = alignedBuffer(200);
    const missing = [1, 63, 64, 65, 128].map((at) =>
      binding.bytesToAlignment(buffer.subarray(at), LINE),
    );
    expect(missing).to.deep.equal([63, 1, 0, 63, 0]);
  });
});

describe('alignUp', () => {
  it('is the next multiple, of a cache line if nothing else is said', () => {
    expect([0, 1, 64, 65].map((at) => alignUp(at))).to.deep.equal([0, 64, 64, 128]);
    expect([0, 1, 8, 9].map((at) => alignUp(at, 8))).to.deep.equal([0, 8, 8, 16]);
  });
});
