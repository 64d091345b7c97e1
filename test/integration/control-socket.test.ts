import { existsSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import type { ReloadSummary, Snapshot } from '../../lib/control/snapshot';
import {
  endObservedAfterEach,
  endsWell,
  fdsOf,
  RawClient,
  resultOf,
  socketsAt,
  startObserved,
  type Observed,
} from '../fixtures/control/observed';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';
import { TcpClient } from '../support/tcp-client';

const OWN_FILE = 0o777;

const codeOf = (answer: { ok: boolean; error?: { code: string } }): string | undefined =>
  answer.error?.code;

describe('control socket', () => {
  assertNothingLeaks();
  endObservedAfterEach();

  const WHAT = [
    ['pool', {}],
    ['server', { mode: 'process' }],
    ['server', { mode: 'base' }],
  ] as const;

  async function open(what: 'pool' | 'server', settings: object = {}) {
    const observed = await startObserved(what, settings);
    return { observed, client: await RawClient.open(observed.path) };
  }

  async function stop(observed: Observed, client: RawClient): Promise<void> {
    client.socket.destroy();
    await observed.stop();
  }

  describe('its file', () => {
    it('is for its user alone, and so is the folder', async () => {
      const { observed, client } = await open('pool');
      expect(lstatSync(observed.path).mode & OWN_FILE).to.equal(0o600);
      expect(lstatSync(dirname(observed.path)).mode & OWN_FILE).to.equal(0o700);
      await stop(observed, client);
      expect(existsSync(observed.path)).to.equal(false);
    });

    it('is where the option says', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
      const path = join(folder, 'own.sock');
      const observed = await startObserved('pool', { controlSocket: path });
      const client = await RawClient.open(path);
      expect((await client.status()).controlSocket).to.equal(path);
      expect(lstatSync(path).mode & OWN_FILE).to.equal(0o600);
      await stop(observed, client);
      expect(existsSync(path)).to.equal(false);
      rmSync(folder, { recursive: true });
    });

    it('of a master that was killed is replaced', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
      const path = join(folder, 'own.sock');
      const killed = await startObserved('pool', { controlSocket: path });
      killed.fixture.process.kill('SIGKILL');
      await killed.fixture.ended;
      expect(existsSync(path)).to.equal(true);
      const observed = await startObserved('pool', { controlSocket: path });
      const client = await RawClient.open(path);
      expect((await client.status()).master.pid).to.equal(observed.pid);
      await stop(observed, client);
      rmSync(folder, { recursive: true });
    });

    it('is not put into a folder that others may write to: start() fails, nothing is left', async () => {
      for (const what of ['pool', 'server'] as const) {
        const result = await runFixture('control/refused.js', { args: [what, 'folder'] });
        expect(result).to.include({ code: 0, stderr: '' });
        expect(result.stdout).to.match(/^EACCES .*mode 0700.* 0 children\n$/);
      }
    });

    it('is not opened where nobody wants it', async () => {
      const observed = await startObserved('pool', { controlSocket: false });
      expect(existsSync(observed.path)).to.equal(false);
      await observed.stop();
    });
  });

  for (const [what, settings] of WHAT) {
    const mode = 'mode' in settings ? `, ${settings.mode} mode` : '';
    describe(`${what}${mode}`, () => {
      it('status tells of all processes', async () => {
        const { observed, client } = await open(what, settings);
        const snapshot = await client.status();
        const { kind, master, manager, workers, total, stopping, version } = snapshot;
        expect({ version, kind, stopping }).to.deep.equal({
          version: 1,
          kind: what,
          stopping: false,
        });
        expect(master.pid).to.equal(observed.pid);
        expect(manager !== null).to.equal('mode' in settings && settings.mode === 'process');
        expect(snapshot.statusPage).to.equal(observed.url);
        const kinds = what === 'pool' ? ['worker', 'worker'] : ['event', 'event', 'task'];
        expect(workers.map((worker) => worker.kind)).to.deep.equal(kinds);
        for (const process of [master, ...workers]) {
          expect(process.rssBytes).to.be.above(1e6);
          expect(process.pssBytes).to.be.within(1e5, process.rssBytes);
        }
        expect(total).to.include({ workers: kinds.length, restarts: 0, queued: 0 });
        expect(snapshot.time - snapshot.startedAt).to.be.within(0, 60_000);
        await stop(observed, client);
      });

      it('workers hold none of its fds, also those that were started later', async () => {
        const { observed, client } = await open(what, settings);
        const before = await client.status();
        const pages = [await fetch(observed.url), await fetch(`${observed.url}events`)];
        await client.ask('reload');
        const now = await client.until(({ workers }) =>
          workers.every(
            ({ id, pid, stage }) => pid !== before.workers[id]?.pid && /idle|busy/.test(stage),
          ),
        );
        const own = socketsAt(observed.path, Number(new URL(observed.url).port));
        const held = (pid: number): string[] => fdsOf(pid).filter((fd) => own.includes(fd));
        // Listening, this client, and the event stream.
        expect(held(observed.pid)).to.have.length.of.at.least(4);
        const others = [...now.workers, ...(now.manager === null ? [] : [now.manager])];
        for (const { pid } of others) expect(held(pid as number)).to.deep.equal([]);
        for (const page of pages) await page.body?.cancel();
        await stop(observed, client);
      });

      it('stopWorker ends one worker in good order, and another takes its place', async () => {
        const { observed, client } = await open(what, settings);
        const before = await client.status();
        expect(resultOf(await client.ask('stopWorker', { workerId: 1 }))).to.equal(null);
        // The new process may serve before the one that has forked it counts it.
        const after = await client.until(
          ({ workers: [, one] }) =>
            one?.pid !== before.workers[1]?.pid && one?.stage === 'idle' && one.restarts === 1,
        );
        expect(after.workers[0]?.pid).to.equal(before.workers[0]?.pid);
        expect(codeOf(await client.ask('stopWorker', { workerId: 7 }))).to.equal(
          'ERR_OUT_OF_RANGE',
        );
        await stop(observed, client);
      });

      it('stop ends it; the connection closes when it has ended', async () => {
        const { observed, client } = await open(what, settings);
        expect(resultOf(await client.ask('stop'))).to.equal(null);
        await client.closed;
        await endsWell(observed.fixture);
      });

      it('a master that is told to end does not wait for its clients', async () => {
        const { observed, client } = await open(what, settings);
        client.send({ id: 1, op: 'watch', intervalMs: 100 });
        await client.answered(2);
        const page = await fetch(`${observed.url}events`);
        await observed.stop();
        await client.closed;
        await page.body?.cancel().catch(() => undefined);
      });

      it('a port in use fails start(), and nothing is left', async () => {
        const args = [what, 'port', 'mode' in settings ? settings.mode : ''];
        const result = await runFixture('control/refused.js', { args });
        expect(result).to.include({ code: 0, stderr: '' });
        expect(result.stdout).to.match(/^EADDRINUSE .* 0 children\n$/);
        expect(result.leftFiles).to.deep.equal([]);
      });
    });
  }

  describe('reload', () => {
    it('of a pool answers when it is done, with what was done', async () => {
      const { observed, client } = await open('pool');
      const before = await client.status();
      const report = resultOf(await client.ask('reload')) as ReloadSummary;
      expect(report).to.include({ generation: 1, replaced: 2, killed: 0 });
      const after = await client.status();
      expect(after.generation).to.equal(1);
      expect(after.workers.map(({ pid }) => pid)).to.not.include.members(
        before.workers.map(({ pid }) => pid),
      );
      await stop(observed, client);
    });

    it('of a server in process mode is only asked for', async () => {
      const { observed, client } = await open('server');
      const before = await client.status();
      const pidOf = ({ workers }: Snapshot, id: number) => workers[id]?.pid;
      expect(resultOf(await client.ask('reload', { onlyTasks: true }))).to.equal(null);
      const after = await client.until(
        (now) => pidOf(now, 2) !== pidOf(before, 2) && now.workers[2]?.stage === 'idle',
      );
      expect([pidOf(after, 0), pidOf(after, 1)]).to.deep.equal([
        pidOf(before, 0),
        pidOf(before, 1),
      ]);
      await stop(observed, client);
    });
  });

  describe('slow log', () => {
    it('is what the server has written', async () => {
      const { observed, client } = await open('server');
      const answer = await fetchFrom(observed.port, 'block');
      expect(answer).to.equal('block');
      expect(resultOf(await client.ask('slowLog'))).to.match(/receive/);
      await stop(observed, client);
    });

    it('is not there in a pool', async () => {
      const { observed, client } = await open('pool');
      expect(codeOf(await client.ask('slowLog'))).to.equal('ERR_NO_SLOW_LOG');
      await stop(observed, client);
    });
  });

  it('counts requests, connections and tasks of a server', async () => {
    const { observed, client } = await open('server');
    expect(await fetchFrom(observed.port, 'ask')).to.equal('done');
    const now = await client.until(({ connections }) => connections?.closed === 1);
    expect(now.connections).to.deep.equal({ open: 0, accepted: 1, closed: 1, refused: 0 });
    expect(now.requests).to.deep.equal({ dispatched: 1, received: 1, answered: 1 });
    expect(now.tasks).to.deep.equal({ submitted: 1, inFlight: 0 });
    expect(now.workers[2]).to.include({ requests: 1, queued: 0 });
    expect(now.workers[2]?.busyTimeMs).to.be.above(20);
    await stop(observed, client);
  });

  describe('requests', () => {
    it('that are wrong get an error each, and the connection goes on', async () => {
      const { observed, client } = await open('pool');
      client.socket.write('{"id":1\n\n[]\n{"id":2}\n{"id":3,"op":"fork"}\n');
      client.send(
        { id: 4, op: 'watch', intervalMs: 1 },
        { id: 5, op: 'stopWorker' },
        { id: 6, op: 'reload', onlyTasks: 'yes' },
        { id: 7, op: 'stopWorker', workerId: -1 },
      );
      const answers = await client.answered(8);
      expect(answers.map(({ id }) => id)).to.deep.equal([null, null, 2, 3, 4, 5, 6, 7]);
      expect([...new Set(answers.map(codeOf))]).to.deep.equal([
        'ERR_BAD_REQUEST',
        'ERR_UNKNOWN_OP',
      ]);
      expect((await client.status()).master.pid).to.equal(observed.pid);
      await stop(observed, client);
    });

    it('may come in pieces, and several in one', async () => {
      const { observed, client } = await open('pool');
      for (const piece of ['{"id":', '1,"op":"sta', 'tus"}\n{"id":2,"op":"status"}\n{"id":3']) {
        await new Promise((resolve) => client.socket.write(piece, resolve));
      }
      await client.answered(2);
      client.socket.write(',"op":"status"}\n');
      expect((await client.answered(3)).map(({ id, ok }) => [id, ok])).to.deep.equal([
        [1, true],
        [2, true],
        [3, true],
      ]);
      await stop(observed, client);
    });

    it('that are too long end the connection', async () => {
      const { observed, client } = await open('pool');
      client.socket.write('x'.repeat(64 * 1024 + 1));
      expect((await client.answered(1)).map(codeOf)).to.deep.equal(['ERR_LINE_TOO_LONG']);
      await client.closed;
      const other = await RawClient.open(observed.path);
      expect((await other.status()).total.workers).to.equal(2);
      await stop(observed, other);
    });
  });

  it('takes 32 clients, and tells the next why not', async () => {
    const { observed, client } = await open('pool');
    const clients = [client];
    while (clients.length < 32) clients.push(await RawClient.open(observed.path));
    for (const other of clients) await other.status();
    const refused = await RawClient.open(observed.path);
    expect((await refused.answered(1)).map(codeOf)).to.deep.equal(['ERR_TOO_MANY_CLIENTS']);
    await refused.closed;
    clients.pop()?.socket.destroy();
    const asked = async (): Promise<boolean> => {
      const next = await RawClient.open(observed.path);
      clients.push(next);
      return (await next.ask('status')).ok;
    };
    while (!(await asked()));
    for (const other of clients) other.socket.destroy();
    await observed.stop();
  });

  it('watch tells again and again, and a client that does not read costs nothing', async () => {
    const { observed, client } = await open('pool');
    const lazy = await RawClient.open(observed.path);
    lazy.socket.pause();
    lazy.send({ id: 1, op: 'watch', intervalMs: 100 });
    for (let i = 2; i < 2000; i++) lazy.send({ id: i, op: 'status' });
    client.send({ id: 5, op: 'watch', intervalMs: 100 });
    const answers = await client.answered(5);
    const times = answers.map((answer) => (resultOf(answer) as Snapshot).time);
    expect(answers.every(({ id }) => id === 5)).to.equal(true);
    expect(times).to.deep.equal([...times].sort((one, other) => one - other));
    expect(new Set(times).size).to.be.above(2);
    lazy.socket.destroy();
    await stop(observed, client);
  });
});

/** Sends a word to a server and reads the answer. */
async function fetchFrom(port: number, word: string): Promise<string> {
  const client = await TcpClient.open({ port, host: '127.0.0.1' });
  client.write(word);
  const answer = await client.readText(word === 'ask' ? 4 : word.length);
  client.destroy();
  return answer;
}
