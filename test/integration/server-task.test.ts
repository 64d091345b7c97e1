/** Tasks: what is the same in every taskIpcMode. Names in brackets are those of Swoole's own tests. */
import { expect } from 'chai';
import type { TaskIpcMode } from '../../lib/server/settings';
import { assertNothingLeaks } from '../support/leaks';
import {
  endServersAfterEach,
  MODES,
  startServer,
  type RunningServer,
  type ServerPlan,
} from '../support/server';

const IPC_MODES: readonly TaskIpcMode[] = [1, 2, 3, 4];

/** Its tasks are `[what, …]`, or anything else to be sent back. */
const on = {
  receive: (server, fd, _, data) => {
    server.task(data.toString(), -1, (_server, _id, result) => server.send(fd, String(result)));
  },
  task: (server, id, source, data) => {
    const [what, ...args] = Array.isArray(data) ? (data as unknown[]) : ['echo'];
    switch (what) {
      case 'sleep':
        return new Promise((resolve) => setTimeout(resolve, args[0] as number, args[1]));
      case 'block':
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, args[0] as number);
        return args[1];
      case 'throw':
        throw Object.assign(new TypeError('of the handler'), { code: 'E_OWN' });
      case 'unclonable':
        return () => 0;
      case 'finish':
        for (const result of args) server.finish(result);
        return undefined;
      case 'die':
        process.kill(process.pid, 'SIGKILL');
        return undefined;
      case 'exit':
        process.exit(args[0] as number);
      // eslint-disable-next-line no-fallthrough -- never comes here
      case 'who':
        return [server.workerId, id, source, server.taskworker];
      case 'submit':
        return server.task('x');
      case 'nothing':
        return undefined;
      default:
        return typeof data === 'string' ? `${data} -> OK` : data;
    }
  },
  finish: null,
  pipeMessage: null,
} satisfies ServerPlan['on'];

const quiet = ['task', 'receive'] satisfies ServerPlan['quiet'];

function plan(taskIpcMode: TaskIpcMode, more: ServerPlan = {}): ServerPlan {
  const settings = { workerNum: 2, taskWorkerNum: 2, taskIpcMode, ...more.settings };
  return { quiet, ...more, settings, on: { ...on, ...more.on } };
}

/** With the pid of event worker 0. */
async function start(
  taskIpcMode: TaskIpcMode,
  more: ServerPlan = {},
): Promise<[RunningServer, number]> {
  const server = await startServer(plan(taskIpcMode, more));
  return [server, await server.worker(0)];
}

