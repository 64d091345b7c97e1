/** requestSlowlogFile, requestSlowlogTimeout, traceEventWorker. */
import { existsSync, readFileSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { expect } from 'chai';
import { assertNothingLeaks } from '../support/leaks';
import { endServersAfterEach, MODES, startServer } from '../support/server';
import type { RunningServer, ServerPlan } from '../support/server';

const LOG = 'slow.log';
const settings = {
  ...{ workerNum: 1, taskWorkerNum: 1 },
  ...{ requestSlowlogFile: `TMP/${LOG}`, requestSlowlogTimeout: 50 },
};

const on = {
  receive: function received(serv, fd, _, data) {
    function spinning(): never {
      for (;;);
    }
    function busy(ms: number): void {
      for (const end = Date.now() + ms; Date.now() < end;);
    }
    if (String(data) === 'endless') spinning();
    if (String(data) === 'slow') busy(500);
    return serv.send(fd, data);
  },
  task: function taskHandler() {
    (function working(): void {
      for (const end = Date.now() + 300; Date.now() < end;);
    })();
    return 'done';
  },
} satisfies ServerPlan['on'];

const textOf = (server: RunningServer, name = LOG) => readFileSync(server.file(name), 'utf8');

/** Lines that begin an entry. */
const entriesOf = (text: string) => text.split('\n').filter((line) => /^\d{4}-/.test(line));

async function stopWithout(server: RunningServer, ...files: string[]): Promise<void> {
  for (const file of files) unlinkSync(server.file(file));
  await server.stop();
}

for (const mode of MODES) {
  describe(`server slow requests: ${mode} mode`, () => {
    assertNothingLeaks();
    endServersAfterEach();

    it('the stack of a receive callback in for(;;) is written, once', async () => {
      const server = await startServer({
        ...{ mode, on },
        settings: { ...settings, traceEventWorker: true },
      });
      const worker = await server.worker(0);
      (await server.connect()).write('endless');
      await server.until(() => textOf(server).includes('spinning'), 'stack');
      const entry = new RegExp(`^\\S+Z worker 0 pid ${String(worker)} receive 1: (\\d+) ms$`, 'm');
      const [, ms] = entry.exec(textOf(server)) ?? [];
      expect(Number(ms)).to.be.at.least(50);
      expect(textOf(server)).to.match(/ms\n +at spinning \(test:\d+:\d+\)\n +at received \(test/);
      // It looks again meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 250));
      expect(entriesOf(textOf(server))).to.have.length(1);
      expect(statSync(server.file(LOG)).mode & 0o777).to.equal(0o600);
      process.kill(worker, 'SIGKILL');
      await server.worker(0, 2);
      await stopWithout(server, LOG);
    });

    it('that of a slow task is written too, and the task goes on', async () => {
      const server = await startServer({ mode, on, settings });
      const pid = await server.worker(1);
      const result = await server.run(await server.worker(0), (serv) => serv.taskwait('x', 10_000));
      expect(result).to.equal('done');
      const text = textOf(server);
      expect(text).to.match(new RegExp(`worker 1 pid ${String(pid)} task 1?\\d*: \\d+ ms\n`));
      expect(text).to.match(/^ +at working \(test:\d+:\d+\)\n +at (Object\.)?task/m);
      expect(entriesOf(text)).to.have.length(1);
      await stopWithout(server, LOG);
    });

    it('without traceEventWorker event workers are not watched', async () => {
      const server = await startServer({ mode, on, settings });
      expect(await (await server.connect()).ask('slow')).to.equal('slow');
      await server.run(await server.worker(0), (serv) => serv.taskwait('x', 10_000));
      const entries = entriesOf(textOf(server));
      expect(entries).to.have.length(1);
      expect(entries[0]).to.include(' task ');
      await stopWithout(server, LOG);
    });

    it('each slow request has an entry, fast ones have none', async () => {
      const server = await startServer({
        ...{ mode, on },
        settings: { ...settings, traceEventWorker: true, requestSlowlogTimeout: 300 },
      });
      const client = await server.connect();
      for (const request of ['fast', 'slow', 'fast', 'slow']) await client.ask(request);
      const entries = entriesOf(textOf(server));
      expect(entries).to.have.length(2);
      for (const entry of entries) expect(entry).to.match(/ receive 1: \d+ ms/);
      await stopWithout(server, LOG);
    });

    it('goes on in a new file after a rename and SIGRTMIN', async () => {
      const server = await startServer({
        ...{ mode, on },
        settings: { ...settings, traceEventWorker: true },
      });
      const client = await server.connect();
      await client.ask('slow');
      renameSync(server.file(LOG), server.file('old.log'));
      server.signal(34);
      const written = () => existsSync(server.file(LOG)) && textOf(server) !== '';
      for (const end = Date.now() + 10_000; !written() && Date.now() < end;) {
        await client.ask('slow');
      }
      expect(textOf(server)).to.match(/ receive 1: \d+ ms/);
      expect(textOf(server, 'old.log')).to.match(/ receive 1: \d+ ms/);
      await stopWithout(server, LOG, 'old.log');
    });
  });
}
