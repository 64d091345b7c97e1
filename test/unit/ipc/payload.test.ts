import { expect } from 'chai';
import { PreforkError } from '../../../lib/errors';
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
    ['a string with half of a surrogate pair', 'a\ud800', SERIALIZED],
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

  it('gives typed arrays memory of their own, of just their size', () => {
    const sent = [
      new Float64Array([1, 2]),
      new Uint8Array(3),
      new DataView(new ArrayBuffer(8), 2, 5),
    ];
    const { kind, data } = encodePayload(sent);
    const views = decodePayload(kind, data) as typeof sent;
    expect(views.slice(0, 2)).to.deep.equal(sent.slice(0, 2));
    expect(views[2]).to.be.an.instanceOf(DataView);
    for (const [i, { buffer, byteLength }] of views.entries()) {
      expect(buffer.byteLength).to.equal(byteLength);
      expect(byteLength).to.equal(sent[i]?.byteLength);
      expect(buffer).not.to.equal(data.buffer);
    }
  });

  it('keeps a Buffer inside of other values', () => {
    const { kind, data } = encodePayload({ inside: Buffer.from('x') });
    const { inside } = decodePayload(kind, data) as { inside: unknown };
    expect(Buffer.isBuffer(inside) && inside.toString()).to.equal('x');
  });

  it('refuses what cannot be cloned', () => {
    for (const value of [() => 0, Symbol('x'), { deep: [() => 0] }, new SharedArrayBuffer(8)]) {
      expect(() => encodePayload(value))
        .to.throw(PreforkError, 'could not be cloned')
        .with.property('code', 'ERR_INVALID_ARG_TYPE');
    }
  });

  it('passes on what a getter throws', () => {
    const own = new Error('of the getter');
    const value = {
      get inside() {
        throw own;
      },
    };
    expect(() => encodePayload(value)).to.throw(own);
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
