/** openLengthCheck: packets that tell their length. */
import { expect } from 'chai';
import type { PackageLengthType } from '../../lib/server/framing/length';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer, type ServerPlan } from '../support/server';

const EVENTS = { receive: echo, close: null } satisfies ServerPlan['on'];

type Encode = (data: Buffer, length: number) => unknown;

/** This machine's byte order is the one of all machines that Node runs on. */
const TYPES: Record<PackageLengthType, [number, Encode]> = {
  c: [1, (data, length) => data.writeInt8(length)],
  C: [1, (data, length) => data.writeUInt8(length)],
  s: [2, (data, length) => data.writeInt16LE(length)],
  S: [2, (data, length) => data.writeUInt16LE(length)],
  n: [2, (data, length) => data.writeUInt16BE(length)],
  v: [2, (data, length) => data.writeUInt16LE(length)],
  l: [4, (data, length) => data.writeInt32LE(length)],
  L: [4, (data, length) => data.writeUInt32LE(length)],
  N: [4, (data, length) => data.writeUInt32BE(length)],
  V: [4, (data, length) => data.writeUInt32LE(length)],
  q: [8, (data, length) => data.writeBigInt64LE(BigInt(length))],
  Q: [8, (data, length) => data.writeBigUInt64LE(BigInt(length))],
  J: [8, (data, length) => data.writeBigUInt64BE(BigInt(length))],
  P: [8, (data, length) => data.writeBigUInt64LE(BigInt(length))],
};
const LETTERS = Object.keys(TYPES) as PackageLengthType[];

function packet(type: PackageLengthType, body: Buffer): Buffer {
  const [bytes, encode] = TYPES[type];
  const header = Buffer.alloc(bytes);
  encode(header, body.length);
  return Buffer.concat([header, body]);
}

