import { expect } from 'chai';
import {
  badFrame,
  ballastOf,
  checkMemfd,
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
  INLINE,
  MEMFD,
  SHARED,
  SHARED_BYTES,
  type FrameHeader,
} from '../../../lib/ipc/frame';
import { thrownBy } from '../fake-kernel';

const LIMIT = 1000;
const MAX = 1_000_000;

function headerBytes(fields: Partial<FrameHeader>): Buffer {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  encodeHeader(view, { kind: INLINE, flags: 0, sender: 0, length: 0, tag: 0, ...fields });
  return Buffer.from(view.buffer);
}

function decode(bytes: Buffer, bodyBytes: number): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return decodeHeader(view, 0, HEADER_BYTES + bodyBytes, LIMIT, MAX);
}

describe('frame', () => {
  it('has a header of 16 bytes: version, kind, flags, 0, sender, length, tag', () => {
    const bytes = headerBytes({
      kind: MEMFD,
      flags: 0x81,
      sender: -2,
      length: 0x01020304,
      tag: 0xfffefdfc,
    });
    expect(bytes.toString('hex')).to.equal('01018100feffffff04030201fcfdfeff');
  });

  it('writes each field, whatever the header held before', () => {
    const view = new DataView(new ArrayBuffer(HEADER_BYTES));
    new Uint8Array(view.buffer).fill(0xff);
    encodeHeader(view, { kind: INLINE, flags: 0, sender: 0, length: 1, tag: 0 });
    expect(Buffer.from(view.buffer)).to.deep.equal(headerBytes({ length: 1 }));
  });

  for (const header of [
    { kind: INLINE, flags: 0, sender: 0, length: 1, tag: 0 },
    { kind: INLINE, flags: 255, sender: 0x7fffffff, length: LIMIT, tag: 0xffffffff },
    { kind: MEMFD, flags: 7, sender: -0x80000000, length: LIMIT + 1, tag: 1 },
    { kind: MEMFD, flags: 0, sender: 1, length: MAX, tag: 2 },
    { kind: SHARED, flags: 255, sender: -1, length: LIMIT, tag: 0xffffffff },
  ]) {
    it(`is read as it was written (kind ${String(header.kind)}, ${String(header.length)} bytes)`, () => {
      const bodies = [header.length, ballastOf(header.length, LIMIT), SHARED_BYTES];
      expect(decode(headerBytes(header), bodies[header.kind] as number)).to.deep.equal(header);
    });
  }

  it('is read at its place among others', () => {
    const bytes = Buffer.concat([Buffer.alloc(20, 9), headerBytes({ length: 5, tag: 3 })]);
    const view = new DataView(new Uint8Array(bytes).buffer);
    expect(decodeHeader(view, 20, HEADER_BYTES + 5, LIMIT, MAX).tag).to.equal(3);
  });

  const faults: [string, Partial<FrameHeader>, number, string][] = [
    ['no whole header', { length: 1 }, -1, '15 bytes, a header has 16'],
    ['an unknown kind', { kind: 3, length: 1 }, 1, 'unknown kind 3'],
    ['no number of a chunk', { kind: SHARED, length: 5 }, 5, 'a body of 5 bytes where 4 belong'],
    [
      'a chunk over the limit',
      { kind: SHARED, length: LIMIT + 1 },
      4,
      'kind 2 for a message of 1001',
    ],
    ['an empty message', { length: 0 }, 0, 'an empty message'],
    ['a body too short', { length: 5 }, 4, 'a body of 4 bytes where 5 belong'],
    ['a body too long', { length: 5 }, 6, 'a body of 6 bytes where 5 belong'],
    ['inline over its limit', { length: LIMIT + 1 }, LIMIT + 1, 'kind 0 for a message of 1001'],
    ['a memfd for a small message', { kind: MEMFD, length: 64 }, 1, 'kind 1 for a message of 64'],
    ['a message over the maximum', { kind: MEMFD, length: MAX + 1 }, 1000, 'the limit is 1000000'],
    ['wrong ballast', { kind: MEMFD, length: 6400 }, 99, 'a body of 99 bytes where 100 belong'],
  ];
  for (const [what, fields, body, message] of faults) {
    it(`is refused with the reason: ${what}`, () => {
      const error = thrownBy(() => decode(headerBytes(fields), body), 'ERR_BAD_FRAME');
      expect(error.message).to.include(message);
    });
  }

  it('is refused in another version, or with the reserved byte set', () => {
    for (const [at, value, message] of [
      [0, 2, 'version 2, this is 1'],
      [3, 1, 'reserved'],
    ] as const) {
      const bytes = headerBytes({ length: 1 });
      bytes[at] = value;
      expect(thrownBy(() => decode(bytes, 1), 'ERR_BAD_FRAME').message).to.include(message);
    }
  });

  it('has ballast of one byte for 64 of the message, rounded up, as much as a frame takes at most', () => {
    const of = (length: number): number => ballastOf(length, LIMIT);
    expect([1, 64, 65, 64 * LIMIT, 64 * LIMIT + 1].map(of)).to.deep.equal([1, 1, 2, LIMIT, LIMIT]);
  });

  describe('memfd', () => {
    const [SHRINK, GROW, WRITE, SEAL] = [2, 4, 8, 1];

    it('is taken when it can neither shrink, grow nor be written, with other seals or without', () => {
      checkMemfd(10, 10, SHRINK | GROW | WRITE);
      checkMemfd(10, 10, SHRINK | GROW | WRITE | SEAL | 0x20);
    });

    it('is refused when one of the three seals is missing, or all', () => {
      for (const seals of [GROW | WRITE, SHRINK | WRITE, SHRINK | GROW, SEAL, 0, -1]) {
        const { message } = thrownBy(() => {
          checkMemfd(10, 10, seals);
        }, 'ERR_BAD_FRAME');
        expect(message).to.include('sealed');
      }
    });

    it('is refused when it has another size than its header says', () => {
      for (const size of [9, 11]) {
        thrownBy(() => {
          checkMemfd(10, size, SHRINK | GROW | WRITE);
        }, 'ERR_BAD_FRAME');
      }
    });
  });

  it('badFrame keeps a cause', () => {
    const cause = new Error('why');
    expect(badFrame('what', { cause })).to.include({ code: 'ERR_BAD_FRAME', cause });
  });
});
