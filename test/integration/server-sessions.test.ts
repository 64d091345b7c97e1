import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import { clientOfWorker0, PLACES } from '../support/server-places';

/** How far somebody may set the clock of this machine back while a test runs. */
const CLOCK_STEP_MS = 1000;

const EVENTS = { connect: null, receive: echo, close: null };

for (const mode of MODES) {
  describe(`server sessions: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it('an id is never given to a second connection', async () => {
      const server = await startServer({ mode, on: EVENTS });
      for (let round = 0; round < 5; round++) {
        const clients = await Promise.all(Array.from({ length: 8 }, () => server.connect()));
        await Promise.all(clients.map((client) => client.ask('x')));
        for (const client of clients) client.end();
        await Promise.all(clients.map(({ ended }) => ended));
      }
      await server.noted('close', 40);
      const ids = server.notes('connect').map(({ args }) => args[0]);
      expect(new Set(ids).size).to.equal(40);
      await server.stop();
    });

    it('exists() tells open ones from every process (exist)', async () => {
      const server = await startServer({ mode, on: EVENTS, users: [{}] });
      const { client, fd } = await clientOfWorker0(server, mode);
      const ask = (pid: number) =>
        server.run(pid, (serv, id) => [id, id + 1, 0, -1].map((which) => serv.exists(which)), fd);
      for (const find of Object.values(PLACES)) {
        expect(await ask(await find(server))).to.deep.equal([true, false, false, false]);
      }
      client.end();
      await client.ended;
      for (const find of Object.values(PLACES)) {
        expect(await ask(await find(server))).to.deep.equal([false, false, false, false]);
      }
      await server.stop();
    });

    it('getClientInfo() tells where a client comes from and when it spoke', async () => {
      const server = await startServer({ mode, on: EVENTS, users: [{}] });
      const before = Date.now() - CLOCK_STEP_MS;
      const { client, fd } = await clientOfWorker0(server, mode);
      const ask = (pid: number) => server.run(pid, (serv, id) => serv.getClientInfo(id), fd);
      const { connectTime, ...fresh } = (await ask(server.masterPid)) ?? {};
      expect(connectTime).to.be.within(before, Date.now() + CLOCK_STEP_MS);
      const known = {
        serverPort: server.ports[0],
        remoteIp: '127.0.0.1',
        remotePort: client.socket.localPort,
        reactorId: 0,
        workerId: 0,
        sendQueuedBytes: 0,
        uid: null,
      };
      expect(fresh).to.deep.equal({ ...known, lastRecvTime: 0, lastSendTime: 0 });
      await client.ask('hello');
      const after = Date.now() + CLOCK_STEP_MS;
      // The reply is here a moment before its time is written down.
      while ((await ask(server.masterPid))?.lastSendTime === 0);
      for (const find of Object.values(PLACES)) {
        const info = await ask(await find(server));
        expect(info).to.include(known);
        expect(info?.lastRecvTime).to.be.within(before, after);
        expect(info?.lastSendTime).to.be.within(before, after);
      }
      await server.stop();
    });

    it('getClientInfo() of no open connection is null', async () => {
      const server = await startServer({ mode, on: EVENTS });
      const client = await server.connect();
      await client.ask('x');
      client.end();
      await client.ended;
      const open = () => server.run(server.masterPid, (serv) => serv.stats().connectionNum);
      while ((await open()) > 0);
      const infos = await server.run(server.masterPid, (serv) =>
        [1, 2, 0, -1].map((id) => serv.getClientInfo(id)),
      );
      expect(infos).to.deep.equal([null, null, null, null]);
      await server.stop();
    });

    it('getClientList() and connections walk over all of them (getClientList)', async () => {
      const server = await startServer({ mode, on: EVENTS });
      const clients = await Promise.all(Array.from({ length: 25 }, () => server.connect()));
      await Promise.all(clients.map((client) => client.ask('x')));
      const ids = server.notes('connect').map(({ args }) => args[0] as number);
      ids.sort((a, b) => a - b);
      for (const pid of [server.masterPid, await server.worker(0), await server.worker(1)]) {
        const seen = await server.run(pid, (serv) => {
          const pages: number[][] = [];
          for (let last = 0; pages.length < 10; last = pages.at(-1)?.at(-1) ?? NaN) {
            const page = serv.getClientList(last);
            if (page.length === 0) break;
            pages.push(page);
          }
          return { pages, all: [...serv.connections] };
        });
        expect(seen.pages.map(({ length }) => length)).to.deep.equal([10, 10, 5]);
        expect(seen.pages.flat().sort((a, b) => a - b)).to.deep.equal(ids);
        expect(seen.all.sort((a, b) => a - b)).to.deep.equal(ids);
      }
      await server.stop();
    });

    it('getClientList() refuses an unknown start and a count over 100', async () => {
      const server = await startServer({ mode, on: EVENTS });
      const ask = (start: number, count: number) =>
        server.codeOf(
          server.masterPid,
          (serv, from, most) => serv.getClientList(from, most),
          ...([start, count] as [number, number]),
        );
      expect(await ask(99, 10)).to.equal('ERR_SESSION_NOT_EXIST');
      expect(await ask(0, 101)).to.equal('ERR_OUT_OF_RANGE');
      expect(await ask(0, 0)).to.equal('ERR_OUT_OF_RANGE');
      expect(await ask(0, 100)).to.equal('no error');
      await server.stop();
    });

    it('bind() binds once, from any process, and is seen in all (bind)', async () => {
      const server = await startServer({ mode, on: EVENTS, users: [{}] });
      const { fd } = await clientOfWorker0(server, mode);
      const user = await server.user();
      const bind = (pid: number, id: number, uid: number) =>
        server.run(pid, (serv, which, to) => serv.bind(which, to), id, uid);
      expect(await bind(user, fd, 4242)).to.equal(true);
      expect(await bind(await server.worker(0), fd, 4243)).to.equal(false);
      expect(await bind(user, fd + 9, 1)).to.equal(false);
      for (const find of Object.values(PLACES)) {
        const pid = await find(server);
        expect(await server.run(pid, (serv, id) => serv.getClientInfo(id)?.uid, fd)).to.equal(4242);
      }
      await server.stop();
    });

    it('bind() takes 32 bits, signed or unsigned', async () => {
      const server = await startServer({ mode, on: EVENTS });
      await Promise.all([server.connect(), server.connect()]);
      await server.noted('connect', 2);
      const results = await server.run(server.masterPid, (serv) => [
        ...[serv.bind(1, -(2 ** 31)), serv.getClientInfo(1)?.uid],
        ...[serv.bind(2, 2 ** 32 - 1), serv.getClientInfo(2)?.uid],
      ]);
      expect(results).to.deep.equal([true, -(2 ** 31), true, 2 ** 32 - 1]);
      const tooBig = await server.codeOf(server.masterPid, (serv) => serv.bind(1, 2 ** 32));
      expect(tooBig).to.equal('ERR_OUT_OF_RANGE');
      await server.stop();
    });

    describe('heartbeat', () => {
      const settings = { heartbeatIdleTime: 150, heartbeatCheckInterval: 30 };
      /** So long that nobody is silent because the machine is busy. */
      const patient = { heartbeatIdleTime: 1000, heartbeatCheckInterval: 100 };

      it('closes a client that is silent for heartbeatIdleTime (heartbeat_*)', async () => {
        const server = await startServer({ mode, settings, on: EVENTS });
        const begin = Date.now();
        const client = await server.connect();
        expect(await client.ended).to.equal('end');
        expect(Date.now() - begin).to.be.at.least(140);
        await server.noted('close');
        expect(server.log('close')[0]).to.deep.equal(['close', 1, -1]);
        await server.stop();
      });

      it('leaves one that speaks, however long', async () => {
        const server = await startServer({ mode, settings: patient, on: EVENTS });
        const client = await server.connect();
        const end = Date.now() + 1500;
        while (Date.now() < end) {
          expect(await client.ask('alive')).to.equal('alive');
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        expect(client.isOver).to.equal(false);
        await server.stop();
      });

      it('leaves one that is protected, until it is not any more (protect, protect_false)', async () => {
        const server = await startServer({
          mode,
          settings: patient,
          on: { ...EVENTS, connect: (serv, fd) => fd === 1 && note('on', serv.protect(fd)) },
        });
        const safe = await server.connect();
        await server.noted('on');
        const other = await server.connect();
        await other.ended;
        expect(safe.isOver).to.equal(false);
        const off = await server.run(server.masterPid, (serv) => [
          ...[serv.protect(1, false), serv.protect(77)],
        ]);
        expect(off).to.deep.equal([true, false]);
        expect(await safe.ended).to.equal('end');
        await server.stop();
      });

      it('heartbeat() tells who is silent, heartbeat(true) closes them (heartbeat, heartbeat_true)', async () => {
        const server = await startServer({
          mode,
          // Checked so seldom that the test is faster.
          settings: { heartbeatIdleTime: 200_000, heartbeatCheckInterval: 100_000 },
          on: EVENTS,
        });
        const client = await server.connect();
        await client.ask('x');
        const none = await server.run(server.masterPid, (serv) => serv.heartbeat());
        expect(none).to.deep.equal([]);
        // A clock that goes ahead stands for the silence.
        const told = await server.run(server.masterPid, (serv) => {
          const now = Date.now;
          Date.now = () => now() + 300_000;
          const ids = [serv.heartbeat(), serv.heartbeat(true)];
          Date.now = now;
          return ids;
        });
        expect(told).to.deep.equal([[1], [1]]);
        expect(await client.ended).to.equal('end');
        await server.stop();
      });

      it('heartbeat() without heartbeatIdleTime finds nobody', async () => {
        const server = await startServer({ mode, on: EVENTS });
        await (await server.connect()).ask('x');
        expect(await server.run(server.masterPid, (serv) => serv.heartbeat(true))).to.deep.equal(
          [],
        );
        await server.stop();
      });
    });

    it('maxConnection refuses the next one, and takes it once there is room', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1, maxConnection: 2 },
        on: EVENTS,
      });
      const [first, second] = [await server.connect(), await server.connect()];
      await first.ask('1');
      await second.ask('2');
      const third = await server.connect();
      await third.ended;
      const aborted = await server.run(server.masterPid, (serv) => serv.stats().abortCount);
      expect(aborted).to.equal(1);
      first.end();
      await first.ended;
      await server.noted('close');
      expect(await (await server.connect()).ask('room')).to.equal('room');
      await server.stop();
    });

    it('stats() counts connections, requests and replies (stats)', async () => {
      const server = await startServer({ mode, on: EVENTS, users: [{}] });
      const clients = [await server.connect(), await server.connect(), await server.connect()];
      for (const client of clients) {
        for (let i = 0; i < 4; i++) await client.ask('request');
      }
      clients[0]?.end();
      await clients[0]?.ended;
      await server.noted('close');
      const pids = [await server.worker(0), await server.worker(1), await server.user()];
      const ask = (pid: number) => server.run(pid, (serv) => serv.stats());
      const settled = async () => {
        const { connectionNum, closeCount, idleWorkerNum } = await ask(server.masterPid);
        return connectionNum === 2 && closeCount === 1 && idleWorkerNum === 2;
      };
      while (!(await settled()));
      for (const pid of [server.masterPid, await server.manager(), await server.user()]) {
        const { workers, startTime, ...counts } = await ask(pid);
        expect(counts).to.deep.equal({
          masterPid: server.masterPid,
          managerPid: await server.manager(),
          connectionNum: 2,
          acceptCount: 3,
          closeCount: 1,
          abortCount: 0,
          workerNum: 2,
          taskWorkerNum: 0,
          userWorkerNum: 1,
          idleWorkerNum: 2,
          taskIdleWorkerNum: 0,
          dispatchCount: mode === 'process' ? 12 : 0,
          requestCount: 12,
          responseCount: 12,
          taskCount: 0,
          taskingNum: 0,
          workerRequestCount: 0,
        });
        expect(startTime).to.be.within(Date.now() - 60_000, Date.now());
        expect(workers.map((worker) => worker.pid)).to.deep.equal(pids);
        expect(workers.map(({ kind }) => kind)).to.deep.equal(['event', 'event', 'user']);
      }
      await server.stop();
    });

    it('stats(): a worker that works is busy, the other idle (getWorkerStatus, idle_worker_num)', async () => {
      const server = await startServer({
        mode,
        on: {
          ...EVENTS,
          receive: (serv, fd) => {
            const { idleWorkerNum, workers } = serv.stats();
            serv.send(fd, JSON.stringify([idleWorkerNum, workers.map(({ stage }) => stage)]));
            serv.close(fd);
          },
        },
      });
      await server.allServe();
      const { client } = await clientOfWorker0(server, mode);
      client.write('x');
      const seen: unknown = JSON.parse((await client.readAll()).toString());
      expect(seen).to.deep.equal([1, ['busy', 'idle']]);
      await server.stop();
    });
  });
}
