import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { children } from '../../../lib/process/children';
import { Process, type ProcessCallback } from '../../../lib/process/process';
import type { PipeType } from '../../../lib/process/constants';
import { fakeKernel, FakeWatcher, removeFakes, thrownBy, type FakeKernel } from '../fake-kernel';

const nothing = (): void => undefined;

describe('Process, from start to end', () => {
  let kernel: FakeKernel;
  let made: Process[];
  let forkChild: sinon.SinonStub;

  const make = (
    callback: ProcessCallback = nothing,
    redirect = false,
    type?: PipeType,
  ): Process => {
    const child = new Process(callback, redirect, type);
    made.push(child);
    return child;
  };
  const makeWithoutPipe = (): Process => make(nothing, false, Process.PIPE_TYPE_NONE);
  const endOf = (child: Process, code = 0, signal = 0): void => {
    kernel.end(child.pid as number, code, signal);
    kernel.turn();
  };
  /** All but the one that children are watched with. */
  const openFds = (): number => [...kernel.openFds].filter((fd) => fd !== kernel.epoll).length;

  beforeEach(() => {
    kernel = fakeKernel();
    forkChild = binding.forkChild as sinon.SinonStub;
    made = [];
  });
  afterEach(() => {
    // A pipe that was left open would be closed by its real number when it is collected.
    for (const child of made) if (child.pipe !== null) child.close();
    removeFakes();
  });

  describe('start', () => {
    it('returns the pid, does not run the callback here, and keeps one end of the pipe', () => {
      const callback = sinon.spy();
      const child = make(callback);
      const pid = child.start();
      expect(child.pid).to.equal(pid);
      expect(callback.called).to.equal(false);
      expect(children.has(pid)).to.equal(true);
      expect(openFds(), 'pidfd and one end').to.equal(2);
      expect(kernel.openFds.has(child.pipe as number)).to.equal(true);
    });

    it('a second start while the child runs is ERR_ALREADY_STARTED and names the pid', () => {
      const child = make();
      const pid = child.start();
      const { message } = thrownBy(() => child.start(), 'ERR_ALREADY_STARTED');
      expect(message).to.include(`runs as pid ${String(pid)}`);
      expect(forkChild.callCount).to.equal(1);
    });

    it('checks the callback again, which may have been replaced', () => {
      const child = make();
      child.callback = 5 as never;
      thrownBy(() => child.start(), 'ERR_INVALID_ARG_TYPE');
    });

    for (const code of ['EAGAIN', 'ENOMEM'] as const) {
      it(`${code} of fork leaves no fd, and the next start succeeds`, () => {
        const child = make();
        forkChild.onFirstCall().throws(systemError(code, 'fork', 'no'));
        thrownBy(() => child.start(), code);
        expect(openFds()).to.equal(0);
        expect(child).to.include({ pid: null, pipe: null });
        expect(child.start()).to.equal(child.pid);
      });
    }

    it('EMFILE of the socketpair leaves nothing, and forks nothing', () => {
      (binding.socketPair as sinon.SinonStub).throws(systemError('EMFILE', 'socketpair', 'no'));
      thrownBy(() => make().start(), 'EMFILE');
      expect(forkChild.called).to.equal(false);
    });

    it('EMFILE of epoll leaves no fd, and forks nothing', () => {
      (binding.childEpollCreate as sinon.SinonStub).throws(systemError('EMFILE', 'epoll', 'no'));
      thrownBy(() => make().start(), 'EMFILE');
      expect(kernel.openFds.size).to.equal(0);
      expect(forkChild.called).to.equal(false);
    });

    it('a child that cannot be watched is ended and reaped, and no fd is left', () => {
      const child = make();
      (binding.childEpollAdd as sinon.SinonStub).throws(systemError('ENOSPC', 'epoll_ctl', 'no'));
      thrownBy(() => child.start(), 'ENOSPC');
      expect((binding.killAndReap as sinon.SinonStub).callCount).to.equal(1);
      expect(kernel.alive.size).to.equal(0);
      expect(openFds()).to.equal(0);
    });

    it('after such a failure it can be started again', () => {
      const child = make();
      const add = binding.childEpollAdd as sinon.SinonStub;
      add.onFirstCall().throws(systemError('ENOMEM', 'epoll_ctl', 'no'));
      thrownBy(() => child.start(), 'ENOMEM');
      expect(children.has(child.start())).to.equal(true);
    });
  });

  describe('the end of the child', () => {
    it('resolves exited with its status', async () => {
      const child = makeWithoutPipe();
      const pid = child.start();
      const { exited } = child;
      endOf(child, 7);
      expect(await exited).to.deep.equal({ pid, code: 7, signal: 0 });
    });

    it('exited takes the status: wait() does not report it as well', async () => {
      const child = makeWithoutPipe();
      child.start();
      void child.exited;
      endOf(child);
      expect(Process.wait(false)).to.equal(null);
      expect((await child.exited).code).to.equal(0);
    });

    it('exited may be asked for before the start', async () => {
      const child = makeWithoutPipe();
      const { exited } = child;
      child.start();
      endOf(child, 4);
      expect((await exited).code).to.equal(4);
      expect(Process.wait(false)).to.equal(null);
    });

    it('exited may be asked for after the end: it takes the status out of the mailbox', async () => {
      const child = makeWithoutPipe();
      child.start();
      endOf(child, 4);
      expect((await child.exited).code).to.equal(4);
      expect(Process.wait(false)).to.equal(null);
    });

    it('wait() resolves exited too', async () => {
      const child = makeWithoutPipe();
      const pid = child.start();
      kernel.end(pid, 0, 9);
      expect(Process.wait()).to.deep.equal({ pid, code: 0, signal: 9 });
      expect((await child.exited).signal).to.equal(9);
    });

    it('closes the pipe when everything was read, and keeps the pid', () => {
      const child = make();
      const pid = child.start();
      endOf(child);
      expect(openFds()).to.equal(0);
      expect(child).to.include({ pid, pipe: null });
      expect(child.read()).to.have.length(0);
      thrownBy(() => child.write('x'), 'EPIPE');
    });

    it('keeps the pipe until its last byte was read', () => {
      const peek = (binding.peekInput as sinon.SinonStub).returns(5);
      const receive = sinon.stub(binding, 'receive').returns(5);
      const child = make();
      child.start();
      endOf(child);
      expect(child.read()).to.have.length(5);
      expect(child.pipe).to.not.equal(null);
      peek.returns(0);
      receive.returns(0);
      expect(child.read()).to.have.length(0);
      expect(child.pipe).to.equal(null);
    });
  });

  describe('a restart', () => {
    it('is possible once the child was reaped: new pid, new pipe, the same id', () => {
      const child = make();
      const pid = child.start();
      const { id } = child;
      endOf(child);
      expect(child.start()).to.not.equal(pid);
      expect(child.id).to.equal(id);
      expect(child.pipe).to.not.equal(null);
      expect(openFds(), 'pidfd and one end').to.equal(2);
    });

    it('has an exited promise of its own', async () => {
      const child = makeWithoutPipe();
      child.start();
      const first = child.exited;
      endOf(child, 1);
      child.start();
      const second = child.exited;
      endOf(child, 2);
      expect([(await first).code, (await second).code]).to.deep.equal([1, 2]);
    });

    it('is not claimed because the first was', () => {
      const child = makeWithoutPipe();
      void child.exited;
      child.start();
      endOf(child);
      const pid = child.start();
      endOf(child);
      expect(Process.wait(false)?.pid).to.equal(pid);
    });

    it('closes a pipe of the first child that was not read to its end', () => {
      (binding.peekInput as sinon.SinonStub).returns(5);
      const child = make();
      child.start();
      const { pipe } = child;
      endOf(child);
      child.start();
      expect(kernel.openFds.has(pipe as number)).to.equal(false);
    });
  });

  describe('the event loop', () => {
    const isKept = (): boolean => FakeWatcher.of(kernel.epoll).ref;

    it('runs until the child has ended', () => {
      const child = makeWithoutPipe();
      child.start();
      expect(isKept()).to.equal(true);
      endOf(child);
      expect(isKept()).to.equal(false);
    });

    it('may end before it after unref(), called before or after the start', () => {
      const child = makeWithoutPipe();
      expect(child.unref()).to.equal(child);
      child.start();
      expect(isKept()).to.equal(false);
      expect(child.ref()).to.equal(child);
      expect(isKept()).to.equal(true);
      child.unref();
      expect(isKept()).to.equal(false);
    });
  });
});
