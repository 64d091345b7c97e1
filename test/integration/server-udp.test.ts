import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';
import { closeUdpClientsAfterEach, udpClient } from '../support/server-udp-client';

type Packet = NonNullable<NonNullable<ServerPlan['on']>['packet']>;

const UDP = { host: '127.0.0.1', type: 'udp' } as const;

const answer: Packet = (serv, data, { address, port, serverSocket }) =>
  serv.sendto(address, port, data, serverSocket);

const hasV6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

for (const mode of MODES) {
  describe(`server datagrams: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();
    closeUdpClientsAfterEach();

    const begin = (more: ServerPlan = {}) =>
      startServer({ mode, ...UDP, on: { packet: answer }, ...more });

    it('come to packet with where they are from, and are answered', async () => {
      const server = await begin();
      const client = await udpClient('127.0.0.1');
      const [port] = server.ports;
      expect(await client.ask('hello', port as number)).to.equal('hello');
      const [packet] = await server.noted('packet');
      expect(packet?.args).to.deep.equal([
        'hello',
        { address: '127.0.0.1', port: client.port, serverSocket: 0, serverPort: port },
      ]);
      await server.stop();
    });

    it('of 65,507 bytes, the longest, are answered whole (big_udp_packet)', async () => {
      const server = await begin({ quiet: ['packet'] });
      const client = await udpClient('127.0.0.1');
      const text = 'abcdefghijk'.repeat(6000).slice(0, 65_507);
      expect(await client.ask(text, server.ports[0] as number)).to.equal(text);
      await server.stop();
    });

    it('of many clients are all answered, to each its own', async () => {
      const server = await begin({ settings: { workerNum: 3 }, quiet: ['packet'] });
      const clients = await Promise.all(Array.from({ length: 10 }, () => udpClient('127.0.0.1')));
      for (let round = 0; round < 20; round++) {
        const texts = clients.map((_, i) => `client ${String(i)} round ${String(round)}`);
        const answers = clients.map((client, i) =>
          client.ask(texts[i] as string, server.ports[0] as number),
        );
        expect(await Promise.all(answers)).to.deep.equal(texts);
      }
      const { requestCount } = await server.run(server.masterPid, (serv) => serv.stats());
      expect(requestCount).to.equal(200);
      await server.stop();
    });

    it('are answered by the successor of a killed worker', async () => {
      const server = await begin({ settings: { workerNum: 1 } });
      const client = await udpClient('127.0.0.1');
      process.kill(await server.worker(0), 'SIGKILL');
      const next = await server.worker(0, 2);
      expect(await client.ask('again', server.ports[0] as number)).to.equal('again');
      expect(server.notes('packet').map(({ pid }) => pid)).to.deep.equal([next]);
      await server.stop();
    });

    it('and connections have a server together; each port its own callback', async () => {
      const server = await begin({
        ...{ host: '127.0.0.1', type: 'tcp' },
        on: { receive: echo, packet: answer },
        ports: [
          UDP,
          {
            ...UDP,
            on: {
              packet: (serv, _, from) => {
                serv.sendto(
                  from.address,
                  from.port,
                  `on ${String(from.serverSocket)}`,
                  from.serverSocket,
                );
              },
            },
          },
        ],
      });
      const client = await udpClient('127.0.0.1');
      expect(await (await server.connect()).ask('stream')).to.equal('stream');
      expect(await client.ask('datagram', server.ports[1] as number)).to.equal('datagram');
      expect(await client.ask('datagram', server.ports[2] as number)).to.equal('on 2');
      await server.stop();
    });

    it('over IPv6 as well', async function () {
      if (!hasV6) this.skip();
      const server = await begin({ host: '::1', type: 'udp6' });
      const client = await udpClient('::1');
      expect(await client.ask('over six', server.ports[0] as number)).to.equal('over six');
      const [packet] = await server.noted('packet');
      expect(packet?.args[1]).to.include({ address: '::1', port: client.port });
      await server.stop();
    });

    it('on :: of clients of both kinds', async function () {
      if (!hasV6) this.skip();
      const server = await begin({ host: '::', type: 'udp6' });
      for (const host of ['127.0.0.1', '::1']) {
        const client = await udpClient(host);
        expect(await client.ask(host, server.ports[0] as number)).to.equal(host);
      }
      await server.stop();
    });

    describe('sendto()', () => {
      const places: Record<string, (server: RunningServer) => Promise<number>> = {
        'an event worker': (server) => server.worker(0),
        'a task worker': (server) => server.worker(2),
        'a user process': (server) => server.user(),
        'the manager': (server) => server.manager(),
        'the master': (server) => Promise.resolve(server.masterPid),
      };
      for (const [place, find] of Object.entries(places)) {
        it(`sends from ${place}, by a port that fits the address`, async () => {
          const server = await begin({
            ...{ host: '127.0.0.1', type: 'tcp', settings: { taskWorkerNum: 1 } },
            on: { receive: echo, packet: answer, task: () => null },
            ports: [UDP],
            users: [{}],
          });
          const client = await udpClient('127.0.0.1');
          const received = client.next();
          const sent = await server.run(
            await find(server),
            (serv, port) => serv.sendto('127.0.0.1', port, 'a datagram'),
            client.port,
          );
          expect(sent).to.equal(true);
          const { text, port } = await received;
          expect([text, port]).to.deep.equal(['a datagram', server.ports[1]]);
          await server.stop();
        });
      }

      it('refuses what is no datagram port of the server (sendto_invalid_server_socket)', async () => {
        const server = await begin({
          ...{ host: '127.0.0.1', type: 'tcp' },
          on: { receive: echo, packet: answer },
          ports: [UDP],
        });
        const worker = await server.worker(0);
        const send = (socket: number, address = '127.0.0.1', data = 'x') =>
          server.codeOf(
            worker,
            (serv, ...[to, text, by]) => serv.sendto(to, 9, text, by),
            ...([address, data, socket] as [string, string, number]),
          );
        expect(await send(0), 'a stream port').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(2), 'no port').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(-2), 'no port').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(1, '::1'), 'IPv6 by IPv4').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(-1, '::1'), 'none fits').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(-1, '/tmp/x.sock'), 'no unix port').to.equal('ERR_OUT_OF_RANGE');
        expect(await send(1, '127.0.0.1', ''), 'nothing').to.equal('ERR_EMPTY_DATA');
        const long = 'x'.repeat(65_508);
        expect(await send(1, '127.0.0.1', long), 'too long').to.equal('ERR_MESSAGE_TOO_BIG');
        expect(await send(1)).to.equal('no error');
        await server.stop();
      });
    });

    describe('of a unix socket', () => {
      /** Asks from a socket of its own, as Node has none of this kind. */
      const asks: NonNullable<ServerPlan['users']>[number]['run'] = async (serv) => {
        const mine = DatagramSocket.unix(`${process.env.TMPDIR ?? ''}/client.sock`);
        for (const data of ['hello', 'x'.repeat(100_000)]) {
          mine.send(data, serv.host);
          const got = await new Promise<ReturnType<typeof mine.receive>>((resolve) => {
            mine.onReadable(() => {
              resolve(mine.receive());
            });
          });
          note('answer', got?.address === serv.host, String(got?.data) === data);
        }
        mine.onReadable(null);
        mine.unlink();
        note('mode', fs.statSync(serv.host).mode & 0o777);
        setInterval(() => undefined, 1000);
      };

      it('come to packet and are answered, up to 100,000 bytes (unsock_dgram)', async () => {
        const server = await begin({
          ...{ host: 'TMP/server.sock', type: 'unix_dgram', users: [{ run: asks }] },
          quiet: ['packet'],
        });
        await server.noted('mode');
        expect(server.log('answer', 'mode')).to.deep.equal([
          ['answer', true, true],
          ['answer', true, true],
          ['mode', 0o600],
        ]);
        await server.stop();
      });
    });
  });
}

describe('server datagrams: dispatch', () => {
  assertNothingLeaks();
  endServersAfterEach();
  closeUdpClientsAfterEach();

  it('process mode: those of one client go to one worker, in order', async () => {
    const server = await startServer({
      ...UDP,
      settings: { workerNum: 3 },
      on: { packet: answer },
    });
    for (let i = 0; i < 4; i++) {
      const client = await udpClient('127.0.0.1');
      const texts = Array.from({ length: 10 }, (_, nth) => `packet ${String(nth)}`);
      for (const text of texts) await client.ask(text, server.ports[0] as number);
      const packets = server.notes('packet').slice(-10);
      expect(packets.map(({ args }) => args[0])).to.deep.equal(texts);
      const worker = await server.worker(client.port % 3);
      expect(new Set(packets.map(({ pid }) => pid))).to.deep.equal(new Set([worker]));
    }
    await server.stop();
  });

  it('process mode: dispatchFunc chooses for them as well', async () => {
    const server = await startServer({
      ...UDP,
      settings: { dispatchFunc: (_, __, ___, data) => Number(String(data).charAt(0)) - 1 },
      on: { packet: answer },
    });
    const client = await udpClient('127.0.0.1');
    client.send('0 is discarded', server.ports[0] as number);
    for (const id of [0, 1, 1, 0]) {
      const text = `${String(id + 1)} is wanted`;
      expect(await client.ask(text, server.ports[0] as number)).to.equal(text);
      const [packet] = server.notes('packet').slice(-1);
      expect([packet?.pid, packet?.args[0]]).to.deep.equal([await server.worker(id), text]);
    }
    expect(server.notes('packet')).to.have.length(4);
    await server.stop();
  });
});
