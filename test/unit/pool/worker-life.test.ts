import { expect } from 'chai';
import sinon from 'sinon';
import { Process } from '../../../lib/process/process';
import { patience, WorkerLife, type WorkerLifeOptions } from '../../../lib/pool/worker-life';
import {
  STAGE_DRAINING,
  STAGE_READY,
  STAGE_STARTING,
  WorkerTable,
  type WorkerRow,
} from '../../../lib/pool/worker-table';
import { settle, thrownBy } from '../fake-kernel';

const NOW = 1_800_000_000_000;
const MAX_WAIT = 3000;
const TICK_MS = 10;

describe('WorkerLife', () => {
  let clock: sinon.SinonFakeTimers;
  let diary: string[];
  let row: WorkerRow;
  let life: WorkerLife;
  /** What the worker does at a signal. */
  let signals: Map<unknown, unknown>;
  /** What it does when its event loop is empty. */
  let loopEnds: () => void;
  let drained: () => void;
  let warn: sinon.SinonStub;
  const title = process.title;

  const make = (options: Partial<WorkerLifeOptions> = {}): WorkerLife => {
    life = new WorkerLife(row, {
      name: 'worker 3',
      title: null,
      privileges: {},
      cpu: null,
      maxWaitTime: MAX_WAIT,
      drain: () => {
        diary.push('drain');
        return new Promise((resolve) => {
          drained = resolve;
        });
      },
      onExitTick: () => diary.push('exit tick'),
      onEnd: () => diary.push('end'),
      ...options,
    });
    return life;
  };
  const takeDiary = (): string[] => diary.splice(0);
  /** It was told to end, and has nothing to do any more. */
  const stopped = async (options: Partial<WorkerLifeOptions> = {}): Promise<void> => {
    make(options).settleIn();
    life.ready();
    life.stop();
    drained();
    await settle();
    takeDiary();
  };

  beforeEach(() => {
    clock = sinon.useFakeTimers({
      now: NOW,
      toFake: [
        'Date',
        'setTimeout',
        'clearTimeout',
        'setInterval',
        'clearInterval',
        'setImmediate',
      ],
    });
    diary = [];
    row = new WorkerTable(1).claimRow(0) as WorkerRow;
    signals = new Map();
    drained = () => undefined;
    sinon.stub(Process, 'signal').callsFake((signal, callback) => {
      signals.set(signal, callback);
      diary.push(`signal ${String(signal)}`);
    });
    sinon.stub(Process, 'setAffinity').callsFake((cpus) => {
      diary.push(`CPU ${String(cpus)}`);
    });
    const once = sinon.stub(process, 'once');
    once.callThrough();
    once.withArgs('beforeExit' as never).callsFake((_event, listener) => {
      loopEnds = listener as () => void;
      return process;
    });
    sinon.stub(process, 'exit').callsFake((code) => {
      diary.push(`exit ${String(code)}`);
      return undefined as never;
    });
    warn = sinon.stub(process, 'emitWarning');
    sinon.stub(process, 'getActiveResourcesInfo').returns(['Timeout', 'TCPSocketWrap']);
    make();
  });
  afterEach(() => {
    sinon.restore();
    process.title = title;
  });

  describe('settleIn', () => {
    it('notes who it is and since when, but not that it serves', () => {
      life.settleIn();
      expect(row).to.include({ pid: process.pid, startedAt: NOW, stage: STAGE_STARTING });
    });

    it('knows how to end before anything else', () => {
      make({ cpu: 2 }).settleIn();
      expect(diary[0]).to.equal('signal SIGTERM');
      expect(diary.at(-1)).to.equal('CPU 2');
    });

    it('ends in good order at SIGTERM', () => {
      life.settleIn();
      expect(life.stopping).to.equal(false);
      (signals.get('SIGTERM') as () => void)();
      expect(life.stopping).to.equal(true);
    });

    it('ignores what a terminal sends to the whole group', () => {
      life.settleIn();
      const ignored = [...signals].filter(([, callback]) => callback === Process.SIG_IGN);
      expect(ignored.map(([signal]) => signal)).to.have.members([
        'SIGINT',
        'SIGUSR1',
        'SIGUSR2',
        'SIGHUP',
      ]);
    });

    it('takes its title and CPU, when it has any', () => {
      life.settleIn();
      expect(process.title).to.equal(title);
      expect(diary.filter((line) => line.startsWith('CPU'))).to.deep.equal([]);
      make({ title: 'a worker', cpu: 5 }).settleIn();
      expect(process.title).to.equal('a worker');
      expect(takeDiary()).to.include('CPU 5');
    });

    it('gives up its privileges', () => {
      sinon.stub(process as { getuid: () => number }, 'getuid').returns(1000);
      thrownBy(() => {
        make({ privileges: { user: 'www' } }).settleIn();
      }, 'ERR_PRIVILEGES');
    });
  });

  describe('ready', () => {
    it('notes that it serves', () => {
      expect(life.ready()).to.equal(true);
      expect(row.stage).to.equal(STAGE_READY);
    });

    it('does not when it was told to end meanwhile', () => {
      life.stop();
      expect(life.ready()).to.equal(false);
      expect(row.stage).to.equal(STAGE_DRAINING);
    });
  });

  describe('stop', () => {
    it('drains, then ticks until its loop is empty, then ends with code 0', async () => {
      life.settleIn();
      life.ready();
      takeDiary();
      life.stop();
      expect(row.stage).to.equal(STAGE_DRAINING);
      await clock.tickAsync(5 * TICK_MS);
      expect(takeDiary(), 'no tick before it is drained').to.deep.equal(['drain']);
      drained();
      await settle();
      expect(takeDiary()).to.deep.equal(['exit tick']);
      await clock.tickAsync(2 * TICK_MS);
      expect(takeDiary()).to.deep.equal(['exit tick', 'exit tick']);
      loopEnds();
      expect(diary).to.deep.equal(['end', 'exit undefined']);
    });

    it('a second time is nothing', async () => {
      life.stop();
      life.stop();
      await settle();
      expect(diary).to.deep.equal(['drain']);
      expect(clock.countTimers()).to.equal(1);
    });

    it('ticks not where nobody wants it', async () => {
      await stopped({ onExitTick: null });
      await clock.tickAsync(100);
      expect(diary).to.deep.equal([]);
    });
  });

  it('an empty loop ends it also when nobody has told it to end', () => {
    life.settleIn();
    takeDiary();
    loopEnds();
    expect(diary).to.deep.equal(['end', 'exit undefined']);
    expect(life.stopping).to.equal(true);
  });

  describe('with a promise at its end', () => {
    let settleEnd: (error?: Error) => void;
    const onEnd = (): Promise<void> => {
      diary.push('end');
      return new Promise((resolve, reject) => {
        settleEnd = (error) => {
          if (error === undefined) resolve();
          else reject(error);
        };
      });
    };

    it('exits when it has settled, and ticks no more meanwhile', async () => {
      await stopped({ onEnd });
      loopEnds();
      await clock.tickAsync(5 * TICK_MS);
      expect(diary).to.deep.equal(['end']);
      settleEnd();
      await settle();
      expect(diary).to.deep.equal(['end', 'exit undefined']);
    });

    it('a rejected one is left to the process', async () => {
      await stopped({ onEnd });
      const unhandled = new Promise((resolve) => {
        const listeners = process.listeners('unhandledRejection');
        process.removeAllListeners('unhandledRejection');
        process.once('unhandledRejection', (error) => {
          for (const listener of listeners) process.on('unhandledRejection', listener);
          resolve(error);
        });
      });
      loopEnds();
      const mine = new Error('mine');
      settleEnd(mine);
      expect(await unhandled).to.equal(mine);
    });

    it('that never settles is not waited for beyond maxWaitTime', async () => {
      await stopped({ onEnd, onExitTick: null });
      loopEnds();
      await clock.tickAsync(MAX_WAIT);
      expect(diary).to.deep.equal(['end', 'exit undefined']);
    });

    it('that begins with the forced end has half of the time that is left', async () => {
      await stopped({ onEnd, onExitTick: null });
      await clock.tickAsync(2702);
      expect(diary).to.deep.equal(['end']);
      await clock.tickAsync(150);
      expect(diary).to.deep.equal(['end', 'exit undefined']);
    });
  });

  describe('detach', () => {
    it('takes back the forced end and the exit ticks of one that was told to end', async () => {
      await stopped();
      life.detach();
      await clock.tickAsync(2 * MAX_WAIT);
      expect(diary).to.deep.equal([]);
      loopEnds();
      expect(diary, 'no end of a worker of the pool').to.deep.equal(['exit undefined']);
    });

    it('before it is drained: it ticks not at all', async () => {
      make().settleIn();
      life.stop();
      life.detach();
      takeDiary();
      drained();
      await clock.tickAsync(MAX_WAIT);
      expect(diary).to.deep.equal([]);
    });
  });

  describe('that does not come to its end', () => {
    const endsAfter = async (ms: number): Promise<void> => {
      await clock.tickAsync(ms - 1);
      expect(takeDiary(), 'too early').to.deep.equal([]);
      expect(warn.called).to.equal(false);
      await clock.tickAsync(1);
      expect(warn.callCount).to.equal(1);
      // The clock runs an immediate 1 ms later.
      await clock.tickAsync(1);
      expect(takeDiary()).to.deep.equal(['end', 'exit undefined']);
    };

    for (const [maxWaitTime, ms, why] of [
      [3000, 2700, 'a tenth before it would be killed'],
      [60_000, 54_000, 'a tenth before it would be killed'],
      [500, 400, 'at least 100 ms before it would be killed'],
      [100, 50, 'after half of its time at the earliest'],
    ] as const) {
      it(`with ${String(maxWaitTime)} ms ends after ${String(ms)}: ${why}`, async () => {
        await stopped({ maxWaitTime, onExitTick: null });
        await endsAfter(ms);
      });
    }

    it('says what keeps its loop alive', async () => {
      await stopped({ onExitTick: null });
      await clock.tickAsync(MAX_WAIT);
      expect(warn.args).to.deep.equal([
        [
          'worker 3 was told to end and is ended now, because its event loop is kept alive by: ' +
            'Timeout, TCPSocketWrap',
          { type: 'PreforkWarning', code: 'PREFORK_WORKER_EXIT_FORCED' },
        ],
      ]);
    });

    it('ends also when what it has taken is never done', async () => {
      make({ onExitTick: null }).settleIn();
      life.stop();
      await clock.tickAsync(MAX_WAIT);
      expect(diary.slice(-2)).to.deep.equal(['end', 'exit undefined']);
    });

    it('with maxWaitTime 0 is left alone', async () => {
      await stopped({ maxWaitTime: 0, onExitTick: null });
      await clock.tickAsync(1e8);
      expect(diary).to.deep.equal([]);
      expect(clock.countTimers()).to.equal(0);
    });
  });
});
describe('patience', () => {
  it('leaves a tenth of maxWaitTime to the forced end, 100 ms at least, half of it at most', () => {
    const left = [5000, 1000, 999, 500, 200, 150, 1].map((maxWaitTime) => {
      return maxWaitTime - patience(maxWaitTime);
    });
    expect(left).to.deep.equal([500, 100, 100, 100, 100, 75, 0.5]);
  });
});
