import { expect } from 'chai';
import { encodeFrame, LengthFrameReader } from '../../../lib/ipc/length-frame';
import { frame, lengthOf } from '../../fixtures/stream-socket/client';
import { thrownBy } from '../fake-kernel';

describe('LengthFrameReader', () => {
  it('gives the body of a frame that came in one piece', () => {
    expect(String(new LengthFrameReader(100).push(frame('hello')))).to.equal('hello');
  });

  it('does not copy a body that came in one piece', () => {
    const chunk = frame('hello');
    const body = new LengthFrameReader(100).push(chunk);
    expect(body?.buffer).to.equal(chunk.buffer);
    expect(body?.byteOffset).to.equal(chunk.byteOffset + 4);
  });

  it('joins a frame that was split at any place', () => {
    const bytes = frame('hello');
    for (let at = 0; at <= bytes.length; at++) {
      const reader = new LengthFrameReader(100);
      const first = reader.push(bytes.subarray(0, at));
      if (at < bytes.length) expect(first, String(at)).to.equal(null);
      expect(String(first ?? reader.push(bytes.subarray(at))), String(at)).to.equal('hello');
    }
  });

  it('takes a frame byte by byte', () => {
    const reader = new LengthFrameReader(100);
    const bodies = [...frame('hello')].map((byte) => reader.push(Buffer.from([byte])));
    expect(bodies.map(String)).to.deep.equal([...Array<string>(8).fill('null'), 'hello']);
  });

  it('puts every piece of a large body into one buffer, once', () => {
    const body = Buffer.alloc(2 << 20, 'large');
    const reader = new LengthFrameReader(body.length);
    const bytes = frame(body);
    let whole: Buffer | null = null;
    for (let at = 0; at < bytes.length; at += 65536) {
      whole = reader.push(bytes.subarray(at, at + 65536));
    }
    expect(whole?.equals(body)).to.equal(true);
    expect(whole?.buffer.byteLength).to.equal(body.length);
  });

  it('keeps what follows a frame, and goes on with it', () => {
    const reader = new LengthFrameReader(100);
    expect(String(reader.push(Buffer.concat([frame('one'), frame('two')])))).to.equal('one');
    expect(String(reader.push(reader.rest))).to.equal('two');
    expect(reader.rest).to.have.length(0);
  });

  it('keeps what follows a frame that came in pieces', () => {
    const reader = new LengthFrameReader(100);
    reader.push(frame('hello').subarray(0, 6));
    const rest = Buffer.concat([frame('hello').subarray(6), Buffer.from('more')]);
    expect(String(reader.push(rest))).to.equal('hello');
    expect(String(reader.rest)).to.equal('more');
  });

  it('refuses length 0, with or without bytes behind it', () => {
    thrownBy(() => new LengthFrameReader(100).push(lengthOf(0)), 'ERR_EMPTY_DATA');
    thrownBy(
      () => new LengthFrameReader(100).push(Buffer.concat([lengthOf(0), frame('x')])),
      'ERR_EMPTY_DATA',
    );
  });

  it('refuses a length over the limit as soon as it is there, and says both', () => {
    const reader = new LengthFrameReader(100);
    expect(reader.push(lengthOf(101).subarray(0, 3))).to.equal(null);
    const { message } = thrownBy(
      () => reader.push(lengthOf(101).subarray(3)),
      'ERR_MESSAGE_TOO_BIG',
    );
    expect(message).to.include('101 bytes').and.to.include('100 bytes');
  });

  it('takes the length as unsigned', () => {
    const { message } = thrownBy(
      () => new LengthFrameReader(100).push(lengthOf(0xffffffff)),
      'ERR_MESSAGE_TOO_BIG',
    );
    expect(message).to.include('4294967295');
  });

  it('takes a body of exactly the limit', () => {
    expect(new LengthFrameReader(5).push(frame('hello'))).to.have.length(5);
  });

  it('goes on refusing after an error', () => {
    const reader = new LengthFrameReader(100);
    thrownBy(() => reader.push(lengthOf(0)), 'ERR_EMPTY_DATA');
    thrownBy(() => reader.push(frame('hello')), 'ERR_EMPTY_DATA');
  });

  it('end() is silent between frames', () => {
    const reader = new LengthFrameReader(100);
    reader.end();
    reader.push(frame('hello'));
    reader.end();
  });

  it('end() within a frame is EPROTO and tells how much was there', () => {
    const inLength = new LengthFrameReader(100);
    inLength.push(lengthOf(5).subarray(0, 3));
    expect(thrownBy(() => inLength.end(), 'EPROTO').message).to.include('3 of the 4 bytes');
    const inBody = new LengthFrameReader(100);
    inBody.push(frame('hello').subarray(0, 6));
    expect(thrownBy(() => inBody.end(), 'EPROTO').message).to.include('2 of the 5 bytes');
    const noBody = new LengthFrameReader(100);
    noBody.push(lengthOf(5));
    expect(thrownBy(() => noBody.end(), 'EPROTO').message).to.include('0 of the 5 bytes');
  });

  it('refuses a limit that no length can have', () => {
    for (const limit of [0, -1, 1.5, 0x100000000]) {
      thrownBy(() => new LengthFrameReader(limit), 'ERR_OUT_OF_RANGE');
    }
  });
});

describe('encodeFrame', () => {
  it('joins pieces into one frame', () => {
    const pieces = ['a', '', 'bc'].map((text) => Buffer.from(text));
    expect(encodeFrame(pieces)).to.deep.equal(frame('abc'));
  });

  it('refuses a frame without any byte', () => {
    thrownBy(() => encodeFrame([]), 'ERR_EMPTY_DATA');
    thrownBy(() => encodeFrame([Buffer.alloc(0)]), 'ERR_EMPTY_DATA');
  });

  it('refuses a body whose length does not fit 32 bits', () => {
    const piece = Buffer.alloc(64 << 20);
    thrownBy(() => encodeFrame(Array<Buffer>(64).fill(piece)), 'ERR_MESSAGE_TOO_BIG');
  });
});
