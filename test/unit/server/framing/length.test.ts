import { endianness } from 'node:os';
import { expect } from 'chai';
import { LENGTH_FIELDS, type PackageLengthType } from '../../../../lib/server/framing/length';
import type { PortOptions } from '../../../../lib/server/port-settings';
import { byteByByte, cuts, dribble, framing, packetsOf } from './support';

const HOST = endianness() === 'LE' ? 'LE' : 'BE';
const MIB = 1024 * 1024;

const lengthCheck = (options: PortOptions = {}) => framing({ openLengthCheck: true, ...options });

/** A length of `size` bytes written by Node's own methods. */
function header(size: number, order: 'LE' | 'BE', value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  if (order === 'LE') bytes.writeBigInt64LE(BigInt.asIntN(64, value));
  else bytes.writeBigInt64BE(BigInt.asIntN(64, value));
  return order === 'LE' ? bytes.subarray(0, size) : bytes.subarray(8 - size);
}

const packet = (body: string): string =>
  header(4, 'BE', BigInt(body.length)).toString('latin1') + body;

const FIELDS: Record<PackageLengthType, [size: number, order: 'LE' | 'BE', signed: boolean]> = {
  c: [1, 'BE', true],
  C: [1, 'BE', false],
  s: [2, HOST, true],
  S: [2, HOST, false],
  n: [2, 'BE', false],
  v: [2, 'LE', false],
  l: [4, HOST, true],
  L: [4, HOST, false],
  N: [4, 'BE', false],
  V: [4, 'LE', false],
  q: [8, HOST, true],
  Q: [8, HOST, false],
  J: [8, 'BE', false],
  P: [8, 'LE', false],
};

