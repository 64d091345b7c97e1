import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { EXIT_DO_NOT_RESTART, DEFAULT_RESTART } from '../../../lib/pool/restart-policy';
import {
  Supervisor,
  type ReloadReport,
  type SupervisorOptions,
  type WorkerGroup,
} from '../../../lib/pool/supervisor';
import type { ExitStatus } from '../../../lib/process/children';
import { settle } from '../fake-kernel';

const SIGKILL = 9;
const SIGTERM = 15;
const MAX_WAIT = 3000;
/** Long enough not to die young. */
const A_LIFE = 5000;

/** Processes that exist only here; what happens to them is told in `diary`. */
class FakeGroup implements WorkerGroup {
  readonly diary: string[] = [];
  readonly alive = new Map<number, { slot: number; end: (status: ExitStatus) => void }>();
  readonly generations: number[] = [];
  proved = false;
  failure: Error | null = null;
  #nextPid: number;

  constructor(
    readonly size: number,
    readonly name = 'worker',
    firstPid = 100,
  ) {
    this.#nextPid = firstPid;
  }

  start(slot: number, generation: number) {
    if (this.failure !== null) throw this.failure;
    const pid = this.#nextPid++;
    this.diary.push(`start ${String(slot)} as ${String(pid)}`);
    this.generations.push(generation);
    const ended = new Promise<ExitStatus>((end) => this.alive.set(pid, { slot, end }));
    return { pid, ended };
  }

  ended(slot: number, pid: number, { code, signal }: ExitStatus, expected: boolean): void {
    const how = `${expected ? 'as told' : 'by itself'} (${String(code)}, ${String(signal)})`;
    this.diary.push(`${String(pid)} of ${String(slot)} ended ${how}`);
  }

  provedItself(): boolean {
    return this.proved;
  }

  degraded(slot: number, failures: number, why?: Error): void {
    const reason = why === undefined ? '' : `: ${why.message}`;
    this.diary.push(`degraded ${String(slot)} after ${String(failures)}${reason}`);
  }

  end(pid: number, code = 0, signal = 0): void {
    const worker = this.alive.get(pid);
    if (worker === undefined) throw new Error(`pid ${String(pid)} does not run`);
    this.alive.delete(pid);
    worker.end({ pid, code, signal });
  }

  get pids(): number[] {
    return [...this.alive.keys()];
  }

  takeDiary(): string[] {
    return this.diary.splice(0);
  }
}

