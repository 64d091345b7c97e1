import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { children, type ChildRecord } from '../../../lib/process/children';
import { fakeKernel, FakeWatcher, rejectionOf, removeFakes, type FakeKernel } from '../fake-kernel';

describe('children, waiting', () => {
  let kernel: FakeKernel;

  const forked = (record: Partial<ChildRecord> = {}): number => {
    const out = new Int32Array(1);
    const pid = kernel.fork(out);
    children.add({
      pid,
      pidfd: out[0] as number,
      keepsLoop: true,
      claimed: false,
      onEnd: () => undefined,
      ...record,
    });
    return pid;
  };
  const loopIsKept = (): boolean => FakeWatcher.of(kernel.epoll).ref;

  beforeEach(() => {
    kernel = fakeKernel();
    children.prepare();
  });
  afterEach(removeFakes);

  describe('wait', () => {
    it('is null without children, and does not touch the kernel', () => {
      expect(children.wait(true)).to.equal(null);
      expect((binding.childEpollWait as sinon.SinonStub).called).to.equal(false);
    });

    it('passes on whether it may block', () => {
      forked();
      expect(children.wait(false)).to.equal(null);
      const epollWait = binding.childEpollWait as sinon.SinonStub;
      expect(epollWait.lastCall.args).to.deep.equal([kernel.epoll, false]);
    });

    it('blocks again when the one that woke it runs on', () => {
      const pid = forked();
      const epollWait = binding.childEpollWait as sinon.SinonStub;
      epollWait.onFirstCall().callsFake(() => [pid]);
      epollWait.onSecondCall().callsFake(() => {
        kernel.end(pid, 3);
        return [pid];
      });
      expect(children.wait(true)).to.include({ pid, code: 3 });
      expect(epollWait.callCount).to.equal(2);
    });

    it('returns one at a time, the others of the same moment next', () => {
      const pids = [forked(), forked(), forked()];
      for (const pid of pids) kernel.end(pid);
      expect(pids.map(() => children.wait(true)?.pid)).to.deep.equal(pids);
      expect(children.wait(true)).to.equal(null);
    });

    it('empties the mailbox before it asks the kernel', () => {
      const first = forked();
      const second = forked();
      kernel.end(first);
      kernel.turn();
      kernel.end(second);
      expect(children.wait(true)?.pid).to.equal(first);
      expect(children.wait(true)?.pid).to.equal(second);
    });

    it('answers waitAsync() with null when it took the last child', async () => {
      const pid = forked();
      const pending = children.waitAsync();
      kernel.end(pid);
      expect(children.wait(true)?.pid).to.equal(pid);
      expect(await pending).to.equal(null);
    });
  });

  describe('waitAsync', () => {
    it('resolves at once to null without children', async () => {
      expect(await children.waitAsync()).to.equal(null);
    });

    it('resolves at once to what is in the mailbox', async () => {
      const pid = forked();
      kernel.end(pid, 5);
      kernel.turn();
      expect(await children.waitAsync()).to.include({ pid, code: 5 });
    });

    it('waits left over get null when the last child has ended', async () => {
      const pid = forked();
      const waits = [children.waitAsync(), children.waitAsync(), children.waitAsync()];
      kernel.end(pid);
      kernel.turn();
      const [first, ...others] = await Promise.all(waits);
      expect(first?.pid).to.equal(pid);
      expect(others).to.deep.equal([null, null]);
    });

    it('keeps the loop though no child does', async () => {
      const pid = forked({ keepsLoop: false });
      expect(loopIsKept()).to.equal(false);
      const wait = children.waitAsync();
      expect(loopIsKept()).to.equal(true);
      kernel.end(pid);
      kernel.turn();
      await wait;
      expect(loopIsKept()).to.equal(false);
    });

    it('an abort rejects with its reason, and the status goes to the next who asks', async () => {
      const pid = forked({ keepsLoop: false });
      const abort = new AbortController();
      const wait = children.waitAsync(abort.signal);
      abort.abort(new Error('enough'));
      expect(await rejectionOf(wait)).to.have.property('message', 'enough');
      expect(loopIsKept()).to.equal(false);
      kernel.end(pid);
      kernel.turn();
      expect(children.wait(false)?.pid).to.equal(pid);
    });

    it('a signal that is aborted already rejects, and takes no status', async () => {
      const pid = forked();
      kernel.end(pid);
      kernel.turn();
      await rejectionOf(children.waitAsync(AbortSignal.abort(new Error('before'))));
      expect(children.isUnclaimed(pid)).to.equal(true);
    });

    it('leaves no listener on its AbortSignal', async () => {
      const pid = forked();
      const { signal } = new AbortController();
      const remove = sinon.spy(signal, 'removeEventListener');
      const wait = children.waitAsync(signal);
      kernel.end(pid);
      kernel.turn();
      await wait;
      expect(remove.calledOnceWith('abort')).to.equal(true);
    });
  });
});
