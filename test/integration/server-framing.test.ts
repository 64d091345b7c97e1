import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';
import type { TcpClient } from '../support/tcp-client';

type Settings = NonNullable<ServerPlan['settings']>;

const EVENTS = { receive: echo, close: null } satisfies ServerPlan['on'];

const CLOSED_FOR_LENGTH =
  /PREFORK_BAD_PACKET.* connection \d+ from 127\.0\.0\.1 is closed: .*packageMaxLength/;

/** Sends byte by byte, each in a turn of the event loop of its own. */
async function dribble(client: TcpClient, data: string): Promise<void> {
  for (const byte of Buffer.from(data, 'latin1')) {
    client.write(Buffer.of(byte));
    await new Promise(setImmediate);
  }
}

const packetsOf = (server: RunningServer) => server.notes('receive').map(({ args }) => args[2]);

for (const mode of MODES) {
  describe(`server framing: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    const begin = (settings: Settings, more: ServerPlan = {}) =>
      startServer({ mode, settings, on: EVENTS, ...more });

    describe('openEofCheck', () => {
      const settings = { openEofCheck: true, packageEof: '\r\n' };

      it('gives what ends with the eof, maybe several joined (eof_protocol)', async () => {
        const server = await begin(settings);
        const client = await server.connect();
        expect(await client.ask('one\r\ntwo\r\n')).to.equal('one\r\ntwo\r\n');
        client.write('three\r\nfo');
        await dribble(client, 'ur\r\n');
        expect(await client.readText(13)).to.equal('three\r\nfour\r\n');
        expect(packetsOf(server)).to.deep.equal(['one\r\ntwo\r\n', 'three\r\nfour\r\n']);
        await server.stop();
      });
    });

    describe('openEofSplit', () => {
      it('gives one packet for each eof, also of what comes byte by byte (tcp_eof)', async () => {
        const server = await begin({ openEofSplit: true, packageEof: '\r\n' });
        const client = await server.connect();
        const text = 'one\r\n\r\ntwo\r\r\nthree\n\r\n';
        const packets = ['one\r\n', '\r\n', 'two\r\r\n', 'three\n\r\n'];
        client.write(text);
        await client.read(text.length);
        expect(packetsOf(server)).to.deep.equal(packets);
        await dribble(client, text);
        await client.read(text.length);
        expect(packetsOf(server)).to.deep.equal([...packets, ...packets]);
        await server.stop();
      });

      for (const packageEof of ['\0', '12345678', '\r\n\r\n']) {
        it(`takes ${JSON.stringify(packageEof)} for an eof`, async () => {
          const server = await begin({ openEofSplit: true, packageEof });
          const packets = ['a', '', 'b'.repeat(1000), 'c'].map((body) => body + packageEof);
          const client = await server.connect();
          expect(await client.ask(packets.join(''))).to.equal(packets.join(''));
          expect(packetsOf(server)).to.deep.equal(packets);
          await server.stop();
        });
      }

      it('8 MB in one packet arrive whole (eof_server)', async () => {
        const server = await begin(
          {
            ...{ openEofSplit: true, packageEof: '\r\n', packageMaxLength: 9 << 20 },
            socketBufferSize: 0,
          },
          { quiet: ['receive'] },
        );
        const packet = Buffer.alloc(8 << 20, 'abcdefg');
        packet.write('\r\n', packet.length - 2);
        const client = await server.connect();
        client.write(packet);
        expect((await client.read(packet.length)).equals(packet)).to.equal(true);
        await server.stop();
      });
    });

    describe('packageMaxLength', () => {
      const limit = 1000;
      const tooLong: Record<string, [Settings, string]> = {
        'an eof that does not come': [{ openEofSplit: true }, 'x'.repeat(limit + 1)],
        'a packet before its eof': [{ openEofCheck: true }, `${'x'.repeat(limit)}\r\n\r\n`],
        'a length in the header': [{ openLengthCheck: true }, '\0\0\x03\xe5'],
        'the largest length': [{ openLengthCheck: true }, '\xff\xff\xff\xff'],
        'a function': [{ openLengthCheck: true, packageLengthFunc: () => 1001 }, 'x'],
      };
      for (const [what, [settings, data]] of Object.entries(tooLong)) {
        it(`closes the connection, no other (${what})`, async () => {
          const framing = { ...settings, packageMaxLength: limit };
          const server = await begin(
            {},
            { ports: [{ host: '127.0.0.1', type: 'tcp', settings: framing }] },
          );
          const [client, other] = [await server.connect(1), await server.connect(0)];
          client.write(Buffer.from(data, 'latin1'));
          await client.ended;
          expect(client.waiting).to.equal(0);
          expect(await other.ask('serves')).to.equal('serves');
          await server.noted('close');
          expect(packetsOf(server)).to.deep.equal(['serves']);
          await server.stop(CLOSED_FOR_LENGTH);
        });
      }

      it('gives the packets before the one that is too long', async () => {
        const server = await begin({ openLengthCheck: true, packageMaxLength: limit });
        const client = await server.connect();
        client.write(
          Buffer.from('\0\0\0\x02ab\0\0\x03\xe4' + 'y'.repeat(996) + '\0\0\x03\xe5', 'latin1'),
        );
        await client.ended;
        await server.noted('receive', 2);
        expect(packetsOf(server)).to.deep.equal(['\0\0\0\x02ab', '\0\0\x03\xe4' + 'y'.repeat(996)]);
        await server.stop(CLOSED_FOR_LENGTH);
      });

      it('closes when the packets before it have been answered, and says that the server did', async () => {
        const server = await begin(
          { openEofSplit: true, packageEof: '\n', packageMaxLength: limit },
          {
            on: {
              receive: async (server, fd, _, data) => {
                await new Promise(setImmediate);
                server.send(fd, `to ${String(data)}`);
              },
              close: null,
            },
          },
        );
        const client = await server.connect();
        client.write(`a\nb\n${'x'.repeat(limit)}`);
        await client.ended;
        expect(String(await client.readAll())).to.equal('to a\nto b\n');
        await server.noted('close');
        expect(server.log('close')).to.deep.equal([['close', 1, -1]]);
        await server.stop(CLOSED_FOR_LENGTH);
      });
    });
  });
}
