/** Processes of a server whose fds are all taken, as a rule by clients. */
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { endServersAfterEach, startServer, type ServerPlan } from '../support/server';

const LARGE = 300_000;
const VERY_LARGE = 6_000_000;

const few = { wrapper: ['prlimit', '--nofile=128'] };

describe('a server without fds', () => {
  assertNothingLeaks();
  endServersAfterEach();

  it('in process mode: the master still sends what is large', async () => {
    const on: ServerPlan['on'] = {
      receive: (server, fd, _, data) => server.send(fd, Buffer.alloc(Number(data), 'x')),
    };
    const server = await startServer({ on, settings: { workerNum: 1 } }, few);
    const client = await server.connect();
    const taken = server.run(server.masterPid, async (serv) => {
      const fds: number[] = [];
      try {
        for (;;) fds.push(fs.openSync('/dev/null', 'r'));
      } catch {
        note('full');
      }
      while ([...serv.connections].length > 0) await new Promise(setImmediate);
      for (const fd of fds) fs.closeSync(fd);
      return fds.length;
    });
    await server.noted('full');
    for (let i = 0; i < 3; i++) {
      client.write(String(LARGE));
      expect((await client.readText(LARGE)).length).to.equal(LARGE);
    }
    client.destroy();
    expect(await taken).to.be.greaterThan(0);
    await server.stop();
  });

  for (const taskIpcMode of [1, 2] as const) {
    it(`gets large results, and its task workers large tasks: taskIpcMode ${taskIpcMode}`, async () => {
      const on: ServerPlan['on'] = {
        receive: null,
        task: (server, _id, _source, data) => {
          const own = server as unknown as { fds: number[] };
          if (data === 'free') for (const fd of own.fds) fs.closeSync(fd);
          if (data !== 'take') return typeof data === 'number' ? Buffer.alloc(data) : 'taken';
          own.fds = [];
          try {
            for (;;) own.fds.push(fs.openSync('/dev/null', 'r'));
          } catch {
            return 'full';
          }
        },
      };
      const settings = { workerNum: 1, taskWorkerNum: 1, taskIpcMode };
      const server = await startServer({ on, settings, quiet: ['task'] }, few);
      const order = async (serv: Parameters<NonNullable<typeof on.task>>[0], bytes: number) => {
        const fds: number[] = [];
        const lengthOf = (result: unknown): number => (result as Buffer).length;
        try {
          for (;;) fds.push(fs.openSync('/dev/null', 'r'));
        } catch {
          // All are taken.
        }
        const got = [lengthOf(await serv.taskAsync(bytes)), lengthOf(serv.taskwait(bytes, 5000))];
        for (const fd of fds) fs.closeSync(fd);
        const full = await serv.taskAsync('take');
        const there = await serv.taskAsync(Buffer.alloc(bytes));
        await serv.taskAsync('free');
        return [...got, full, there];
      };
      const results = await server.run(await server.worker(0), order, VERY_LARGE);
      expect(results).to.deep.equal([VERY_LARGE, VERY_LARGE, 'full', 'taken']);
      await server.stop();
    });
  }
});
