import { expect } from 'chai';
import { PacketSlab } from '../../../lib/ipc/packet-slab';
import { RING_MESSAGE_BYTES, SharedRing } from '../../../lib/ipc/shared-ring';

const data = (fill: number, length: number): Buffer => Buffer.alloc(length, fill);

describe('SharedRing', () => {
  let ring: SharedRing;
  const slab = new PacketSlab();
  const take = (): Buffer | null => ring.take(slab);

  /** Puts messages of `length` bytes until it is full; returns how many there are. */
  const fill = (length: number): number => {
    let count = 0;
    while (ring.put(data(count % 251, length))) count++;
    return count;
  };

  beforeEach(() => {
    ring = new SharedRing();
  });

  it('is empty at first', () => {
    expect([ring.empty, ring.full, ring.marker, take()]).to.deep.equal([true, false, 0, null]);
  });

  it('gives messages of any length in their order, many times around', () => {
    const lengths = Array.from({ length: 40_000 }, (_, i) => 1 + ((i * 7919) % RING_MESSAGE_BYTES));
    let taken = 0;
    const faults: number[] = [];
    const takeOne = (): void => {
      const message = take();
      const expected = data(taken % 251, lengths[taken] as number);
      if (message === null || Buffer.compare(message, expected) !== 0) faults.push(taken);
      taken++;
    };
    lengths.forEach((length, i) => {
      while (!ring.put(data(i % 251, length))) takeOne();
      if (i % 5 === 0 && taken <= i) takeOne();
    });
    while (!ring.empty) takeOne();
    expect({ taken, faults }).to.deep.equal({ taken: lengths.length, faults: [] });
  }).timeout(30_000);

  it('what was taken stays as it is', () => {
    ring.put(data(1, 100));
    const first = take();
    fill(100);
    while (!ring.empty) take();
    expect(first).to.deep.equal(data(1, 100));
  });

  it('is full for messages of any length at once, and has room for the longest before', () => {
    for (const length of [1, 8, 1000, RING_MESSAGE_BYTES]) {
      ring = new SharedRing();
      const count = fill(length);
      expect(count * length, String(length)).to.be.lessThan(512 * 1024);
      expect([ring.full, ring.put(data(1, 1))]).to.deep.equal([true, false]);
      while (ring.full) take();
      expect(ring.put(data(1, RING_MESSAGE_BYTES))).to.equal(true);
    }
  });

  it('a marker stands between messages until it is passed', () => {
    ring.put(data(1, 10));
    ring.putMarker(7);
    ring.put(data(2, 20));
    expect(ring.marker).to.equal(0);
    expect(take()).to.deep.equal(data(1, 10));
    expect([take(), ring.marker, take(), ring.marker, ring.empty]).to.deep.equal([
      null,
      7,
      null,
      7,
      false,
    ]);
    ring.passMarker();
    expect([ring.marker, take()]).to.deep.equal([0, data(2, 20)]);
    expect(ring.empty).to.equal(true);
  });

  it('a marker finds its place at the end of the ring as well', () => {
    for (let round = 1; round <= 100_000; round++) {
      ring.putMarker(round);
      if (round % 3 === 0) ring.put(data(3, 24));
      if (ring.marker !== round) throw new Error(`marker ${String(ring.marker)}, ${String(round)}`);
      ring.passMarker();
      if (round % 3 === 0) expect(take()?.length).to.equal(24);
    }
  });

  it('tells once that the reader has to be woken, when it sleeps', () => {
    expect(ring.mustWake()).to.equal(false);
    ring.setAsleep(true);
    expect([ring.mustWake(), ring.mustWake()]).to.deep.equal([true, false]);
    ring.setAsleep(true);
    ring.setAsleep(false);
    expect(ring.mustWake()).to.equal(false);
  });

  it('tells once that there is room, when half is free and somebody waits', () => {
    const count = fill(1000);
    let taken = 0;
    ring.setWaiting(true);
    while (!ring.mustTellRoom()) {
      take();
      taken++;
    }
    expect(taken).to.be.within(count * 0.4, count * 0.6);
    take();
    expect(ring.mustTellRoom()).to.equal(false);
    ring.setWaiting(true);
    ring.setWaiting(false);
    expect(ring.mustTellRoom()).to.equal(false);
  });

  it('has one reader at a time, who may claim it again', () => {
    expect([ring.claim(1), ring.claim(2), ring.claim(1)]).to.deep.equal([true, false, true]);
    ring.release(2);
    expect(ring.claim(2), 'released by another').to.equal(false);
    ring.release(1);
    expect([ring.claim(2), ring.claim(1)]).to.deep.equal([true, false]);
  });
});
