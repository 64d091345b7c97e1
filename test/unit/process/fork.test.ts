import worker_threads from 'node:worker_threads';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import type * as Fork from '../../../lib/process/fork';
import type * as Guard from '../../../lib/process/fork-guard';
import { forgetCensus } from '../../../lib/process/thread-census';
import {
  fakeKernel,
  fakeThreads,
  freshAll,
  removeFakes,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

const OWN = ['V8Worker', 'V8Worker', 'V8Worker', 'V8Worker', 'DelayedTaskSche', 'SignalInspector'];

describe('forkProcess', () => {
  let kernel: FakeKernel;
  let warn: sinon.SinonStub;
  let forkChild: sinon.SinonStub;
  let fork: typeof Fork;
  let guard: typeof Guard;

  const main = (): void => undefined;
  const threadsAre = (...names: string[]): void => {
    forgetCensus();
    fakeThreads([...OWN, ...names]);
  };

  beforeEach(() => {
    kernel = fakeKernel();
    forkChild = binding.forkChild as sinon.SinonStub;
    warn = sinon.stub(process, 'emitWarning');
    // It warns once in its life.
    [guard, fork] = freshAll(['process/fork-guard', 'process/fork']) as [typeof Guard, typeof Fork];
  });
  afterEach(() => {
    removeFakes();
    forgetCensus();
  });

  it('returns pid and pidfd to the parent, where the function does not run', () => {
    threadsAre();
    const child = sinon.spy();
    const { pid, pidfd } = fork.forkProcess(child);
    expect(kernel.alive.get(pid)).to.equal(pidfd);
    expect(child.called).to.equal(false);
    expect(warn.called).to.equal(false);
  });

  it('opens what it watches children with before the fork', () => {
    threadsAre();
    forkChild.throws(systemError('EAGAIN', 'fork', 'no'));
    thrownBy(() => fork.forkProcess(main), 'EAGAIN');
    expect((binding.childEpollCreate as sinon.SinonStub).calledBefore(forkChild)).to.equal(true);
  });

  for (const code of ['EAGAIN', 'ENOMEM', 'EMFILE'] as const) {
    it(`passes ${code} of the kernel on`, () => {
      threadsAre();
      const error = systemError(code, 'fork', 'no');
      forkChild.throws(error);
      expect(thrownBy(() => fork.forkProcess(main), code)).to.equal(error);
    });
  }

  it('refuses in a Worker thread', () => {
    sinon.stub(worker_threads, 'threadId').value(1);
    const { message } = thrownBy(() => fork.forkProcess(main), 'ERR_UNSAFE_FORK');
    expect(message).to.include('from a Worker thread');
    expect(forkChild.called).to.equal(false);
  });

  it('refuses while Worker threads run, and names them', () => {
    threadsAre('WorkerThread', 'node-WorkerThre');
    const { message } = thrownBy(() => fork.forkProcess(main), 'ERR_UNSAFE_FORK');
    expect(message).to.include('Worker threads run (WorkerThread, node-WorkerThre)');
    expect(forkChild.called).to.equal(false);
  });

  it('forks all the same when threads of other libraries run, and warns once, with their names', () => {
    threadsAre('libvips worker');
    expect(fork.forkProcess(main).pid).to.be.greaterThan(0);
    fork.forkProcess(main);
    expect(warn.callCount).to.equal(1);
    const [text, options] = warn.firstCall.args as [string, object];
    expect(text).to.include('threads of other libraries run (libvips worker)');
    expect(options).to.deep.equal({ type: 'PreforkWarning', code: 'PREFORK_FOREIGN_THREADS' });
  });

  it('refuses them when asked to be strict', () => {
    threadsAre('libvips worker');
    guard.setForeignThreads('error');
    const { message } = thrownBy(() => fork.forkProcess(main), 'ERR_UNSAFE_FORK');
    expect(message).to.include('libvips worker');
    expect(forkChild.called).to.equal(false);
    expect(warn.called).to.equal(false);
  });

  it('warns once on a Node line it was not tested on, and forks', () => {
    threadsAre();
    sinon.stub(process, 'versions').value({ ...process.versions, node: '27.1.0' });
    fork.forkProcess(main);
    fork.forkProcess(main);
    expect(warn.callCount).to.equal(1);
    const [text, options] = warn.firstCall.args as [string, object];
    expect(text).to.include('tested on Node 20, 22, 24, 26');
    expect(options).to.have.property('code', 'PREFORK_UNTESTED_NODE');
  });

  it('a daemon is refused while requests are in flight, with their number', () => {
    threadsAre();
    sinon.stub(binding, 'requestsInFlight').returns(3);
    const forkDaemon = sinon.stub(binding, 'forkDaemon');
    const { message } = thrownBy(() => {
      fork.forkDaemon();
    }, 'ERR_UNSAFE_FORK');
    expect(message).to.include('3 requests in flight');
    expect(forkDaemon.called).to.equal(false);
  });

  it('a daemon is refused while Worker threads run', () => {
    threadsAre('WorkerThread');
    const forkDaemon = sinon.stub(binding, 'forkDaemon');
    thrownBy(() => {
      fork.forkDaemon();
    }, 'ERR_UNSAFE_FORK');
    expect(forkDaemon.called).to.equal(false);
  });
});
