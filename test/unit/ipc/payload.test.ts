import { expect } from 'chai';
import {
  BYTES,
  decodePayload,
  encodePayload,
  NOTHING,
  SERIALIZED,
  STRING,
} from '../../../lib/ipc/payload';

describe('payload', () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;

  for (const [what, value, kind] of [
    ['a string', 'text ✓', STRING],
    ['an empty string', '', STRING],
    ['a Buffer', Buffer.from([0, 255]), BYTES],
    ['an empty Buffer', Buffer.alloc(0), BYTES],
    ['nothing', undefined, NOTHING],
    ['null', null, SERIALIZED],
    ['a number', -0.5, SERIALIZED],
    ['a typed array', new Uint8Array([1, 2]), SERIALIZED],
    ['dates, maps, sets, bigints', [new Date(5), new Map([[1, new Set([2n])]])], SERIALIZED],
    ['what contains itself', circular, SERIALIZED],
  ] as const) {
    it(`keeps ${what}`, () => {
      const payload = encodePayload(value);
      expect(payload.kind).to.equal(kind);
      expect(decodePayload(payload.kind, payload.data)).to.deep.equal(value);
    });
  }

  it('does not copy a Buffer', () => {
    const data = Buffer.from('x');
    expect(encodePayload(data).data).to.equal(data);
  });

  it('refuses what cannot be cloned', () => {
    for (const value of [() => 0, Symbol('x'), { deep: [() => 0] }]) {
      expect(() => encodePayload(value)).to.throw('could not be cloned');
    }
  });

  for (const [what, kind, data] of [
    ['a kind that there is not', 4, Buffer.alloc(0)],
    ['no serialized value', SERIALIZED, Buffer.from('no')],
    ['an empty serialized value', SERIALIZED, Buffer.alloc(0)],
    [
      'half a serialized value',
      SERIALIZED,
      encodePayload({ a: 'long enough' }).data.subarray(0, 8),
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => decodePayload(kind, data))
        .to.throw()
        .with.property('code', 'ERR_BAD_FRAME');
    });
  }
});