for (const mode of MODES) {
  describe(`server framing by length: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it(`takes the length as ${LETTERS.join(', ')} (length/*)`, async () => {
      const ports = LETTERS.map((packageLengthType) => ({
        ...{ host: '127.0.0.1', type: 'tcp' as const },
        settings: { packageLengthType, packageBodyOffset: TYPES[packageLengthType][0] },
      }));
      const settings = { openLengthCheck: true };
      const server = await startServer({ mode, settings, on: EVENTS, ports });
      for (const [i, type] of LETTERS.entries()) {
        const client = await server.connect(1 + i);
        const lengths = [1, 0, 127, ...(TYPES[type][0] === 1 ? [] : [128, 32_767])];
        const packets = lengths.map((length) => packet(type, Buffer.alloc(length, type)));
        const all = Buffer.concat(packets);
        client.write(all);
        expect((await client.read(all.length)).equals(all), type).to.equal(true);
        const got = server.notes('receive').slice(-packets.length);
        const wanted = packets.map((data) => data.toString('latin1'));
        expect(
          got.map(({ args }) => args[2]),
          type,
        ).to.deep.equal(wanted);
      }
      await server.stop();
    });

    it('a negative length closes the connection', async () => {
      const settings = { openLengthCheck: true, packageLengthType: 'l' as const };
      const server = await startServer({ mode, settings, on: EVENTS });
      const client = await server.connect();
      client.write(Buffer.of(0xff, 0xff, 0xff, 0xff));
      await client.ended;
      expect(server.notes('receive')).to.deep.equal([]);
      await server.stop(/PREFORK_BAD_PACKET.* its length is -1\n/);
    });

    it('packageLengthOffset and packageBodyOffset say where it is and what it counts', async () => {
      const settings = {
        ...{ openLengthCheck: true, packageLengthType: 'n' as const },
        ...{ packageLengthOffset: 3, packageBodyOffset: 8 },
      };
      const server = await startServer({ mode, settings, on: EVENTS });
      const client = await server.connect();
      const packets = ['abc\0\x05xyzhello', 'abc\0\0xyz', 'ABC\0\x01XYZ!'];
      expect(await client.ask(packets.join(''))).to.equal(packets.join(''));
      expect(server.notes('receive').map(({ args }) => args[2])).to.deep.equal(packets);
      await server.stop();
    });

    it('packets that come byte by byte, and many in one write, are the same (length/02)', async () => {
      const server = await startServer({ mode, settings: { openLengthCheck: true }, on: EVENTS });
      const client = await server.connect();
      const bodies = Array.from({ length: 30 }, (_, i) => Buffer.alloc(i, 65 + i));
      const packets = bodies.map((body) => packet('N', body));
      const all = Buffer.concat(packets);
      client.socket.setNoDelay();
      for (const byte of all) {
        client.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      await client.read(all.length);
      client.write(all);
      await client.read(all.length);
      const wanted = packets.map((data) => data.toString('latin1'));
      const got = server.notes('receive').map(({ args }) => args[2]);
      expect(got).to.deep.equal([...wanted, ...wanted]);
      await server.stop();
    });

    it('1,000 packets of 1 B to 64 KB, cut anywhere, arrive each whole (length/00)', async () => {
      const server = await startServer({
        ...{ mode, on: EVENTS, quiet: ['receive'] },
        settings: { openLengthCheck: true, socketBufferSize: 0 },
      });
      const client = await server.connect();
      const packets = Array.from({ length: 1000 }, (_, i) =>
        packet('N', Buffer.alloc((i * 7919) % (i % 10 === 0 ? 65_536 : 500), i)),
      );
      const all = Buffer.concat(packets);
      for (let at = 0, step = 1; at < all.length; at += step, step = (step * 31) % 40_009) {
        client.write(all.subarray(at, at + step));
      }
      expect((await client.read(all.length)).equals(all)).to.equal(true);
      const requests = await server.run(server.masterPid, (serv) => serv.stats().requestCount);
      expect(requests).to.equal(1000);
      await server.stop();
    });

    it('8 MB in each of three packets arrive whole (length/03)', async () => {
      const server = await startServer({
        ...{ mode, on: EVENTS, quiet: ['receive'] },
        settings: { openLengthCheck: true, packageMaxLength: 9 << 20, socketBufferSize: 0 },
      });
      const client = await server.connect();
      const packets = ['x', 'yz', '123'].map((fill) => packet('N', Buffer.alloc(8 << 20, fill)));
      const all = Buffer.concat([...packets, packet('N', Buffer.from('small'))]);
      client.write(all);
      expect((await client.read(all.length)).equals(all)).to.equal(true);
      const requests = await server.run(server.masterPid, (serv) => serv.stats().requestCount);
      expect(requests).to.equal(4);
      await server.stop();
    });

    describe('packageLengthFunc', () => {
      /** Netstrings: "5:hello", -1 for what is none. */
      const settings = {
        openLengthCheck: true,
        packageLengthFunc: (data: Buffer) => {
          const colon = data.indexOf(':');
          if (data[0] === 33) throw new Error('in packageLengthFunc');
          if (colon < 0) return data.length > 5 ? -1 : 0;
          return colon + 1 + Number(data.subarray(0, colon));
        },
      };

      it('says how long packets are, pipelined or byte by byte (length_func)', async () => {
        const server = await startServer({ mode, settings, on: EVENTS });
        const client = await server.connect();
        const packets = ['5:hello', '0:', '12:123456789012', '1:x'];
        expect(await client.ask(packets.join(''))).to.equal(packets.join(''));
        client.socket.setNoDelay();
        for (const byte of packets.join('')) {
          client.write(byte);
          await new Promise(setImmediate);
        }
        await client.read(packets.join('').length);
        const got = server.notes('receive').map(({ args }) => args[2]);
        expect(got).to.deep.equal([...packets, ...packets]);
        await server.stop();
      });

      for (const [what, data, told] of [
        ['-1', 'no netstring', 'returned -1'],
        ['no number', 'x:y', 'returned NaN'],
        ['an error', '!', 'threw: in packageLengthFunc'],
      ] as const) {
        it(`${what} closes the connection, no other`, async () => {
          const server = await startServer({ mode, settings, on: EVENTS });
          const [client, other] = [await server.connect(), await server.connect()];
          expect(await client.ask('2:ab')).to.equal('2:ab');
          client.write(data);
          await client.ended;
          expect(await other.ask('6:serves')).to.equal('6:serves');
          await server.noted('close');
          expect(server.notes('receive').map(({ args }) => args[2])).to.deep.equal([
            ...['2:ab', '6:serves'],
          ]);
          await server.stop(new RegExp(`PREFORK_BAD_PACKET.* packageLengthFunc ${told}\n`));
        });
      }
    });
  });
}
