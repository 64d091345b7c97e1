/** Where tasks may be submitted, and how task workers work. Names in brackets are those of Swoole's own tests. */
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { endServersAfterEach, MODES, startServer, type ServerPlan } from '../support/server';

const on = {
  receive: null,
  task: (_server, _id, source, data) => {
    if (data === 'source') return [source];
    if (data === 'sleep') return new Promise((resolve) => setTimeout(resolve, 300, data));
    if (data === 'long') return new Promise((resolve) => setTimeout(resolve, 3000, data));
    if (data === 'until killed') return new Promise(() => setTimeout(() => undefined, 60_000));
    if (data === 'null') return null;
    return data;
  },
  finish: null,
} satisfies ServerPlan['on'];

const quiet = ['task'] satisfies ServerPlan['quiet'];

for (const mode of MODES) {
  describe(`task workers: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    const plan = (more: ServerPlan = {}): ServerPlan => ({
      ...{ mode, quiet, ...more },
      settings: { workerNum: 1, taskWorkerNum: 1, ...more.settings },
      on: { ...on, ...more.on },
    });

    it('serve master and manager, who may not block (task_in_master, task_in_manager)', async () => {
      const server = await startServer(plan());
      for (let id = 0; id <= 1; id++) await server.worker(id);
      for (const pid of [server.masterPid, await server.manager()]) {
        const result = await server.run(pid, (serv) => serv.taskAsync('source'));
        expect(result).to.deep.equal([-1]);
        expect(await server.codeOf(pid, (serv) => serv.taskwait('x'))).to.equal(
          'ERR_TASK_WORKER_ONLY',
        );
        await server.run(pid, (serv) => {
          serv.task(`of ${process.pid}`);
        });
        await server.until(() =>
          server.notes('finish').some(({ pid: at, args }) => at === pid && args[1] === `of ${pid}`),
        );
      }
      await server.stop();
    });

    it('serve user processes, also those that wait for nothing else (task_in_user_process)', async () => {
      const users: ServerPlan['users'] = [
        {
          run: async (server) => {
            const source = await server.taskAsync('source');
            note(
              'answers',
              source,
              server.taskwait('waited', 5000),
              await server.taskAsync('sleep'),
            );
            setInterval(() => undefined, 1000);
          },
        },
      ];
      const server = await startServer(plan({ users }));
      const [answers] = await server.noted('answers');
      expect(answers?.args).to.deep.equal([[2], 'waited', 'sleep']);
      expect(server.notes('userStart').length).to.equal(1);
      await server.stop();
    });

    it('submit none themselves (task_in_task_worker)', async () => {
      const server = await startServer(plan());
      const worker = await server.worker(1);
      for (const call of ['task', 'taskwait', 'taskWaitMulti', 'taskAsync', 'taskCo'] as const) {
        const code = await server.codeOf(worker, (serv, name) => serv[name](['x']), call);
        expect(code).to.equal('ERR_TASK_IN_TASK_WORKER');
      }
      await server.stop();
    });

    it('alone call finish(), in a task', async () => {
      const server = await startServer(plan());
      for (const worker of [await server.worker(0), await server.worker(1)]) {
        expect(await server.codeOf(worker, (serv) => serv.finish('x'))).to.equal(
          'ERR_TASK_NOT_RUNNING',
        );
      }
      await server.stop();
    });

    it('need no finish callback when nothing comes back (without_onfinish)', async () => {
      const { receive, task } = on;
      const silent = { ...plan(), on: { receive, task } };
      const server = await startServer(silent);
      const worker = await server.worker(0);
      const settled = await server.run(worker, async (serv) => {
        serv.task('null');
        serv.task('something');
        await serv.taskAsync('x');
        return serv.stats().taskingNum;
      });
      expect(settled).to.equal(0);
      await server.stop();
    });

    it('take 2048 tasks in their order (task_queue)', async () => {
      const server = await startServer(plan({ quiet: ['task', 'finish'] }));
      const ids = await server.run(await server.worker(0), async (serv) => {
        const ids: number[] = [];
        const all = Array.from({ length: 2048 }, (_, i) => {
          const data = { i, text: 'x'.repeat(2000 + i) };
          return new Promise<void>((resolve) => {
            serv.task(data, -1, (_serv, _id, result) => {
              ids.push((result as typeof data).i);
              resolve();
            });
          });
        });
        await Promise.all(all);
        return ids;
      });
      expect(ids).to.deep.equal(ids.map((_, i) => i));
      expect(ids.length).to.equal(2048);
      await server.stop();
    });

    it('take tasks only up to what may wait for them', async () => {
      const server = await startServer(plan());
      const worker = await server.worker(0);
      const codes = await server.run(worker, async (serv) => {
        const results: Promise<unknown>[] = [serv.taskAsync('long')];
        let code = '';
        while (code === '' && results.length < 50) {
          const result = serv.taskAsync(Buffer.alloc(8 * 1024 * 1024));
          results.push(result.catch((error: { code: string }) => (code = error.code)));
          await new Promise(setImmediate);
        }
        await Promise.all(results);
        return [code, results.length];
      });
      expect(codes[0]).to.equal('ERR_TASK_QUEUE_FULL');
      expect(codes[1]).to.be.within(8, 30);
      await server.stop();
    });

    it('are known as idle or busy, and their tasks as running (idle_worekr_num)', async () => {
      const server = await startServer(plan({ settings: { workerNum: 1, taskWorkerNum: 3 } }));
      const worker = await server.worker(0);
      for (let id = 1; id <= 3; id++) await server.worker(id);
      const busy = await server.run(worker, async (serv) => {
        await serv.taskCo([1, 2, 3], 5000);
        const before = serv.stats();
        const sleeping = [0, 1].map((dst) => serv.taskAsync('sleep', { dst }));
        while (serv.stats().taskIdleWorkerNum > 1) await new Promise(setImmediate);
        const during = serv.stats();
        await Promise.all(sleeping);
        const after = serv.stats();
        return [before, during, after].map(({ taskIdleWorkerNum, taskingNum, taskCount }) => [
          ...[taskIdleWorkerNum, taskingNum, taskCount],
        ]);
      });
      expect(busy).to.deep.equal([
        [3, 0, 3],
        [1, 2, 5],
        [3, 0, 5],
      ]);
      await server.stop();
    });

    it('count right after a kill (#425, #657)', async () => {
      const server = await startServer(plan({ quiet: [] }));
      const [worker, taskWorker] = [await server.worker(0), await server.worker(1)];
      const sleeping = server.run(worker, (serv) =>
        serv.taskAsync('until killed').catch((error: { code: string }) => error.code),
      );
      await server.noted('task');
      process.kill(taskWorker, 'SIGKILL');
      expect(await sleeping).to.equal('ERR_WORKER_DIED');
      await server.worker(1, 2);
      const numbers = await server.run(worker, async (serv) => {
        const after = await serv.taskAsync('after');
        const { taskingNum, taskIdleWorkerNum } = serv.stats();
        return [after, taskingNum, taskIdleWorkerNum];
      });
      expect(numbers).to.deep.equal(['after', 0, 1]);
      await server.stop();
    });

    it('have timers and promises of their own (timer)', async () => {
      const server = await startServer(
        plan({
          on: {
            task: (server) =>
              new Promise((resolve) => {
                server.finish('at once');
                setTimeout(() => server.finish('first'), 10);
                setTimeout(() => {
                  server.finish('second');
                  resolve('last');
                }, 20);
              }),
          },
        }),
      );
      const id = await server.run(await server.worker(0), (serv) => serv.task('x'));
      await server.noted('finish', 4);
      const results = ['at once', 'first', 'second', 'last'].map((what) => ['finish', id, what]);
      expect(server.log('finish')).to.deep.equal(results);
      await server.stop();
    });

    it('hear messages between tasks', async () => {
      const server = await startServer(plan({ on: { pipeMessage: null } }));
      const worker = await server.worker(0);
      await server.worker(1);
      await server.run(worker, async (serv) => {
        const running = serv.taskAsync('sleep');
        serv.sendMessage({ hello: 1 }, 1);
        await running;
      });
      const [message] = await server.noted('pipeMessage');
      expect(message?.args).to.deep.equal([0, { hello: 1 }]);
      await server.stop();
    });

    it('are replaced one by one by a reload of task workers only (reload_2)', async () => {
      const server = await startServer(plan({ settings: { workerNum: 1, taskWorkerNum: 2 } }));
      const worker = await server.worker(0);
      for (let id = 1; id <= 2; id++) await server.worker(id);
      const result = server.run(worker, (serv) => serv.taskAsync('sleep', { dst: 0 }));
      server.signal('SIGUSR2');
      for (let id = 1; id <= 2; id++) await server.worker(id, 2);
      expect(await result).to.equal('sleep');
      expect(await server.worker(0)).to.equal(worker);
      await server.stop();
    });
  });
}

describe('a task of the master when the manager is killed', () => {
  assertNothingLeaks();
  endServersAfterEach();

  for (const taskIpcMode of [1, 2, 3, 4] as const) {
    it(`is lost when it was in hand, and done when not: taskIpcMode ${taskIpcMode}`, async () => {
      const settings = { workerNum: 1, taskWorkerNum: 1, taskIpcMode };
      const server = await startServer({ mode: 'process', settings, on });
      await server.worker(0);
      const tasks = server.run(server.masterPid, (serv) => {
        const lost = serv.taskAsync('until killed').catch((error: { code: string }) => error.code);
        return Promise.all([lost, serv.taskAsync('queued')]);
      });
      await server.noted('task');
      process.kill(await server.manager(), 'SIGKILL');
      expect(await tasks).to.deep.equal(['ERR_WORKER_DIED', 'queued']);
      const left = await server.run(server.masterPid, (serv) => serv.stats().taskingNum);
      expect(left).to.equal(0);
      await server.worker(0, 2);
      server.signal('SIGTERM');
      await server.endsWell(/PREFORK_MANAGER_DIED/);
    });
  }
});
