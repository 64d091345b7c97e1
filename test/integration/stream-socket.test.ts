import { once } from 'node:events';
import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import {
  Client,
  frame,
  lengthOf,
  request,
  textOf,
  type Target,
} from '../fixtures/stream-socket/client';
import {
  startFixture,
  type FixtureOptions,
  type FixtureResult,
  type RunningFixture,
} from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

interface Settings {
  kind?: 'tcp' | 'unix';
  workers?: number;
  concurrency?: number;
  maxPackageSize?: number;
  frameTimeout?: number;
}

interface Pool {
  target: Target;
  pids: number[];
  fixture: RunningFixture;
  /** SIGTERM to all workers; their exit codes, or signals. */
  end: () => Promise<{ ends: number[]; unlinked: boolean; result: FixtureResult }>;
}

async function start(
  { kind = 'tcp', workers = 4, ...settings }: Settings = {},
  options: FixtureOptions = {},
): Promise<Pool> {
  const fixture = startFixture('stream-socket/workers.js', {
    args: [kind, String(workers), JSON.stringify(settings)],
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
  const [first] = (await fixture.prints('\n')).split('\n');
  const end = async (): ReturnType<Pool['end']> => {
    fixture.process.stdin?.end();
    const result = await fixture.ended;
    expect({ code: result.code, stderr: result.stderr }).to.deep.equal({ code: 0, stderr: '' });
    const last = result.stdout.trimEnd().split('\n').at(-1) as string;
    return { ...JSON.parse(last), result };
  };
  return { ...JSON.parse(first as string), fixture, end };
}

const allWell = (workers: number): number[] => Array<number>(workers).fill(0);

/** Sends the requests until each worker has answered one. */
async function pidsThatAnswer(target: Target, count: number): Promise<Set<string>> {
  const pids = new Set<string>();
  const end = Date.now() + 10_000;
  while (pids.size < count && Date.now() < end) {
    const requests = Array.from({ length: 4 * count }, () => textOf(request(target, 'sleep 5')));
    for (const pid of await Promise.all(requests)) pids.add(pid);
  }
  return pids;
}

describe('stream socket', () => {
  assertNothingLeaks();

  for (const kind of ['tcp', 'unix'] as const) {
    describe(kind, () => {
      let pool: Pool;
      before(async () => {
        pool = await start({ kind, concurrency: 2, maxPackageSize: 4 << 20 });
      });
      after(async () => {
        const { ends, unlinked, result } = await pool.end();
        expect(ends).to.deep.equal(allWell(4));
        expect(unlinked).to.equal(kind === 'unix');
        expect(result.leftFiles).to.deep.equal([]);
      });

      for (const bytes of [1, 65536, 2 << 20]) {
        it(`carries ${String(bytes)} bytes there and back`, async () => {
          const body = Buffer.alloc(bytes, 'abcdefghijk');
          const { body: reply, error } = await request(pool.target, body);
          expect(error).to.equal(null);
          expect(reply?.equals(body)).to.equal(true);
        });
      }

      it('joins several pieces into one reply', async () => {
        const reply = await textOf(request(pool.target, 'pieces'));
        expect(reply).to.equal('several write pieces');
      });

      it('closes without a reply when nothing was written', async () => {
        expect(await request(pool.target, 'nothing')).to.deep.equal({ body: null, error: null });
      });

      it('every worker serves', async () => {
        const pids = await pidsThatAnswer(pool.target, 4);
        expect([...pids].map(Number).sort()).to.deep.equal([...pool.pids].sort());
      });

      it('answers 200 clients at once, within the concurrency of each worker', async () => {
        const body = (i: number): Buffer => Buffer.alloc(1 + i * 500, `client ${String(i)} `);
        const answers = await Promise.all(
          Array.from({ length: 200 }, async (_, i) => {
            const { body: reply, error } = await request(pool.target, body(i));
            return error ?? (reply?.equals(body(i)) === true ? 'same' : 'different');
          }),
        );
        expect(answers).to.deep.equal(Array(200).fill('same'));
        for (let i = 0; i < 20; i++) {
          const seen = JSON.parse(await textOf(request(pool.target, 'seen')));
          expect(seen.most).to.be.within(1, 2);
          expect(seen.taken - seen.done).to.be.within(1, 2);
        }
      });

      it('bad clients lose their own connection only', async () => {
        const bad = [lengthOf(0), lengthOf((4 << 20) + 1), frame('cut').subarray(0, 6)].map(
          (bytes) => {
            const client = new Client(pool.target);
            client.socket.end(bytes);
            return client.answer;
          },
        );
        const good = Array.from({ length: 20 }, (_, i) =>
          textOf(request(pool.target, `good ${String(i)}`)),
        );
        for (const { body } of await Promise.all(bad)) expect(body).to.equal(null);
        expect(await Promise.all(good)).to.deep.equal(
          Array.from({ length: 20 }, (_, i) => `good ${String(i)}`),
        );
      });

      it('a handler that throws costs its client the connection, and nobody else anything', async () => {
        expect((await request(pool.target, 'fail')).body).to.equal(null);
        await pool.fixture.prints('error: asked to fail');
        expect((await pidsThatAnswer(pool.target, 4)).size).to.equal(4);
      });
    });
  }

  it('connections go to the idle worker while the other one is busy', async () => {
    const pool = await start({ workers: 2 });
    const busy = request(pool.target, 'block 500');
    const [, pid] = /blocking (\d+)/.exec(await pool.fixture.prints(/blocking \d+\n/)) ?? [];
    const pids = await Promise.all(
      Array.from({ length: 20 }, () => textOf(request(pool.target, 'pid'))),
    );
    expect(pids).to.deep.equal(
      Array(20).fill(String(pool.pids.find((other) => String(other) !== pid))),
    );
    expect(await textOf(busy)).to.equal(pid);
    await pool.end();
  });

  it('slow clients, more than there are workers, do not block the others', async () => {
    const pool = await start({ workers: 2, frameTimeout: 60_000 });
    const slow = Array.from({ length: 6 }, () => new Client(pool.target));
    await Promise.all(slow.map(({ socket }) => once(socket, 'connect')));
    for (const { socket } of slow) socket.write(frame('slow').subarray(0, 5));
    expect(await textOf(request(pool.target, 'quick'))).to.equal('quick');
    for (const { socket } of slow) socket.write(frame('slow').subarray(5));
    const answers = await Promise.all(slow.map(({ answer }) => textOf(answer)));
    expect(answers).to.deep.equal(Array(6).fill('slow'));
    await pool.end();
  });

  it('a worker that is killed closes its clients; the others go on with the backlog', async () => {
    const pool = await start({ workers: 2 });
    const lost = request(pool.target, 'block 60000');
    const [, pid] = /blocking (\d+)/.exec(await pool.fixture.prints(/blocking \d+\n/)) ?? [];
    const others = Array.from({ length: 10 }, () => textOf(request(pool.target, 'sleep 5')));
    process.kill(Number(pid), 'SIGKILL');
    expect((await lost).body).to.equal(null);
    const other = pool.pids.filter((each) => each !== Number(pid)).map(String);
    expect(new Set(await Promise.all(others))).to.deep.equal(new Set(other));
    expect((await pool.end()).ends.sort()).to.deep.equal([0, 9]);
  });

  it('SIGTERM drains: what was taken is answered, the sibling gets what comes', async () => {
    const pool = await start({ workers: 2, concurrency: 4 });
    const answers = Array.from({ length: 40 }, () => textOf(request(pool.target, 'sleep 50')));
    await Promise.race(answers);
    process.kill(pool.pids[0] as number, 'SIGTERM');
    for (let i = 0; i < 20; i++) answers.push(textOf(request(pool.target, 'sleep 5')));
    for (const pid of await Promise.all(answers)) expect(pool.pids.map(String)).to.include(pid);
    await pool.fixture.prints(`drained ${String(pool.pids[0])} 0`);
    const { ends, result } = await pool.end();
    expect(ends).to.deep.equal(allWell(2));
    expect(result.stdout).to.include(`drained ${String(pool.pids[1])} 0`);
  });

  it('a closed connection is seen by the client also when a child of the worker has the fd', async () => {
    const pool = await start({ workers: 1 });
    expect((await request(pool.target, 'failWithChild')).body).to.equal(null);
    expect(await textOf(request(pool.target, 'endChild'))).to.equal('0');
    await pool.end();
  });

  it('EMFILE: the worker does not spin, and serves the client when it has fds again', async () => {
    const options = { wrapper: ['prlimit', '--nofile=64:64'] };
    const pool = await start({ workers: 1, concurrency: 2 }, options);
    const exhausting = textOf(request(pool.target, 'exhaust'));
    await pool.fixture.prints('exhausted');
    const waiting = textOf(request(pool.target, 'hello'));
    const { cpuMs, acceptErrors } = JSON.parse(await exhausting);
    expect(cpuMs).to.be.below(100);
    expect(acceptErrors).to.equal(1);
    expect(await waiting).to.equal('hello');
    await pool.end();
  });

  it('of several processes that want the path of a stale file one gets it', async () => {
    const rounds = (await resultOf('stream-socket/stale-file.js', [])) as string[][];
    for (const results of rounds) {
      expect(results).to.deep.equal(['EADDRINUSE', 'EADDRINUSE', 'EADDRINUSE', 'got it']);
    }
  });
});
