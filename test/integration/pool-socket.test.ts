import { expect } from 'chai';
import { resultOf } from '../fixtures/process/result';
import {
  Client,
  connected,
  frame,
  lengthOf,
  request,
  textOf,
  type Answer,
  type Target,
} from '../fixtures/stream-socket/client';
import { lines, startFixture, type FixtureResult, type RunningFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

type Where = 'tcp' | 'unix';

/** A pool that serves in a process of its own. */
class Served {
  static async start(where: Where, workers = 1, options: object = {}): Promise<Served> {
    const args = [where, String(workers), JSON.stringify(options)];
    const fixture = startFixture('pool/socket.js', { args });
    const text = await fixture.prints(/^serving \S+ .*$/m);
    const address = /^serving (\S+)/m.exec(text)?.[1] as string;
    const target = where === 'tcp' ? { port: Number(address) } : { path: address };
    return new Served(fixture, target, text);
  }

  private constructor(
    readonly fixture: RunningFixture,
    readonly target: Target,
    readonly greeting: string,
  ) {}

  ask(body: string | Buffer): Promise<Answer> {
    return request(this.target, body);
  }

  text(body: string): Promise<string> {
    return textOf(this.ask(body));
  }

  /** Ends the pool. It must end well and leave nothing. */
  async stop(): Promise<FixtureResult> {
    this.fixture.process.kill('SIGTERM');
    const result = await this.fixture.ended;
    expect(result.code, result.stderr).to.equal(0);
    expect(lines(result.stdout).at(-1)).to.equal('left 0  false');
    expect(result.leftFiles).to.deep.equal([]);
    return result;
  }
}

/** Lines of a kind that a pool has printed. */
const told = ({ stdout }: FixtureResult, kind: string): string[] =>
  lines(stdout).filter((line) => line.startsWith(`${kind} `));

describe('pool: requests over a socket (IPC_SOCKET)', () => {
  assertNothingLeaks();

  for (const where of ['tcp', 'unix'] as const) {
    it(`three write() calls are one reply frame, over ${where} (message)`, async () => {
      const pool = await Served.start(where);
      expect(await pool.text('joined')).to.equal('one two three');
      expect(await pool.text('later')).to.equal('begun ended');
      expect(await pool.text('reused')).to.equal('first');
      expect((await pool.ask('nothing')).body).to.equal(null);
      expect((await pool.stop()).stderr).to.equal('');
    });
  }

  it('write() after the callback has ended is refused: the reply is sent', async () => {
    const pool = await Served.start('tcp');
    expect(await pool.text('late')).to.equal('in time');
    await pool.fixture.prints(/^late ERR_POOL_NO_REQUEST$/m);
    await pool.stop();
  });

  it('the file of a unix socket is mode 0600 while it serves, and gone afterwards', async () => {
    const pool = await Served.start('unix');
    expect(pool.greeting).to.match(/^serving \S+ 600$/m);
    await pool.stop();
  });

  it('requests and replies of 1 byte to 2 MiB arrive whole', async () => {
    const pool = await Served.start('tcp', 2);
    for (const size of [1, 65_536, 1_000_000, 2 * 1024 * 1024 - 5]) {
      const body = Buffer.alloc(size, 'y');
      const answer = await pool.ask(Buffer.concat([Buffer.from('echo '), body]));
      expect(answer.body?.equals(body), String(size)).to.equal(true);
    }
    expect((await pool.ask('large 5000000')).body).to.have.length(5_000_000);
    await pool.stop();
  });

  it('many clients at once are all answered, by all workers', async () => {
    const pool = await Served.start('tcp', 3);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        pool.text(i % 2 === 0 ? `echo ${String(i)}` : 'slow 1'),
      ),
    );
    answers.forEach((text, i) => expect(text).to.equal(i % 2 === 0 ? String(i) : '1 at once'));
    await pool.stop();
  });

  it('concurrency bounds the async handlers that run at once', async () => {
    const pool = await Served.start('tcp', 1, { concurrency: 3 });
    const answers = await Promise.all(Array.from({ length: 9 }, () => pool.text('slow 30')));
    const most = answers.map((text) => Number.parseInt(text));
    expect(Math.max(...most)).to.equal(3);
    await pool.stop();
  });

  it('write() outside a request is ERR_POOL_NO_REQUEST, and of nothing ERR_EMPTY_DATA', async () => {
    const pool = await Served.start('tcp');
    expect(await pool.text('empty')).to.equal('ERR_EMPTY_DATA');
    await pool.fixture.prints('timer ');
    expect(told(await pool.stop(), 'timer')).to.deep.equal(['timer ERR_POOL_NO_REQUEST']);
  });

  it('a request that runs when the pool is shut down is answered', async () => {
    const pool = await Served.start('tcp', 2, { concurrency: 2 });
    const answers = [pool.text('slow 100'), pool.text('slow 100')];
    await pool.fixture.prints(/slow\n[^]*slow\n/);
    await pool.stop();
    for (const text of await Promise.all(answers)) expect(text).to.match(/at once$/);
  });

  it('a reload under load: every request is answered', async () => {
    const pool = await Served.start('tcp', 2);
    const seen = new Set<string>();
    for (let i = 0; seen.size < 6; i++) {
      if (i % 25 === 0) pool.fixture.process.kill('SIGUSR1');
      seen.add(await pool.text('pid'));
    }
    expect(told(await pool.stop(), 'error')).to.deep.equal([]);
  });

  it('maxRequest: a worker answers so many, then another one does', async () => {
    const pool = await Served.start('tcp', 1, { maxRequest: 5 });
    const pids: string[] = [];
    for (let i = 0; i < 20; i++) pids.push(await pool.text('pid'));
    const counts = [...new Set(pids)].map((pid) => pids.filter((other) => other === pid).length);
    expect(counts).to.deep.equal([5, 5, 5, 5]);
    expect(told(await pool.stop(), 'error')).to.deep.equal([]);
  });

  it('maxRequest: workers make room without a lost request', async () => {
    const pool = await Served.start('tcp', 2, { maxRequest: 5 });
    const pids = await Promise.all(Array.from({ length: 40 }, () => pool.text('pid')));
    expect(new Set(pids).size).to.be.greaterThan(2);
    expect(told(await pool.stop(), 'error')).to.deep.equal([]);
  });
});

