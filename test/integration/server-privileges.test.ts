/** user, group, chroot, and the CPUs that workers are bound to. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { beginServer, endServersAfterEach, MODES, refusalOf, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

/** The numbers of a line of /proc/PID/status. */
function statusOf(pid: number, name: string): number[] {
  const text = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  const [, line = ''] = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text) ?? [];
  return line.split(/\s+/).filter(Boolean).map(Number);
}

/** Tells a client what its worker is; without privileges it cannot be asked in another way. */
const on = {
  receive: (serv, fd, _, data) => {
    const calls: Record<string, () => unknown> = {
      root: () => fs.readdirSync('/'),
      shutdown: () => void serv.shutdown(),
      reload: () => void serv.reload(),
      task: () => serv.taskwait('who', 10_000),
    };
    serv.send(fd, JSON.stringify(calls[String(data)]?.() ?? null));
    return serv.close(fd);
  },
  task: () => [process.getuid?.(), process.getgid?.()],
  afterReload: null,
} satisfies ServerPlan['on'];

async function ask(server: RunningServer, what: string): Promise<unknown> {
  const client = await server.connect();
  client.write(what);
  return JSON.parse((await client.readAll()).toString());
}

/** As a list of numbers: "0-2,5". */
function cpusOf(pid: number): number[] {
  const text = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  const [, list = ''] = /^Cpus_allowed_list:\s*(.*)$/m.exec(text) ?? [];
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

for (const mode of MODES) {
  describe(`server privileges: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    describe('as root', () => {
      before(function () {
        if (!isRoot) this.skip();
      });

      const begin = (settings: ServerPlan['settings'], more: ServerPlan = {}) =>
        startServer({
          ...{ mode, on, users: [{}], ...more },
          settings: { workerNum: 1, taskWorkerNum: 1, ...settings },
        });

      it('user: workers and task workers are that user, the others stay root', async () => {
        const server = await begin({ user: 'nobody' });
        for (const id of [0, 1]) {
          // Known when they serve: it is done before workerStart.
          const pid = await server.worker(id);
          expect(statusOf(pid, 'Uid')).to.deep.equal(Array(4).fill(NOBODY));
          expect(statusOf(pid, 'Gid').includes(0)).to.equal(false);
          expect(statusOf(pid, 'Groups')).not.to.include(0);
        }
        for (const pid of [server.masterPid, await server.manager(), await server.user()]) {
          expect(statusOf(pid, 'Uid')).to.deep.equal([0, 0, 0, 0]);
        }
        expect(await ask(server, 'task')).to.include(NOBODY);
        await server.stop();
      });

      it('group: of its own, by number', async () => {
        const server = await begin({ user: NOBODY, group: 12_345 });
        for (const id of [0, 1]) {
          const pid = await server.worker(id);
          expect(statusOf(pid, 'Uid')).to.deep.equal(Array(4).fill(NOBODY));
          expect(statusOf(pid, 'Gid')).to.deep.equal(Array(4).fill(12_345));
        }
        expect(await ask(server, 'task')).to.deep.equal([NOBODY, 12_345]);
        await server.stop();
      });

      it('a killed worker comes back as the same user', async () => {
        const server = await begin({ user: 'nobody' });
        process.kill(await server.worker(0), 'SIGKILL');
        expect(statusOf(await server.worker(0, 2), 'Uid')).to.deep.equal(Array(4).fill(NOBODY));
        await server.stop();
      });

      it('a worker without privileges can ask for reload and shutdown', async () => {
        const server = await begin({ user: 'nobody' });
        await server.worker(1);
        await ask(server, 'reload');
        const [done] = await server.noted('afterReload');
        expect(done?.args[0]).to.include({ replaced: 2, killed: 0 });
        await ask(server, 'shutdown');
        await server.endsWell();
      });

      it('chroot: workers see another root, and serve', async () => {
        const server = await begin(
          { user: 'nobody', chroot: 'TMP/root' },
          {
            before: () => {
              const root = `${process.env.TMPDIR ?? ''}/root`;
              fs.mkdirSync(root);
              fs.chmodSync(root, 0o755);
              fs.writeFileSync(`${root}/only-this`, '');
            },
            after: () => {
              fs.rmSync(`${process.env.TMPDIR ?? ''}/root`, { recursive: true });
            },
          },
        );
        expect(await ask(server, 'root')).to.deep.equal(['only-this']);
        expect(await ask(server, 'task')).to.include(NOBODY);
        await server.stop();
      });

      for (const [settings, text] of [
        [{ user: 'no.such.user' }, 'no user is called no.such.user'],
        [{ group: 'no.such.group' }, 'no group is called no.such.group'],
        [{ chroot: '/no/such/folder' }, 'chroot to /no/such/folder failed: ENOENT'],
      ] as const) {
        it(`${JSON.stringify(settings)}: start() rejects and says why`, async () => {
          const [code, message] = await refusalOf({ mode, on, settings });
          expect(code).to.equal('ERR_PRIVILEGES');
          expect(message).to.include(text);
        });
      }

      it('so it does without root', async () => {
        const plan = { mode, on, settings: { user: 'root' } };
        const [code, message] = await refusalOf(plan, { uid: NOBODY });
        expect(code).to.equal('ERR_PRIVILEGES');
        expect(message).to.equal('user, group and chroot need root, this is uid 65534');
      });
    });

    describe('openCpuAffinity', () => {
      const cpus = cpusOf(process.pid);
      const settings = { workerNum: 3, taskWorkerNum: 1, openCpuAffinity: true };

      it('binds each worker to one CPU, in turn', async () => {
        const server = await startServer({ mode, on, settings, users: [{}] });
        for (const id of [0, 1, 2, 3]) {
          const pid = await server.worker(id);
          expect(cpusOf(pid), String(id)).to.deep.equal([cpus[id % cpus.length]]);
        }
        for (const pid of [server.masterPid, await server.manager(), await server.user()]) {
          expect(cpusOf(pid)).to.deep.equal(cpus);
        }
        await server.stop();
      });

      it('cpuAffinityIgnore leaves CPUs out', async function () {
        if (cpus.length < 2) this.skip();
        const [ignored, ...others] = cpus as [number, ...number[]];
        const server = await startServer({
          ...{ mode, on },
          settings: { ...settings, cpuAffinityIgnore: [ignored] },
        });
        for (const id of [0, 1, 2, 3]) {
          const pid = await server.worker(id);
          expect(cpusOf(pid), String(id)).to.deep.equal([others[id % others.length]]);
        }
        await server.stop();
      });

      it('cpuAffinityIgnore of all CPUs is ERR_OUT_OF_RANGE at start()', async () => {
        const all = Array.from({ length: 1024 }, (_, cpu) => cpu);
        const server = beginServer({
          ...{ mode, on },
          settings: { ...settings, cpuAffinityIgnore: all },
        });
        await server.endsWell();
        const [refused] = server.notes('refused');
        expect(refused?.args[0]).to.include({ code: 'ERR_OUT_OF_RANGE' });
      });
    });
  });
}
