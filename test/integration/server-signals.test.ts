/** Signal handlers of the user's own, in the processes of a server. */
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { echo, endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer } from '../support/server';

const PLACES: Record<string, (server: RunningServer) => Promise<number>> = {
  'the manager': (server) => server.manager(),
  'an event worker': (server) => server.worker(0),
  'a task worker': (server) => server.worker(2),
  'a user process': (server) => server.user(),
};

for (const mode of MODES) {
  describe(`server signals: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    const begin = () =>
      startServer({
        mode,
        settings: { taskWorkerNum: 1 },
        on: { receive: echo, task: (_, __, ___, data) => data },
        users: [{}],
      });

    for (const [place, find] of Object.entries(PLACES)) {
      it(`a handler in ${place} runs, and not once it is removed (signal_in_*)`, async () => {
        const server = await begin();
        const pid = await find(server);
        await server.run(pid, () => {
          Process.signal('SIGALRM', (signo) => {
            note('signal', signo);
          });
        });
        for (let nth = 1; nth <= 3; nth++) {
          process.kill(pid, 'SIGALRM');
          await server.noted('signal', nth);
        }
        expect(new Set(server.notes('signal').map((signal) => signal.pid))).to.deep.equal(
          new Set([pid]),
        );
        await server.run(pid, () => {
          Process.signal('SIGALRM', Process.SIG_IGN);
        });
        process.kill(pid, 'SIGALRM');
        expect(await server.run(pid, () => 'still here')).to.equal('still here');
        expect(server.notes('signal')).to.have.length(3);
        const worker = await server.worker(1);
        expect(await server.run(worker, (serv) => serv.taskwait('task', 10_000))).to.equal('task');
        await server.stop();
      });
    }

    it('those of the server are refused to others in master and manager', async () => {
      const server = await begin();
      for (const pid of [server.masterPid, await server.manager()]) {
        for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']) {
          const code = await server.codeOf(
            pid,
            (_, name) => {
              Process.signal(name as NodeJS.Signals, () => undefined);
            },
            signal,
          );
          expect(code, signal).to.equal('ERR_RESERVED_SIGNAL');
        }
      }
      await server.stop();
    });

    it('workers may have one for SIGINT, which a terminal sends to all of them', async () => {
      const server = await begin();
      const pid = await server.worker(2);
      await server.run(pid, () => {
        Process.signal('SIGINT', () => {
          note('interrupted');
        });
      });
      process.kill(pid, 'SIGINT');
      await server.noted('interrupted');
      await server.stop();
    });

    it('SIGPIPE ends no process of it (unregistered_signal)', async () => {
      const server = await begin();
      const pids = await Promise.all(Object.values(PLACES).map((find) => find(server)));
      for (const pid of [server.masterPid, ...pids]) {
        process.kill(pid, 'SIGPIPE');
        expect(await server.run(pid, () => process.pid)).to.equal(pid);
      }
      expect(server.notes('workerError')).to.deep.equal([]);
      await server.stop();
    });
  });
}
