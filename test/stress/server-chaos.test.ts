/**
 * Servers under SIGKILLs and reloads, with 200 clients at full speed that look at every byte they get.
 * PREFORK_CHAOS_SECONDS sets the length of the two long storms.
 */
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const SECONDS = Number(process.env['PREFORK_CHAOS_SECONDS'] ?? 18);
const SHORT_SECONDS = SECONDS / 4;
const LONG = (SECONDS + 90) * 1000;
const EVENT_WORKERS = 4;
const TASK_WORKERS = 2;

interface Storm {
  kills: number;
  reloads: number;
  /** Workers that ended abnormally, or lost requests; `others`: not by SIGKILL. */
  deaths: number;
  others: unknown[];
  /** What `workerError` has told of lost requests. */
  lost: number;
  /** Workers that ended in good order with tasks that had not settled. */
  unsettled: unknown[];
}

/** What the clients have seen. */
interface Traffic {
  answered: number;
  failedTasks: number;
  unanswered: number;
  dropped: number;
  refused: number;
  /** Bytes that were lost, doubled, changed or out of order. */
  wrong: number;
  hung: number;
  details: string[];
}

/** When all is calm again, and after the shutdown. */
interface Calm {
  processes: number;
  zombies: number;
  messageFiles: number[];
  connections: number;
  tasking: number;
  socketFileLeft: boolean;
  childrenLeft: number;
  fdsLeft: number;
}

type Report = Storm & Traffic & Calm;

async function run(mode: string, socket: string, ipcMode: number, seconds: number) {
  const args = [mode, socket, String(ipcMode), String(seconds)];
  const result = await runFixture('server-stress/chaos.js', { args, timeoutMs: LONG });
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  expect(result.leftFiles).to.deep.equal([]);
  expect(result.stderr, 'a worker did not end when told to').to.not.include(
    'PREFORK_WORKER_EXIT_FORCED',
  );
  return JSON.parse(result.stdout) as Report;
}

/** On a machine that is busy elsewhere the storm is slower, but a storm it is. */
function expectStorm({ kills, reloads, deaths, others }: Storm, seconds: number): void {
  expect(kills).to.be.at.least(seconds * 2);
  expect(reloads).to.be.at.least(Math.floor(seconds / 5));
  expect(deaths, 'each SIGKILL is reported once').to.be.within(kills / 2, kills);
  expect(others, 'ends that nobody caused').to.deep.equal([]);
}

function expectAllRight(report: Report, seconds: number): void {
  const { details, wrong, hung, refused, answered, unsettled } = report;
  expect(details.join('\n')).to.equal('');
  expect({ wrong, hung, refused }).to.deep.equal({ wrong: 0, hung: 0, refused: 0 });
  expect(unsettled).to.deep.equal([]);
  expect(answered).to.be.greaterThan(seconds * 100);
}

function expectClean(report: Report, processes: number): void {
  const { zombies, connections, tasking, childrenLeft, fdsLeft, socketFileLeft } = report;
  expect(report.processes).to.equal(processes);
  expect({ zombies, connections, tasking }).to.deep.equal({
    zombies: 0,
    connections: 0,
    tasking: 0,
  });
  expect(new Set(report.messageFiles), 'memfds left').to.deep.equal(new Set([0]));
  expect({ childrenLeft, fdsLeft, socketFileLeft }).to.deep.equal({
    childrenLeft: 0,
    fdsLeft: 0,
    socketFileLeft: false,
  });
}

describe('server chaos', function () {
  this.timeout(LONG);
  assertNothingLeaks();

  for (const { socket, ipcMode, seconds } of [
    { socket: 'tcp', ipcMode: 2, seconds: SECONDS },
    { socket: 'unix', ipcMode: 4, seconds: SHORT_SECONDS },
  ]) {
    it(`process mode, ${socket}, taskIpcMode ${ipcMode}: ${seconds} s; all connections live on, what was lost is reported`, async () => {
      const report = await run('process', socket, ipcMode, seconds);
      expectStorm(report, seconds);
      expectAllRight(report, seconds);
      expect(report.dropped).to.equal(0);
      expect(report.unanswered).to.be.at.most(report.lost);
      expect(report.lost, 'more than a packet a worker').to.be.at.most(report.deaths * 64);
      expectClean(report, 1 + EVENT_WORKERS + TASK_WORKERS);
    });
  }

  for (const { socket, ipcMode, seconds } of [
    { socket: 'unix', ipcMode: 1, seconds: SECONDS },
    { socket: 'tcp', ipcMode: 3, seconds: SHORT_SECONDS },
  ]) {
    it(`base mode, ${socket}, taskIpcMode ${ipcMode}: ${seconds} s; only connections of ended workers drop`, async () => {
      const report = await run('base', socket, ipcMode, seconds);
      expectStorm(report, seconds);
      expectAllRight(report, seconds);
      expect(report.dropped).to.be.greaterThan(0);
      expect(report.unanswered, 'replies missing on a connection that lives').to.equal(0);
      expectClean(report, EVENT_WORKERS + TASK_WORKERS);
    });
  }
});