describe('pool: clients that misbehave', () => {
  assertNothingLeaks();

  const OPTIONS = { maxPackageSize: 1000, frameTimeout: 1000 };

  const cases: Record<string, (target: Target) => Promise<Client>> = {
    'says length 0': async (target) => {
      const client = await connected(target);
      await client.write(lengthOf(0));
      return client;
    },
    'says more than maxPackageSize': async (target) => {
      const client = await connected(target);
      await client.write(lengthOf(1001));
      return client;
    },
    'says 4 GiB': async (target) => {
      const client = await connected(target);
      await client.write(lengthOf(0xffffffff));
      return client;
    },
    'ends in the middle of the length': async (target) => {
      const client = await connected(target);
      client.socket.end(lengthOf(5).subarray(0, 3));
      return client;
    },
    'ends in the middle of the body (6168)': async (target) => {
      const client = await connected(target);
      client.socket.end(frame('echo abc').subarray(0, 9));
      return client;
    },
    'sends slowly': async (target) => {
      const client = await connected(target);
      await client.write(frame('echo abc').subarray(0, 9));
      return client;
    },
    'sends nothing': (target) => connected(target),
  };

  for (const where of ['tcp', 'unix'] as const) {
    for (const [what, misbehave] of Object.entries(cases)) {
      it(`one that ${what}: its connection is closed, the worker goes on (${where})`, async () => {
        const pool = await Served.start(where, 1, OPTIONS);
        const before = await pool.text('pid');
        const bad = await misbehave(pool.target);
        expect(await pool.text('pid'), 'served beside it').to.equal(before);
        expect((await bad.answer).body).to.equal(null);
        expect(await pool.text('pid'), 'served after it').to.equal(before);
        const result = await pool.stop();
        expect(told(result, 'error')).to.deep.equal([]);
      });
    }
  }

  it('one that is reset in the middle of its frame harms nobody', async () => {
    const pool = await Served.start('tcp', 1, OPTIONS);
    const before = await pool.text('pid');
    const bad = await connected(pool.target);
    await bad.write(frame('echo abc').subarray(0, 6));
    bad.socket.resetAndDestroy();
    expect(await pool.text('pid')).to.equal(before);
    await pool.stop();
  });

  it('one that goes without its reply harms nobody', async () => {
    const pool = await Served.start('tcp', 1, OPTIONS);
    const before = await pool.text('pid');
    const bad = await connected(pool.target);
    await bad.write(frame('slow 30'));
    await pool.fixture.prints('slow\n');
    bad.socket.resetAndDestroy();
    expect(await pool.text('pid')).to.equal(before);
    await pool.stop();
  });

  it('a frame of exactly maxPackageSize passes', async () => {
    const pool = await Served.start('tcp', 1, OPTIONS);
    const body = 'y'.repeat(1000 - 'echo '.length);
    expect(await pool.text(`echo ${body}`)).to.equal(body);
    await pool.stop();
  });
});

