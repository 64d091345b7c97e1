import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { DEFAULT_RESTART, EXIT_DO_NOT_RESTART } from '../../../lib/pool/restart-policy';
import { settle } from '../fake-kernel';
import { A_LIFE, FakeGroup, MAX_WAIT, Scene, SIGKILL, SIGTERM } from './fake-group';

describe('Supervisor', () => {
  let scene: Scene;

  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => {
    sinon.restore();
  });

  describe('start', () => {
    it('forks all workers at once, in the order of their ids', () => {
      const group = scene.make([new FakeGroup(3)]);
      scene.supervisor.start();
      expect(group.diary).to.deep.equal(['start 0 as 100', 'start 1 as 101', 'start 2 as 102']);
      expect(group.generations).to.deep.equal([0, 0, 0]);
    });

    it('throws what the first forks throw', () => {
      const group = scene.make([new FakeGroup(3)]);
      group.failure = new Error('no fork now');
      expect(() => {
        scene.supervisor.start();
      }).to.throw('no fork now');
      expect(group.diary).to.deep.equal([]);
    });
  });

  describe('a worker ends by itself', () => {
    it('is replaced at once, under its id', async () => {
      const group = scene.begin(2);
      await scene.pass(A_LIFE);
      await scene.end(101, 3);
      expect(group.diary).to.deep.equal(['101 of 1 ended by itself (3, 0)', 'start 1 as 102']);
    });

    it('several in one wake are all replaced', async () => {
      const group = scene.begin(4);
      await scene.pass(A_LIFE);
      for (const pid of [100, 101, 103]) group.end(pid, 0, SIGKILL);
      await settle();
      expect(group.takeDiary().slice(3)).to.deep.equal([
        'start 0 as 104',
        'start 1 as 105',
        'start 3 as 106',
      ]);
    });

    it('backs off while it dies young, and tells once that it is degraded', async () => {
      const group = scene.begin(1, {
        restart: { ...DEFAULT_RESTART, jitter: 0, breakerAfter: 4, maxDelay: 1000 },
      });
      const starts: number[] = [];
      const began = Date.now();
      for (let pid = 100; pid < 106; pid++) {
        await scene.end(pid, 1);
        while (!group.alive.has(pid + 1)) await scene.pass(10);
        starts.push(Date.now() - began);
      }
      expect(starts).to.deep.equal([0, 100, 300, 1300, 2300, 3300]);
      expect(group.diary.filter((line) => line.startsWith('degraded'))).to.deep.equal([
        'degraded 0 after 4',
      ]);
    });

    it('has its failures forgotten when it lives on', async () => {
      const group = scene.begin(1);
      await scene.end(100, 1);
      await scene.end(101, 1);
      expect(scene.supervisor.failures('worker', 0)).to.equal(2);
      await scene.pass(100);
      await scene.ready(102);
      await scene.pass(A_LIFE);
      await scene.end(102, 1);
      expect(scene.supervisor.failures('worker', 0)).to.equal(0);
      expect(group.pids).to.deep.equal([103]);
    });

    it('before it serves: it has died young, however long its start took', async () => {
      const group = scene.begin(1);
      await scene.pass(A_LIFE);
      await scene.end(100, 1);
      await scene.pass(A_LIFE);
      await scene.end(101, 1);
      expect(scene.supervisor.failures('worker', 0)).to.equal(2);
      expect(group.pids, 'backed off').to.deep.equal([]);
    });

    it('that has done work is replaced at once, however young', async () => {
      const group = scene.begin(1);
      group.proved = true;
      for (let pid = 100; pid < 110; pid++) await scene.end(pid, 0, SIGKILL);
      expect(group.pids).to.deep.equal([110]);
    });

    it('with exit code 78 is not replaced; the others are', async () => {
      const group = scene.begin(2);
      await scene.end(100, EXIT_DO_NOT_RESTART);
      await scene.end(101, 1);
      await scene.pass(1e7);
      expect(group.pids).to.deep.equal([102]);
      expect(scene.clock.countTimers(), 'nothing to wake for').to.equal(0);
    });
  });

  describe('fork fails later on', () => {
    it('is tried again at once, then with backoff, and told each time', async () => {
      const group = scene.begin(1);
      await scene.pass(A_LIFE);
      group.failure = new Error('EAGAIN');
      await scene.end(100);
      expect(group.takeDiary()).to.deep.equal([
        '100 of 0 ended by itself (0, 0)',
        'degraded 0 after 1: EAGAIN',
        'degraded 0 after 2: EAGAIN',
      ]);
      await scene.pass(100);
      expect(group.takeDiary()).to.deep.equal(['degraded 0 after 3: EAGAIN']);
      group.failure = null;
      await scene.pass(200);
      expect(group.pids).to.deep.equal([101]);
    });

    it('is told once where it also makes the pool degraded', async () => {
      const group = scene.begin(1, {
        restart: { ...DEFAULT_RESTART, jitter: 0, breakerAfter: 2 },
      });
      await scene.pass(A_LIFE);
      group.failure = new Error('EAGAIN');
      await scene.end(100);
      expect(group.takeDiary().slice(1)).to.deep.equal([
        'degraded 0 after 1: EAGAIN',
        'degraded 0 after 2: EAGAIN',
      ]);
    });

    it('does not keep other workers from being started', async () => {
      const group = scene.begin(2);
      await scene.pass(A_LIFE);
      const start = sinon.stub(group, 'start').callThrough();
      start.withArgs(0).throws(new Error('EAGAIN'));
      group.end(100);
      group.end(101);
      await settle();
      expect(group.pids).to.deep.equal([102]);
      expect(group.diary.at(-1)).to.match(/^degraded 0/);
    });
  });

  describe('the group throws', () => {
    /** What nobody has caught, as somebody with a listener sees it. */
    const unhandled = async (act: () => Promise<void>): Promise<string[]> => {
      const listeners = process.listeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection');
      const seen: string[] = [];
      process.on('unhandledRejection', (error) => seen.push((error as Error).message));
      try {
        await act();
        await new Promise(setImmediate);
      } finally {
        process.removeAllListeners('unhandledRejection');
        for (const listener of listeners) process.on('unhandledRejection', listener);
      }
      return seen;
    };

    it('when it hears of an end: the worker is replaced all the same', async () => {
      const group = scene.begin(1);
      await scene.pass(A_LIFE);
      sinon.stub(group, 'ended').throws(new Error('mine'));
      expect(await unhandled(() => scene.end(100, 1))).to.deep.equal(['mine']);
      expect(group.pids).to.deep.equal([101]);
    });

    it('when it hears that it is degraded: later starts are not forgotten', async () => {
      const group = scene.begin(1);
      await scene.pass(A_LIFE);
      group.failure = new Error('EAGAIN');
      sinon.stub(group, 'degraded').throws(new Error('mine'));
      expect(await unhandled(() => scene.end(100))).to.deep.equal(['mine', 'mine']);
      group.failure = null;
      await scene.pass(100);
      expect(group.pids).to.deep.equal([101]);
    });
  });

  describe('deadlines', () => {
    it('do not move with the time of day', async () => {
      const group = scene.begin(1);
      void scene.supervisor.stop();
      await settle();
      scene.clock.setSystemTime(0);
      await scene.pass(MAX_WAIT);
      expect(group.diary).to.include('SIGKILL to 100');
    });

    it('beyond the longest timer of Node do not make the loop spin', async () => {
      const group = scene.begin(1, {
        restart: { ...DEFAULT_RESTART, jitter: 0, initialDelay: 1e12, maxDelay: 1e12 },
      });
      await scene.end(100, 1);
      await scene.end(101, 1);
      const timers = sinon.spy(globalThis, 'setTimeout');
      await scene.pass(1000);
      expect(timers.callCount).to.equal(0);
      expect(group.pids).to.deep.equal([]);
    });
  });

  describe('stop', () => {
    it('SIGTERM to all, and settles when the last is gone', async () => {
      const group = scene.begin(2);
      const stopped = sinon.fake();
      void scene.supervisor.stop().then(stopped);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100', 'SIGTERM to 101']);
      await scene.end(101);
      expect(stopped.called).to.equal(false);
      await scene.end(100);
      expect(stopped.called).to.equal(true);
      expect(group.pids, 'nobody is replaced').to.deep.equal([]);
      expect(scene.clock.countTimers()).to.equal(0);
    });

    it('SIGKILL after maxWaitTime to those that are left, not before', async () => {
      const group = scene.begin(3);
      const stopped = scene.supervisor.stop();
      await settle();
      await scene.end(101);
      group.takeDiary();
      await scene.pass(MAX_WAIT - 1);
      expect(group.diary).to.deep.equal([]);
      await scene.pass(1);
      await stopped;
      expect(group.diary).to.deep.equal([
        'SIGKILL to 100',
        'SIGKILL to 102',
        '100 of 0 ended as told (0, 9)',
        '102 of 2 ended as told (0, 9)',
      ]);
    });

    it('with maxWaitTime 0 nobody is killed', async () => {
      const group = scene.begin(1, { maxWaitTime: 0 });
      void scene.supervisor.stop();
      await scene.pass(1e8);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      expect(scene.clock.countTimers()).to.equal(0);
    });

    it('settles at once when nobody runs, also during a backoff', async () => {
      const group = scene.begin(1);
      await scene.end(100, 1);
      await scene.end(101, 1);
      expect(group.pids).to.deep.equal([]);
      await scene.supervisor.stop();
      await scene.pass(1000);
      expect(group.pids).to.deep.equal([]);
    });

    it('stops the groups one after the other, in their order', async () => {
      scene.make([new FakeGroup(1, 'first', 100), new FakeGroup(1, 'second', 200)]);
      scene.supervisor.start();
      const stopped = scene.supervisor.stop();
      await settle();
      const [first, second] = scene.groups as [FakeGroup, FakeGroup];
      expect(first.diary).to.include('SIGTERM to 100');
      expect(second.takeDiary()).to.deep.equal(['start 0 as 200']);
      first.end(100);
      await settle();
      expect(second.takeDiary()).to.deep.equal(['SIGTERM to 200']);
      second.end(200);
      await stopped;
    });
  });

  describe('detach', () => {
    it('starts a successor at once, and only reaps the old one', async () => {
      const group = scene.begin(1);
      await scene.ready(100);
      scene.supervisor.detach(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
      await scene.pass(1e6);
      await scene.end(100);
      expect(group.takeDiary()).to.deep.equal(['100 of 0 ended as told (0, 0)']);
    });

    it('a stop does not wait for it, nor signal it', async () => {
      const group = scene.begin(1);
      scene.supervisor.detach(100);
      await settle();
      group.takeDiary();
      const stopped = scene.supervisor.stop();
      await settle();
      await scene.end(101);
      await stopped;
      expect(group.diary).to.deep.equal(['SIGTERM to 101', '101 of 0 ended as told (0, 0)']);
      expect(group.pids).to.deep.equal([100]);
    });

    it('takes back a kill that was due', async () => {
      const group = scene.begin(1);
      await scene.ready(100);
      void scene.supervisor.reload('worker');
      await settle();
      scene.supervisor.detach(100);
      await scene.pass(2 * MAX_WAIT);
      expect(group.diary).to.not.include('SIGKILL to 100');
    });

    for (const startFirst of [false, true]) {
      it(`lets one go that a reload has told to end (startFirst ${String(startFirst)})`, async () => {
        const group = scene.begin(1, { startFirst });
        await scene.ready(100);
        const reload = scene.supervisor.reload('worker');
        await settle();
        if (startFirst) await scene.ready(101);
        expect(group.takeDiary()).to.include('SIGTERM to 100');
        scene.supervisor.detach(100);
        await settle();
        if (!startFirst) expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
        await scene.ready(101);
        expect(await reload).to.deep.include({ replaced: 1, killed: 0 });
        await scene.pass(2 * MAX_WAIT);
        expect(group.takeDiary()).to.deep.equal([]);
      });
    }

    it('counts once as replaced, although its process ends during the reload', async () => {
      scene.begin(2);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await settle();
      scene.supervisor.detach(100);
      await settle();
      await scene.end(100);
      await scene.ready(102);
      await scene.end(101);
      await scene.ready(103);
      expect(await reload).to.deep.include({ replaced: 2, killed: 0 });
    });

    it('of a pid it does not know, or that was replaced already, is nothing', async () => {
      const group = scene.begin(1);
      scene.supervisor.detach(4711);
      scene.supervisor.detach(100);
      await settle();
      scene.supervisor.detach(100);
      scene.supervisor.markReady(4711);
      await settle();
      expect(group.diary).to.deep.equal(['start 0 as 101']);
    });
  });

  describe('replace', () => {
    it('starts a successor at once, and ends the old one in good order', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      scene.supervisor.replace(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100', 'start 0 as 102']);
      await scene.end(100);
      expect(group.takeDiary()).to.deep.equal(['100 of 0 ended as told (0, 0)']);
      expect(group.pids, 'one successor').to.deep.equal([101, 102]);
    });

    it('kills an old one that does not end in time', async () => {
      const group = scene.begin(1);
      scene.supervisor.replace(100);
      await scene.pass(MAX_WAIT);
      expect(group.takeDiary()).to.include('SIGKILL to 100');
      expect(group.pids).to.deep.equal([101]);
    });

    it('counts no failure, however often and early it comes', async () => {
      const group = scene.begin(1);
      for (let pid = 100; pid < 105; pid++) {
        scene.supervisor.replace(pid);
        await settle();
        await scene.end(pid);
      }
      expect(group.pids).to.deep.equal([105]);
      expect(scene.supervisor.failures('worker', 0)).to.equal(0);
    });

    it('of one that was told to end already only starts the successor', async () => {
      const group = scene.begin(1);
      await scene.ready(100);
      scene.supervisor.terminate(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      scene.supervisor.replace(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
      await scene.pass(MAX_WAIT);
      expect(group.takeDiary(), 'its time goes on').to.include('SIGKILL to 100');
    });

    it('of a pid it does not know, or that was replaced already, is nothing', async () => {
      const group = scene.begin(1);
      scene.supervisor.replace(4711);
      scene.supervisor.replace(100);
      await settle();
      scene.supervisor.replace(100);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100', 'start 0 as 101']);
    });

    it('during a stop ends it, and nobody comes after it', async () => {
      const group = scene.begin(1);
      const stopped = scene.supervisor.stop();
      await settle();
      scene.supervisor.replace(100);
      await scene.end(100);
      await stopped;
      expect(group.pids).to.deep.equal([]);
    });

    it('a stop waits for the old one as well', async () => {
      scene.begin(1);
      scene.supervisor.replace(100);
      await settle();
      const stopped = sinon.fake();
      void scene.supervisor.stop().then(stopped);
      await settle();
      await scene.end(101);
      expect(stopped.called).to.equal(false);
      await scene.end(100);
      expect(stopped.called).to.equal(true);
    });
  });

  describe('terminate', () => {
    it('ends one in good order; its successor comes when it is gone', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      scene.supervisor.terminate(101);
      scene.supervisor.terminate(101);
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 101']);
      await scene.end(101);
      expect(group.takeDiary()).to.deep.equal(['101 of 1 ended as told (0, 0)', 'start 1 as 102']);
    });
  });

  it('SIGTERM and SIGKILL are the only signals it sends', async () => {
    scene.begin(1);
    void scene.supervisor.stop();
    await scene.pass(MAX_WAIT);
    const sent = (binding.kill as sinon.SinonStub).args.map(([, signo]) => signo as number);
    expect(sent).to.deep.equal([SIGTERM, SIGKILL]);
  });
});
