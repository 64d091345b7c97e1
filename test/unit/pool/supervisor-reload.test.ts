import { expect } from 'chai';
import sinon from 'sinon';
import type { ReloadReport } from '../../../lib/pool/reload';
import { settle } from '../fake-kernel';
import { A_LIFE, FakeGroup, MAX_WAIT, Scene, SIGKILL } from './fake-group';

describe('Supervisor', () => {
  let scene: Scene;

  beforeEach(() => {
    scene = new Scene();
  });
  afterEach(() => {
    sinon.restore();
  });

  describe('reload', () => {
    it('replaces one worker after the other, each when its predecessor serves', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      await scene.end(100);
      expect(group.takeDiary()).to.deep.equal(['100 of 0 ended as told (0, 0)', 'start 0 as 102']);
      await scene.ready(102);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 101']);
      await scene.end(101);
      await scene.ready(103);
      expect(await reload).to.deep.equal({
        generation: 1,
        replaced: 2,
        killed: 0,
        durationMs: 0,
      });
      expect(group.generations).to.deep.equal([0, 0, 1, 1]);
    });

    it('waits for workers that still start', async () => {
      const group = scene.begin(2);
      void scene.supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal([]);
      await scene.ready(100, 101);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
    });

    it('reports those that had to be killed, and how long it took', async () => {
      scene.begin(2);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await scene.pass(MAX_WAIT);
      await scene.ready(102);
      await scene.end(101);
      await scene.ready(103);
      expect(await reload).to.deep.equal({
        generation: 1,
        replaced: 2,
        killed: 1,
        durationMs: MAX_WAIT,
      });
    });

    it('a second call during a reload joins it; a later one is another', async () => {
      scene.obedient = true;
      scene.begin(1);
      await scene.ready(100);
      const reports: Promise<ReloadReport>[] = [];
      reports.push(scene.supervisor.reload('worker'), scene.supervisor.reload('worker'));
      await settle();
      await scene.ready(101);
      const [first, second] = await Promise.all(reports);
      expect(first).to.equal(second).and.to.include({ generation: 1, replaced: 1 });
      const third = scene.supervisor.reload('worker');
      await settle();
      await scene.ready(102);
      expect(await third).to.include({ generation: 2, replaced: 1 });
    });

    it('a worker that dies meanwhile comes back new and is not replaced again', async () => {
      const group = scene.begin(2);
      await scene.pass(A_LIFE);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await settle();
      await scene.end(101, 0, SIGKILL);
      await scene.end(100);
      await scene.ready(102, 103);
      expect(await reload).to.include({ replaced: 2 });
      expect(group.pids).to.have.members([102, 103]);
    });

    it('stops at a worker whose successor cannot start, tells which, and leaves the others', async () => {
      const group = scene.begin(3);
      await scene.ready(100, 101, 102);
      const reload = scene.supervisor.reload('worker');
      await settle();
      await scene.end(100);
      await scene.end(103, 1);
      expect(await reload).to.deep.equal({
        generation: 1,
        replaced: 1,
        killed: 0,
        failed: 0,
        durationMs: 0,
      });
      await scene.ready(104);
      await scene.pass(MAX_WAIT);
      expect(group.pids, 'the next try has come').to.deep.equal([101, 102, 104]);
      expect(group.takeDiary()).to.not.include('SIGTERM to 101');
    });

    it('a successor that is killed once is tried again, twice is a failure', async () => {
      const group = scene.begin(3);
      await scene.pass(A_LIFE);
      await scene.ready(100, 101, 102);
      const reload = scene.supervisor.reload('worker');
      const over = sinon.fake();
      void reload.then(over);
      await settle();
      await scene.end(100);
      await scene.end(103, 0, SIGKILL);
      expect(over.called).to.equal(false);
      await scene.ready(104);
      await scene.end(101);
      await scene.end(105, 0, SIGKILL);
      await scene.end(106, 0, SIGKILL);
      expect(await reload).to.include({ failed: 1 });
      expect(group.pids).to.deep.equal([102, 104]);
    });

    it('stops as well when a successor cannot be forked, or says that it will not start', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      const first = scene.supervisor.reload('worker');
      await settle();
      group.failure = new Error('no memory');
      await scene.end(100);
      expect(await first).to.include({ failed: 0 });
      group.failure = null;
      await scene.pass(1000);
      await scene.ready(102);
      const second = scene.supervisor.reload('worker');
      await settle();
      await scene.end(102);
      await scene.end(103, 78);
      expect(await second).to.include({ failed: 0 });
      expect(group.pids).to.deep.equal([101]);
    });

    it('what an old worker does meanwhile is no failure of the reload', async () => {
      scene.begin(2);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await settle();
      await scene.end(101, 1);
      await scene.end(100);
      await scene.ready(102, 103);
      expect(await reload)
        .to.include({ replaced: 2 })
        .and.to.not.have.property('failed');
    });

    it('the next reload replaces those that a failed one has left', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      const failed = scene.supervisor.reload('worker');
      await settle();
      await scene.end(100);
      await scene.end(102, 1);
      await failed;
      await scene.ready(103);
      scene.obedient = true;
      const reload = scene.supervisor.reload('worker');
      await settle();
      await scene.ready(104);
      await scene.ready(105);
      expect(await reload).to.include({ generation: 2, replaced: 2 });
      expect(group.pids).to.deep.equal([104, 105]);
    });

    it('start-first: the old one is told to end when the new one serves', async () => {
      const group = scene.begin(1, { startFirst: true });
      await scene.ready(100);
      const reload = scene.supervisor.reload('worker');
      await settle();
      expect(group.takeDiary()).to.deep.equal(['start 0 as 101']);
      await scene.ready(101);
      expect(group.takeDiary()).to.deep.equal(['SIGTERM to 100']);
      await scene.end(100);
      expect(await reload).to.include({ replaced: 1, killed: 0 });
      expect(group.pids).to.deep.equal([101]);
    });

    for (const [own, general] of [
      [true, false],
      [false, true],
    ] as const) {
      it(`a group that is${own ? '' : ' not'} start-first is so, whatever the others are`, async () => {
        const special = Object.assign(new FakeGroup(1, 'special', 200), { startFirst: own });
        scene.make([new FakeGroup(1, 'usual', 100), special], { startFirst: general });
        scene.supervisor.start();
        await scene.ready(100, 200);
        for (const group of scene.groups) group.takeDiary();
        for (const { name } of scene.groups) void scene.supervisor.reload(name);
        await settle();
        const [first, last] = own ? [1, 0] : [0, 1];
        expect(scene.groups[first]?.diary[0]).to.match(/^start 0 as/);
        expect(scene.groups[last]?.diary[0]).to.match(/^SIGTERM to/);
      });
    }

    it('start-first: successors that die young leave the old one alone', async () => {
      const group = scene.begin(1, { startFirst: true });
      await scene.ready(100);
      const reload = scene.supervisor.reload('worker');
      const over = sinon.fake();
      void reload.then(over);
      await settle();
      await scene.end(101, 1);
      await scene.end(102, 1);
      expect(group.pids, 'in backoff').to.deep.equal([100]);
      expect(over.called, 'the reload is not over').to.equal(false);
      await scene.pass(100);
      await scene.ready(103);
      await scene.end(100);
      expect(await reload).to.include({ replaced: 1 });
      expect(group.pids).to.deep.equal([103]);
    });

    it('a stop during a reload ends it as well', async () => {
      const group = scene.begin(2);
      await scene.ready(100, 101);
      const reload = scene.supervisor.reload('worker');
      await settle();
      const stopped = scene.supervisor.stop();
      await settle();
      await scene.end(100);
      await scene.end(101);
      await stopped;
      expect(await reload).to.include({ generation: 1, replaced: 2 });
      expect(group.pids).to.deep.equal([]);
    });

    it('does not touch other groups, and knows its own by name', async () => {
      scene.make([new FakeGroup(1, 'first', 100), new FakeGroup(1, 'second', 200)]);
      scene.supervisor.start();
      await scene.ready(100, 200);
      void scene.supervisor.reload('second');
      await settle();
      expect(scene.groups[0]?.diary).to.not.include('SIGTERM to 100');
      expect(scene.groups[1]?.diary).to.include('SIGTERM to 200');
      expect(() => scene.supervisor.reload('third')).to.throw(RangeError, 'third');
    });
  });
});
