import { expect } from 'chai';
import { byteByByte, cuts, dribble, framing, packetsOf } from './support';

const END = '\r\n\r\n';
const MIB = 1024 * 1024;

describe('openEofCheck', () => {
  const check = (packageEof = END, packageMaxLength = 2 * MIB) =>
    framing({ openEofCheck: true, packageEof, packageMaxLength });

  it('gives a packet with its eof, without a copy when it came in one chunk', () => {
    const chunk = Buffer.from(`hello${END}`);
    expect(check().push(chunk)).to.deep.equal([chunk]);
    expect(check().push(chunk)[0]).to.equal(chunk);
  });

  it('gives packets that came joined as one', () => {
    expect(packetsOf(check(), `a${END}b${END}`)).to.deep.equal([`a${END}b${END}`]);
  });

  it('waits while the bytes so far do not end with the eof', () => {
    const splitter = check();
    expect(packetsOf(splitter, `a${END}b`)).to.deep.equal([]);
    expect(splitter.pendingBytes).to.equal(6);
    expect(packetsOf(splitter, END)).to.deep.equal([`a${END}b${END}`]);
    expect(splitter.pendingBytes).to.equal(0);
  });

  it('finds an eof cut at any place', () => {
    for (const chunks of cuts(`hello${END}`)) {
      expect(packetsOf(check(), ...chunks), chunks.join('|')).to.deep.equal([`hello${END}`]);
    }
  });

  it('takes an eof of one byte and of eight', () => {
    expect(packetsOf(check('\n'), 'a', 'b\n', '\n')).to.deep.equal(['ab\n', '\n']);
    expect(packetsOf(check('12345678'), ...byteByByte('a12345678'))).to.deep.equal(['a12345678']);
  });

  it('keeps connections apart', () => {
    const [one, other] = [check(), check()];
    packetsOf(one, 'a\r\n');
    expect(packetsOf(other, '\r\n')).to.deep.equal([]);
    expect(packetsOf(one, '\r\n')).to.deep.equal([`a${END}`]);
  });

  it('accepts a packet of just the limit', () => {
    expect(packetsOf(check(END, 8), ...byteByByte(`abcd${END}`))).to.deep.equal([`abcd${END}`]);
  });

  it('fails when no packet within the limit can end any more', () => {
    const splitter = check(END, 8);
    expect(packetsOf(splitter, 'abcdefg')).to.deep.equal([]);
    expect(splitter.failure).to.equal(null);
    expect(packetsOf(splitter, 'h')).to.deep.equal([]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
    expect(splitter.failure?.message).to.include('8 bytes').and.include('packageMaxLength');
    expect(splitter.pendingBytes).to.equal(0);
  });

  it('fails for a whole packet over the limit', () => {
    const splitter = check(END, 8);
    expect(packetsOf(splitter, `abcde${END}`)).to.deep.equal([]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('gives nothing after a failure', () => {
    const splitter = check(END, 8);
    packetsOf(splitter, 'much too long');
    expect(packetsOf(splitter, `a${END}`)).to.deep.equal([]);
  });

  it('takes 2 MB byte by byte in linear time', () => {
    const bytes = Buffer.concat([Buffer.alloc(2_000_000, '\r'), Buffer.from(END)]);
    const { elapsed, packets } = dribble(check(), bytes);
    expect(packets).to.have.length(1);
    expect(packets[0]?.equals(bytes)).to.equal(true);
    expect(elapsed, 'ms of CPU').to.be.lessThan(2000);
  });
});

describe('openEofSplit', () => {
  const split = (packageEof = END, packageMaxLength = 2 * MIB) =>
    framing({ openEofSplit: true, packageEof, packageMaxLength });

  it('gives every packet that ends in a chunk, in order', () => {
    const packets = packetsOf(split(), `a${END}bb${END}${END}ccc`);
    expect(packets).to.deep.equal([`a${END}`, `bb${END}`, END]);
  });

  it('copies no packet that came in one chunk', () => {
    const chunk = Buffer.from(`a${END}b${END}`);
    for (const packet of split().push(chunk)) expect(packet.buffer).to.equal(chunk.buffer);
  });

  it('finds the same packets wherever the stream is cut', () => {
    const whole = `a${END}${END}\r\nb\r${END}cd`;
    for (const chunks of [...cuts(whole), byteByByte(whole)]) {
      const splitter = split();
      const expected = [`a${END}`, END, `\r\nb\r${END}`];
      expect(packetsOf(splitter, ...chunks), JSON.stringify(chunks)).to.deep.equal(expected);
      expect(splitter.pendingBytes).to.equal(2);
    }
  });

  it('takes the earliest end of an eof that repeats itself', () => {
    for (const chunks of [...cuts('xaaaaay'), byteByByte('xaaaaay')]) {
      const packets = packetsOf(split('aa'), ...chunks);
      expect(packets, JSON.stringify(chunks)).to.deep.equal(['xaa', 'aa']);
    }
    for (const chunks of cuts('abababb')) {
      expect(packetsOf(split('ababb'), ...chunks), chunks.join('|')).to.deep.equal(['abababb']);
    }
  });

  it('takes bytes that are no text', () => {
    const eof = Buffer.from([0, 255]);
    const splitter = framing({ openEofSplit: true, packageEof: eof });
    expect(packetsOf(splitter, '\x00', '\x00\xff\xff\x00', '\xff')).to.deep.equal([
      '\x00\x00\xff',
      '\xff\x00\xff',
    ]);
  });

  it('gives the packets before one that is too long', () => {
    const splitter = split(END, 8);
    expect(packetsOf(splitter, `ok${END}abcde${END}never${END}`)).to.deep.equal([`ok${END}`]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
    expect(packetsOf(splitter, `a${END}`)).to.deep.equal([]);
  });

  it('gives the packets before a rest that is too long', () => {
    const splitter = split(END, 8);
    expect(packetsOf(splitter, `abcd${END}12345678`)).to.deep.equal([`abcd${END}`]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('takes 2 MB byte by byte in linear time', () => {
    const bytes = Buffer.concat([Buffer.alloc(2_000_000, '\r'), Buffer.from(END)]);
    const { elapsed, packets } = dribble(split(), bytes);
    expect(packets).to.have.length(1);
    expect(packets[0]?.equals(bytes)).to.equal(true);
    expect(elapsed, 'ms of CPU').to.be.lessThan(2000);
  });
});
