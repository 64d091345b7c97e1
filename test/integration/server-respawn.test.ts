import { expect } from 'chai';
import { assertNothingLeaks, eventually } from '../support/leaks';
import { hasEnded } from '../support/processes';
import { beginServer, echo, endServersAfterEach, MODES, startServer } from '../support/server';

const stuck = () => {
  note('stuck');
  for (;;);
};

for (const mode of MODES) {
  describe(`server respawn: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('a worker that dies', () => {
      it('by SIGKILL is back each time, and told by workerError (kill_worker_01)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: { receive: echo },
        });
        const killed: number[] = [];
        for (let nth = 1; nth <= 5; nth++) {
          // One that has served can start: its successor does not have to wait.
          expect(await (await server.connect()).ask('serves')).to.equal('serves');
          const pid = await server.worker(0, nth);
          killed.push(pid);
          process.kill(pid, 'SIGKILL');
          await server.noted('workerError', nth);
        }
        await server.worker(0, 6);
        const errors = server.notes('workerError');
        expect(errors.map(({ args }) => args.slice(0, 4))).to.deep.equal(
          killed.map((pid) => [0, pid, 0, 9]),
        );
        const { lostRequests, ...status } = errors[0]?.args[4] as { lostRequests: number };
        expect(status).to.deep.equal({ workerId: 0, pid: killed[0], code: 0, signal: 9 });
        // At most: that its last reply has left is written down a moment later.
        expect(lostRequests).to.be.within(0, 1);
        const manager = await server.manager();
        expect(errors.map(({ pid }) => pid)).to.deep.equal(Array(5).fill(manager));
        await server.stop();
      });

      it('is back when all die at once', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 4 },
          on: { receive: echo },
        });
        const pids = await Promise.all([0, 1, 2, 3].map((id) => server.worker(id)));
        for (const pid of pids) process.kill(pid, 'SIGKILL');
        const next = await Promise.all([0, 1, 2, 3].map((id) => server.worker(id, 2)));
        expect(next.filter((pid) => pids.includes(pid))).to.deep.equal([]);
        expect(await (await server.connect()).ask('all back')).to.equal('all back');
        await server.stop();
      });

      it('by an error in receive: code 1, the stack on stderr', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: {
            receive: () => {
              throw new Error('in receive');
            },
          },
        });
        const pid = await server.worker(0);
        (await server.connect()).write('x');
        await server.worker(0, 2);
        const [error] = await server.noted('workerError');
        expect(error?.args.slice(0, 4)).to.deep.equal([0, pid, 1, 0]);
        server.signal('SIGTERM');
        await server.endsWell(/Error: in receive\n/);
      });

      it('by a rejected promise of receive likewise', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: { receive: () => Promise.reject(new Error('late in receive')) },
        });
        const pid = await server.worker(0);
        (await server.connect()).write('x');
        await server.worker(0, 2);
        const [error] = await server.noted('workerError');
        expect(error?.args.slice(0, 4)).to.deep.equal([0, pid, 1, 0]);
        server.signal('SIGTERM');
        await server.endsWell(/Error: late in receive\n/);
      });

      it('by process.exit(): with its code, without waiting for anything', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: { receive: () => process.exit(33) },
        });
        const pid = await server.worker(0);
        (await server.connect()).write('x');
        await server.worker(0, 2);
        const [error] = await server.noted('workerError');
        expect(error?.args.slice(0, 4)).to.deep.equal([0, pid, 33, 0]);
        await server.stop();
      });

      it('tells in workerError how many requests are lost with it', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: { receive: stuck },
        });
        const pid = await server.worker(0);
        (await server.connect()).write('x');
        await server.noted('stuck');
        process.kill(pid, 'SIGKILL');
        const [error] = await server.noted('workerError');
        expect(error?.args[4]).to.include({ signal: 9, lostRequests: 1 });
        await server.stop();
      });

      it('in workerStart again and again is started less and less often, with one warning', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: { receive: echo, workerStart: () => process.exit(5) },
        });
        await server.noted('workerError', 5);
        const codes = server.notes('workerError').map(({ args }) => args[2]);
        expect(codes).to.deep.equal([5, 5, 5, 5, 5]);
        await server.until(() => server.stderr.includes('PREFORK_SERVER_DEGRADED'));
        server.signal('SIGTERM');
        await server.endsWell(/worker 0 died young 5 times in a row/);
      });

      it('with exit code 78 is not started again; the others serve on', async () => {
        const server = await startServer({
          mode,
          on: {
            receive: echo,
            workerStart: (_, id) => void (id === 0 && process.exit(78)),
          },
        });
        await server.noted('workerError');
        process.kill(await server.worker(1), 'SIGKILL');
        await server.worker(1, 2);
        expect(server.notes('workerStart').filter(({ args }) => args[0] === 0)).to.have.length(1);
        await server.stop();
      });
    });

    describe('stop()', () => {
      it('ends another worker in good order, and one takes its place', async () => {
        const server = await startServer({
          mode,
          on: { receive: echo, workerStop: null, workerError: null },
        });
        const before = await server.worker(1);
        await server.run(await server.worker(0), (serv) => {
          serv.stop(1);
        });
        const after = await server.worker(1, 2);
        expect(after).to.not.equal(before);
        await server.noted('workerStop');
        expect(server.notes('workerStop', 'workerError').map(({ pid }) => pid)).to.deep.equal([
          before,
        ]);
        await server.stop();
      });

      for (const place of ['master', 'manager'] as const) {
        it(`works in the ${place}`, async () => {
          const server = await startServer({ mode, on: { receive: echo, workerStop: null } });
          const before = await server.worker(0);
          const pid = place === 'master' ? server.masterPid : await server.manager();
          await server.run(pid, (serv) => {
            serv.stop(0);
          });
          await server.worker(0, 2);
          const [stop] = await server.noted('workerStop');
          expect(stop).to.include({ pid: before });
          await server.stop();
        });
      }

      it('without an id ends the worker that calls it (stop)', async () => {
        const server = await startServer({ mode, on: { receive: echo, workerStop: null } });
        const before = await server.worker(1);
        server.order(before, (serv) => {
          serv.stop();
        });
        await server.worker(1, 2);
        const [stop] = await server.noted('workerStop');
        expect(stop).to.deep.include({ pid: before, args: [1] });
        await server.stop();
      });

      it('in workerStart ends it too (stop_in_workerStart)', async () => {
        const server = await startServer({
          mode,
          settings: { workerNum: 1 },
          on: {
            receive: echo,
            workerStop: null,
            workerStart: (serv) => {
              if (!fs.existsSync(`${process.env.TMPDIR ?? ''}/stopped`)) {
                fs.writeFileSync(`${process.env.TMPDIR ?? ''}/stopped`, '');
                serv.stop();
              }
            },
          },
          after: () => {
            fs.unlinkSync(`${process.env.TMPDIR ?? ''}/stopped`);
          },
        });
        await server.worker(0, 2);
        const [first] = server.notes('workerStart');
        expect((await server.noted('workerStop'))[0]).to.include({ pid: first?.pid });
        expect(await (await server.connect()).ask('next')).to.equal('next');
        expect(server.notes('workerError')).to.deep.equal([]);
        await server.stop();
      });

      it('of an id that does not exist is ERR_OUT_OF_RANGE', async () => {
        const server = await startServer({ mode, on: { receive: echo } });
        const stop = (pid: number, id: number) =>
          server.codeOf(
            pid,
            (serv, asked) => {
              serv.stop(asked);
            },
            id,
          );
        expect(await stop(server.masterPid, 2)).to.equal('ERR_OUT_OF_RANGE');
        expect(await stop(server.masterPid, -1)).to.equal('ERR_OUT_OF_RANGE');
        expect(await stop(await server.worker(0), -2)).to.equal('ERR_OUT_OF_RANGE');
        await server.stop();
      });
    });

    it('SIGTERM to a worker is the same as stop()', async () => {
      const server = await startServer({ mode, on: { receive: echo, workerStop: null } });
      const before = await server.worker(0);
      process.kill(before, 'SIGTERM');
      await server.worker(0, 2);
      expect((await server.noted('workerStop'))[0]).to.deep.include({ pid: before, args: [0] });
      expect(server.notes('workerError')).to.deep.equal([]);
      await server.stop();
    });
  });
}

describe('server respawn: clients', () => {
  assertNothingLeaks();
  endServersAfterEach();

  it('process mode: they notice nothing when a worker is killed', async () => {
    const server = await startServer({ settings: { workerNum: 1 }, on: { receive: echo } });
    const client = await server.connect();
    expect(await client.ask('before')).to.equal('before');
    process.kill(await server.worker(0), 'SIGKILL');
    expect(await client.ask('after')).to.equal('after');
    await server.stop();
  });

  it('process mode: what waits for a killed worker its successor serves', async () => {
    const server = await startServer({
      settings: { workerNum: 1 },
      on: {
        receive: (serv, fd, _, data) => {
          if (String(data) === 'stick') {
            note('stuck');
            for (;;);
          }
          serv.send(fd, data);
        },
      },
    });
    const [first, second] = [await server.connect(), await server.connect()];
    first.write('stick');
    await server.noted('stuck');
    second.write('waits');
    const seen = () => server.run(server.masterPid, (serv) => serv.stats().workers[0]?.queued);
    while ((await seen()) !== 1);
    process.kill(await server.worker(0), 'SIGKILL');
    expect(await second.readText(5)).to.equal('waits');
    expect(await first.ask('and you')).to.equal('and you');
    expect((await server.noted('workerError'))[0]?.args[4]).to.include({ lostRequests: 1 });
    await server.stop();
  });

  it('base mode: those of a killed worker are cut off, the others are not', async () => {
    const server = await startServer({
      mode: 'base',
      on: { receive: (serv, fd) => serv.send(fd, String(serv.workerId)) },
    });
    const [zero, one] = [await server.worker(0), await server.worker(1)];
    process.kill(one, 'SIGSTOP');
    const ofZero = await server.connect();
    ofZero.write('?');
    expect(await ofZero.readText(1)).to.equal('0');
    process.kill(one, 'SIGCONT');
    process.kill(zero, 'SIGSTOP');
    const ofOne = await server.connect();
    ofOne.write('?');
    expect(await ofOne.readText(1)).to.equal('1');
    process.kill(zero, 'SIGKILL');
    await ofZero.ended;
    await server.worker(0, 2);
    ofOne.write('?');
    expect(await ofOne.readText(1)).to.equal('1');
    const left = await server.run(server.masterPid, (serv) => [...serv.connections].length);
    expect(left).to.equal(1);
    await server.stop();
  });

  describe('process mode: a manager that is killed', () => {
    it('comes back with new workers; clients keep their connections', async () => {
      const server = await startServer({ on: { receive: echo }, users: [{}] });
      const client = await server.connect();
      expect(await client.ask('before')).to.equal('before');
      const old = [
        await server.manager(),
        ...[await server.worker(0), await server.worker(1), await server.user()],
      ];
      process.kill(old[0] as number, 'SIGKILL');
      const now = [
        await server.manager(2),
        ...[await server.worker(0, 2), await server.worker(1, 2), await server.user(2)],
      ];
      expect(now.filter((pid) => old.includes(pid))).to.deep.equal([]);
      await eventually(() => {
        expect(old.every(hasEnded)).to.equal(true);
      });
      expect(await client.ask('after')).to.equal('after');
      const seen = await server.run(server.masterPid, (serv) => [
        serv.managerPid,
        serv.getWorkerPid(0),
      ]);
      expect(seen).to.deep.equal([now[0], now[1]]);
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_MANAGER_DIED/);
    });

    it('its workers, and the requests that were lost with them, are reported by the new one', async () => {
      const server = await startServer({
        on: { receive: () => new Promise(() => undefined) },
      });
      const client = await server.connect();
      client.write('never answered');
      const [taken] = await server.noted('receive');
      const old = [await server.worker(0), await server.worker(1)];
      process.kill(await server.manager(), 'SIGKILL');
      const manager = await server.manager(2);
      const errors = await server.noted('workerError', 2);
      expect(errors.map(({ pid }) => pid)).to.deep.equal([manager, manager]);
      expect(errors.map(({ args }) => args)).to.deep.equal(
        old.map((pid, workerId) => {
          const lostRequests = taken?.pid === pid ? 1 : 0;
          return [workerId, pid, 0, 9, { workerId, pid, code: 0, signal: 9, lostRequests }];
        }),
      );
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_MANAGER_DIED/);
    });

    it('requests that wait for its workers are answered by those of the new one', async () => {
      const server = await startServer({ on: { receive: echo } });
      const client = await server.connect();
      const workers = [await server.worker(0), await server.worker(1)];
      for (const pid of workers) process.kill(pid, 'SIGSTOP');
      client.write('waits');
      const sent = () => server.run(server.masterPid, (serv) => serv.stats().dispatchCount);
      while ((await sent()) !== 1);
      process.kill(await server.manager(), 'SIGKILL');
      expect(await client.readText(5)).to.equal('waits');
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_MANAGER_DIED/);
    });

    it('is supervised as well: reload and shutdown work with the new one', async () => {
      const server = await startServer({ on: { receive: echo, afterReload: null } });
      await server.noted('workerStart', 2);
      process.kill(await server.manager(), 'SIGKILL');
      await server.noted('workerStart', 4);
      server.signal('SIGUSR1');
      await server.noted('afterReload');
      await server.worker(0, 3);
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_MANAGER_DIED/);
    });
  });

  it('a manager that dies at its start again and again is told of once', async () => {
    const server = beginServer({
      on: { receive: echo, managerStart: () => process.exit(3) },
    });
    await server.until(() => server.stderr.includes('PREFORK_SERVER_DEGRADED'));
    server.signal('SIGTERM');
    await server.endsWell(/the manager died young 5 times in a row/);
  });
});
