/** Pools under SIGKILLs and reloads at full load. PREFORK_CHAOS_SECONDS sets the length of each storm. */
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const SECONDS = Number(process.env['PREFORK_CHAOS_SECONDS'] ?? 15);
const LONG = (SECONDS + 90) * 1000;
const WORKERS = 4;
const CRASH_LOOP_MS = 5000;

/** What all fixtures tell of the storm, and of what is left of the pool when it is over. */
interface Storm {
  kills: number;
  reloads: number;
  /** Workers that ended abnormally, or lost messages; `others`: not by SIGKILL. */
  deaths: number;
  others: number;
  /** Messages that `workerError` has reported as lost. */
  lost: number;
  workers: number;
  messageFiles: number[];
  childrenLeft: number;
  fdsLeft: number;
}

/** What the diaries of senders and workers say together. */
interface Messages {
  sent: number;
  handled: number;
  /** Sent and not handled. */
  unhandled: number;
  /** Handled and never sent. */
  unknown: number;
  twice: number;
  /** Handled after a later one of the same sender. */
  overtaken: number;
}

interface Requests {
  answered: number;
  closed: number;
  wrong: number;
  hung: number;
  refused: number;
  socketFileLeft: boolean;
}

async function run<Report>(name: string, args: string[]): Promise<Report> {
  const result = await runFixture(`pool/${name}.js`, { args, timeoutMs: LONG });
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  expect(result.leftFiles).to.deep.equal([]);
  expect(result.stderr, 'a worker did not end when told to').to.not.include(
    'PREFORK_WORKER_EXIT_FORCED',
  );
  return JSON.parse(result.stdout) as Report;
}

/** On a machine that is busy elsewhere the storm is slower, but a storm it is. */
function expectStorm({ kills, reloads }: Storm): void {
  expect(kills).to.be.at.least(SECONDS * 2);
  expect(reloads).to.be.at.least(Math.floor(SECONDS / 5));
}

function expectWholeAndClean(storm: Storm): void {
  const { deaths, others, lost, workers, messageFiles, childrenLeft, fdsLeft } = storm;
  expect(deaths, 'each SIGKILL is reported').to.be.at.most(storm.kills);
  expect(others, 'ends that nobody caused').to.equal(0);
  expect(lost).to.be.at.most(deaths * 2);
  expect(workers).to.equal(WORKERS);
  expect(new Set(messageFiles), 'memfds left').to.deep.equal(new Set([0]));
  expect({ childrenLeft, fdsLeft }).to.deep.equal({ childrenLeft: 0, fdsLeft: 0 });
}

function expectHandledOnceOrReported(report: Storm & Messages): void {
  const { sent, handled, unhandled, unknown, twice, lost } = report;
  expect({ unknown, twice }).to.deep.equal({ unknown: 0, twice: 0 });
  expect(unhandled).to.be.at.most(lost);
  expect(sent).to.be.greaterThan(SECONDS * 500);
  expect(handled).to.be.greaterThan(SECONDS * 500);
}

function expectAnsweredOrClosed(report: Storm & Requests): void {
  const { answered, closed, wrong, hung, refused, kills, socketFileLeft } = report;
  expect({ wrong, hung, refused, socketFileLeft }).to.deep.equal({
    wrong: 0,
    hung: 0,
    refused: 0,
    socketFileLeft: false,
  });
  expect(answered).to.be.greaterThan(SECONDS * 100);
  expect(closed, 'connections lost by more than the kills').to.be.at.most(kills * 8);
}

describe('pool chaos', function () {
  this.timeout(LONG);
  assertNothingLeaks();

  it(`IPC_UNIXSOCK: ${String(SECONDS)} s of kills and reloads; each message is handled once or reported lost`, async () => {
    const report = await run<Storm & Messages>('chaos-unixsock', [String(SECONDS)]);
    expectStorm(report);
    expectHandledOnceOrReported(report);
    expect(report.overtaken, 'messages out of the order of their sender').to.equal(0);
    expectWholeAndClean(report);
  });

  it(`IPC_MSGQUEUE: ${String(SECONDS)} s of the same, the senders being other programs`, async () => {
    const report = await run<Storm & Messages & { producerCodes: number[]; freed: boolean }>(
      'chaos-msgqueue',
      [String(SECONDS)],
    );
    expectStorm(report);
    expectHandledOnceOrReported(report);
    expect(report).to.deep.include({ producerCodes: [0, 0], freed: true });
    expectWholeAndClean(report);
  });

  for (const kind of ['tcp', 'unix']) {
    it(`IPC_SOCKET on ${kind}: ${String(SECONDS)} s; each request is answered or its connection closed`, async () => {
      const report = await run<Storm & Requests>('chaos-socket', [kind, String(SECONDS)]);
      expectStorm(report);
      expectAnsweredOrClosed(report);
      expectWholeAndClean(report);
    });
  }

  it('a pool whose workers throw at start backs off: its master needs less than 5 % of a CPU', async () => {
    const report = await run<{
      cpuPercent: number;
      deaths: number;
      restarts: number;
      degraded: number[];
    }>('chaos-crash-loop', [String(CRASH_LOOP_MS)]);
    expect(report.cpuPercent).to.be.below(5);
    // At once, after 100, 200 and 400 ms; the fifth death in a row opens the breaker.
    expect(report).to.deep.include({ deaths: 20, restarts: 16, degraded: [0, 1, 2, 3] });
  });
});
