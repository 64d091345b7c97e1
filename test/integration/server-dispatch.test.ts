import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, startServer } from '../support/server';
import type { Note, RunningServer, ServerPlan } from '../support/server';

const WORKERS = 3;
const EVENTS = { connect: null, receive: echo, close: null } satisfies ServerPlan['on'];

type Settings = NonNullable<ServerPlan['settings']>;

async function begin(settings: Settings, on: ServerPlan['on'] = EVENTS): Promise<RunningServer> {
  const server = await startServer({ settings: { workerNum: WORKERS, ...settings }, on });
  await server.allServe();
  return server;
}

const pidsOf = (server: RunningServer) =>
  Promise.all(Array.from({ length: WORKERS }, (_, id) => server.worker(id)));

/** The worker of each note of a kind. */
async function workersOf(server: RunningServer, kind: string): Promise<number[]> {
  const pids = await pidsOf(server);
  return server.notes(kind).map(({ pid }) => pids.indexOf(pid));
}

/** Keeps a worker busy with a request that starts with "block"; echoes others. */
const blocking: NonNullable<ServerPlan['on']>['receive'] = (serv, fd, _, data) => {
  if (String(data) === 'block') block('on');
  return serv.send(fd, data);
};

describe('server dispatch: process mode', () => {
  assertNothingLeaks();
  endServersAfterEach();

  describe('mode 1', () => {
    it('takes the workers in turn (dispatch_mode_1)', async () => {
      const server = await begin({ dispatchMode: 1 });
      const client = await server.connect();
      for (let i = 0; i < 30; i++) await client.ask(`request ${String(i)}`);
      const order = await workersOf(server, 'receive');
      expect(order).to.deep.equal(order.map((_, i) => ((order[0] ?? 0) + i) % WORKERS));
      expect(order).to.have.length(30);
      await server.stop();
    });
  });

  describe('mode 2', () => {
    it('keeps a connection with worker id % workers', async () => {
      const server = await begin({ dispatchMode: 2 });
      const clients = await Promise.all(Array.from({ length: 7 }, () => server.connect()));
      for (let round = 0; round < 3; round++) {
        await Promise.all(clients.map((client) => client.ask('again')));
      }
      for (const client of clients) client.end();
      await server.noted('close', 7);
      for (const kind of ['connect', 'receive', 'close']) {
        const ids = server.notes(kind).map(({ args }) => (args[0] as number) % WORKERS);
        expect(await workersOf(server, kind), kind).to.deep.equal(ids);
      }
      expect(server.notes('receive')).to.have.length(21);
      await server.stop();
    });
  });

  for (const dispatchMode of [3, 7] as const) {
    describe(`mode ${String(dispatchMode)}`, () => {
      it('gives nothing to a busy worker while another is idle (dispatch_mode_3)', async () => {
        const server = await begin({ dispatchMode }, { ...EVENTS, receive: blocking });
        (await server.connect()).write('block');
        const [blocked] = (await server.noted('blocked')) as [Note];
        const client = await server.connect();
        for (let i = 0; i < 20; i++) await client.ask('quick');
        const byBlocked = server.notes('receive').filter(({ pid }) => pid === blocked.pid);
        expect(byBlocked).to.have.length(1);
        server.unblock('on');
        await server.stop();
      });

      it('queues for one when all are busy, and says so (dispatch_mode_3)', async () => {
        const server = await begin({ dispatchMode }, { ...EVENTS, receive: blocking });
        const busy = await Promise.all(Array.from({ length: WORKERS }, () => server.connect()));
        for (const [i, client] of busy.entries()) {
          client.write('block');
          await server.noted('blocked', i + 1);
        }
        expect(new Set(server.notes('blocked').map(({ pid }) => pid)).size).to.equal(WORKERS);
        const last = await server.connect();
        last.write('waits');
        await server.until(() => server.stderr.includes('PREFORK_NO_IDLE_WORKER'));
        expect(last.waiting).to.equal(0);
        server.unblock('on');
        expect(await last.readText(5)).to.equal('waits');
        for (const client of busy) expect(await client.readText(5)).to.equal('block');
        server.signal('SIGTERM');
        await server.endsWell(/no event worker is idle/);
      });
    });
  }

  describe('mode 4', () => {
    it('keeps a client with the worker of its address', async () => {
      const server = await begin({ dispatchMode: 4 });
      for (const last of [1, 2, 3, 4]) {
        const localAddress = `127.0.0.${String(last)}`;
        for (let i = 0; i < 3; i++) {
          await (await server.connect(0, { localAddress })).ask(localAddress);
        }
      }
      const expected = [1, 2, 3, 4].flatMap((last) =>
        Array<number>(3).fill((0x7f000000 + last) % WORKERS),
      );
      expect(await workersOf(server, 'receive')).to.deep.equal(expected);
      expect(await workersOf(server, 'connect')).to.deep.equal(expected);
      await server.stop();
    });
  });

  describe('mode 5', () => {
    it('takes the uid once it is bound, before that the id (bind)', async () => {
      const server = await begin(
        { dispatchMode: 5 },
        {
          ...EVENTS,
          receive: (serv, fd, _, data) => {
            if (String(data) === 'bind') serv.bind(fd, 100 + fd * 2);
            return serv.send(fd, data);
          },
        },
      );
      for (let fd = 1; fd <= 4; fd++) {
        const client = await server.connect();
        await client.ask('bind');
        for (let i = 0; i < 3; i++) await client.ask('bound');
      }
      const expected = [1, 2, 3, 4].flatMap((fd) => [
        fd % WORKERS,
        ...Array<number>(3).fill((100 + fd * 2) % WORKERS),
      ]);
      expect(await workersOf(server, 'receive')).to.deep.equal(expected);
      await server.stop();
    });
  });

  describe('events of connections', () => {
    for (const dispatchMode of [1, 3, 5, 7] as const) {
      it(`do not come in mode ${String(dispatchMode)}, but with enableUnsafeEvent`, async () => {
        for (const enableUnsafeEvent of [false, true]) {
          const server = await begin({ dispatchMode, enableUnsafeEvent });
          const client = await server.connect();
          await client.ask('hello');
          client.end();
          await client.ended;
          if (enableUnsafeEvent) await server.noted('connect');
          if (enableUnsafeEvent) await server.noted('close');
          await server.stop();
          const events = server.log('connect', 'close');
          const wanted = [
            ['connect', 1, 0],
            ['close', 1, 0],
          ];
          // By any worker, so in any order.
          expect(events).to.have.deep.members(enableUnsafeEvent ? wanted : []);
        }
      });
    }
  });
});
