/** Task workers are killed all the time, and reloaded: every task is settled once, with what is true. */
import { expect } from 'chai';
import type { TaskIpcMode } from '../../lib/server/settings';
import { assertNothingLeaks } from '../support/leaks';
import { endServersAfterEach, MODES, startServer, type ServerPlan } from '../support/server';

const KILLS = 12;
const PAUSE_MS = 120;

const on = {
  receive: null,
  task: (server, _id, _source, data) => {
    const { i, fill } = data as { i: number; fill: string };
    const answer = `${i} ${fill}`;
    switch (i % 4) {
      case 0:
        return answer;
      case 1:
        server.finish(answer);
        return undefined;
      case 2:
        return new Promise((resolve) => setTimeout(resolve, i % 3, answer));
      default:
        return new Promise((resolve) => setImmediate(resolve, answer));
    }
  },
} satisfies ServerPlan['on'];

/** It may have ended by itself. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    expect(error).to.have.property('code', 'ESRCH');
  }
}

interface Sums {
  right: number;
  wrong: string[];
  lost: number;
  twice: number;
  submitted: number;
}

for (const mode of MODES) {
  describe(`task workers that are killed all the time: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    for (const taskIpcMode of [1, 2, 3, 4] satisfies TaskIpcMode[]) {
      it(`taskIpcMode ${taskIpcMode}`, async () => {
        const settings = { workerNum: 1, taskWorkerNum: 3, taskIpcMode };
        const server = await startServer({ mode, settings, on, quiet: ['task'] });
        const worker = await server.worker(0);
        server.order(worker, async (serv) => {
          const sums: Sums = { right: 0, wrong: [], lost: 0, twice: 0, submitted: 0 };
          const control = serv as unknown as { over?: boolean };
          const sizes = [10, 100, 5000, 9000, 70_000, 300_000];
          const one = async (): Promise<void> => {
            const i = sums.submitted++;
            const fill = 'x'.repeat(sizes[i % sizes.length] as number);
            let settled = 0;
            await serv.taskAsync({ i, fill }).then(
              (result) => {
                settled++;
                if (result === `${i} ${fill}`) {
                  if (++sums.right % 10 === 0) note('ten more');
                } else sums.wrong.push(String(result).slice(0, 100));
              },
              (error: { code?: string; message: string }) => {
                settled++;
                if (error.code === 'ERR_WORKER_DIED') sums.lost++;
                else sums.wrong.push(`${error.code ?? ''} ${error.message}`);
              },
            );
            if (settled !== 1) sums.twice++;
          };
          const run = async (): Promise<void> => {
            while (control.over !== true) await one();
          };
          await Promise.all(Array.from({ length: 20 }, run));
          // What finish() has answered may end a little later.
          while (serv.stats().taskingNum > 0)
            await new Promise((resolve) => setTimeout(resolve, 5));
          note('sums', sums);
        });
        for (let round = 0; round < KILLS; round++) {
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
          // On a slow machine that takes longer.
          await server.noted('ten more', round + 1);
          const pid = await server.worker(1 + (round % 3));
          if (round === 5) server.signal('SIGUSR2');
          else kill(pid);
        }
        await server.run(worker, (serv) => {
          (serv as unknown as { over?: boolean }).over = true;
        });
        const [noted] = await server.noted('sums');
        const [sums] = noted?.args as [Sums];
        expect(sums.wrong).to.deep.equal([]);
        expect(sums.right + sums.lost).to.equal(sums.submitted);
        expect(sums.right).to.be.greaterThan(100);
        expect(sums.twice).to.equal(0);
        // A kill costs what the worker has in hand, and at times an answer that has not left.
        expect(sums.lost).to.be.at.most(KILLS * 3);
        // The last of the killed may be told only now.
        server.signal('SIGTERM');
        await server.endsWell();
      });
    }
  });
}
