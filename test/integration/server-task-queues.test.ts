/** taskIpcMode 2 to 4 towards other programs: foreign packets, queues that last, what is left behind. */
import { expect } from 'chai';
import { readdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { packTask } from '../../lib/server/task/task-pack';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks, eventually } from '../support/leaks';
import {
  endServersAfterEach,
  startServer,
  type RunningServer,
  type ServerPlan,
} from '../support/server';
import { TcpClient } from '../support/tcp-client';

/** Of this test run alone. */
let keys = 0;
const nextKey = (): number => 0x30000000 + process.pid * 16 + (keys++ % 16);

const on = {
  receive: null,
  task: (_server, _id, _source, data) => {
    if (data === 'sleep') return new Promise((resolve) => setTimeout(resolve, 60_000));
    return data;
  },
  finish: null,
} satisfies ServerPlan['on'];

function plan(settings: ServerPlan['settings'], more: ServerPlan = {}): ServerPlan {
  return { on, ...more, settings: { workerNum: 1, taskWorkerNum: 1, ...settings } };
}

/** Another program pushes packets into the queue of the first task worker, or removes that. */
async function program(key: number, mode: number, what: 'push' | 'free', packets: Buffer[] = []) {
  const texts = packets.map((packet) => packet.toString('base64'));
  const { code, stderr } = await runFixture('server-task/producer.js', {
    args: [String(key), String(mode), what, ...texts],
  });
  expect(code, stderr).to.equal(0);
}

/** What the task workers were given. */
const tasks = (server: RunningServer): unknown[] => server.notes('task').map(({ args }) => args[2]);

for (const [taskIpcMode, queueMode] of [
  [2, 1],
  [3, 2],
] as const) {
  describe(`task queues: taskIpcMode ${taskIpcMode}`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it('take tasks of other programs (task_pack)', async () => {
      const messageQueueKey = nextKey();
      const server = await startServer(plan({ taskIpcMode, messageQueueKey }));
      const taskTmpdir = server.fixture.temporary;
      const large = 'x'.repeat(32_768);
      const packets = [['an', 'array'], large, 'text'].map((data) =>
        packTask(data, { messageQueueKey, taskTmpdir }),
      );
      await program(messageQueueKey, queueMode, 'push', packets);
      await server.noted('task', 3);
      expect(server.log('task')).to.deep.equal([
        ['task', 0, -1, ['an', 'array']],
        ['task', 0, -1, large],
        ['task', 0, -1, 'text'],
      ]);
      expect(server.notes('finish')).to.deep.equal([]);
      await program(messageQueueKey, queueMode, 'free');
      await server.stop();
    });

    it('drop what is no task, with a warning (invalid_packet)', async () => {
      const messageQueueKey = nextKey();
      const server = await startServer(plan({ taskIpcMode, messageQueueKey }));
      const good = packTask('good');
      const files = Buffer.from(good);
      files[2] = 0x90;
      const bad = [Buffer.from('garbage'), good.subarray(0, 8), Buffer.alloc(64), files];
      await program(messageQueueKey, queueMode, 'push', [...bad, good]);
      await server.noted('task');
      const waited = await server.run(await server.worker(0), (serv) => serv.taskwait('own', 5000));
      expect(waited).to.equal('own');
      expect(tasks(server)).to.deep.equal(['good', 'own']);
      expect(server.stderr.match(/bad task packet/g)?.length).to.equal(bad.length);
      await program(messageQueueKey, queueMode, 'free');
      server.signal('SIGTERM');
      await server.endsWell(/bad task packet/);
    });

    it('with a key outlive the server, with what is in them', async () => {
      const messageQueueKey = nextKey();
      const first = await startServer(plan({ taskIpcMode, messageQueueKey, maxWaitTime: 500 }));
      await first.run(await first.worker(0), (serv) => {
        for (const data of ['sleep', 'a', Buffer.alloc(20_000, 'x').toString(), 'b'])
          serv.task(data);
      });
      await first.noted('task');
      await first.kill();
      const second = await startServer(plan({ taskIpcMode, messageQueueKey }));
      await second.until(() => tasks(second).includes('b'));
      // The file of the large one was in the folder that has gone with the first server.
      expect(tasks(second)).to.deep.equal(['a', 'b']);
      const own = await second.run(await second.worker(0), (serv) => serv.taskwait('own', 5000));
      expect(own).to.equal('own');
      expect(second.notes('finish'), 'answers to the first run').to.deep.equal([]);
      await program(messageQueueKey, queueMode, 'free');
      second.signal('SIGTERM');
      await second.endsWell(/bad task packet/);
    });

    it('are as good as endless for who submits', async () => {
      const server = await startServer(plan({ taskIpcMode }, { quiet: ['task', 'finish'] }));
      const [inOrder, waited] = await server.run(await server.worker(0), async (serv) => {
        const results: number[] = [];
        let done = (): void => undefined;
        const all = new Promise<void>((resolve) => (done = resolve));
        for (let i = 0; i < 1000; i++) {
          const data = i % 100 === 0 ? { i, text: 'x'.repeat(10_000) } : { i };
          serv.task(data, -1, (_serv, _id, result) => {
            if (results.push((result as typeof data).i) === 1000) done();
          });
        }
        const waited = serv.taskwait('behind all of them', 10_000);
        await all;
        return [results.every((i, at) => i === at), waited];
      });
      expect([inOrder, waited]).to.deep.equal([true, 'behind all of them']);
      await server.stop();
    });

    it('leave no file behind, not even those of a server that was killed', async () => {
      const server = await startServer(
        plan(
          { taskIpcMode, maxWaitTime: 500 },
          {
            before: () => {
              fs.writeFileSync(`${String(process.env['TMPDIR'])}/prefork.task.0.7fffffff.1-0`, 'x');
            },
          },
        ),
      );
      await server.run(await server.worker(0), (serv) => {
        for (const data of ['sleep', 'x'.repeat(20_000)]) serv.task(data);
      });
      await server.noted('task');
      const own = new RegExp(`^prefork\\.task\\.0\\.${server.masterPid.toString(16)}\\.`);
      const names = readdirSync(server.fixture.temporary).filter((name) => /task/.test(name));
      expect(names.length).to.equal(1);
      expect(names[0]).to.match(own);
      server.signal('SIGTERM');
      const { leftFiles } = await server.end();
      expect(leftFiles).to.deep.equal([]);
    });

    it('say what is wrong with taskTmpdir', async () => {
      const taskTmpdir = '/nowhere/at/all';
      const server = await startServer(plan({ taskIpcMode, taskTmpdir })).then(
        () => null,
        (error: Error) => error,
      );
      expect(String(server)).to.include('taskTmpdir');
    });
  });
}

