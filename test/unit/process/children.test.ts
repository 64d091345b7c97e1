import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { children, type ChildRecord, type ExitStatus } from '../../../lib/process/children';
import {
  fakeKernel,
  FakeWatcher,
  removeFakes,
  settle,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

describe('children', () => {
  let kernel: FakeKernel;

  const forkedRecord = (record: Partial<ChildRecord> = {}): ChildRecord => {
    const out = new Int32Array(1);
    const pid = kernel.fork(out);
    const full = {
      pid,
      pidfd: out[0] as number,
      keepsLoop: true,
      claimed: false,
      onEnd: () => undefined,
      ...record,
    };
    children.add(full);
    return full;
  };
  const forked = (record: Partial<ChildRecord> = {}): number => forkedRecord(record).pid;
  const loopIsKept = (): boolean => FakeWatcher.of(kernel.epoll).ref;

  beforeEach(() => {
    kernel = fakeKernel();
    children.prepare();
  });
  afterEach(removeFakes);

  describe('prepare', () => {
    it('opens one epoll fd for all children', () => {
      children.prepare();
      expect((binding.childEpollCreate as sinon.SinonStub).callCount).to.equal(1);
      expect(FakeWatcher.all).to.have.length(1);
    });

    it('does not keep the loop without children', () => {
      expect(loopIsKept()).to.equal(false);
    });

    it('leaves no fd when the watcher cannot be made, and can be tried again', () => {
      children.forget();
      FakeWatcher.failure = systemError('EMFILE', 'uv_poll_init', 'too many');
      thrownBy(() => {
        children.prepare();
      }, 'EMFILE');
      expect(kernel.openFds.size).to.equal(0);
      children.forget();
      FakeWatcher.failure = null;
      children.prepare();
      expect(kernel.openFds.size).to.equal(1);
    });
  });

  describe('add', () => {
    it('watches the pidfd and keeps the loop', () => {
      const pid = forked();
      const { args } = (binding.childEpollAdd as sinon.SinonStub).firstCall;
      expect(args).to.deep.equal([kernel.epoll, kernel.alive.get(pid), pid]);
      expect(children.has(pid)).to.equal(true);
      expect(loopIsKept()).to.equal(true);
    });

    it('ends and reaps a child that cannot be watched, and closes its pidfd', () => {
      (binding.childEpollAdd as sinon.SinonStub).throws(systemError('ENOSPC', 'epoll_ctl', 'no'));
      const before = kernel.openFds.size;
      thrownBy(() => forked(), 'ENOSPC');
      expect((binding.killAndReap as sinon.SinonStub).callCount).to.equal(1);
      expect(kernel.alive.size).to.equal(0);
      expect(kernel.openFds.size).to.equal(before);
      expect(children.count).to.equal(0);
    });
  });

  describe('reaping on the event loop', () => {
    it('tells the Process, closes the pidfd and lets the loop end', () => {
      const onEnd = sinon.spy();
      const pid = forked({ onEnd });
      kernel.end(pid, 7);
      kernel.turn();
      expect(onEnd.args).to.deep.equal([[{ pid, code: 7, signal: 0 }]]);
      expect(children.has(pid)).to.equal(false);
      expect([...kernel.openFds]).to.deep.equal([kernel.epoll]);
      expect(loopIsKept()).to.equal(false);
    });

    it('keeps the status in the mailbox for a later wait()', () => {
      const pid = forked();
      kernel.end(pid, 0, 9);
      kernel.turn();
      expect(children.isUnclaimed(pid)).to.equal(true);
      expect(children.wait(false)).to.deep.equal({ pid, code: 0, signal: 9 });
      expect(children.isUnclaimed(pid)).to.equal(false);
    });

    it('leaves a child alone that still runs', () => {
      const pid = forked();
      kernel.endAs(pid, undefined);
      kernel.turn();
      expect(children.has(pid)).to.equal(true);
    });

    it('code -1 tells that somebody else took the status', () => {
      const pid = forked();
      kernel.endAs(pid, null);
      kernel.turn();
      expect(children.wait(false)).to.deep.equal({ pid, code: -1, signal: 0 });
    });

    it('reaps no pid that it does not know of', () => {
      kernel.end(1);
      kernel.turn();
      expect(children.wait(false)).to.equal(null);
    });
  });

  describe('who gets the status', () => {
    const statusOf = (pid: number): ExitStatus => ({ pid, code: 0, signal: 0 });

    it('a pending waitAsync() first: the mailbox stays empty', async () => {
      const pid = forked();
      forked();
      const wait = children.waitAsync();
      kernel.end(pid);
      kernel.turn();
      expect(await wait).to.deep.equal(statusOf(pid));
      expect(children.isUnclaimed(pid)).to.equal(false);
    });

    it('several waits each get one, in the order in which they were asked', async () => {
      const pids = [forked(), forked()];
      const waits = [children.waitAsync(), children.waitAsync()];
      for (const pid of pids) kernel.end(pid);
      kernel.turn();
      expect(await Promise.all(waits)).to.deep.equal(pids.map(statusOf));
    });

    it('nobody but the Process when it was claimed while it ran', () => {
      const onEnd = sinon.spy();
      const record = forkedRecord({ onEnd });
      children.claim(record);
      kernel.end(record.pid);
      kernel.turn();
      expect(onEnd.callCount).to.equal(1);
      expect(children.wait(false)).to.equal(null);
    });

    it('claiming takes it out of the mailbox too', () => {
      const record = forkedRecord();
      kernel.end(record.pid);
      kernel.turn();
      children.claim(record);
      expect(children.wait(false)).to.equal(null);
    });

    it('a blocking wait() gets a claimed one as well: it has asked for the next end', () => {
      const pid = forked({ claimed: true });
      kernel.end(pid);
      expect(children.wait(true)).to.deep.equal(statusOf(pid));
    });

    it('so do further ones: a claimed child that ended at the same moment is told by the next', () => {
      const pids = [forked({ claimed: true }), forked({ claimed: true }), forked()];
      for (const pid of pids) kernel.end(pid);
      expect(pids.map(() => children.wait(true))).to.deep.equal(pids.map(statusOf));
      expect(children.wait(true)).to.equal(null);
    });
  });

  describe('a pid that was used before', () => {
    /** Ends and reaps a child whose number the next one gets; nobody asks for its status. */
    const predecessor = (): ChildRecord => {
      const record = forkedRecord();
      kernel.end(record.pid, 3);
      kernel.turn();
      kernel.reusePid(record.pid);
      return record;
    };

    it('is not the first child: that one does not run, and nothing said of it concerns the second', () => {
      const first = predecessor();
      const second = forkedRecord();
      expect(second.pid).to.equal(first.pid);
      expect([first, second].map((record) => children.isRunning(record))).to.deep.equal([
        false,
        true,
      ]);
      children.setKeepsLoop(first, false);
      expect(loopIsKept()).to.equal(true);
      children.claim(first);
      expect(children.wait(false)).to.equal(null);
      kernel.end(second.pid, 4);
      expect(children.wait(false)).to.include({ pid: second.pid, code: 4 });
    });

    it('can be sent a signal while it runs, though nobody asked for the first status', () => {
      const { pid } = predecessor();
      expect(children.isUnclaimed(pid)).to.equal(true);
      forked();
      expect(children.isUnclaimed(pid)).to.equal(false);
      kernel.end(pid, 4);
      kernel.turn();
      expect([children.wait(false)?.code, children.wait(false)?.code]).to.deep.equal([3, 4]);
    });
  });

  describe('setKeepsLoop', () => {
    it('lets the loop end, and keeps it again', () => {
      const record = forkedRecord();
      children.setKeepsLoop(record, false);
      expect(loopIsKept()).to.equal(false);
      children.setKeepsLoop(record, true);
      expect(loopIsKept()).to.equal(true);
    });

    it('counts twice the same once', () => {
      const record = forkedRecord();
      forked();
      children.setKeepsLoop(record, false);
      children.setKeepsLoop(record, false);
      expect(loopIsKept(), 'the other child keeps it').to.equal(true);
    });

    it('does nothing for a child that is gone', () => {
      const record = forkedRecord({ keepsLoop: false });
      kernel.end(record.pid);
      kernel.turn();
      children.setKeepsLoop(record, true);
      expect(loopIsKept()).to.equal(false);
    });
  });

  it('forgets the oldest of more than 32,768 that nobody asked for, and warns once', () => {
    removeFakes();
    kernel = fakeKernel(false);
    children.prepare();
    const warn = sinon.stub(process, 'emitWarning');
    const pids = Array.from({ length: 32_770 }, () => forked());
    for (const pid of pids) kernel.end(pid);
    kernel.turn();
    expect(warn.callCount).to.equal(1);
    const [text, options] = warn.firstCall.args as [string, object];
    expect(text).to.match(/more than 32768 children.*Process\.wait\(\)/);
    expect(options).to.deep.equal({ code: 'PREFORK_UNCLAIMED_EXITS' });
    expect(children.wait(false)?.pid).to.equal(pids[2]);
  });

  it('a forked child forgets them all: their fds are closed, and no wait is answered', async () => {
    const pid = forked();
    const answered = sinon.spy();
    void children.waitAsync().then(answered);
    children.forget();
    await settle();
    expect(kernel.openFds.size).to.equal(0);
    expect(children.has(pid)).to.equal(false);
    expect(children.count).to.equal(0);
    expect(answered.called).to.equal(false);
    expect(children.wait(true)).to.equal(null);
  });
});
