import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { hasEnded } from '../support/processes';
import {
  echo,
  endServersAfterEach,
  MODES,
  startServer,
  type RunningServer,
} from '../support/server';

const EVENTS = {
  receive: echo,
  workerStop: null,
  beforeReload: null,
  afterReload: null,
  task: () => undefined,
} as const;

/** Pids of workers 0 to n - 1, once the `nth` of each has started. */
const pidsOf = (server: RunningServer, n: number, nth = 1): Promise<number[]> =>
  Promise.all(Array.from({ length: n }, (_, id) => server.worker(id, nth)));

for (const mode of MODES) {
  describe(`server reload: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it('SIGUSR1 replaces all event and task workers, in good order (reload_1)', async () => {
      const server = await startServer({ mode, settings: { taskWorkerNum: 2 }, on: EVENTS });
      const before = await pidsOf(server, 4);
      server.signal('SIGUSR1');
      const after = await pidsOf(server, 4, 2);
      const [report] = await server.noted('afterReload');
      expect(report?.args[0]).to.include({ generation: 1, replaced: 4, killed: 0 });
      expect(report?.pid).to.equal(await server.manager());
      expect(after.filter((pid) => before.includes(pid))).to.deep.equal([]);
      expect(before.every(hasEnded)).to.equal(true);
      const stopped = server.notes('workerStop').map(({ pid }) => pid);
      expect(stopped.sort()).to.deep.equal(before.sort());
      expect(server.notes('workerError')).to.deep.equal([]);
      await server.stop();
    });

    it('SIGUSR2 replaces task workers only (reload_2)', async () => {
      const server = await startServer({ mode, settings: { taskWorkerNum: 2 }, on: EVENTS });
      const before = await pidsOf(server, 4);
      server.signal('SIGUSR2');
      const [report] = await server.noted('afterReload');
      expect(report?.args[0]).to.include({ replaced: 2, killed: 0 });
      const now = await pidsOf(server, 4);
      expect(now.slice(0, 2)).to.deep.equal(before.slice(0, 2));
      expect(now.slice(2).filter((pid) => before.includes(pid))).to.deep.equal([]);
      await server.stop();
    });

    it('three reloads: three generations of workers (reload_process)', async () => {
      const server = await startServer({ mode, on: EVENTS });
      await pidsOf(server, 2);
      for (let nth = 1; nth <= 3; nth++) {
        server.signal('SIGUSR1');
        await server.noted('afterReload', nth);
      }
      expect(server.notes('workerStart')).to.have.length(8);
      expect(server.notes('workerStop')).to.have.length(6);
      const generations = server.notes('afterReload').map(({ args }) => args[0]);
      expect(generations).to.have.nested.property('[2].generation', 3);
      await server.stop();
    });

    for (const place of ['master', 'manager', 'worker', 'user process'] as const) {
      it(`reload() from a ${place}; beforeReload comes first, once`, async () => {
        const server = await startServer({ mode, on: EVENTS, users: [{}] });
        const before = await pidsOf(server, 2);
        const pid = {
          master: () => Promise.resolve(server.masterPid),
          manager: () => server.manager(),
          worker: () => server.worker(1),
          'user process': () => server.user(),
        }[place];
        server.order(await pid(), (serv) => serv.reload());
        await server.noted('afterReload');
        const after = await pidsOf(server, 2, 2);
        expect(after.filter((now) => before.includes(now))).to.deep.equal([]);
        const kinds = server.notes('beforeReload', 'workerStop', 'afterReload');
        expect(kinds.map(({ kind }) => kind)).to.deep.equal([
          ...['beforeReload', 'workerStop', 'workerStop', 'afterReload'],
        ]);
        await server.stop();
      });
    }

    it('reload(true) leaves event workers as they are', async () => {
      const server = await startServer({ mode, settings: { taskWorkerNum: 1 }, on: EVENTS });
      const before = await pidsOf(server, 3);
      server.order(await server.worker(0), (serv) => serv.reload(true));
      await server.noted('afterReload');
      const now = await pidsOf(server, 3);
      expect(now.slice(0, 2)).to.deep.equal(before.slice(0, 2));
      expect(now[2]).to.not.equal(before[2]);
      await server.stop();
    });

    it('a second one during the first joins it', async () => {
      const server = await startServer({ mode, on: EVENTS });
      await pidsOf(server, 2);
      await server.run(await server.manager(), (serv) =>
        Promise.all([serv.reload(), serv.reload()]),
      );
      await server.noted('afterReload');
      expect(server.notes('beforeReload', 'afterReload')).to.have.length(2);
      expect(server.notes('workerStart')).to.have.length(4);
      await server.stop();
    });

    it('reload() in the process that does it resolves to the report, elsewhere to null', async () => {
      const server = await startServer({ mode, on: EVENTS });
      const inMaster = await server.run(server.masterPid, (serv) => serv.reload());
      if (mode === 'base') expect(inMaster).to.include({ generation: 1, replaced: 2, killed: 0 });
      else expect(inMaster).to.equal(null);
      await server.noted('afterReload');
      const worker = await server.worker(0, 2);
      expect(await server.run(worker, (serv) => serv.reload())).to.equal(null);
      await server.noted('afterReload', 2);
      await server.stop();
    });

    it('in workerStart of a worker is done once (onReload)', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1 },
        on: {
          ...EVENTS,
          workerStart: (serv) => {
            if (serv.stats().workers[0]?.generation === 0) void serv.reload();
          },
        },
      });
      await server.noted('afterReload');
      expect(server.notes('beforeReload')).to.have.length(1);
      expect(server.notes('workerStart')).to.have.length(2);
      await server.stop();
    });

    it('reloadAsync: the successor serves before its predecessor ends', async () => {
      const server = await startServer({ mode, on: EVENTS });
      const before = await pidsOf(server, 2);
      server.signal('SIGUSR1');
      await server.noted('afterReload');
      const order = server.notes('workerStart', 'workerStop').map(({ kind, args, pid }) => {
        return `${before.includes(pid) ? 'old' : 'new'} ${kind} ${String(args[0])}`;
      });
      for (const id of ['0', '1']) {
        const own = order.filter((entry) => entry.endsWith(id)).slice(1);
        expect(own).to.deep.equal([`new workerStart ${id}`, `old workerStop ${id}`]);
      }
      await server.stop();
    });

    it('reloadAsync false: one worker after the other, each ends before its successor starts', async () => {
      const server = await startServer({
        mode,
        settings: { reloadAsync: false },
        on: EVENTS,
      });
      const before = await pidsOf(server, 2);
      server.signal('SIGUSR1');
      await server.noted('afterReload');
      const order = server.notes('workerStart', 'workerStop').slice(2);
      expect(
        order.map(({ kind, args, pid }) => [kind, args[0], before.includes(pid)]),
      ).to.deep.equal([
        ...[
          ['workerStop', 0, true],
          ['workerStart', 0, false],
        ],
        ...[
          ['workerStop', 1, true],
          ['workerStart', 1, false],
        ],
      ]);
      await server.stop();
    });

    it('a request that runs is finished and answered by the old worker (reload_async)', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1 },
        on: {
          ...EVENTS,
          receive: async (serv, fd, _, data) => {
            for (let i = 1; i <= 5; i++) {
              await new Promise((resolve) => setTimeout(resolve, 20));
              serv.send(fd, `${String(data)}${String(i)}`);
            }
          },
        },
      });
      const before = await server.worker(0);
      const client = await server.connect();
      client.write('r');
      await server.noted('receive');
      server.signal('SIGUSR1');
      expect(await client.readText(10)).to.equal('r1r2r3r4r5');
      await server.noted('afterReload');
      expect(await server.worker(0)).to.not.equal(before);
      expect(server.notes('workerError')).to.deep.equal([]);
      await server.stop();
    });

    it('workerExit comes again and again until the event loop is empty (worker_exit)', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1 },
        on: {
          ...EVENTS,
          workerStart: () => {
            const globals = globalThis as { tick?: NodeJS.Timeout; exits?: number };
            globals.tick = setInterval(() => undefined, 1000);
          },
          workerExit: () => {
            const globals = globalThis as { tick?: NodeJS.Timeout; exits?: number };
            globals.exits = (globals.exits ?? 0) + 1;
            if (globals.exits === 3) clearInterval(globals.tick);
          },
        },
      });
      const before = await server.worker(0);
      server.signal('SIGUSR1');
      await server.noted('afterReload');
      const life = server.notes('workerExit', 'workerStop').filter(({ pid }) => pid === before);
      expect(life.map(({ kind, args }) => [kind, ...args])).to.deep.equal([
        ...[
          ['workerExit', 0],
          ['workerExit', 0],
          ['workerExit', 0],
          ['workerStop', 0],
        ],
      ]);
      await server.stop();
    });

    it('a timer that is left alive: forced end before maxWaitTime, with a warning that names it', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 1, maxWaitTime: 400 },
        on: {
          ...EVENTS,
          workerStart: (serv) => {
            if (serv.stats().workers[0]?.generation === 0) setInterval(() => undefined, 1000);
          },
        },
      });
      await server.worker(0);
      server.signal('SIGUSR1');
      const [report] = await server.noted('afterReload');
      expect(report?.args[0]).to.include({ replaced: 1, killed: 0 });
      expect(server.notes('workerStop')).to.have.length(1);
      expect(server.notes('workerError')).to.deep.equal([]);
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_WORKER_EXIT_FORCED.*event worker 0 .*Timeout/);
    });

    for (const reloadAsync of [true, false]) {
      it(`stuck workers are killed after maxWaitTime, the server lives (force_reload), reloadAsync ${String(reloadAsync)}`, async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, maxWaitTime: 200, reloadAsync },
          on: {
            ...EVENTS,
            receive: (serv, fd, _, data) => {
              if (String(data) === 'stick') {
                note('stuck');
                for (;;);
              }
              serv.send(fd, data);
            },
          },
        });
        const before = await server.worker(0);
        (await server.connect()).write('stick');
        await server.noted('stuck');
        server.signal('SIGUSR1');
        const [report] = await server.noted('afterReload');
        expect(report?.args[0]).to.include({ replaced: 1, killed: 1 });
        const [error] = await server.noted('workerError');
        expect(error?.args.slice(0, 4)).to.deep.equal([0, before, 0, 9]);
        expect(server.notes('workerStop')).to.deep.equal([]);
        expect(await (await server.connect()).ask('alive')).to.equal('alive');
        await server.stop();
      });
    }

    describe('maxRequest', () => {
      it('ends a worker after exactly so many requests without grace (grace_disabled)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, maxRequest: 12, maxRequestGrace: 0 },
          on: EVENTS,
        });
        const handled = new Map<number, number>();
        for (let i = 0; i < 36; i++) {
          const client = await server.connect();
          expect(await client.ask('x')).to.equal('x');
          client.end();
          await client.ended;
        }
        await server.noted('receive', 36);
        for (const { pid } of server.notes('receive')) {
          handled.set(pid, (handled.get(pid) ?? 0) + 1);
        }
        expect([...handled.values()]).to.deep.equal([12, 12, 12]);
        await server.noted('workerStop', 3);
        expect(server.notes('workerError')).to.deep.equal([]);
        await server.stop();
      });

      if (mode === 'process') {
        it('leaves what is in its mailbox by then to the next one', async () => {
          const server = await startServer({
            mode,
            settings: { workerNum: 1, maxRequest: 1 },
            on: {
              receive: (serv, fd, _, data) => {
                if (String(data) === 'first') block('first');
                serv.send(fd, data);
              },
            },
          });
          const [first, second] = [await server.connect(), await server.connect()];
          first.write('first');
          await server.noted('blocked');
          second.write('second');
          const sent = () => server.run(server.masterPid, (serv) => serv.stats().dispatchCount);
          while ((await sent()) !== 2);
          server.unblock('first');
          expect(await first.readText(5)).to.equal('first');
          expect(await second.readText(6)).to.equal('second');
          const pids = server.notes('receive').map(({ pid }) => pid);
          expect(new Set(pids).size).to.equal(2);
          await server.stop();
        });
      }

      it('with grace: not before the limit, not after limit and grace (grace_enabled)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1, maxRequest: 4, maxRequestGrace: 4 },
          on: EVENTS,
        });
        for (let i = 0; i < 60; i++) {
          const client = await server.connect();
          expect(await client.ask('x')).to.equal('x');
          client.end();
          await client.ended;
        }
        await server.noted('receive', 60);
        const handled = new Map<number, number>();
        for (const { pid } of server.notes('receive')) {
          handled.set(pid, (handled.get(pid) ?? 0) + 1);
        }
        const counts = [...handled.values()];
        counts.pop();
        expect(Math.min(...counts)).to.be.at.least(5);
        expect(Math.max(...counts)).to.be.at.most(8);
        expect(new Set(counts).size).to.be.above(1);
        await server.stop();
      });
    });
  });
}

describe('server reload under load', () => {
  assertNothingLeaks();
  endServersAfterEach();

  /** Asks again and again, one request at a time, until told to stop. @returns how often */
  async function askUntil(
    server: RunningServer,
    name: string,
    over: () => boolean,
  ): Promise<number> {
    const client = await server.connect();
    let count = 0;
    while (!over()) {
      const request = `${name} ${String(count++)}`;
      expect(await client.ask(request)).to.equal(request);
    }
    return count;
  }

  async function load(server: RunningServer, during: () => Promise<void>): Promise<number> {
    let over = false;
    const names = Array.from({ length: 10 }, (_, i) => `client ${String(i)}`);
    const asking = Promise.all(names.map((name) => askUntil(server, name, () => over)));
    await during();
    over = true;
    return (await asking).reduce((sum, count) => sum + count, 0);
  }

  for (const reloadAsync of [true, false]) {
    it(`process mode: no request is lost, no client dropped, reloadAsync ${String(reloadAsync)}`, async () => {
      const server = await startServer({
        settings: { reloadAsync },
        quiet: ['receive'],
        on: { ...EVENTS, receive: echo },
      });
      const asked = await load(server, async () => {
        for (let nth = 1; nth <= 3; nth++) {
          server.signal('SIGUSR1');
          await server.noted('afterReload', nth);
        }
      });
      expect(server.notes('workerStart')).to.have.length(8);
      expect(server.notes('workerError')).to.deep.equal([]);
      const { requestCount, responseCount } = await server.run(server.masterPid, (serv) =>
        serv.stats(),
      );
      expect([requestCount, responseCount]).to.deep.equal([asked, asked]);
      await server.stop();
    });
  }

  it('process mode: a connection keeps its order over reloads, with requests in flight', async () => {
    const server = await startServer({ quiet: ['receive'], on: { ...EVENTS, receive: echo } });
    const client = await server.connect();
    const sent = Buffer.allocUnsafe(8 << 20);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
    client.write(sent);
    for (let nth = 1; nth <= 2; nth++) {
      server.signal('SIGUSR1');
      await server.noted('afterReload', nth);
    }
    const back = await client.read(sent.length);
    expect(back.equals(sent)).to.equal(true);
    await server.stop();
  });

  it('process mode: 4000 requests with maxRequest 200 lose no reply (max_request)', async () => {
    const server = await startServer({
      settings: { maxRequest: 200 },
      quiet: ['receive'],
      on: { ...EVENTS, receive: echo },
    });
    const clients = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
    await Promise.all(
      clients.map(async (client, i) => {
        for (let nth = 0; nth < 200; nth++) {
          const request = `${String(i)}: ${String(nth)}`;
          expect(await client.ask(request)).to.equal(request);
        }
      }),
    );
    expect(server.notes('workerStart').length).to.be.above(10);
    expect(server.notes('workerError')).to.deep.equal([]);
    await server.stop();
  });

  it('base mode: whoever has sent a request gets its reply before its connection is closed', async () => {
    const server = await startServer({
      mode: 'base',
      settings: { workerNum: 1 },
      on: {
        ...EVENTS,
        receive: async (serv, fd, _, data) => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          serv.send(fd, data);
        },
      },
    });
    const client = await server.connect();
    client.write('before');
    await server.noted('receive');
    server.signal('SIGUSR1');
    expect((await client.readAll()).toString()).to.equal('before');
    const next = await server.connect();
    expect(await next.ask('after')).to.equal('after');
    await server.stop();
  });

  it('base mode: a request that came before is answered, also when nobody had read it', async () => {
    const server = await startServer({
      mode: 'base',
      settings: { workerNum: 1 },
      on: { ...EVENTS, receive: echo },
    });
    const worker = await server.worker(0);
    const client = await server.connect();
    expect(await client.ask('accepted')).to.equal('accepted');
    process.kill(worker, 'SIGSTOP');
    client.write('has come');
    process.kill(worker, 'SIGTERM');
    process.kill(worker, 'SIGCONT');
    expect((await client.readAll()).toString()).to.equal('has come');
    await server.worker(0, 2);
    await server.stop();
  });

  it('base mode: clients are accepted all the time', async () => {
    const server = await startServer({
      mode: 'base',
      quiet: ['receive'],
      on: { ...EVENTS, receive: echo },
    });
    let over = false;
    const asking = (async () => {
      let answered = 0;
      while (!over) {
        const client = await server.connect();
        client.end('one request');
        // One that has not sent it yet when its worker leaves may be cut off.
        const reply = (await client.readAll()).toString();
        expect(reply).to.be.oneOf(['one request', '']);
        if (reply !== '') answered++;
      }
      return answered;
    })();
    for (let nth = 1; nth <= 2; nth++) {
      server.signal('SIGUSR1');
      await server.noted('afterReload', nth);
    }
    over = true;
    expect(await asking).to.be.above(5);
    await server.stop();
  });
});