describe('openLengthCheck', () => {
  it('gives the packets of a chunk with their headers, without a copy', () => {
    const chunk = Buffer.from(packet('one') + packet('') + packet('two'), 'latin1');
    const packets = lengthCheck().push(chunk);
    expect(packets.map((bytes) => bytes.toString('latin1'))).to.deep.equal([
      packet('one'),
      packet(''),
      packet('two'),
    ]);
    for (const bytes of packets) expect(bytes.buffer).to.equal(chunk.buffer);
  });

  it('finds the same packets wherever the stream is cut', () => {
    const expected = [packet('hello'), packet(''), packet('ab')];
    const whole = `${expected.join('')}\0\0`;
    for (const chunks of [...cuts(whole), byteByByte(whole)]) {
      const splitter = lengthCheck();
      expect(packetsOf(splitter, ...chunks), JSON.stringify(chunks)).to.deep.equal(expected);
      expect(splitter.pendingBytes).to.equal(2);
      expect(splitter.failure).to.equal(null);
    }
  });

  it('puts the pieces of a large packet into memory of its size', () => {
    const bytes = Buffer.concat([header(4, 'BE', BigInt(MIB)), Buffer.alloc(MIB, 'large')]);
    const splitter = lengthCheck();
    const packets: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 65536) {
      packets.push(...splitter.push(bytes.subarray(at, at + 65536)));
    }
    expect(packets).to.have.length(1);
    expect(packets[0]?.equals(bytes)).to.equal(true);
    expect(packets[0]?.buffer.byteLength).to.equal(bytes.length);
  });

  it('finds a length at its offset and a body at its own', () => {
    const options: PortOptions = {
      packageLengthType: 'n',
      packageLengthOffset: 2,
      packageBodyOffset: 6,
    };
    const whole = 'AB\x00\x03CDxyzAB\x00\x00CD';
    for (const chunks of [...cuts(whole), byteByByte(whole)]) {
      const packets = packetsOf(lengthCheck(options), ...chunks);
      expect(packets, JSON.stringify(chunks)).to.deep.equal(['AB\x00\x03CDxyz', 'AB\x00\x00CD']);
    }
  });

  it('takes a length that counts its header', () => {
    const packets = packetsOf(lengthCheck({ packageBodyOffset: 0 }), '\0\0\0\x06ab\0\0\0\x04');
    expect(packets).to.deep.equal(['\0\0\0\x06ab', '\0\0\0\x04']);
  });

  it('refuses a packet that would end within its length', () => {
    for (const length of ['\0\0\0\0', '\0\0\0\x03']) {
      const splitter = lengthCheck({ packageBodyOffset: 0 });
      expect(packetsOf(splitter, `${length}abc`)).to.deep.equal([]);
      expect(splitter.failure).to.have.property('code', 'ERR_BAD_PACKET');
    }
  });

  it('gives the packets before one that is too long, as soon as its length is there', () => {
    const splitter = lengthCheck({ packageMaxLength: 100 });
    expect(packetsOf(splitter, `${packet('ok')}\0\0\0\x61`)).to.deep.equal([packet('ok')]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
    expect(splitter.failure?.message).to.include('101 bytes').and.include('100 bytes');
    expect(packetsOf(splitter, packet('never'))).to.deep.equal([]);
    expect(splitter.pendingBytes).to.equal(0);
  });

  it('refuses a length that came byte by byte and is too long', () => {
    const splitter = lengthCheck({ packageMaxLength: 100 });
    expect(packetsOf(splitter, ...byteByByte('\0\0\0\x61'))).to.deep.equal([]);
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('accepts a packet of just the limit', () => {
    const body = 'x'.repeat(96);
    const splitter = lengthCheck({ packageMaxLength: 100 });
    expect(packetsOf(splitter, packet(body))).to.deep.equal([packet(body)]);
  });

  it('takes 2 MB byte by byte in linear time', () => {
    const bytes = Buffer.concat([header(4, 'BE', 2_000_000n), Buffer.alloc(2_000_000, 'x')]);
    const { elapsed, packets } = dribble(lengthCheck(), bytes);
    expect(packets).to.have.length(1);
    expect(packets[0]?.equals(bytes)).to.equal(true);
    expect(elapsed, 'ms of CPU').to.be.lessThan(2000);
  });

  it('knows every packageLengthType', () => {
    expect(Object.keys(LENGTH_FIELDS).sort()).to.deep.equal(Object.keys(FIELDS).sort());
  });

  for (const [type, [size, order, signed]] of Object.entries(FIELDS)) {
    describe(`packageLengthType ${type}`, () => {
      const options: PortOptions = {
        packageLengthType: type as PackageLengthType,
        packageBodyOffset: size,
      };
      const read = (value: bigint): number =>
        LENGTH_FIELDS[type as PackageLengthType].read(header(size, order, value), 0);

      it(`has ${size} bytes, ${order}`, () => {
        const whole = header(size, order, 5n).toString('latin1') + 'hello';
        expect(packetsOf(lengthCheck(options), whole + whole)).to.deep.equal([whole, whole]);
        expect(packetsOf(lengthCheck(options), ...byteByByte(whole))).to.deep.equal([whole]);
      });

      it('puts every byte into its place', () => {
        const value = 0x01020304050607n & (2n ** BigInt(size * 8) - 1n);
        expect(read(value)).to.equal(Number(value));
      });

      it(signed ? 'is signed: refuses a negative length' : 'is unsigned', () => {
        const top = 2n ** BigInt(size * 8 - 1);
        expect(read(top)).to.equal(Number(signed ? -top : top));
        const splitter = lengthCheck(options);
        packetsOf(splitter, header(size, order, -1n));
        // All ones of 8 or 16 bits are a good length when unsigned.
        if (!signed && size < 4) expect(splitter.failure).to.equal(null);
        else if (!signed && size === 4) {
          expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
        } else expect(splitter.failure).to.have.property('code', 'ERR_BAD_PACKET');
      });
    });
  }

  it('refuses lengths over 2^53', () => {
    for (const value of [2n ** 53n, 2n ** 53n - 8n]) {
      const splitter = lengthCheck({ packageLengthType: 'J', packageBodyOffset: 8 });
      packetsOf(splitter, header(8, 'BE', value));
      expect(splitter.failure).to.have.property('code', 'ERR_BAD_PACKET');
    }
    const splitter = lengthCheck({ packageLengthType: 'J', packageBodyOffset: 8 });
    packetsOf(splitter, header(8, 'BE', 2n ** 53n - 9n));
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });
});

describe('packageLengthFunc', () => {
  /** "5:hello" */
  function netstring(data: Buffer): number {
    const colon = data.indexOf(':');
    if (colon < 0) return data.length < 5 ? 0 : -1;
    return colon + 1 + Number(data.toString('latin1', 0, colon));
  }

  it('finds the same packets wherever the stream is cut', () => {
    const whole = '5:hello0:2:ab1';
    for (const chunks of [...cuts(whole), byteByByte(whole)]) {
      const splitter = lengthCheck({ packageLengthFunc: netstring });
      const packets = packetsOf(splitter, ...chunks);
      expect(packets, JSON.stringify(chunks)).to.deep.equal(['5:hello', '0:', '2:ab']);
      expect(splitter.pendingBytes).to.equal(1);
    }
  });

  it('gets all bytes so far of its packet, from the start', () => {
    const seen: string[] = [];
    const splitter = lengthCheck({
      packageLengthFunc: (data) => {
        seen.push(String(data));
        return data.length < 3 ? 0 : 4;
      },
    });
    expect(packetsOf(splitter, 'a', 'b', 'cd12', '34')).to.deep.equal(['abcd', '1234']);
    expect(seen).to.deep.equal(['a', 'ab', 'abcd12', '12', '1234']);
  });

  it('is not asked again once it has told', () => {
    let calls = 0;
    const splitter = lengthCheck({ packageLengthFunc: () => (calls++, 10) });
    expect(packetsOf(splitter, ...byteByByte('0123456789'))).to.deep.equal(['0123456789']);
    expect(calls).to.equal(1);
  });

  it('closes the connection with -1, after the packets before', () => {
    const splitter = lengthCheck({ packageLengthFunc: netstring });
    expect(packetsOf(splitter, '1:aGARBAGE')).to.deep.equal(['1:a']);
    expect(splitter.failure).to.have.property('code', 'ERR_BAD_PACKET');
    expect(splitter.failure?.message).to.include('-1');
    expect(packetsOf(splitter, '1:a')).to.deep.equal([]);
  });

  it('fails for a result that is no length', () => {
    for (const result of [-2, 1.5, NaN, Infinity, '4', undefined, null]) {
      const splitter = lengthCheck({ packageLengthFunc: () => result as number });
      packetsOf(splitter, 'abcd');
      expect(splitter.failure, String(result)).to.have.property('code', 'ERR_BAD_PACKET');
      expect(splitter.failure?.message).to.include(String(result));
    }
  });

  it('fails with what it threw as the cause', () => {
    const mistake = new TypeError('mine');
    const splitter = lengthCheck({
      packageLengthFunc: () => {
        throw mistake;
      },
    });
    expect(packetsOf(splitter, 'abcd')).to.deep.equal([]);
    expect(splitter.failure).to.include({ code: 'ERR_BAD_PACKET', cause: mistake });
  });

  it('fails when it tells a length over the limit', () => {
    const splitter = lengthCheck({ packageLengthFunc: () => 101, packageMaxLength: 100 });
    packetsOf(splitter, 'a');
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('fails when it asks for more than the limit', () => {
    const splitter = lengthCheck({ packageLengthFunc: () => 0, packageMaxLength: 100 });
    packetsOf(splitter, 'x'.repeat(99));
    expect(splitter.failure).to.equal(null);
    packetsOf(splitter, 'x');
    expect(splitter.failure).to.have.property('code', 'ERR_MESSAGE_TOO_BIG');
  });

  it('takes 2 MB byte by byte in linear time', () => {
    const bytes = Buffer.alloc(2_000_000, 'x');
    const splitter = lengthCheck({
      packageLengthFunc: (data) => (data.length < 1_000_000 ? 0 : 2_000_000),
    });
    const { elapsed, packets } = dribble(splitter, bytes);
    expect(packets).to.have.length(1);
    expect(packets[0]?.equals(bytes)).to.equal(true);
    expect(elapsed, 'ms of CPU').to.be.lessThan(3000);
  });
});
