import { expect } from 'chai';
import { TASK, TASK_MARK } from '../../../../lib/server/bus/message';
import {
  decodeTaskPacket,
  encodeTaskPacket,
  HEADER_BYTES,
} from '../../../../lib/server/task/task-packet';

const PACKET = { type: TASK, kind: 5, from: 12, id: 0xfffffffe, server: 0xdeadbeef };

describe('task packet', () => {
  it('arrives as it was sent', () => {
    const bytes = encodeTaskPacket(PACKET, Buffer.from('payload'));
    expect(decodeTaskPacket(bytes)).to.deep.equal({
      ...PACKET,
      payload: Buffer.from('payload'),
      file: null,
    });
  });

  it('may be empty, and a mark', () => {
    const mark = { ...PACKET, type: TASK_MARK, kind: 0, from: -1 };
    const { payload, type, from } = decodeTaskPacket(encodeTaskPacket(mark, Buffer.alloc(0)));
    expect([payload.length, type, from]).to.deep.equal([0, TASK_MARK, -1]);
  });

  it('names the file with a large payload', () => {
    const file = { name: 'prefork.task.0.1f.1f-0', bytes: 3_000_000_000 };
    expect(decodeTaskPacket(encodeTaskPacket(PACKET, file)).file).to.deep.equal(file);
  });

  it('has the layout that is written down', () => {
    const bytes = encodeTaskPacket(
      { type: TASK, kind: 1, from: -1, id: 1, server: 2 },
      Buffer.from('x'),
    );
    expect(bytes.toString('hex')).to.equal('54011001ffffffff010000000200000078');
  });

  const good = encodeTaskPacket(PACKET, Buffer.from('payload'));
  const withByte = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = value;
    return bytes;
  };
  for (const [what, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['less than a header', good.subarray(0, HEADER_BYTES - 1)],
    ['other magic', withByte(0, 0)],
    ['another version', withByte(1, 2)],
    ['an unknown type', withByte(2, 17)],
    ['an unknown kind', withByte(3, 8)],
    ['an impossible sender', withByte(7, 0x80)],
    ['a file without name', withByte(2, TASK | 0x80).subarray(0, HEADER_BYTES + 4)],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => decodeTaskPacket(bytes))
        .to.throw()
        .with.property('code', 'ERR_BAD_PACKET');
    });
  }
});
