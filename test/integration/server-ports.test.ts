import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { PortPlan } from '../support/server';

const EVENTS = { connect: null, receive: echo, close: null };
const TCP: PortPlan = { host: '127.0.0.1', type: 'tcp' };

const hasV6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

for (const mode of MODES) {
  describe(`server ports: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it('each have callbacks of their own, or the server’s (multi_port)', async () => {
      const server = await startServer({
        mode,
        on: EVENTS,
        ports: [
          { ...TCP, on: { receive: (serv, fd) => serv.send(fd, 'second') } },
          {
            ...TCP,
            on: {
              connect: (serv, fd) => serv.send(fd, 'welcome'),
              close: () => note('closed on the third'),
            },
          },
        ],
      });
      const [first, second, third] = [
        await server.connect(0),
        await server.connect(1),
        await server.connect(2),
      ];
      expect(await third.readText(7)).to.equal('welcome');
      expect(await first.ask('an echo')).to.equal('an echo');
      second.write('x');
      expect(await second.readText(6)).to.equal('second');
      expect(await third.ask('another')).to.equal('another');
      third.end();
      await server.noted('closed on the third');
      expect(new Set(server.ports).size).to.equal(3);
      await server.stop();
    });

    it('each have settings of their own; what they do not name is the server’s (tcp_eof)', async () => {
      const server = await startServer({
        mode,
        settings: { openEofSplit: true, packageEof: '\n' },
        on: EVENTS,
        ports: [
          { ...TCP, settings: { packageEof: ';' } },
          { ...TCP, settings: { openEofSplit: false } },
          TCP,
        ],
      });
      for (const [index, packets] of [
        [0, ['a;\n', 'b\n']],
        [1, ['a;', '\nb\n;']],
        [2, ['a;\nb\n;']],
        [3, ['a;\n', 'b\n']],
      ] as const) {
        const client = await server.connect(index);
        const before = server.notes('receive').length;
        client.write('a;\nb\n;');
        await client.read(packets.join('').length);
        const got = server.notes('receive').slice(before);
        expect(
          got.map(({ args }) => args[2]),
          String(index),
        ).to.deep.equal(packets);
      }
      await server.stop();
    });

    it('are known to getClientInfo()', async () => {
      const server = await startServer({ mode, on: EVENTS, ports: [TCP, TCP] });
      for (const index of [0, 1, 2]) {
        const client = await server.connect(index);
        await client.ask('x');
        const fd = server.notes('receive').at(-1)?.args[0] as number;
        const port = await server.run(
          server.masterPid,
          (serv, id) => serv.getClientInfo(id)?.serverPort,
          fd,
        );
        expect(port).to.equal(server.ports[index]);
      }
      await server.stop();
    });

    it('are reached by workers that come later, too', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1 },
        on: EVENTS,
        ports: [{ ...TCP, on: { receive: (serv, fd) => serv.send(fd, 'second') } }],
      });
      process.kill(await server.worker(0), 'SIGKILL');
      await server.worker(0, 2);
      expect(await (await server.connect(0)).ask('an echo')).to.equal('an echo');
      const client = await server.connect(1);
      client.write('x');
      expect(await client.readText(6)).to.equal('second');
      await server.stop();
    });

    it('are free as soon as the server has ended', async () => {
      const server = await startServer({ mode, on: EVENTS, ports: [TCP], users: [{}] });
      await (await server.connect(1)).ask('x');
      await server.stop();
      for (const port of server.ports) {
        const other = createServer().listen(port, '127.0.0.1');
        await new Promise((resolve, reject) => {
          other.once('listening', resolve).once('error', reject);
        });
        await new Promise((resolve) => other.close(resolve));
      }
    });

    describe('tcp6', () => {
      before(function () {
        if (!hasV6) this.skip();
      });

      it('serves clients of IPv6', async () => {
        const server = await startServer({ mode, host: '::1', type: 'tcp6', on: EVENTS });
        const client = await server.connect(0, { host: '::1' });
        expect(await client.ask('over six')).to.equal('over six');
        const info = await server.run(server.masterPid, (serv) => serv.getClientInfo(1));
        expect(info).to.include({
          remoteIp: '::1',
          remotePort: client.socket.localPort,
          serverPort: server.ports[0],
        });
        await server.stop();
      });

      it('serves both kinds on ::', async () => {
        const server = await startServer({ mode, host: '::', type: 'tcp6', on: EVENTS });
        for (const [host, seen] of [
          ['::1', '::1'],
          ['127.0.0.1', '::ffff:127.0.0.1'],
        ] as const) {
          expect(await (await server.connect(0, { host })).ask(host)).to.equal(host);
          const fd = server.notes('receive').at(-1)?.args[0] as number;
          const address = await server.run(
            server.masterPid,
            (serv, id) => serv.getClientInfo(id)?.remoteIp,
            fd,
          );
          expect(address).to.equal(seen);
        }
        await server.stop();
      });
    });

    describe('a unix socket', () => {
      it('serves clients, only those of its user (unsock_stream)', async () => {
        const server = await startServer({ mode, host: 'TMP/main.sock', type: 'unix', on: EVENTS });
        expect(statSync(server.file('main.sock')).mode & 0o777).to.equal(0o600);
        const client = await server.connectTo(server.file('main.sock'));
        expect(await client.ask('hello')).to.equal('hello');
        const info = await server.run(server.masterPid, (serv) => serv.getClientInfo(1));
        expect(info).to.include({ remoteIp: '', remotePort: 0, serverPort: 0 });
        client.end();
        await client.ended;
        await server.noted('close');
        await server.stop();
      });

      it('takes 8 MB and sends them back', async () => {
        const server = await startServer({
          ...{ mode, host: 'TMP/main.sock', type: 'unix', on: EVENTS, quiet: ['receive'] },
          settings: { openLengthCheck: true, packageMaxLength: 9 << 20 },
        });
        const client = await server.connectTo(server.file('main.sock'));
        const packet = Buffer.alloc(4 + (8 << 20), 'abcdefg');
        packet.writeUInt32BE(8 << 20);
        client.write(packet);
        expect((await client.read(packet.length)).equals(packet)).to.equal(true);
        await server.stop();
      });

      it('stays while workers come and go; its file goes with the server', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: EVENTS,
          ports: [{ host: 'TMP/second.sock', type: 'unix' }],
        });
        process.kill(await server.worker(0), 'SIGKILL');
        await server.worker(0, 2);
        process.kill(await server.worker(0), 'SIGTERM');
        await server.worker(0, 3);
        const client = await server.connectTo(server.file('second.sock'));
        expect(await client.ask('still here')).to.equal('still here');
        // Files that are left are found here.
        await server.stop();
      });

      it('takes the place of one that a killed server has left', async () => {
        const plan = { mode, host: 'TMP/main.sock', type: 'unix', on: EVENTS } as const;
        const server = await startServer({
          ...plan,
          before: () => {
            const path = `${process.env.TMPDIR ?? ''}/left.sock`;
            const killed = new Process(() => {
              new Server(path, 0, 'base', 'unix');
              Process.kill(process.pid, 'SIGKILL');
            });
            killed.start();
            note('killed', Process.wait()?.signal, fs.existsSync(path));
          },
          ports: [],
          after: (serv) => {
            const path = `${process.env.TMPDIR ?? ''}/left.sock`;
            const next = new Server(path, 0, serv.mode, 'unix');
            next.on('receive', () => undefined);
            next.on('start', () => void next.shutdown());
            return next.start();
          },
        });
        await server.stop();
        expect(server.log('killed')).to.deep.equal([['killed', 9, true]]);
      });
    });
  });
}
