import { expect } from 'chai';
import { binding } from '../../../lib/binding';
import { PacketSlab } from '../../../lib/ipc/packet-slab';

describe('PacketSlab', () => {
  let slab: PacketSlab;

  const put = (length: number): Buffer => {
    slab.makeRoom(length);
    return slab.claim(length);
  };

  beforeEach(() => {
    slab = new PacketSlab();
  });

  it('has room for what was asked, and for some bytes always', () => {
    for (const length of [0, 1, 64, 5000, 65_536]) {
      slab.makeRoom(length);
      expect(slab.room).to.be.at.least(Math.max(length, 64));
    }
  });

  it('gives each message bytes of its own', () => {
    const lengths = Array.from({ length: 2000 }, (_, i) => 1 + ((i * 7919) % 9000));
    const all = lengths.map((length, i) => put(length).fill(i % 251));
    expect(all.every((data, i) => data.every((byte) => byte === i % 251))).to.equal(true);
    expect(all.map(({ length }) => length)).to.deep.equal(lengths);
  });

  it('a small message that is kept holds 8 KB, a larger one as much as 16, or 64 KiB', () => {
    const held = (length: number): number => {
      slab = new PacketSlab();
      return put(length).buffer.byteLength;
    };
    const line = 64;
    expect([64, 2000, 8192, 65_536].map(held)).to.deep.equal(
      [8192, 32_000, 65_536, 65_536].map((bytes) => bytes + line),
    );
  });

  it('begins a cache line with those of 1 KB and more', () => {
    const gap = (length: number): number => binding.bytesToAlignment(put(length), 64);
    put(20);
    expect(gap(1000)).to.equal(40);
    expect([1024, 1500, 5000, 65_536].map(gap)).to.deep.equal([0, 0, 0, 0]);
  });

  it('has room where the line after the last message is beyond the end', () => {
    put(65_000);
    slab.makeRoom(1024);
    expect(slab.room).to.be.at.least(1024);
  });

  it('uses a piece up to its end', () => {
    const eight = Array.from({ length: 8 }, () => put(8192));
    expect(new Set(eight.map(({ buffer }) => buffer)).size).to.equal(1);
    expect(slab.room).to.equal(0);
    expect(put(8192).buffer).to.not.equal(eight[0]?.buffer);
  });
});