for (const mode of MODES) {
  for (const ipc of IPC_MODES) {
    describe(`tasks: ${mode} mode, taskIpcMode ${ipc}`, () => {
      assertNothingLeaks();
      endServersAfterEach();

      it('a client gets the result of its task (task/base, task_ipc_mode_2, _3)', async () => {
        const server = await startServer(plan(ipc, { mode }));
        const client = await server.connect();
        client.write('Async');
        expect(String(await client.read('Async -> OK'.length))).to.equal('Async -> OK');
        await server.stop();
      });

      it('taskwait returns what the handler gives (taskwait_01, task_wait)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const results = await server.run(worker, (serv) => [
          serv.taskwait([1, 'two', { three: [3] }]),
          serv.taskwait('text'),
          serv.taskwait(['finish', 'first', 'second']),
          serv.taskwait(['sleep', 20, 0]),
          serv.taskwait(['nothing']) === undefined,
        ]);
        const expected = [[1, 'two', { three: [3] }], 'text -> OK', 'first', 0, true];
        expect(results).to.deep.equal(expected);
        await server.stop();
      });

      it('taskwait gives up in time, and the late result reaches nobody (taskwait_01)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const [late, ms, next] = await server.run(worker, (serv) => {
          const begin = performance.now();
          const late = serv.taskwait(['sleep', 500, 'late'], 50);
          const ms = performance.now() - begin;
          return [late === undefined, ms, serv.taskwait(['sleep', 550, 'next'], 5000)] as const;
        });
        expect([late, next]).to.deep.equal([true, 'next']);
        expect(ms).to.be.within(49, 499);
        expect(server.log('finish')).to.deep.equal([]);
        await server.stop();
      });

      it('taskWaitMulti and taskCo return what came in time (taskWaitMulti, task_co)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const [all, some, co] = await server.run(worker, async (serv) => {
          const slow = ['sleep', 700, 'slow'];
          return [
            [...serv.taskWaitMulti(['a', 'b', 'c', 'd'], 5000)].sort(),
            [...serv.taskWaitMulti(['a', slow, 'c'], 350)].sort(),
            await serv.taskCo(['a', ['sleep', 10, 'b']], 5000),
          ];
        });
        const expected = ['a', 'b', 'c', 'd'].map((name, i) => [i, `${name} -> OK`]);
        expect(all).to.deep.equal(expected);
        expect(some).to.deep.equal([expected[0], expected[2]]);
        expect(co).to.deep.equal(['a -> OK', 'b']);
        await server.stop();
      });

      it('results go to the finish event or the callback (task_callback, callback_is_null)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const ids = await server.run(worker, (serv) => [
          serv.task(['finish', 1, 2]),
          serv.task(['echo', 1], -1, null),
          serv.task(['echo', 2], 0, (_, id, data) => {
            note('callback', id, data);
          }),
          serv.task(['nothing']),
        ]);
        await server.noted('finish', 3);
        await server.noted('callback');
        expect(server.log('finish').sort()).to.deep.equal([
          ['finish', ids[0], 1],
          ['finish', ids[0], 2],
          ['finish', ids[1], ['echo', 1]],
        ]);
        expect(server.log('callback')).to.deep.equal([['callback', ids[2], ['echo', 2]]]);
        await server.stop();
      });

      it('is told who has submitted a task, and can be named (dst_worker_id)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const who = await server.run(worker, (serv) => [
          serv.taskwait(['who'], 5000, 0),
          serv.taskwait(['who'], 5000, 1),
        ]);
        for (const [i, [workerId, id, source, isTaskWorker]] of (who as unknown[][]).entries()) {
          if (ipc <= 2) expect(workerId).to.equal(2 + i);
          expect([id, source, isTaskWorker]).to.deep.equal([i, 0, true]);
        }
        const code = await server.codeOf(worker, (serv) => serv.task('x', 2));
        expect(code).to.equal('ERR_OUT_OF_RANGE');
        await server.stop();
      });

      it('payloads of all sizes arrive whole (huge_data)', async () => {
        const [server, worker] = await start(ipc, { mode });
        const equal = await server.run(worker, async (serv) => {
          const sizes = [0, 1, 8151, 8152, 65_519, 65_536, 200_000, 1_048_577, 64 * 1024 * 1024];
          const all: boolean[] = [];
          for (const size of sizes) {
            const data = Buffer.alloc(size, 'pattern');
            const waited = serv.taskwait(data, 10_000) as Buffer;
            const awaited = (await serv.taskAsync(data)) as Buffer;
            all.push(data.equals(waited) && data.equals(awaited));
          }
          return all;
        });
        expect(equal).to.deep.equal(equal.map(() => true));
        await server.stop();
      });

      it('errors reach who waits, and the task worker lives on (return_serialize_exception)', async () => {
        const [server, worker] = await start(ipc, { mode, settings: { taskWorkerNum: 1 } });
        const errors = await server.run(worker, async (serv) => {
          const errors: unknown[] = [];
          const keep = (error: unknown): void => {
            const { code, cause } = error as { code: string; cause: Error & { code?: string } };
            errors.push([code, cause.name, cause.message.split('\n')[0], cause.code]);
          };
          try {
            serv.taskwait(['throw'], 5000);
          } catch (error) {
            keep(error);
          }
          await serv.taskAsync(['unclonable']).catch(keep);
          return [errors, serv.taskwait('still', 5000)];
        });
        expect(errors).to.deep.equal([
          [
            ['ERR_TASK_FAILED', 'TypeError', 'of the handler', 'E_OWN'],
            [
              'ERR_TASK_FAILED',
              'PreforkError',
              '() => 0 could not be cloned.',
              'ERR_INVALID_ARG_TYPE',
            ],
          ],
          'still -> OK',
        ]);
        const starts = server.notes('workerStart').filter(({ args }) => args[0] === 2);
        expect(starts).to.have.length(1);
        await server.stop();
      });

      it('a killed task worker costs the task it had, not those behind it (kill_01, kill_02)', async () => {
        const [server, worker] = await start(ipc, { mode, settings: { taskWorkerNum: 1 } });
        for (let round = 0; round < 3; round++) {
          const results = await server.run(worker, async (serv) => {
            const ask = (task: unknown): Promise<unknown> =>
              serv.taskAsync(task).catch((error: Record<string, unknown>) => {
                const { code, workerId, pid, signal } = error;
                return [code, workerId ?? 2, typeof pid, signal];
              });
            return Promise.all(['a', ['die'], 'b', ['sleep', 5, 'c']].map(ask));
          });
          const lost = ['ERR_WORKER_DIED', 2, 'number', 9];
          expect(results).to.deep.equal(['a -> OK', lost, 'b -> OK', 'c']);
        }
        const waited = await server.codeOf(worker, (serv) => serv.taskwait(['die'], 5000));
        expect(waited).to.equal('ERR_WORKER_DIED');
        const exited = await server.codeOf(worker, (serv) => serv.taskwait(['exit', 3], 5000));
        expect(exited).to.equal('ERR_WORKER_DIED');
        const after = await server.run(worker, (serv) => serv.taskwait('after', 5000));
        expect(after).to.equal('after -> OK');
        await server.stop();
      });

      it('a reload loses no task and no result (#6069, #6139)', async () => {
        const [server, worker] = await start(ipc, { mode });
        await server.run(worker, (serv) => {
          for (let i = 0; i < 20; i++) {
            serv.task(['sleep', 20, i], -1, (_, _id, data) => {
              note('result', data);
            });
          }
        });
        server.signal('SIGUSR1');
        await server.worker(0, 2);
        await server.noted('result', 20);
        const numbers = server.notes('result').map(({ args }) => args[0] as number);
        expect(numbers.sort((a, b) => a - b)).to.deep.equal(numbers.map((_, i) => i));
        await server.stop();
      });

      it('the end of the server waits for what is queued', async () => {
        const [server, worker] = await start(ipc, { mode, settings: { taskWorkerNum: 1 } });
        await server.run(worker, (serv) => {
          for (let i = 0; i < 20; i++) {
            serv.task(['sleep', 10, i], -1, (_, _id, data) => {
              note('result', data);
            });
          }
        });
        await server.stop();
        expect(server.notes('result').length).to.equal(20);
      });

      it('taskMaxRequest replaces workers and loses nothing (task_max_request)', async () => {
        const settings = { taskWorkerNum: 2, taskMaxRequest: 50, taskMaxRequestGrace: 0 };
        const [server, worker] = await start(ipc, { mode, settings });
        const sum = await server.run(worker, async (serv) => {
          const numbers = Array.from({ length: 500 }, (_, i) => i);
          const results = await Promise.all(numbers.map((i) => serv.taskAsync(i)));
          return (results as number[]).reduce((total, i) => total + i, 0);
        });
        expect(sum).to.equal((499 * 500) / 2);
        await server.until(() => server.notes('workerStart').length >= 2 + 2 + 8, 'more starts');
        await server.stop();
      });
    });
  }
}
