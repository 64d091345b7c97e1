import { expect } from 'chai';
import { CHUNK_BYTES, NO_CHUNK, PacketMemory } from '../../../lib/ipc/packet-memory';

const CHUNKS = 32;
const data = (fill: number, length = 4096): Buffer => Buffer.alloc(length, fill);

describe('PacketMemory', () => {
  let memory: PacketMemory;

  const take = (chunk: number, length = 4096): Buffer => {
    const target = Buffer.alloc(length);
    expect(memory.take(chunk), 'filled').to.equal(true);
    memory.empty(chunk, target);
    return target;
  };
  const fillAll = (): number[] => Array.from({ length: CHUNKS }, (_, i) => memory.fill(data(i)));

  beforeEach(() => {
    memory = new PacketMemory(true);
  });

  it('counts memfds', () => {
    expect(memory.mayBringFds).to.equal(false);
    memory.countMemfd(1);
    memory.countMemfd(1);
    memory.countMemfd(-1);
    expect(memory.mayBringFds).to.equal(true);
    memory.countMemfd(-1);
    expect(memory.mayBringFds).to.equal(false);
  });

  it('takes messages of 2 to 16 KB, and none where it has no chunks', () => {
    const sizes = [1, 2047, 2048, CHUNK_BYTES, CHUNK_BYTES + 1];
    const taken = (other: PacketMemory) =>
      sizes.map((size) => other.fill(data(1, size)) !== NO_CHUNK);
    expect(taken(memory)).to.deep.equal([false, false, true, true, false]);
    expect(taken(new PacketMemory(false))).to.deep.equal(sizes.map(() => false));
  });

  it('gives back what was put in, whatever the chunk held before', () => {
    const sizes = [8192, 3000, CHUNK_BYTES, 2048];
    for (let round = 0; round < 3 * CHUNKS; round++) {
      const message = data(round % 251, sizes[round % sizes.length]);
      const chunk = memory.fill(message);
      expect(take(chunk, message.length).equals(message), `round ${String(round)}`).to.equal(true);
    }
  });

  it('is full when all chunks are, and has room again for each that was emptied', () => {
    const chunks = fillAll();
    expect(new Set(chunks).size).to.equal(CHUNKS);
    expect(memory.fill(data(9))).to.equal(NO_CHUNK);
    chunks.forEach((chunk, i) => expect(take(chunk).equals(data(i))).to.equal(true));
    expect(fillAll()).to.not.include(NO_CHUNK);
  });

  it('a chunk can be taken once it is filled, once, and not when it was taken back', () => {
    const [first, second] = [memory.fill(data(1)), memory.fill(data(2))];
    memory.takeBack(second);
    expect([first, first, second].map((chunk) => memory.take(chunk))).to.deep.equal([
      true,
      false,
      false,
    ]);
    memory.empty(first, Buffer.alloc(4096));
    expect([first, CHUNKS - 1, CHUNKS, 1e6].map((chunk) => memory.take(chunk))).to.deep.equal([
      false,
      false,
      false,
      false,
    ]);
  });

  it('passes over chunks that stay filled', () => {
    const chunks = fillAll();
    chunks.slice(3).forEach((chunk) => take(chunk));
    for (let i = 0; i < 3 * CHUNKS; i++) {
      const chunk = memory.fill(data(i));
      expect(chunks.slice(0, 3)).to.not.include(chunk);
      expect(chunk).to.not.equal(NO_CHUNK);
      take(chunk);
    }
  });

  describe('reclaim', () => {
    it('frees what was taken', () => {
      const chunk = memory.fill(data(1));
      memory.take(chunk);
      memory.reclaim();
      expect(memory.take(chunk)).to.equal(false);
      expect(fillAll()).to.not.include(NO_CHUNK);
    });

    it('frees what was sent before something that was received', () => {
      const [lost, received, waiting] = [1, 2, 3].map((fill) => memory.fill(data(fill)));
      take(received as number);
      memory.reclaim();
      expect(memory.take(lost as number)).to.equal(false);
      expect(take(waiting as number).equals(data(3))).to.equal(true);
    });

    it('knows that also when the chunk of what was received is in use again', () => {
      const chunks = fillAll();
      chunks.slice(1).forEach((chunk) => take(chunk));
      for (let i = 1; i < CHUNKS; i++) memory.fill(data(100 + i));
      memory.reclaim();
      expect(chunks.map((chunk) => memory.take(chunk))).to.deep.equal(chunks.map((_, i) => i > 0));
    });

    it('leaves what may wait in the pipe: what was sent after all that was received', () => {
      const chunks = fillAll();
      take(chunks[0] as number);
      memory.reclaim();
      expect(chunks.slice(1).every((chunk) => memory.take(chunk))).to.equal(true);
    });

    it('does not take a message for received that was taken back', () => {
      const first = memory.fill(data(1));
      memory.takeBack(memory.fill(data(2)));
      memory.reclaim();
      expect(memory.take(first)).to.equal(true);
    });
  });
});
