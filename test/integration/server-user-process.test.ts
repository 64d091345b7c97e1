import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';

type Run = NonNullable<NonNullable<ServerPlan['users']>[number]['run']>;

/** Reads messages of its pipe, and notes how many bytes came, and of which sizes. */
const counts: Run = async (_, self) => {
  let bytes = 0;
  const sizes = new Set<number>();
  for await (const message of self) {
    bytes += message.length;
    sizes.add(message.length);
    note('read', bytes, [...sizes]);
  }
};

for (const mode of MODES) {
  describe(`server user processes: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    const begin = (run: Run | undefined, more: ServerPlan = {}) =>
      startServer({
        mode,
        settings: { workerNum: 1 },
        on: { receive: echo },
        users: [run === undefined ? {} : { run }],
        ...more,
      });

    const pidIn = (server: RunningServer, pid: number, id: number) =>
      server.run(pid, (serv, which) => serv.getWorkerPid(which), id);

    describe('are kept alive', () => {
      it('after SIGKILL: getWorkerPid() tells the new one (kill_user_process_*, user_process_pid)', async () => {
        const server = await begin(undefined);
        const killed: number[] = [];
        for (let nth = 1; nth <= 3; nth++) {
          const pid = await server.user(nth);
          for (const asked of [server.masterPid, await server.worker(0)]) {
            expect(await pidIn(server, asked, 1)).to.equal(pid);
          }
          killed.push(pid);
          process.kill(pid, 'SIGKILL');
        }
        expect(killed).not.to.include(await server.user(4));
        const errors = await server.noted('workerError', 3);
        expect(errors.map(({ args }) => args.slice(0, 4))).to.deep.equal(
          killed.map((pid) => [1, pid, 0, 9]),
        );
        await server.stop();
      });

      it('after they have returned, which is no error (addProcess)', async () => {
        const server = await begin(() => undefined);
        await server.user(3);
        expect(server.notes('workerError')).to.deep.equal([]);
        await server.stop();
      });

      it('after an error in them: code 1, the stack on stderr (addProcess_with_error)', async () => {
        const server = await begin(() => {
          throw new Error('in a user process');
        });
        await server.user(2);
        const [error] = await server.noted('workerError');
        expect(error?.args[0]).to.equal(1);
        expect(error?.args.slice(2, 4)).to.deep.equal([1, 0]);
        server.signal('SIGTERM');
        await server.endsWell(/Error: in a user process\n/);
      });

      it('by their timers and promises (addProcess_with_tick, _with_event_wait)', async () => {
        const server = await begin(async () => {
          for (let tick = 1; tick <= 3; tick++) {
            await new Promise((resolve) => setTimeout(resolve, 10));
            note('tick', tick);
          }
          setInterval(() => undefined, 1000);
        });
        await server.noted('tick', 3);
        expect(server.notes('userStart')).to.have.length(1);
        await server.stop();
      });

      it('over a reload, which is for workers', async () => {
        const server = await begin(undefined);
        const pid = await server.user();
        await server.worker(0);
        server.signal('SIGUSR1');
        await server.worker(0, 2);
        expect(await pidIn(server, server.masterPid, 1)).to.equal(pid);
        expect(server.notes('userStart')).to.have.length(1);
        await server.stop();
      });
    });

    it('have ids after those of workers and task workers', async () => {
      const server = await startServer({
        mode,
        settings: { workerNum: 2, taskWorkerNum: 3 },
        on: { receive: echo, task: () => null },
        users: [{}, {}],
      });
      expect(server.log('added')).to.deep.equal([
        ['added', 5],
        ['added', 6],
      ]);
      const started = await server.noted('userStart', 2);
      expect(started.map(({ args }) => args[0]).sort()).to.deep.equal([5, 6]);
      for (const { pid, args } of started) {
        expect(await pidIn(server, server.masterPid, args[0] as number)).to.equal(pid);
        const self = await server.run(pid, (serv) => [serv.workerId, serv.workerPid]);
        expect(self).to.deep.equal([args[0], pid]);
      }
      await server.stop();
    });

    describe('their pipe', () => {
      it('takes 2 MB from two workers at a time, nothing is lost (user_process_2, write_in_worker)', async () => {
        const server = await begin(counts, { settings: { workerNum: 2 } });
        for (const id of [0, 1]) {
          server.order(await server.worker(id), () => {
            const message = Buffer.alloc(8192, 'x');
            for (let i = 0; i < 128; i++) users[0]?.write(message);
          });
        }
        const done = () => server.notes('read').some(({ args }) => args[0] === 2 << 20);
        await server.until(done, '2 MB');
        expect(server.notes('read').at(-1)?.args).to.deep.equal([2 << 20, [8192]]);
        await server.stop();
      });

      it('takes answers back, also from the next process (user_process)', async () => {
        const server = await begin(
          async (_, self) => {
            for await (const message of self) {
              await self.writeAsync(`${String(process.pid)} ${String(message)}`);
            }
          },
          {
            on: {
              receive: (serv, fd, _, data) => {
                users[0]?.write(data);
                serv.send(fd, String(users[0]?.read()));
                serv.close(fd);
              },
            },
          },
        );
        for (let nth = 1; nth <= 3; nth++) {
          const pid = await server.user(nth);
          const client = await server.connect();
          client.write('question');
          expect((await client.readAll()).toString()).to.equal(`${String(pid)} question`);
          process.kill(pid, 'SIGKILL');
        }
        await server.user(4);
        await server.stop();
      });

      it('is a stream when that is wanted', async () => {
        const run: Run = async (_, self) => {
          let bytes = 0;
          for await (const chunk of self) note('read', (bytes += chunk.length));
        };
        const server = await begin(undefined, { users: [{ run, pipeType: 1 }] });
        await server.run(await server.worker(0), () => users[0]?.write(Buffer.alloc(1 << 20)));
        const done = () => server.notes('read').some(({ args }) => args[0] === 1 << 20);
        await server.until(done, '1 MB');
        await server.stop();
      });

      it('is its stdin and stdout when redirected: a worker talks to it, also to the next one', async () => {
        const run: Run = () => {
          process.stdin.on('data', (data) => {
            process.stdout.write(`heard ${String(data)}`);
            if (String(data) === 'end') process.exit();
          });
        };
        const server = await begin(undefined, { users: [{ run, redirect: true }] });
        const ask = async (id: number, text: string) =>
          server.run(
            await server.worker(id),
            (_, said) => {
              users[0]?.write(said);
              let heard = '';
              while (!heard.includes(`heard ${said}`)) heard += String(users[0]?.read());
              return heard;
            },
            text,
          );
        expect(await ask(0, 'one')).to.include('userStart');
        expect(await ask(0, 'end')).to.equal('heard end');
        expect(await ask(0, 'two'), 'of the next one').to.include('userStart');
        await server.stop();
      });

      it('is none with type 0', async () => {
        const server = await begin(undefined, { users: [{ pipeType: 0 }] });
        const write = await server.codeOf(await server.worker(0), () => users[0]?.write('x'));
        expect(write).to.equal('ERR_NO_PIPE');
        await server.user();
        await server.stop();
      });
    });

    describe('at shutdown', () => {
      it('get SIGTERM when the workers have ended', async () => {
        const server = await begin(
          () => {
            Process.signal('SIGTERM', () => {
              note('told to end');
              process.exit(0);
            });
            note('can be told');
            setInterval(() => undefined, 1000);
          },
          { on: { receive: echo, workerStop: null, shutdown: null } },
        );
        await server.noted('can be told');
        await server.worker(0);
        await server.allServe();
        await server.stop();
        const order = server.notes('workerStop', 'told to end', 'shutdown', 'workerError');
        expect(order.map(({ kind }) => kind)).to.deep.equal([
          ...['workerStop', 'told to end', 'shutdown'],
        ]);
      });

      it('are killed after maxWaitTime when they do not end (user_process_force_exit)', async () => {
        const server = await begin(
          () => {
            Process.signal('SIGTERM', Process.SIG_IGN);
            note('deaf');
            setInterval(() => undefined, 1000);
          },
          { settings: { workerNum: 1, maxWaitTime: 200 } },
        );
        await server.noted('deaf');
        const pid = await server.user();
        server.signal('SIGTERM');
        await server.endsWell();
        const errors = server.notes('workerError').map(({ args }) => args.slice(0, 4));
        expect(errors).to.deep.equal([[1, pid, 0, 9]]);
      });
    });
  });
}
