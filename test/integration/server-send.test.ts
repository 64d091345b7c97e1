import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer } from '../support/server';
import { clientOfWorker0, PLACES } from '../support/server-places';

const EVENTS = { connect: null, receive: echo, close: null };
const MB = 1 << 20;

/** Bytes that differ from place to place: the server makes the same. */
function pattern(length: number): Buffer {
  const data = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 4) data.writeUInt32LE(at, at);
  return data;
}

const hashOf = (data: Buffer): string => createHash('sha1').update(data).digest('hex');

/** Waits until no more bytes are added to those that wait for a client that does not read. */
async function allQueued(server: RunningServer, fd: number): Promise<void> {
  const queued = () =>
    server.run(server.masterPid, (serv, id) => serv.getClientInfo(id)?.sendQueuedBytes, fd);
  for (let [last, same] = [await queued(), 0]; same < 10;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = await queued();
    [last, same] = [now, now === last ? same + 1 : 0];
  }
}

for (const mode of MODES) {
  describe(`server send: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    for (const [place, find] of Object.entries(PLACES)) {
      it(`from ${place} reaches the client, a few bytes and 2 MB (send_in_*, send_2m_in_*)`, async () => {
        const server = await startServer({ mode, on: EVENTS, users: [{}] });
        const { client, fd } = await clientOfWorker0(server, mode);
        const sent = await server.run(
          await find(server),
          (serv, id) => {
            const data = Buffer.allocUnsafe(2 << 20);
            for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
            return [serv.send(id, 'small'), serv.send(id, data), serv.send(id, 'last')];
          },
          fd,
        );
        expect(sent).to.deep.equal([true, true, true]);
        expect(await client.readText(5)).to.equal('small');
        expect(hashOf(await client.read(2 * MB))).to.equal(hashOf(pattern(2 * MB)));
        expect(await client.readText(4)).to.equal('last');
        await server.stop();
      });

      it(`from ${place} to an unknown or closed id is an error (invalid_fd)`, async () => {
        const server = await startServer({ mode, on: EVENTS, users: [{}] });
        const { client, fd } = await clientOfWorker0(server, mode);
        const pid = await find(server);
        const send = (id: number) => server.codeOf(pid, (serv, to) => serv.send(to, 'x'), id);
        for (const id of [fd + 1, 100, 0, -1, 2 ** 31 - 1, 2 ** 31]) {
          expect(await send(id), String(id)).to.equal('ERR_SESSION_NOT_EXIST');
        }
        client.end();
        await client.ended;
        await server.noted('close');
        expect(await send(fd)).to.equal('ERR_SESSION_CLOSED');
        await server.stop();
      });
    }

    it('64 MB leave whole', async () => {
      const server = await startServer({
        mode,
        on: {
          receive: (serv, fd) => {
            const data = Buffer.allocUnsafe(64 << 20);
            for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
            serv.send(fd, data);
          },
        },
      });
      const client = await server.connect();
      client.end('x');
      expect(hashOf(await client.readAll())).to.equal(hashOf(pattern(64 * MB)));
      await server.stop();
    });

    it('many small ones leave in order', async () => {
      const server = await startServer({
        mode,
        on: {
          receive: (serv, fd) => {
            for (let i = 0; i < 10_000; i++) serv.send(fd, `${String(i)},`);
          },
        },
      });
      const client = await server.connect();
      client.end('x');
      const wanted = Array.from({ length: 10_000 }, (_, i) => `${String(i)},`).join('');
      expect((await client.readAll()).toString()).to.equal(wanted);
      await server.stop();
    });

    it('small and large ones leave in order', async () => {
      const server = await startServer({
        mode,
        on: {
          receive: (serv, fd) => {
            for (let i = 0; i < 40; i++) {
              serv.send(
                fd,
                i % 2 === 0
                  ? Buffer.alloc(200_000, 65 + (i % 26))
                  : String.fromCharCode(97 + (i % 26)),
              );
            }
          },
        },
      });
      const client = await server.connect();
      client.end('x');
      const runs = (await client.readAll())
        .toString()
        .match(/(.)\1*/g)
        ?.map((run) => `${run.charAt(0)}${String(run.length)}`);
      const wanted = Array.from({ length: 40 }, (_, i) =>
        i % 2 === 0
          ? `${String.fromCharCode(65 + (i % 26))}200000`
          : `${String.fromCharCode(97 + (i % 26))}1`,
      );
      expect(runs).to.deep.equal(wanted);
      await server.stop();
    });

    it('a buffer may be used again at once', async () => {
      const server = await startServer({
        mode,
        on: {
          receive: (serv, fd) => {
            for (const bytes of [10, 100_000, 3_000_000]) {
              const data = Buffer.alloc(bytes, 'a');
              serv.send(fd, data);
              data.fill('b');
            }
          },
        },
      });
      const client = await server.connect();
      client.end('x');
      const got = await client.readAll();
      expect(got).to.have.length(3_100_010);
      expect(got.includes('b')).to.equal(false);
      await server.stop();
    });

    it('strings are UTF-8; nothing at all is ERR_EMPTY_DATA, what is no data ERR_INVALID_ARG_TYPE', async () => {
      const server = await startServer({
        mode,
        on: { connect: null, receive: (serv, fd) => serv.send(fd, 'grün ✓') },
      });
      const client = await server.connect();
      client.write('x');
      expect((await client.read(9)).toString('utf8')).to.equal('grün ✓');
      const code = (data: string | null) =>
        server.codeOf(server.masterPid, (serv, what) => serv.send(1, what as string), data);
      expect(await code('')).to.equal('ERR_EMPTY_DATA');
      expect(await code(null)).to.equal('ERR_INVALID_ARG_TYPE');
      await server.stop();
    });

    it('to a client that is half-closed works until it is closed', async () => {
      const server = await startServer({
        mode,
        on: {
          ...EVENTS,
          close: (serv, fd) => {
            note('in close', serv.exists(fd));
          },
        },
      });
      const client = await server.connect();
      client.end('and?');
      expect((await client.readAll()).toString()).to.equal('and?');
      await server.noted('in close');
      await server.stop();
    });

    it('in the close callback does no harm', async () => {
      const server = await startServer({
        mode,
        on: {
          receive: echo,
          close: (serv, fd) => {
            try {
              note('sent', serv.send(fd, 'bye'));
            } catch (error) {
              note('sent', (error as { code: string }).code);
            }
          },
        },
      });
      const client = await server.connect();
      await client.ask('x');
      client.reset();
      await server.noted('sent');
      await server.stop();
    });

    describe('limits', () => {
      it('over outputBufferSize is ERR_DATA_TOO_LARGE naming the limit; what fits goes', async () => {
        const server = await startServer({
          mode,
          settings: { outputBufferSize: 1000 },
          on: {
            receive: (serv, fd) => {
              serv.send(fd, Buffer.alloc(1000, 'f'));
              try {
                serv.send(fd, Buffer.alloc(1001, 'g'));
              } catch (error) {
                const { code, message } = error as { code: string; message: string };
                note('error', code, message);
              }
            },
          },
        });
        const client = await server.connect();
        client.end('x');
        expect((await client.readAll()).toString()).to.equal('f'.repeat(1000));
        const [error] = await server.noted('error');
        expect(error?.args[0]).to.equal('ERR_DATA_TOO_LARGE');
        expect(error?.args[1]).to.match(/1001 .*outputBufferSize.* 1000/);
        await server.stop();
      });

      it('while socketBufferSize bytes wait it is ERR_OUTPUT_OVERFLOW; once they left it works', async () => {
        const server = await startServer({
          mode,
          settings: { socketBufferSize: 1 << 20 },
          on: EVENTS,
        });
        const { client, fd } = await clientOfWorker0(server, mode);
        client.socket.pause();
        const worker = await server.worker(0);
        const fill = await server.run(
          worker,
          async (serv, id) => {
            const data = Buffer.alloc(256 << 10, 'o');
            for (let sent = 0; sent < 256 << 20; sent += data.length) {
              try {
                serv.send(id, data);
              } catch (error) {
                return { sent, code: (error as { code: string }).code };
              }
              await new Promise((resolve) => setTimeout(resolve, 1));
            }
            return null;
          },
          fd,
        );
        expect(fill?.code).to.equal('ERR_OUTPUT_OVERFLOW');
        client.socket.resume();
        await client.read(fill?.sent ?? 0);
        const queued = () =>
          server.run(worker, (serv, id) => serv.getClientInfo(id)?.sendQueuedBytes, fd);
        while ((await queued()) !== 0);
        await server.run(worker, (serv, id) => serv.send(id, 'after'), fd);
        expect(await client.readText(5)).to.equal('after');
        await server.stop();
      });

      it('bufferFull comes once at the high watermark, bufferEmpty once at the low one', async () => {
        const server = await startServer({
          mode,
          // The kernel takes up to 10 MB of it on its way.
          settings: {
            socketBufferSize: 64 << 20,
            bufferHighWatermark: 4 << 20,
            bufferLowWatermark: 1 << 20,
          },
          on: {
            ...EVENTS,
            receive: (serv, fd) => {
              for (let i = 0; i < 96; i++) serv.send(fd, Buffer.alloc(1 << 18));
              note('sent');
            },
            bufferFull: null,
            bufferEmpty: null,
          },
        });
        const { client, fd } = await clientOfWorker0(server, mode);
        client.socket.pause();
        client.write('x');
        await server.noted('sent');
        // All of it has to wait at once: with a part on its way the marks could be passed again.
        await allQueued(server, fd);
        await server.noted('bufferFull');
        expect(server.notes('bufferEmpty')).to.deep.equal([]);
        client.socket.resume();
        await client.read(96 << 18);
        await server.noted('bufferEmpty');
        await server.stop();
        expect(server.notes('bufferFull', 'bufferEmpty')).to.deep.equal([
          { pid: await server.worker(0), kind: 'bufferFull', args: [fd] },
          { pid: await server.worker(0), kind: 'bufferEmpty', args: [fd] },
        ]);
      });

      it('some that are sent too much in one callback cost others nothing', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, socketBufferSize: 2 << 20 },
          quiet: ['receive'],
          on: {
            receive: (serv, fd, _, data) => {
              if (String(data) !== 'pour') {
                serv.send(fd, data);
                return;
              }
              const piece = Buffer.alloc(1 << 20);
              try {
                // Far more than any buffer on the way takes.
                for (let sent = 0; sent < 1024; sent++) serv.send(fd, piece);
              } catch (error) {
                note('poured', (error as { code: string }).code);
              }
            },
          },
        });
        const quick = await server.connect();
        expect(await quick.ask('quick')).to.equal('quick');
        const slow = await Promise.all(Array.from({ length: 6 }, () => server.connect()));
        for (const client of slow) {
          client.socket.pause();
          client.write('pour');
        }
        expect(await quick.ask('again')).to.equal('again');
        const poured = await server.noted('poured', slow.length);
        expect(poured.map(({ args }) => args[0])).to.deep.equal(
          slow.map(() => 'ERR_OUTPUT_OVERFLOW'),
        );
        expect(await quick.ask('at last')).to.equal('at last');
        const received = await server.run(server.masterPid, (serv) => serv.stats().connectionNum);
        expect(received, 'nobody was cut off').to.equal(slow.length + 1);
        for (const client of slow) client.reset();
        await server.stop();
      });

      it('a slow reader gets all of 24 MB by and by, others are served meanwhile (slow_client)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, socketBufferSize: 2 << 20 },
          quiet: ['receive'],
          on: {
            receive: async (serv, fd, _, data) => {
              if (String(data) !== 'pour') {
                serv.send(fd, data);
                return;
              }
              for (let sent = 0; sent < 48;) {
                try {
                  serv.send(fd, Buffer.alloc(1 << 19, '0'));
                  sent++;
                } catch (error) {
                  note('waits', (error as { code: string }).code);
                }
                await new Promise((resolve) => setTimeout(resolve, 2));
              }
            },
          },
        });
        const [slow, quick] = [await server.connect(), await server.connect()];
        slow.socket.pause();
        slow.write('pour');
        const [waits] = await server.noted('waits');
        expect(waits?.args).to.deep.equal(['ERR_OUTPUT_OVERFLOW']);
        for (let i = 0; i < 20; i++) expect(await quick.ask('quick')).to.equal('quick');
        slow.socket.resume();
        expect((await slow.read(24 * MB)).length).to.equal(24 * MB);
        await server.stop();
      });
    });
  });
}
