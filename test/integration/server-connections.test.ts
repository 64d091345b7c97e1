import { expect } from 'chai';
import { assertNothingLeaks, eventually } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import { clientOfWorker0, PLACES } from '../support/server-places';

const EVENTS = { connect: null, receive: echo, close: null };

for (const mode of MODES) {
  describe(`server connections: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('events', () => {
      it('connect, receive, close come in order in one worker, with the id', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const client = await server.connect();
        expect(await client.ask('hello')).to.equal('hello');
        client.end();
        await client.ended;
        const [close] = await server.noted('close');
        const worker = await server.worker(close?.pid === (await server.worker(0)) ? 0 : 1);
        const reactor =
          mode === 'process'
            ? 0
            : server.notes('workerStart').find(({ pid }) => pid === worker)?.args[0];
        const all = server.notes('connect', 'receive', 'close');
        expect(all.map(({ kind, args }) => [kind, ...args])).to.deep.equal([
          ['connect', 1, reactor],
          ['receive', 1, reactor, 'hello'],
          ['close', 1, reactor],
        ]);
        expect(all.map(({ pid }) => pid)).to.deep.equal([worker, worker, worker]);
        await server.stop();
      });

      it('of many connections are each in order, none is missing', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const clients = await Promise.all(Array.from({ length: 50 }, () => server.connect()));
        await Promise.all(clients.map((client, i) => client.ask(`client ${String(i)}`)));
        for (const client of clients) client.end();
        await Promise.all(clients.map(({ ended }) => ended));
        await server.noted('close', 50);
        const kinds = new Map<unknown, string[]>();
        for (const { kind, args } of server.notes('connect', 'receive', 'close')) {
          kinds.set(args[0], [...(kinds.get(args[0]) ?? []), kind]);
        }
        expect(kinds.size).to.equal(50);
        for (const order of kinds.values()) {
          expect(order).to.deep.equal(['connect', 'receive', 'close']);
        }
        await server.stop();
      });

      it('close by the server has reactor id -1', async () => {
        const server = await startServer({
          mode,
          on: { ...EVENTS, receive: (serv, fd) => serv.close(fd) },
        });
        const client = await server.connect();
        client.write('close me');
        expect(await client.ended).to.equal('end');
        const [close] = await server.noted('close');
        expect(close?.args).to.deep.equal([1, -1]);
        await server.stop();
      });

      it('close comes once, also when both sides close', async () => {
        const server = await startServer({
          mode,
          on: { ...EVENTS, receive: (serv, fd) => serv.close(fd) },
        });
        const clients = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
        for (const client of clients) client.end('x');
        await Promise.all(clients.map(({ ended }) => ended));
        await server.noted('close', 20);
        const stats = () => server.run(server.masterPid, (serv) => serv.stats().connectionNum);
        while ((await stats()) > 0);
        await server.stop();
        const ids = server.notes('close').map(({ args }) => args[0]);
        expect(new Set(ids).size).to.equal(20);
        expect(ids).to.have.length(20);
      });

      it('close comes for a client that resets', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const client = await server.connect();
        await client.ask('hello');
        client.reset();
        await server.noted('close');
        const left = await server.run(server.masterPid, (serv) => serv.exists(1));
        expect(left).to.equal(false);
        await server.stop();
      });

      it('a client that says nothing and leaves has connect and close', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const client = await server.connect();
        client.end();
        expect(await client.ended).to.equal('end');
        await server.noted('close');
        expect(server.notes('connect', 'receive', 'close').map(({ kind }) => kind)).to.deep.equal([
          ...['connect', 'close'],
        ]);
        await server.stop();
      });
    });

    describe('a client that sends no more (half-close)', () => {
      it('gets the reply to what it has sent', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const client = await server.connect();
        client.end('the last word');
        expect((await client.readAll()).toString()).to.equal('the last word');
        await server.stop();
      });

      it('gets the reply of an async callback', async () => {
        const server = await startServer({
          mode,
          on: {
            ...EVENTS,
            receive: async (serv, fd, _, data) => {
              await new Promise((resolve) => setTimeout(resolve, 50));
              serv.send(fd, data);
            },
          },
        });
        const client = await server.connect();
        client.end('take your time');
        expect((await client.readAll()).toString()).to.equal('take your time');
        await server.noted('close');
        await server.stop();
      });

      it('gets all of a large reply', async () => {
        const server = await startServer({
          mode,
          on: { receive: (serv, fd) => serv.send(fd, Buffer.alloc(4 << 20, 'r')) },
        });
        const client = await server.connect();
        client.end('x');
        const reply = await client.readAll();
        expect(reply.equals(Buffer.alloc(4 << 20, 'r'))).to.equal(true);
        await server.stop();
      });
    });

    describe('close()', () => {
      for (const [place, find] of Object.entries(PLACES)) {
        it(`from ${place}: the client is told, close runs in its worker (close_in_*)`, async () => {
          const server = await startServer({ mode, on: EVENTS, users: [{}] });
          const { client, fd } = await clientOfWorker0(server, mode);
          const closed = await server.run(await find(server), (serv, id) => serv.close(id), fd);
          expect(closed).to.equal(true);
          expect(await client.ended).to.equal('end');
          const [close] = await server.noted('close');
          expect(close).to.deep.include({ pid: await server.worker(0), args: [fd, -1] });
          await server.stop();
        });

        it(`from ${place} of an unknown or closed id is an error`, async () => {
          const server = await startServer({ mode, on: EVENTS, users: [{}] });
          const { client, fd } = await clientOfWorker0(server, mode);
          const pid = await find(server);
          const close = (id: number) => server.codeOf(pid, (serv, which) => serv.close(which), id);
          for (const id of [fd + 1, 0, -1, 2 ** 31 - 1, 2 ** 31]) {
            expect(await close(id), String(id)).to.equal('ERR_SESSION_NOT_EXIST');
          }
          client.end();
          await client.ended;
          await server.noted('close');
          expect(await close(fd)).to.equal('ERR_SESSION_CLOSED');
          await server.stop();
        });
      }

      it('in the connect callback (close_in_connect_callback)', async () => {
        const server = await startServer({
          mode,
          on: { ...EVENTS, connect: (serv, fd) => serv.close(fd) },
        });
        const client = await server.connect();
        expect(await client.ended).to.equal('end');
        await server.noted('close');
        expect(server.log('close')).to.deep.equal([['close', 1, -1]]);
        await server.stop();
      });

      it('in the close callback is ERR_SESSION_CLOSED', async () => {
        const server = await startServer({
          mode,
          on: {
            receive: echo,
            close: (serv, fd) => {
              try {
                serv.close(fd);
                note('closed again');
              } catch (error) {
                note('refused', (error as { code: string }).code);
              }
            },
          },
        });
        const client = await server.connect();
        expect(await client.ask('x')).to.equal('x');
        await server.run(server.masterPid, (serv) => serv.close(1));
        await server.noted('refused');
        expect(server.log('refused', 'closed again')).to.deep.equal([
          ['refused', 'ERR_SESSION_CLOSED'],
        ]);
        await server.stop();
      });

      it('sends what waits first: 4 MB to a slow reader (close_queued)', async () => {
        const server = await startServer({
          mode,
          on: {
            ...EVENTS,
            receive: (serv, fd) => {
              serv.send(fd, Buffer.alloc(4 << 20, 'q'));
              serv.close(fd);
            },
          },
        });
        const client = await server.connect();
        client.socket.pause();
        client.write('x');
        await server.noted('receive');
        const stats = () => server.run(server.masterPid, (serv) => serv.exists(1));
        while (await stats());
        client.socket.resume();
        expect((await client.readAll()).length).to.equal(4 << 20);
        expect(await client.ended).to.equal('end');
        await server.stop();
      });

      it('with reset drops what waits; a second close is an error (close_reset)', async () => {
        const server = await startServer({
          mode,
          on: {
            ...EVENTS,
            receive: (serv, fd) => {
              serv.send(fd, Buffer.alloc(4 << 20, 'q'));
              serv.close(fd, true);
              try {
                serv.close(fd);
              } catch (error) {
                note('second', (error as { code: string }).code);
              }
            },
          },
        });
        const client = await server.connect();
        client.socket.pause();
        client.write('x');
        await server.noted('close');
        client.socket.resume();
        await client.ended;
        expect(client.waiting).to.be.below(4 << 20);
        await server.noted('second');
        expect(server.log('second')).to.deep.equal([['second', 'ERR_SESSION_CLOSED']]);
        await server.stop();
      });

      it('with reset is seen as RST by the client', async () => {
        const server = await startServer({
          mode,
          on: { ...EVENTS, receive: (serv, fd) => serv.close(fd, true) },
        });
        const client = await server.connect();
        client.write('x');
        expect(await client.ended).to.equal('reset');
        await server.noted('close');
        expect(server.log('close')).to.deep.equal([['close', 1, -1]]);
        await server.stop();
      });

      it('leaves other connections alone', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const [first, second] = [await server.connect(), await server.connect()];
        await first.ask('one');
        await second.ask('two');
        const fd = server.notes('receive').find(({ args }) => args[2] === 'one')?.args[0] as number;
        await server.run(server.masterPid, (serv, id) => serv.close(id), fd);
        expect(await first.ended).to.equal('end');
        expect(await second.ask('still here')).to.equal('still here');
        await server.stop();
      });
    });

    describe('reads', () => {
      it('pause() stops them and resume() goes on, from any process', async () => {
        const server = await startServer({ mode, on: EVENTS, users: [{}] });
        const { client, fd } = await clientOfWorker0(server, mode);
        for (const find of Object.values(PLACES)) {
          const pid = await find(server);
          const before = server.notes('receive').length;
          await server.run(pid, (serv, id) => serv.pause(id), fd);
          // What is asked of the connection from one process is done in order.
          await server.run(pid, (serv, id) => serv.send(id, 'paused'), fd);
          expect(await client.readText(6)).to.equal('paused');
          client.write('more');
          await server.run(await server.worker(0), () => new Promise((r) => setTimeout(r, 20)));
          expect(server.notes('receive')).to.have.length(before);
          await server.run(pid, (serv, id) => serv.resume(id), fd);
          expect(await client.readText(4)).to.equal('more');
        }
        await server.stop();
      });

      it('of a paused connection its end is seen once it is resumed', async () => {
        const server = await startServer({ mode, on: EVENTS });
        const { client, fd } = await clientOfWorker0(server, mode);
        const worker = await server.worker(0);
        await server.run(worker, (serv, id) => serv.pause(id), fd);
        // What is asked of the connection from one process is done in order.
        await server.run(worker, (serv, id) => serv.send(id, 'paused'), fd);
        expect(await client.readText(6)).to.equal('paused');
        client.end('last');
        await server.run(worker, (serv, id) => serv.resume(id), fd);
        expect((await client.readAll()).toString()).to.equal('last');
        await server.noted('close');
        await server.stop();
      });

      it('large requests arrive whole, in order: 32 MB (send_big_packet)', async () => {
        const server = await startServer({
          mode,
          settings: {
            openLengthCheck: true,
            packageMaxLength: 64 << 20,
          },
          quiet: ['receive'],
          on: {
            receive: (serv, fd, _, data) => {
              const right = data.every((byte, at) => at < 4 || byte === at % 251);
              serv.send(fd, `${String(data.length)} ${String(right)}`);
            },
          },
        });
        const client = await server.connect();
        const bytes = 32 << 20;
        const request = Buffer.allocUnsafe(bytes + 4);
        for (let at = 4; at < request.length; at++) request[at] = at % 251;
        request.writeUInt32BE(bytes);
        client.write(request);
        const wanted = `${String(bytes + 4)} true`;
        expect(await client.readText(wanted.length)).to.equal(wanted);
        await server.stop();
      });

      it('a worker that sleeps loses none of 16 MB (slow_worker)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          quiet: ['receive'],
          on: { receive: (serv, fd, _, data) => serv.send(fd, data) },
        });
        const worker = await server.worker(0);
        const client = await server.connect();
        await client.ask('awake');
        process.kill(worker, 'SIGSTOP');
        const sent = Buffer.allocUnsafe(16 << 20);
        for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
        client.write(sent);
        // The kernel and the server take some of it; the rest has to wait in the client.
        await eventually(() => {
          expect(client.socket.bytesWritten - client.socket.writableLength).to.be.above(0);
        });
        process.kill(worker, 'SIGCONT');
        const back = await client.read(sent.length);
        expect(back.equals(sent)).to.equal(true);
        await server.stop();
      });
    });
  });
}
