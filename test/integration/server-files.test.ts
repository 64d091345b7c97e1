/** pidFile, logFile and daemonize. */
import { existsSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { assertNothingLeaks, eventually } from '../support/leaks';
import { beginServer, echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';

const SIGRTMIN = 34;

/** The log of a daemon. */
const LOG = 'server.log';
const daemon = { daemonize: true, logFile: `TMP/${LOG}`, taskWorkerNum: 1 };
const callbacks = { receive: echo, task: () => null } satisfies ServerPlan['on'];

/** Of one field of /proc/PID/stat, from the state on: 0 state, 1 parent, 2 group, 3 session. */
function statOf(pid: number, field: number): string {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field] as string;
}

/** Every process of a server that writes to the log and is told to open it again. */
async function pidsOf(server: RunningServer): Promise<number[]> {
  const workers = await Promise.all([0, 1, 2].map((id) => server.worker(id)));
  return [...new Set([server.masterPid, await server.manager(), ...workers])];
}

async function print(server: RunningServer, pid: number, text: string): Promise<void> {
  await server.run(
    pid,
    (_, line) => {
      fs.writeSync(1, `${line} on stdout\n`);
      fs.writeSync(2, `${line} on stderr\n`);
    },
    text,
  );
}

/** Its files would be found as left behind. */
async function stopWithout(server: RunningServer, ...files: string[]): Promise<void> {
  for (const file of files) unlinkSync(server.file(file));
  await server.stop();
}

for (const mode of MODES) {
  describe(`server files: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('pidFile', () => {
      const settings = { pidFile: 'TMP/server.pid' };

      it('holds the pid of the master while the server runs (pid_file)', async () => {
        const server = await startServer({ mode, settings, on: callbacks });
        const file = server.file('server.pid');
        expect(readFileSync(file, 'utf8')).to.equal(`${String(server.masterPid)}\n`);
        process.kill(await server.worker(0), 'SIGKILL');
        await server.worker(0, 2);
        expect(existsSync(file)).to.equal(true);
        await server.stop();
      });

      it('is left alone when it has become another’s', async () => {
        const server = await startServer({ mode, settings, on: callbacks });
        writeFileSync(server.file('server.pid'), '1\n');
        server.signal('SIGTERM');
        expect((await server.end()).leftFiles).to.deep.equal(['server.pid']);
      });
    });

    for (const name of ['pidFile', 'requestSlowlogFile'] as const) {
      it(`${name} that cannot be written: start() is refused, nothing runs`, async () => {
        const settings = { [name]: 'TMP/no/such/folder' };
        const server = beginServer({ mode, settings, on: callbacks });
        await server.endsWell();
        const [refused] = server.notes('refused');
        const { code, message } = refused?.args[0] as { code: string; message: string };
        expect(code).to.equal('ENOENT');
        expect(message).to.match(/no\/such\/folder/);
        expect(server.notes('workerStart', 'settled')).to.deep.equal([]);
      });
    }

    describe('daemonize', () => {
      it('leaves the terminal: another process, a session of its own, / as folder', async () => {
        const server = await startServer({
          ...{ mode, on: callbacks },
          settings: { ...daemon, pidFile: 'TMP/server.pid' },
        });
        const first = server.fixture.process.pid;
        expect(server.masterPid).not.to.equal(first);
        expect(readFileSync(server.file('server.pid'), 'utf8')).to.equal(
          `${String(server.masterPid)}\n`,
        );
        await eventually(() => {
          expect(server.fixture.process.exitCode).to.equal(0);
        });
        expect(statOf(server.masterPid, 1)).not.to.equal(String(first));
        expect(statOf(server.masterPid, 3)).to.equal(String(server.masterPid));
        for (const pid of await pidsOf(server)) {
          expect(statOf(pid, 3)).to.equal(String(server.masterPid));
          expect(await server.run(pid, () => process.cwd())).to.equal('/');
        }
        expect(await (await server.connect()).ask('serves')).to.equal('serves');
        await stopWithout(server, LOG);
      });

      it('writes stdout and stderr of all processes to logFile, mode 0600', async () => {
        const server = await startServer({ mode, on: callbacks, settings: daemon });
        const pids = await pidsOf(server);
        for (const pid of pids) await print(server, pid, `line of ${String(pid)}`);
        const wanted = pids.flatMap((pid) =>
          ['stdout', 'stderr'].map((where) => `line of ${String(pid)} on ${where}`),
        );
        const text = readFileSync(server.file(LOG), 'utf8');
        expect(text.split('\n').filter((line) => line.startsWith('line of'))).to.deep.equal(wanted);
        expect(statSync(server.file(LOG)).mode & 0o777).to.equal(0o600);
        await stopWithout(server, LOG);
      });

      it('the stack of an error that ends a worker is in the log', async () => {
        const server = await startServer({
          mode,
          settings: daemon,
          on: {
            ...callbacks,
            receive: () => {
              throw new Error('in receive of a daemon');
            },
          },
        });
        (await server.connect()).write('x');
        await server.noted('workerError');
        expect(readFileSync(server.file(LOG), 'utf8')).to.match(/Error: in receive of a daemon\n/);
        await stopWithout(server, LOG);
      });

      it('without logFile nobody sees what it prints', async () => {
        const server = await startServer({
          ...{ mode, on: callbacks },
          settings: { daemonize: true, taskWorkerNum: 1 },
        });
        for (const pid of await pidsOf(server)) await print(server, pid, 'unseen');
        await server.stop();
        expect((await server.fixture.ended).stdout).to.equal('');
      });
    });

    it('without daemonize logFile has the ends of workers and warnings; stdout stays as it is', async () => {
      const settings = { logFile: `TMP/${LOG}` };
      const server = await startServer({ mode, on: callbacks, settings });
      const worker = await server.worker(1);
      process.kill(worker, 'SIGKILL');
      await server.worker(1, 2);
      await server.run(server.masterPid, () => {
        process.emitWarning('look', { type: 'PreforkWarning', code: 'PREFORK_TEST' });
      });
      const has = (text: RegExp) => text.test(readFileSync(server.file(LOG), 'utf8'));
      const killed = `worker 1 \\(pid ${worker}\\) has ended: code 0, signal 9$`;
      await server.until(() => has(/ PREFORK_TEST look$/m), 'warning in the log');
      expect(has(new RegExp(`Z \\d+ ${killed}`, 'm'))).to.equal(true);
      server.signal('SIGTERM');
      const { stderr, leftFiles } = await server.end();
      expect(stderr).to.match(/PREFORK_TEST.*look/);
      expect(leftFiles).to.deep.equal([LOG]);
    });

    for (const signal of [SIGRTMIN, 'SIGWINCH'] as const) {
      it(`signal ${String(signal)} to the master: all open logFile again, after a rename`, async () => {
        const plan = { mode, on: callbacks, settings: daemon, users: [{}] };
        const server = await startServer(plan);
        const pids = [...(await pidsOf(server)), await server.user()];
        await print(server, server.masterPid, 'before');
        renameSync(server.file(LOG), server.file('old.log'));
        server.signal(signal);
        for (const pid of pids) {
          const line = `after, of ${String(pid)}`;
          const isThere = () =>
            existsSync(server.file(LOG)) && readFileSync(server.file(LOG), 'utf8').includes(line);
          // Each is told in its turn: until then it writes to the old one.
          for (const end = Date.now() + 10_000; !isThere() && Date.now() < end;) {
            await print(server, pid, line);
          }
          expect(isThere(), line).to.equal(true);
        }
        expect(readFileSync(server.file('old.log'), 'utf8')).to.match(/^before on stdout$/m);
        expect(readFileSync(server.file(LOG), 'utf8')).not.to.include('before');
        expect(statSync(server.file(LOG)).mode & 0o777).to.equal(0o600);
        await stopWithout(server, LOG, 'old.log');
      });
    }
  });
}