describe('task socket: taskIpcMode 4', () => {
  assertNothingLeaks();
  endServersAfterEach();

  const socketOf = (server: RunningServer): string =>
    join(server.fixture.temporary, `prefork.task.${server.masterPid}.sock`);

  /** Sends bytes and waits until the server has closed the connection. */
  async function closedAfter(path: string, bytes: Buffer): Promise<void> {
    const client = await TcpClient.open({ path });
    client.write(bytes);
    await client.ended;
    client.destroy();
  }

  const frame = (body: Buffer, length = body.length): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(length);
    return Buffer.concat([header, body]);
  };

  it('is for its user alone, and gone at the end', async () => {
    const server = await startServer(plan({ taskIpcMode: 4 }));
    const stats = statSync(socketOf(server));
    expect([stats.isSocket(), stats.mode & 0o777]).to.deep.equal([true, 0o600]);
    await server.stop();
  });

  it('is removed by the next server when its own was killed; those that live stay', async () => {
    const server = await startServer(
      plan(
        { taskIpcMode: 4 },
        {
          before: () => {
            const { createServer } = process.getBuiltinModule('net');
            const { spawnSync } = process.getBuiltinModule('child_process');
            const pathOf = (pid: string): string =>
              `${String(process.env['TMPDIR'])}/prefork.task.${pid}.sock`;
            const killed = `require('net').createServer().listen('${pathOf('2147483646')}', () => process.kill(process.pid, 9))`;
            note('left', spawnSync(process.execPath, ['-e', killed]).signal);
            // As that of a container, whose processes are not seen here.
            const other = createServer().listen(pathOf('2147483645')).unref();
            process.on('exit', () => other.close());
          },
        },
      ),
    );
    expect(server.log('left')).to.deep.equal([['left', 'SIGKILL']]);
    const names = readdirSync(server.fixture.temporary).filter((name) => name.endsWith('.sock'));
    expect(names.sort()).to.deep.equal(
      ['2147483645', `${server.masterPid}`].map((pid) => `prefork.task.${pid}.sock`).sort(),
    );
    await server.stop();
  });

  it('closes connections with garbage, and goes on', async () => {
    const server = await startServer(plan({ taskIpcMode: 4 }));
    const path = socketOf(server);
    for (const bytes of [
      frame(Buffer.alloc(0)),
      frame(Buffer.from('x'), 0xffffffff),
      frame(Buffer.from('garbage')),
      frame(Buffer.alloc(100)),
      frame(packTask('x').fill(0x90, 2, 3)),
    ]) {
      await closedAfter(path, bytes);
    }
    const half = connect(path, () => half.end(frame(Buffer.from('half'), 100)));
    const waited = await server.run(await server.worker(0), (serv) => serv.taskwait('own', 5000));
    expect(waited).to.equal('own');
    expect(tasks(server)).to.deep.equal(['own']);
    await eventually(() => {
      expect(server.stderr.match(/bad task packet/g)?.length).to.equal(5);
    });
    server.signal('SIGTERM');
    await server.endsWell(/bad task packet/);
  });

  it('takes tasks of other programs', async () => {
    const server = await startServer(plan({ taskIpcMode: 4 }));
    await closedAfter(socketOf(server), frame(packTask(['from', 'outside'])));
    expect(server.log('task')).to.deep.equal([['task', 0, -1, ['from', 'outside']]]);
    await server.stop();
  });

  it('is not stopped by clients that say nothing', async () => {
    const server = await startServer(plan({ taskIpcMode: 4, maxWaitTime: 500 }));
    const silent = await Promise.all(
      Array.from({ length: 20 }, () => TcpClient.open({ path: socketOf(server) })),
    );
    const waited = await server.run(await server.worker(0), (serv) => serv.taskwait('own', 5000));
    expect(waited).to.equal('own');
    for (const client of silent) client.destroy();
    await server.stop();
  });

  it('has more tasks waiting than connections', async () => {
    const server = await startServer(plan({ taskIpcMode: 4 }, { quiet: ['task', 'finish'] }));
    const sum = await server.run(await server.worker(0), async (serv) => {
      const numbers = Array.from({ length: 1000 }, (_, i) => i);
      const results = await Promise.all(numbers.map((i) => serv.taskAsync(i)));
      return (results as number[]).reduce((total, i) => total + i, 0);
    });
    expect(sum).to.equal(499_500);
    await server.stop();
  });
});
