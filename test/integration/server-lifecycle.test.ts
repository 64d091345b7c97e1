import { expect } from 'chai';
import { assertNothingLeaks, eventually } from '../support/leaks';
import { hasEnded } from '../support/processes';
import {
  beginServer,
  echo,
  endServersAfterEach,
  MODES,
  startServer,
  type RunningServer,
  type ServerPlan,
} from '../support/server';

const LIFE = {
  start: null,
  beforeShutdown: null,
  shutdown: null,
  managerStart: null,
  managerStop: null,
  workerStart: null,
  workerStop: null,
  workerExit: null,
  workerError: null,
  receive: echo,
} satisfies ServerPlan['on'];
const KINDS = Object.keys(LIFE);

function lifeOf(server: RunningServer, pid: number): unknown[] {
  const own = server.notes(...KINDS).filter((note) => note.pid === pid);
  return own.map(({ kind, args }) => [kind, ...args]);
}

for (const mode of MODES) {
  describe(`server lifecycle: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('events', () => {
      it('come in order: of master, manager and workers (event/*)', async () => {
        const server = await startServer({ mode, settings: { workerNum: 1 }, on: LIFE });
        const [worker, manager] = [await server.worker(0), await server.manager()];
        await server.stop();
        const [start, before, shutdown] = [['start'], ['beforeShutdown'], ['shutdown']];
        if (mode === 'process') {
          expect(lifeOf(server, server.masterPid)).to.deep.equal([start, before, shutdown]);
          expect(lifeOf(server, manager)).to.deep.equal([['managerStart'], ['managerStop']]);
        } else {
          const ofBoth = [['managerStart'], start, before, ['managerStop'], shutdown];
          expect(lifeOf(server, server.masterPid)).to.deep.equal(ofBoth);
        }
        // It is told to end as often as its event loop is found not to be empty.
        const life = lifeOf(server, worker).map(String);
        expect(life.filter((event, i) => event !== life[i - 1])).to.deep.equal([
          ...['workerStart,0', 'workerExit,0', 'workerStop,0'],
        ]);
      });

      it('end with shutdown, and then start() settles', async () => {
        const server = await startServer({ mode, on: LIFE });
        await server.noted('workerStart', 2);
        await server.stop();
        const last = server.notes().slice(-2);
        expect(last.map(({ kind }) => kind)).to.deep.equal(['shutdown', 'settled']);
      });

      it('workerStop does not come for a worker that was killed', async () => {
        const server = await startServer({ mode, settings: { workerNum: 1 }, on: LIFE });
        const killed = await server.worker(0);
        process.kill(killed, 'SIGKILL');
        await server.worker(0, 2);
        await server.stop();
        expect(lifeOf(server, killed)).to.deep.equal([['workerStart', 0]]);
      });
    });

    describe('who it is', () => {
      it('in the master: pids of master and manager, no worker', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const manager = await server.manager();
        const pids = [await server.worker(0), await server.worker(1)];
        const seen = await server.run(server.masterPid, (serv) => [
          ...[serv.masterPid, serv.managerPid, serv.workerId, serv.workerPid, serv.taskworker],
          ...[serv.getWorkerPid(0), serv.getWorkerPid(1), serv.getWorkerPid()],
        ]);
        const { masterPid } = server;
        expect(seen).to.deep.equal([masterPid, manager, -1, 0, false, ...pids, null]);
        await server.stop();
      });

      it('in the manager: the same', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const manager = await server.manager();
        const seen = await server.run(manager, (serv) => [
          ...[serv.masterPid, serv.managerPid, serv.workerId, serv.workerPid, serv.taskworker],
        ]);
        expect(seen).to.deep.equal([server.masterPid, manager, -1, 0, false]);
        await server.stop();
      });

      it('in a worker: its id and pid, and those of the others (get*Pid)', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const [manager, zero, one] = [
          await server.manager(),
          await server.worker(0),
          await server.worker(1),
        ];
        const seen = await server.run(one, (serv) => [
          ...[serv.masterPid, serv.managerPid, serv.workerId, serv.workerPid, serv.taskworker],
          ...[serv.getWorkerPid(0), serv.getWorkerPid(1), serv.getWorkerPid()],
        ]);
        expect(seen).to.deep.equal([server.masterPid, manager, 1, one, false, zero, one, one]);
        await server.stop();
      });

      it('a pid is that of the newest process after a respawn', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const before = await server.worker(0);
        process.kill(before, 'SIGKILL');
        const after = await server.worker(0, 2);
        const seen = await server.run(await server.worker(1), (serv) => serv.getWorkerPid(0));
        expect(seen).to.equal(after).and.not.equal(before);
        await server.stop();
      });

      it('an id that does not exist is ERR_OUT_OF_RANGE', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const ask = (id: number) =>
          server.codeOf(server.masterPid, (serv, asked) => serv.getWorkerPid(asked), id);
        expect(await ask(2)).to.equal('ERR_OUT_OF_RANGE');
        expect(await ask(-2)).to.equal('ERR_OUT_OF_RANGE');
        await server.stop();
      });
    });

    describe('shutdown', () => {
      const places: Record<string, (server: RunningServer) => Promise<number>> = {
        'the master': (server) => Promise.resolve(server.masterPid),
        'the manager': (server) => server.manager(),
        'a worker': (server) => server.worker(1),
        'a user process': (server) => server.user(),
      };
      for (const [place, find] of Object.entries(places)) {
        it(`by ${place} ends all in good order (shutdown_in_*)`, async () => {
          const server = await startServer({ mode, on: LIFE, users: [{}] });
          await server.noted('workerStart', 2);
          await server.noted('userStart');
          server.order(await find(server), (serv) => serv.shutdown());
          await server.endsWell();
          expect(server.log('shutdown', 'workerError')).to.deep.equal([['shutdown']]);
          expect(server.notes('workerStop')).to.have.length(2);
        });
      }

      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        it(`by ${signal} to the master ends all in good order`, async () => {
          const server = await startServer({ mode, on: LIFE });
          await server.noted('workerStart', 2);
          server.signal(signal);
          await server.endsWell();
          expect(server.log('shutdown', 'workerError')).to.deep.equal([['shutdown']]);
          expect(server.notes('workerStop')).to.have.length(2);
        });
      }

      it('by SIGINT to the whole group, as a terminal sends it', async () => {
        const server = await startServer(
          { mode, on: LIFE, users: [{}] },
          { wrapper: ['setsid', '--wait'] },
        );
        await server.noted('workerStart', 2);
        await server.noted('userStart');
        const [start] = await server.noted('ports');
        process.kill(-(start?.pid ?? NaN), 'SIGINT');
        await server.endsWell();
        expect(server.log('shutdown', 'workerError')).to.deep.equal([['shutdown']]);
      });

      it('in the start event, before any worker has begun', async () => {
        const server = beginServer({
          mode,
          on: { ...LIFE, start: (serv) => void serv.shutdown() },
        });
        await server.endsWell();
        expect(server.log('start', 'shutdown', 'workerError', 'settled')).to.deep.equal([
          ...[['start'], ['shutdown'], ['settled']],
        ]);
      });

      it('twice is once; both promises settle after the shutdown event', async () => {
        const server = await startServer({ mode, on: LIFE });
        await server.noted('workerStart', 2);
        server.order(server.masterPid, async (serv) => {
          await Promise.all([serv.shutdown(), serv.shutdown()]);
          note('both');
        });
        await server.endsWell();
        const kinds = server.notes('beforeShutdown', 'shutdown', 'both').map(({ kind }) => kind);
        expect(kinds).to.deep.equal(['beforeShutdown', 'shutdown', 'both']);
      });

      it('by Symbol.asyncDispose', async () => {
        const server = await startServer({ mode, on: LIFE });
        await server.noted('workerStart', 2);
        server.order(server.masterPid, (serv) => serv[Symbol.asyncDispose]());
        await server.endsWell();
        expect(server.notes('shutdown')).to.have.length(1);
      });

      it('a client that has sent a request gets its reply before the end', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: {
            receive: async (serv, fd, _, data) => {
              note('taken');
              await new Promise((resolve) => setTimeout(resolve, 100));
              serv.send(fd, `late ${String(data)}`);
            },
          },
        });
        const client = await server.connect();
        client.write('reply');
        await server.noted('taken');
        await server.stop();
        expect((await client.readAll()).toString()).to.equal('late reply');
      });

      it('ends workers that do not: after maxWaitTime, by SIGKILL', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, maxWaitTime: 200 },
          on: {
            ...LIFE,
            receive: () => {
              note('stuck');
              for (;;);
            },
          },
        });
        (await server.connect()).write('x');
        await server.noted('stuck');
        server.signal('SIGTERM');
        await server.endsWell();
        const [error] = server.notes('workerError');
        expect(error?.args.slice(2, 4)).to.deep.equal([0, 9]);
      });
    });

    describe('a master that is killed', () => {
      it('leaves no process after a second', async () => {
        const server = await startServer({ mode, on: { receive: echo }, users: [{}] });
        const pids = [
          await server.manager(),
          await server.worker(0),
          await server.worker(1),
          await server.user(),
        ];
        server.signal('SIGKILL');
        const killed = Date.now();
        await server.end();
        await eventually(() => {
          expect(pids.every(hasEnded)).to.equal(true);
        });
        expect(Date.now() - killed).to.be.below(1000);
      });

      it('leaves not even workers that are stuck', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: {
            receive: () => {
              note('stuck');
              for (;;);
            },
          },
        });
        const worker = await server.worker(0);
        (await server.connect()).write('x');
        await server.noted('stuck');
        server.signal('SIGKILL');
        const killed = Date.now();
        await server.end();
        await eventually(() => {
          expect(hasEnded(worker)).to.equal(true);
        });
        expect(Date.now() - killed).to.be.below(1000);
      });
    });

    describe('start()', () => {
      it('a second time while it runs, or once it has ended, is ERR_SERVER_RUNNING (start_twice)', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo },
          after: async (serv) => {
            const code = await serv.start().then(String, (error: { code: string }) => error.code);
            note('afterwards', code);
          },
        });
        expect(await server.codeOf(server.masterPid, (serv) => serv.start())).to.equal(
          'ERR_SERVER_RUNNING',
        );
        await server.stop();
        expect(server.log('afterwards')).to.deep.equal([['afterwards', 'ERR_SERVER_RUNNING']]);
      });

      it('of a second server in the process is refused; once the first has ended it runs (new_twice)', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo },
          after: async (serv) => {
            const next = new Server('127.0.0.1', 0, serv.mode);
            next.on('receive', () => undefined);
            next.on('start', () => void next.shutdown());
            await next.start();
            note('second ended');
          },
        });
        const code = await server.codeOf(server.masterPid, async (serv) => {
          const second = new Server('127.0.0.1', 0, serv.mode);
          second.on('receive', () => undefined);
          await second.start();
        });
        expect(code).to.equal('ERR_SERVER_RUNNING');
        await server.stop();
        expect(server.log('second ended')).to.have.length(1);
      });

      it('that fails leaves nothing: a shutdown is nothing, and another server runs', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo },
          after: async ({ mode }) => {
            const broken = new Server('127.0.0.1', 0, mode);
            broken.on('receive', () => undefined);
            broken.on('beforeShutdown', () => {
              note('of the broken one');
            });
            broken.on('start', () => {
              throw new Error('the start callback is broken');
            });
            await broken.start().catch((error: Error) => {
              note('failed', error.message);
            });
            await broken[Symbol.asyncDispose]();
            const next = new Server('127.0.0.1', broken.port, mode);
            next.on('receive', () => undefined);
            next.on('start', () => void next.shutdown());
            await next.start();
            note('next ended');
          },
        });
        await server.stop();
        expect(server.log('failed', 'of the broken one', 'next ended')).to.deep.equal([
          ['failed', 'the start callback is broken'],
          ['next ended'],
        ]);
      });

      it('in a worker is ERR_SERVER_RUNNING', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const worker = await server.worker(0);
        expect(await server.codeOf(worker, (serv) => serv.start())).to.equal('ERR_SERVER_RUNNING');
        await server.stop();
      });

      it('afterwards set(), on(), listen() and addProcess() are ERR_SERVER_RUNNING', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const codes = await server.run(server.masterPid, (serv) =>
          [
            () => serv.set({ workerNum: 3 }),
            () => serv.on('close', () => undefined),
            () => serv.listen('127.0.0.1'),
            () => serv.addProcess(new Process(() => undefined)),
            () => serv.ports[0]?.set({ backlog: 9 }),
            () => serv.ports[0]?.on('close', () => undefined),
          ].map((call) => {
            try {
              call();
              return 'no error';
            } catch (error) {
              return (error as { code: string }).code;
            }
          }),
        );
        expect(codes).to.deep.equal(Array(6).fill('ERR_SERVER_RUNNING'));
        await server.stop();
      });
    });
  });
}