describe('Supervisor', () => {
  let clock: sinon.SinonFakeTimers;
  let groups: FakeGroup[];
  let group: FakeGroup;
  let supervisor: Supervisor;
  let obedient: boolean;

  const make = (made: FakeGroup[], options: Partial<SupervisorOptions> = {}): void => {
    groups = made;
    group = made[0] as FakeGroup;
    supervisor = new Supervisor(made, {
      maxWaitTime: MAX_WAIT,
      restart: { ...DEFAULT_RESTART, jitter: 0 },
      startFirst: false,
      ...options,
    });
  };
  const begin = (size: number, options: Partial<SupervisorOptions> = {}): void => {
    make([new FakeGroup(size)], options);
    supervisor.start();
    group.takeDiary();
  };
  const ready = async (...pids: number[]): Promise<void> => {
    for (const pid of pids) supervisor.markReady(pid);
    await settle();
  };
  const end = async (pid: number, code = 0, signal = 0): Promise<void> => {
    group.end(pid, code, signal);
    await settle();
  };
  const pass = async (ms: number): Promise<void> => {
    await clock.tickAsync(ms);
    await settle();
  };

  beforeEach(() => {
    clock = sinon.useFakeTimers({ now: 1e12, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    obedient = false;
    sinon.stub(binding, 'kill').callsFake((pid, signo) => {
      const of = groups.find(({ alive }) => alive.has(pid));
      of?.diary.push(`${signo === SIGKILL ? 'SIGKILL' : 'SIGTERM'} to ${String(pid)}`);
      if (signo === SIGKILL) of?.end(pid, 0, SIGKILL);
      else if (obedient) of?.end(pid);
      return of !== undefined;
    });
  });
  afterEach(() => {
    sinon.restore();
  });

  describe('start', () => {
    it('forks all workers at once, in the order of their ids', () => {
      make([new FakeGroup(3)]);
      supervisor.start();
      expect(group.diary).to.deep.equal(['start 0 as 100', 'start 1 as 101', 'start 2 as 102']);
      expect(group.generations).to.deep.equal([0, 0, 0]);
    });

    it('throws what the first forks throw', () => {
      make([new FakeGroup(3)]);
      group.failure = new Error('no fork now');
      expect(() => {
        supervisor.start();
      }).to.throw('no fork now');
      expect(group.diary).to.deep.equal([]);
    });
  });

  describe('a worker ends by itself', () => {
    it('is replaced at once, under its id', async () => {
      begin(2);
      await pass(A_LIFE);
      await end(101, 3);
      expect(group.diary).to.deep.equal(['101 of 1 ended by itself (3, 0)', 'start 1 as 102']);
    });

    it('several in one wake are all replaced', async () => {
      begin(4);
      await pass(A_LIFE);
      for (const pid of [100, 101, 103]) group.end(pid, 0, SIGKILL);
      await settle();
      expect(group.takeDiary().slice(3)).to.deep.equal([
        'start 0 as 104',
        'start 1 as 105',
        'start 3 as 106',
      ]);
    });

    it('backs off while it dies young, and tells once that it is degraded', async () => {
      begin(1, { restart: { ...DEFAULT_RESTART, jitter: 0, breakerAfter: 4, maxDelay: 1000 } });
      const starts: number[] = [];
      const began = Date.now();
      for (let pid = 100; pid < 106; pid++) {
        await end(pid, 1);
        while (!group.alive.has(pid + 1)) await pass(10);
        starts.push(Date.now() - began);
      }
      expect(starts).to.deep.equal([0, 100, 300, 1300, 2300, 3300]);
      expect(group.diary.filter((line) => line.startsWith('degraded'))).to.deep.equal([
        'degraded 0 after 4',
      ]);
    });

    it('has its failures forgotten when it lives on', async () => {
      begin(1);
      await end(100, 1);
      await end(101, 1);
      expect(supervisor.failures('worker', 0)).to.equal(2);
      await pass(100);
      await pass(A_LIFE);
      await end(102, 1);
      expect(supervisor.failures('worker', 0)).to.equal(0);
      expect(group.pids).to.deep.equal([103]);
    });

    it('that has done work is replaced at once, however young', async () => {
      begin(1);
      group.proved = true;
      for (let pid = 100; pid < 110; pid++) await end(pid, 0, SIGKILL);
      expect(group.pids).to.deep.equal([110]);
    });

    it('with exit code 78 is not replaced; the others are', async () => {
      begin(2);
      await end(100, EXIT_DO_NOT_RESTART);
      await end(101, 1);
      await pass(1e7);
      expect(group.pids).to.deep.equal([102]);
      expect(clock.countTimers(), 'nothing to wake for').to.equal(0);
    });
  });

  describe('fork fails later on', () => {
    it('is tried again at once, then with backoff, and told each time', async () => {
      begin(1);
      await pass(A_LIFE);
      group.failure = new Error('EAGAIN');
      await end(100);
      expect(group.takeDiary()).to.deep.equal([
        '100 of 0 ended by itself (0, 0)',
        'degraded 0 after 1: EAGAIN',
        'degraded 0 after 2: EAGAIN',
      ]);
      await pass(100);
      expect(group.takeDiary()).to.deep.equal(['degraded 0 after 3: EAGAIN']);
      group.failure = null;
      await pass(200);
      expect(group.pids).to.deep.equal([101]);
    });

    it('does not keep other workers from being started', async () => {
      begin(2);
      await pass(A_LIFE);
      const start = sinon.stub(group, 'start').callThrough();
      start.withArgs(0).throws(new Error('EAGAIN'));
      group.end(100);
      group.end(101);
      await settle();
      expect(group.pids).to.deep.equal([102]);
      expect(group.diary.at(-1)).to.match(/^degraded 0/);
    });
  });

  describe('stop', () => {
    it('SIGTERM to all, and settles when the last is gone', async () => {
      begin(2);
      const stopped = sinon.fake();
      void supervisor.stop().then(stopped);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100', 'SIGTERM to 101']);
      await end(101);
      expect(stopped.called).to.equal(false);
      await end(100);
      expect(stopped.called).to.equal(true);
      expect(group.pids, 'nobody is replaced').to.deep.equal([]);
      expect(clock.countTimers()).to.equal(0);
    });

    it('SIGKILL after maxWaitTime to those that are left, not before', async () => {
      begin(3);
      const stopped = supervisor.stop();
      await settle();
      await end(101);
      group.takeDiary();
      await pass(MAX_WAIT - 1);
      expect(group.diary).to.deep.equal([]);
      await pass(1);
      await stopped;
      expect(group.diary).to.deep.equal([
        'SIGKILL to 100',
        'SIGKILL to 102',
        '100 of 0 ended as told (0, 9)',
        '102 of 2 ended as told (0, 9)',
      ]);
    });

    it('with maxWaitTime 0 nobody is killed', async () => {
      begin(1, { maxWaitTime: 0 });
      void supervisor.stop();
      await pass(1e8);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      expect(clock.countTimers()).to.equal(0);
    });

    it('settles at once when nobody runs, also during a backoff', async () => {
      begin(1);
      await end(100, 1);
      await end(101, 1);
      expect(group.pids).to.deep.equal([]);
      await supervisor.stop();
      await pass(1000);
      expect(group.pids).to.deep.equal([]);
    });

    it('stops the groups one after the other, in their order', async () => {
      make([new FakeGroup(1, 'first', 100), new FakeGroup(1, 'second', 200)]);
      supervisor.start();
      const stopped = supervisor.stop();
      await settle();
      const [first, second] = groups as [FakeGroup, FakeGroup];
      expect(first.diary).to.include('SIGTERM to 100');
      expect(second.takeDiary()).to.deep.equal(['start 0 as 200']);
      first.end(100);
      await settle();
      expect(second.takeDiary()).to.deep.equal(['SIGTERM to 200']);
      second.end(200);
      await stopped;
    });
  });

  describe('reload', () => {
    it('replaces one worker after the other, each when its predecessor serves', async () => {
      begin(2);
      await ready(100, 101);
      const reload = supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      await end(100);
      expect(group.takeDiary()).to.deep.equal(['100 of 0 ended as told (0, 0)', 'start 0 as 102']);
      await ready(102);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 101']);
      await end(101);
      await ready(103);
      expect(await reload).to.deep.equal({
        generation: 1,
        replaced: 2,
        killed: 0,
        durationMs: 0,
      });
      expect(group.generations).to.deep.equal([0, 0, 1, 1]);
    });

    it('waits for workers that still start', async () => {
      begin(2);
      void supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal([]);
      await ready(100, 101);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
    });

    it('reports those that had to be killed, and how long it took', async () => {
      begin(2);
      await ready(100, 101);
      const reload = supervisor.reload('worker');
      await pass(MAX_WAIT);
      await ready(102);
      await end(101);
      await ready(103);
      expect(await reload).to.deep.equal({
        generation: 1,
        replaced: 2,
        killed: 1,
        durationMs: MAX_WAIT,
      });
    });

    it('a second call during a reload joins it; a later one is another', async () => {
      obedient = true;
      begin(1);
      await ready(100);
      const reports: Promise<ReloadReport>[] = [];
      reports.push(supervisor.reload('worker'), supervisor.reload('worker'));
      await settle();
      await ready(101);
      const [first, second] = await Promise.all(reports);
      expect(first).to.equal(second).and.to.include({ generation: 1, replaced: 1 });
      const third = supervisor.reload('worker');
      await settle();
      await ready(102);
      expect(await third).to.include({ generation: 2, replaced: 1 });
    });

    it('a worker that dies meanwhile comes back new and is not replaced again', async () => {
      begin(2);
      await pass(A_LIFE);
      await ready(100, 101);
      const reload = supervisor.reload('worker');
      await settle();
      await end(101, 0, SIGKILL);
      await end(100);
      await ready(102, 103);
      expect(await reload).to.include({ replaced: 2 });
      expect(group.pids).to.have.members([102, 103]);
    });

    it('start-first: the old one is told to end when the new one serves', async () => {
      begin(1, { startFirst: true });
      await ready(100);
      const reload = supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
      await ready(101);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      await end(100);
      expect(await reload).to.include({ replaced: 1, killed: 0 });
      expect(group.pids).to.deep.equal([101]);
    });

    it('start-first: successors that die young leave the old one alone', async () => {
      begin(1, { startFirst: true });
      await ready(100);
      const reload = supervisor.reload('worker');
      const over = sinon.fake();
      void reload.then(over);
      await settle();
      await end(101, 1);
      await end(102, 1);
      expect(group.pids, 'in backoff').to.deep.equal([100]);
      expect(over.called, 'the reload is not over').to.equal(false);
      await pass(100);
      await ready(103);
      await end(100);
      expect(await reload).to.include({ replaced: 1 });
      expect(group.pids).to.deep.equal([103]);
    });

    it('a stop during a reload ends it as well', async () => {
      begin(2);
      await ready(100, 101);
      const reload = supervisor.reload('worker');
      await settle();
      const stopped = supervisor.stop();
      await settle();
      await end(100);
      await end(101);
      await stopped;
      expect(await reload).to.include({ generation: 1, replaced: 2 });
      expect(group.pids).to.deep.equal([]);
    });

    it('does not touch other groups, and knows its own by name', async () => {
      make([new FakeGroup(1, 'first', 100), new FakeGroup(1, 'second', 200)]);
      supervisor.start();
      await ready(100, 200);
      void supervisor.reload('second');
      await settle();
      expect(groups[0]?.diary).to.not.include('SIGTERM to 100');
      expect(groups[1]?.diary).to.include('SIGTERM to 200');
      expect(() => supervisor.reload('third')).to.throw(RangeError, 'third');
    });
  });

  describe('detach', () => {
    it('starts a successor at once, and only reaps the old one', async () => {
      begin(1);
      await ready(100);
      supervisor.detach(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
      await pass(1e6);
      await end(100);
      expect(group.takeDiary()).to.deep.equal(['100 of 0 ended as told (0, 0)']);
    });

    it('a stop does not wait for it, nor signal it', async () => {
      begin(1);
      supervisor.detach(100);
      await settle();
      group.takeDiary();
      const stopped = supervisor.stop();
      await settle();
      await end(101);
      await stopped;
      expect(group.diary).to.deep.equal(['SIGTERM to 101', '101 of 0 ended as told (0, 0)']);
      expect(group.pids).to.deep.equal([100]);
    });

    it('takes back a kill that was due', async () => {
      begin(1);
      await ready(100);
      void supervisor.reload('worker');
      await settle();
      supervisor.detach(100);
      await pass(2 * MAX_WAIT);
      expect(group.diary).to.not.include('SIGKILL to 100');
    });

    it('of a pid it does not know, or that was replaced already, is nothing', async () => {
      begin(1);
      supervisor.detach(4711);
      supervisor.detach(100);
      await settle();
      supervisor.detach(100);
      supervisor.markReady(4711);
      await settle();
      expect(group.diary).to.deep.equal(['start 0 as 101']);
    });
  });

  it('SIGTERM and SIGKILL are the only signals it sends', async () => {
    begin(1);
    void supervisor.stop();
    await pass(MAX_WAIT);
    const sent = (binding.kill as sinon.SinonStub).args.map(([, signo]) => signo as number);
    expect(sent).to.deep.equal([SIGTERM, SIGKILL]);
  });
});