describe('pool: handlers of requests that fail', () => {
  assertNothingLeaks();

  for (const [word, code] of [
    ['throws', 1],
    ['rejects', 1],
    ['exits', 5],
  ] as const) {
    it(`one that ${word}: its client sees the connection closed, a new worker serves the next`, async () => {
      const pool = await Served.start('tcp');
      const before = await pool.text('pid');
      expect((await pool.ask(word)).body).to.equal(null);
      expect(await pool.text('pid')).to.not.equal(before);
      const result = await pool.stop();
      expect(told(result, 'error')).to.deep.equal([`error 0 ${String(code)} 0 1`]);
      if (code === 1) expect(result.stderr).to.include('a bad request');
    });
  }

  it('a worker killed with a request in hand: its client sees the connection closed', async () => {
    const pool = await Served.start('tcp');
    const pid = Number(await pool.text('pid'));
    const answer = pool.ask('slow 10000');
    await pool.fixture.prints('slow\n');
    process.kill(pid, 'SIGKILL');
    expect((await answer).body).to.equal(null);
    expect(await pool.text('pid')).to.not.equal(String(pid));
    expect(told(await pool.stop(), 'error')).to.deep.equal(['error 0 0 9 1']);
  });
});

describe('pool: listen', () => {
  assertNothingLeaks();

  it('refuses what it cannot do, each with its code', async () => {
    expect(await resultOf('pool/listen.js', ['refused'])).to.deep.equal({
      inUse: 'EADDRINUSE',
      foreign: 'EADDRNOTAVAIL',
      host: 'ERR_INVALID_ARG_TYPE',
      port: 'ERR_OUT_OF_RANGE',
      folder: 'ENOENT',
      notListening: 'ERR_POOL_NOT_LISTENING',
      first: 'no error',
      second: 'ERR_POOL_RUNNING',
      running: 'ERR_POOL_RUNNING',
      IPC_NONE: 'ERR_POOL_IPC_TYPE',
      IPC_UNIXSOCK: 'ERR_POOL_IPC_TYPE',
      IPC_MSGQUEUE: 'ERR_POOL_IPC_TYPE',
    });
  });

  it('Symbol.asyncDispose of a pool that was not started removes the socket and its file', async () => {
    expect(await resultOf('pool/listen.js', ['disposed'])).to.deep.equal([true, false, 'no error']);
  });

  it('after a shutdown the pool listens again, on the same path', async () => {
    const closed = [false, 'ERR_POOL_NOT_LISTENING'];
    expect(await resultOf('pool/listen.js', ['again'])).to.deep.equal([...closed, ...closed]);
  });
});
