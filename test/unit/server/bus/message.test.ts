import { expect } from 'chai';
import {
  countEntries,
  ENTRY_BYTES,
  putEntry,
  readEntries,
  RECEIVE,
  TYPE_MASK,
} from '../../../../lib/server/bus/message';
import { thrownBy } from '../../fake-kernel';

type Entry = [type: number, kind: number, id: number, data: string];

function batchOf(...entries: Entry[]): Buffer {
  const batch = Buffer.alloc(1024);
  let at = 0;
  for (const [type, kind, id, data] of entries) {
    at = putEntry(batch, at, type, kind, id, Buffer.from(data));
  }
  return batch.subarray(0, at);
}

function read(batch: Buffer, from = 9): [...Entry, number][] {
  const seen: [...Entry, number][] = [];
  readEntries(batch, from, (type, kind, id, sender, data) => {
    seen.push([type, kind, id, data.toString(), sender]);
  });
  return seen;
}

describe('a batch of messages', () => {
  it('hands out what was put into it, in order, with its sender', () => {
    const entries: Entry[] = [
      [1, 0, 0, ''],
      [TYPE_MASK, 7, 0xffffffff, 'data'],
      [8, 3, 0x80000000, 'x'.repeat(100)],
    ];
    expect(read(batchOf(...entries), 5)).to.deep.equal(entries.map((entry) => [...entry, 5]));
  });

  it('is laid out as documented, the numbers little-endian', () => {
    expect([...batchOf([RECEIVE, 6, 0x04030201, 'ab'])]).to.deep.equal([
      ...[RECEIVE, 6, 0, 0],
      ...[1, 2, 3, 4],
      ...[2, 0, 0, 0],
      ...Buffer.from('ab'),
    ]);
  });

  it('writes over what was in the buffer before', () => {
    const batch = Buffer.alloc(ENTRY_BYTES + 1, 0xff);
    expect(putEntry(batch, 0, 1, 0, 0, Buffer.from('a'))).to.equal(batch.length);
    expect(read(batch)).to.deep.equal([[1, 0, 0, 'a', 9]]);
    expect([batch[2], batch[3]]).to.deep.equal([0, 0]);
  });

  it('of nothing has nothing to hand out', () => {
    expect(countEntries(Buffer.alloc(0))).to.equal(0);
    expect(read(Buffer.alloc(0))).to.deep.equal([]);
  });

  it('knows how many they are', () => {
    const batch = batchOf([1, 0, 1, 'a'], [2, 0, 2, ''], [3, 0, 3, 'c']);
    expect(countEntries(batch)).to.equal(3);
    expect(readEntries(batch, 0, () => undefined)).to.equal(3);
  });

  it('gives data as views of it, without a copy', () => {
    const batch = batchOf([1, 0, 1, 'abc']);
    readEntries(batch, 0, (_type, _kind, _id, _from, data) => {
      expect(data.buffer).to.equal(batch.buffer);
      expect(data.byteOffset).to.equal(batch.byteOffset + ENTRY_BYTES);
    });
  });

  describe('that is malformed is refused before anything of it is handled', () => {
    const good = batchOf([1, 0, 1, 'first']);
    const refuses = (second: Buffer, what: string): void => {
      const batch = Buffer.concat([good, second]);
      let handled = 0;
      const action = (): number => readEntries(batch, 0, () => handled++);
      const { message } = thrownBy(action, 'ERR_BAD_FRAME');
      expect(message).to.include(what);
      expect(handled, 'messages handled').to.equal(0);
      thrownBy(() => countEntries(batch), 'ERR_BAD_FRAME');
    };

    for (const bytes of [1, ENTRY_BYTES - 1]) {
      it(`when it ends after ${String(bytes)} bytes of a header`, () => {
        refuses(
          batchOf([2, 0, 2, '']).subarray(0, bytes),
          `ends within a header at ${good.length}`,
        );
      });
    }

    it('when a message has the type of a batch', () => {
      refuses(batchOf([0, 0, 2, '']), `a message of type 0 at ${good.length}`);
    });

    it('when a message has a type that no packet can have', () => {
      refuses(batchOf([TYPE_MASK + 1, 0, 2, '']), `type 32 at ${good.length}`);
    });

    it('when it ends one byte before the data of its last message', () => {
      const second = batchOf([2, 0, 2, 'data']);
      refuses(second.subarray(0, second.length - 1), 'longer than the batch');
    });

    it('when a message says that it has 4 GiB', () => {
      const second = batchOf([2, 0, 2, 'data']);
      second.writeUInt32LE(0xffffffff, 8);
      refuses(second, 'longer than the batch');
    });

    it('when a byte follows its last message', () => {
      refuses(Buffer.concat([batchOf([2, 0, 2, '']), Buffer.alloc(1)]), 'ends within a header');
    });
  });
});
