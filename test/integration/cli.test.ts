import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Snapshot } from '../../lib/control/snapshot';
import {
  endObservedAfterEach,
  endsWell,
  NO_RUNTIME_FOLDER,
  startObserved,
  type Observed,
} from '../fixtures/control/observed';
import { hasTmux, Tmux } from '../fixtures/control/tmux';
import { lines } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';
import { ROOT } from '../support/markdown';
import { TcpClient } from '../support/tcp-client';

const MAIN = join(ROOT, 'dist', 'cli', 'main.js');

// eslint-disable-next-line no-control-regex -- this is what is looked for
const REVERSE = /\x1b\[(?:0;)?7m/;

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

function prefork(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  onOutput: (stdout: string) => void = () => undefined,
): Promise<Run> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...NO_RUNTIME_FOLDER, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out.stdout += text;
    onOutput(out.stdout);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out.stderr += text));
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, ...out }));
  });
}

/** The environment in which the sockets of a fixture are the only ones. */
const beside = ({ fixture }: Observed): NodeJS.ProcessEnv => ({ TMPDIR: fixture.temporary });

describe('prefork command', () => {
  assertNothingLeaks();
  endObservedAfterEach();

  const pidsOf = (text: string): (number | null)[] =>
    (JSON.parse(text) as Snapshot).workers.map(({ pid }) => pid);

  it('tells how it is used, and which version it is', async () => {
    const help = await prefork(['--help']);
    expect(help).to.include({ code: 0, stderr: '' });
    expect(help.stdout).to.match(/^Usage: prefork /);
    const widest = Math.max(...lines(help.stdout).map((line) => line.length));
    expect(widest).to.be.at.most(80);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await prefork(['-v'])).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect((await prefork([])).code).to.equal(2);
  });

  describe('finds its target', () => {
    it('by pid, pid file and path; alone it needs none', async () => {
      const observed = await startObserved('pool');
      const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
      const pidFile = join(folder, 'app.pid');
      writeFileSync(pidFile, `${String(observed.pid)}\n`);
      for (const target of [[String(observed.pid)], [pidFile], [observed.path]]) {
        const { code, stdout, stderr } = await prefork(['status', ...target, '--json']);
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
        expect((JSON.parse(stdout) as Snapshot).master.pid).to.equal(observed.pid);
      }
      const listed = await prefork(['list'], beside(observed));
      expect(listed.stdout).to.match(
        new RegExp(`^ *${String(observed.pid)}  pool    up .* workers 2/2  pool\\.js$`, 'm'),
      );
      rmSync(folder, { recursive: true });
      await observed.stop();
    });

    it('or says why not', async () => {
      const observed = await startObserved('pool', { controlSocket: false });
      const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
      const file = join(folder, 'text');
      writeFileSync(file, 'hello');
      const cases: [string, RegExp][] = [
        [
          String(observed.pid),
          /^prefork: process \d+ has no control socket: .*controlSocket: true/,
        ],
        ['4194305', /^prefork: there is no process 4194305\n$/],
        [file, /neither a control socket nor a file with a pid/],
        [join(folder, 'none'), /no such file/],
        [folder, /EISDIR/],
      ];
      for (const [target, message] of cases) {
        const { code, stdout, stderr } = await prefork(['status', target]);
        expect({ code, stdout }, target).to.deep.equal({ code: 1, stdout: '' });
        expect(stderr).to.match(message).and.not.include('    at ');
      }
      rmSync(folder, { recursive: true });
      await observed.stop();
    });
  });

  it('status shows what runs', async () => {
    const observed = await startObserved('server');
    const { code, stdout } = await prefork(['status', String(observed.pid)]);
    expect(code).to.equal(0);
    expect(stdout)
      .to.match(/^kind +server, process mode$/m)
      .and.match(/^tasks +0, 0 in flight$/m);
    expect(stdout).to.include(observed.path).and.include(observed.url);
    expect(stdout.match(/^ +\d (event|task) +\d+ idle /gm)).to.have.length(3);
    // One snapshot has no rates.
    expect(stdout)
      .to.include('TOTAL')
      .and.to.not.match(/REQ\/S|BUSY/);
    await observed.stop();
  });

  it('does not wait for ever for a master that does not answer', async () => {
    const observed = await startObserved('pool');
    const pid = String(observed.pid);
    observed.fixture.process.kill('SIGSTOP');
    const silence = /no answer after 300 ms: its event loop is blocked, or it was suspended\n$/;
    for (const command of [['status'], ['top', '--count', '1'], ['reload'], ['stop']]) {
      const { code, stdout, stderr } = await prefork([...command, pid, '--timeout', '300']);
      expect({ code, stdout }, command[0]).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr, command[0]).to.match(silence);
    }
    const listed = await prefork(['list', '--timeout', '300'], beside(observed));
    expect(listed.code).to.equal(0);
    expect(listed.stderr).to.match(new RegExp(`^prefork: process ${pid}: no answer`, 'm'));
    observed.fixture.process.kill('SIGCONT');
    // It was told to stop.
    await endsWell(observed.fixture);
  });

  for (const [what, count] of [
    ['pool', 2],
    ['server', 3],
  ] as const) {
    it(`reload replaces the workers of a ${what}, and waits for that`, async () => {
      const observed = await startObserved(what);
      const pid = String(observed.pid);
      const before = pidsOf((await prefork(['status', pid, '--json'])).stdout);
      const reloaded = await prefork(['reload', pid]);
      expect(reloaded).to.include({ code: 0, stderr: '' });
      expect(reloaded.stdout).to.match(
        new RegExp(`^reloaded: ${String(count)} workers replaced, generation 1, \\d+ ms\\n$`),
      );
      const after = pidsOf((await prefork(['status', pid, '--json'])).stdout);
      expect(after.filter((each) => before.includes(each))).to.deep.equal([]);
      await observed.stop();
    });
  }

  it('reload --tasks leaves the others, and is not for pools', async () => {
    const server = await startObserved('server');
    const target = String(server.pid);
    const before = pidsOf((await prefork(['status', target, '--json'])).stdout);
    expect((await prefork(['reload', target, '--tasks', '--json'])).stdout).to.match(
      /"replaced":1/,
    );
    const after = pidsOf((await prefork(['status', target, '--json'])).stdout);
    expect(after.map((pid, id) => pid === before[id])).to.deep.equal([true, true, false]);
    await server.stop();
    const pool = await startObserved('pool');
    const refused = await prefork(['reload', String(pool.pid), '--tasks']);
    expect(refused).to.include({ code: 1, stdout: '' });
    expect(refused.stderr).to.match(/a pool has no task workers/);
    await pool.stop();
  });

  it('stop ends it, and waits for that', async () => {
    for (const what of ['pool', 'server'] as const) {
      const observed = await startObserved(what);
      expect(await prefork(['stop', String(observed.pid)])).to.deep.equal({
        ...{ code: 0, stdout: 'stopped\n', stderr: '' },
      });
      await endsWell(observed.fixture);
    }
  });

  describe('top without a terminal', () => {
    it('prints a line for each look', async () => {
      const observed = await startObserved('pool', { load: true });
      const args = ['top', String(observed.pid), '--interval', '200', '--count', '3'];
      const { code, stdout, stderr } = await prefork(args);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      const line =
        /^\d\d:\d\d:\d\d {2}workers 2\/2 {2}busy \d+% {2}req\/s [\d.]+ {2}ms\/req [\d.]+ {2}queue \d+ {2}pss [\d.]+M$/;
      expect(lines(stdout)).to.have.length(3);
      for (const each of lines(stdout)) expect(each).to.match(line);
      await observed.stop();
    });

    it('prints JSON, and ends with what it looks at', async () => {
      const observed = await startObserved('pool');
      const args = ['top', String(observed.pid), '--json', '--interval', '100'];
      const { code, stdout } = await prefork(args, {}, (printed) => {
        if (lines(printed).length >= 2) observed.fixture.process.kill('SIGTERM');
      });
      expect(code).to.equal(0);
      const snapshots = lines(stdout).map((each) => JSON.parse(each) as Snapshot);
      expect(snapshots).to.have.length.above(1);
      await endsWell(observed.fixture);
    });
  });

  describe('top on a terminal of 80x24', function () {
    let terminal: Tmux | null = null;

    before(function () {
      if (!hasTmux) this.skip();
    });
    afterEach(() => {
      terminal?.close();
      terminal = null;
    });

    function open(observed: Observed, env: Record<string, string> = {}): Tmux {
      const command = [process.execPath, MAIN, 'top', String(observed.pid), '--interval', '200'];
      const folder = { TMPDIR: observed.fixture.temporary, XDG_RUNTIME_DIR: '' };
      terminal = new Tmux(command, 80, 24, { ...folder, ...env });
      return terminal;
    }

    it('draws, and leaves the terminal as it was', async () => {
      const observed = await startObserved('pool', { load: true, workers: 3 });
      const tmux = open(observed);
      // Rates, sparklines and three workers.
      const shown = await tmux.shows(/^[1-9][\d.]* req\/s .*[▁▂▃▄▅▆▇█]{5}$/m);
      expect(shown[0]).to.match(/^pool\.js · pool · up .* \d\d:\d\d:\d\d$/);
      expect(
        shown.slice(5, 8).map((line) => /^ +(\d) +\d+ (idle|busy)/.exec(line)?.[1]),
      ).to.deep.equal([...['0', '1', '2']]);
      expect(shown[23]).to.equal('q quit  r reload  k stop worker  ↑↓ select');
      expect(tmux.styled()).to.match(REVERSE);
      tmux.send('q');
      const left = await tmux.shows(/left with 0/);
      expect(left.filter((line) => line !== '')).to.deep.equal([
        'what was here before',
        'left with 0',
      ]);
      await observed.stop();
    });

    it('follows the size of the terminal', async () => {
      const observed = await startObserved('pool', { workers: 30 });
      const tmux = open(observed);
      await tmux.shows(/^ +17 /m);
      tmux.resize(130, 12);
      const wide = await tmux.shows(/TOTAL GEN/);
      expect(wide).to.have.length(12);
      tmux.resize(40, 10);
      const narrow = await tmux.shows(
        /^pool\.js · pool[^]*\nq quit {2}r reload {2}k stop worker {2}↑↓ sele$/,
      );
      expect(narrow).to.have.length(10);
      tmux.send('q');
      await tmux.shows(/left with 0/);
      await observed.stop();
    });

    it('scrolls to the selected worker', async () => {
      const observed = await startObserved('pool', { workers: 30 });
      const tmux = open(observed, { NO_COLOR: '1' });
      await tmux.shows(/^> *0 /m);
      tmux.send('Down', 'Down');
      await tmux.shows(/^> *2 /m);
      tmux.send('End');
      await tmux.shows(/^> *29 /m);
      tmux.send('PageUp', 'Up');
      await tmux.shows(/^> *11 /m);
      tmux.send('Home');
      const top = await tmux.shows(/^> *0 /m);
      expect(top.join('\n')).to.not.match(/^ *29 /m);
      tmux.send('C-c');
      await tmux.shows(/left with 0/);
      await observed.stop();
    });

    it('reloads, and stops the selected worker when that is confirmed', async () => {
      const observed = await startObserved('pool');
      const tmux = open(observed, { NO_COLOR: '1' });
      await tmux.shows(/^> *0 /m);
      tmux.send('Down');
      await tmux.shows(/^> *1 /m);
      tmux.send('k');
      await tmux.shows(/^end worker 1 \(pid \d+\) in good order, and start another\? \[y\/n\]$/m);
      tmux.send('n');
      await tmux.shows(/^q quit/m);
      tmux.send('k', 'y');
      await tmux.shows(/^worker 1 was told to end$/m);
      await tmux.shows(/^> *1 +\d+ idle +\d+s +1 /m);
      tmux.send('r');
      await tmux.shows(/^reloaded: 2 replaced, 0 killed, \d+ ms$/m);
      await tmux.shows(/generation 1/);
      tmux.send('t');
      await tmux.shows(/^a pool has no task workers$/m);
      tmux.send('q');
      await tmux.shows(/left with 0/);
      await observed.stop();
    });

    it('shows a server, its tasks and its slow log', async () => {
      const observed = await startObserved('server');
      const tmux = open(observed);
      await tmux.shows(/^ +2 task /m);
      const client = await TcpClient.open({ port: observed.port, host: '127.0.0.1' });
      expect(await client.ask('block')).to.equal('block');
      await tmux.shows(/conns 1/);
      tmux.send('s');
      await tmux.shows(/^SLOW LOG[^]*receive[^]*back to the workers/m);
      tmux.send('Escape');
      await tmux.shows(/^ +2 task /m);
      tmux.send('t');
      await tmux.shows(/^ +2 task +\d+ idle +\d+s +1 /m);
      client.destroy();
      tmux.send('q');
      await tmux.shows(/left with 0/);
      await observed.stop();
    });

    it('ends when what it looks at does, and says so', async () => {
      const observed = await startObserved('pool');
      const tmux = open(observed);
      await tmux.shows(/^ +0 +\d+ idle/m);
      await observed.stop();
      const left = await tmux.shows(/left with 0/);
      expect(left).to.include('it has ended');
    });

    it('says when what it looks at does not answer any more', async () => {
      const observed = await startObserved('pool');
      const tmux = open(observed);
      await tmux.shows(/^ +0 +\d+ idle/m);
      observed.fixture.process.kill('SIGSTOP');
      await tmux.shows(/^pool\.js .* NO ANSWER for \d+s {2}[\d:]+$/m);
      observed.fixture.process.kill('SIGCONT');
      await tmux.shows(/^pool\.js .*\.\d+ +[\d:]+$/m);
      tmux.send('q');
      await tmux.shows(/left with 0/);
      await observed.stop();
    });

    it('is lines where the terminal cannot be drawn on', async () => {
      const observed = await startObserved('pool');
      const tmux = open(observed, { TERM: 'dumb' });
      // The terminal sets TERM itself.
      tmux.close();
      const script = `TERM=dumb exec "$0" "$@"`;
      const command = ['sh', '-c', script, process.execPath, MAIN, 'top', observed.path];
      terminal = new Tmux(command, 80, 24);
      await terminal.shows(/^\d\d:\d\d:\d\d {2}workers 2\/2 /m);
      terminal.send('C-c');
      await observed.stop();
    });
  });
});
