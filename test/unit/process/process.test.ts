import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { Process, type ProcessCallback } from '../../../lib/process/process';
import type { PipeType } from '../../../lib/process/constants';
import { fakeKernel, removeFakes, thrownBy, type FakeKernel } from '../fake-kernel';

const nothing = (): void => undefined;

describe('Process', () => {
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

  describe('constructor', () => {
    it('counts the ids up', () => {
      const first = make();
      expect(make().id).to.equal(first.id + 1);
    });

    it('starts nothing and opens nothing', () => {
      const child = make();
      expect(child).to.include({ pid: null, pipe: null, msgQueueKey: null, callback: nothing });
      expect(kernel.openFds.size).to.equal(0);
      expect(forkChild.called).to.equal(false);
    });

    it('refuses a callback that is no function', () => {
      const { message } = thrownBy(() => make('main.js' as never), 'ERR_INVALID_ARG_TYPE');
      expect(message).to.include('callback must be a function');
    });

    it('refuses a pipe type it does not know, and names the range', () => {
      const { message } = thrownBy(() => make(nothing, false, 3 as never), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('pipeType must be an integer from 0 to 2, got 3');
    });

    for (const [what, redirect, type, sockType] of [
      ['a dgram pair by default', false, undefined, 5],
      ['a stream pair when asked for', false, Process.PIPE_TYPE_STREAM, 1],
      ['a stream pair for redirected stdio, whatever type was asked for', true, 2, 1],
      ['a pair for redirected stdio even without a pipe type', true, 0, 1],
    ] as const) {
      it(`makes ${what}`, () => {
        make(nothing, redirect, type).start();
        const [type_] = (binding.socketPair as sinon.SinonStub).firstCall.args as number[];
        expect(type_).to.equal(sockType);
      });
    }

    it('makes no pair without a pipe', () => {
      const child = makeWithoutPipe();
      child.start();
      expect((binding.socketPair as sinon.SinonStub).called).to.equal(false);
      thrownBy(() => child.read(), 'ERR_NO_PIPE');
    });
  });

  describe('in the parent', () => {
    it('exit() is ERR_NOT_IN_CHILD and names this process', () => {
      const child = makeWithoutPipe();
      child.start();
      const { message } = thrownBy(() => child.exit(0), 'ERR_NOT_IN_CHILD');
      expect(message).to.include(`process ${String(process.pid)}`);
    });

    it('exit() refuses a code out of 0 to 255', () => {
      for (const code of [-1, 256, 1.5]) thrownBy(() => make().exit(code), 'ERR_OUT_OF_RANGE');
    });

    it('priorities are those of the child, once it was started', () => {
      const set = sinon.stub(binding, 'setPriority');
      sinon.stub(binding, 'getPriority').returns(10);
      const child = makeWithoutPipe();
      thrownBy(() => {
        child.setPriority(10);
      }, 'ERR_NOT_STARTED');
      thrownBy(() => child.getPriority(), 'ERR_NOT_STARTED');
      child.start();
      child.setPriority(10);
      expect(set.args).to.deep.equal([[child.pid, 10]]);
      expect(child.getPriority()).to.equal(10);
    });

    it('refuses a priority out of -20 to 19', () => {
      const { message } = thrownBy(() => {
        make().setPriority(20);
      }, 'ERR_OUT_OF_RANGE');
      expect(message).to.include('from -20 to 19');
    });

    it('close() of the end that is the child’s changes nothing here', () => {
      const child = make();
      child.start();
      expect(child.close(Process.PIPE_WORKER)).to.equal(true);
      expect(child.pipe).to.not.equal(null);
      expect(child.close(Process.PIPE_MASTER)).to.equal(true);
      expect(child.pipe).to.equal(null);
    });

    it('close() ends one direction by shutdown(2)', () => {
      const shutdown = sinon.stub(binding, 'shutdown');
      const child = make();
      child.start();
      child.close(Process.PIPE_READ);
      child.close(Process.PIPE_WRITE);
      expect(shutdown.args.map(([, how]) => how)).to.deep.equal([0, 1]);
      thrownBy(() => child.close(5), 'ERR_OUT_OF_RANGE');
    });

    it('the pipe is ERR_NOT_STARTED before the start', () => {
      const child = make();
      thrownBy(() => child.read(), 'ERR_NOT_STARTED');
      thrownBy(() => child.write('x'), 'ERR_NOT_STARTED');
      thrownBy(() => child.close(), 'ERR_NOT_STARTED');
    });
  });

  describe('exec', () => {
    let exec: sinon.SinonStub;
    beforeEach(() => {
      exec = sinon.stub(binding, 'exec');
    });

    it('passes program and arguments on', () => {
      make().exec('/bin/echo', ['a', '']);
      expect(exec.args).to.deep.equal([['/bin/echo', ['a', '']]]);
    });

    it('refuses an empty path, a NUL byte, and what is no string or array', () => {
      const child = make();
      thrownBy(() => child.exec(''), 'ERR_OUT_OF_RANGE');
      thrownBy(() => child.exec('/bin/\0echo'), 'ERR_OUT_OF_RANGE');
      thrownBy(() => child.exec('/bin/echo', ['a\0b']), 'ERR_OUT_OF_RANGE');
      thrownBy(() => child.exec('/bin/echo', [5 as never]), 'ERR_INVALID_ARG_TYPE');
      thrownBy(() => child.exec('/bin/echo', 'a' as never), 'ERR_INVALID_ARG_TYPE');
      expect(exec.called).to.equal(false);
    });
  });

  describe('affinity', () => {
    let setAffinity: sinon.SinonStub;
    beforeEach(() => {
      setAffinity = sinon.stub(binding, 'setAffinity');
    });

    it('passes the list on', () => {
      Process.setAffinity([0]);
      expect(setAffinity.args).to.deep.equal([[[0]]]);
      sinon.stub(binding, 'getAffinity').returns([0, 1]);
      expect(Process.getAffinity()).to.deep.equal([0, 1]);
    });

    it('knows the CPUs that are off, whose numbers lie between those of others', () => {
      sinon.stub(binding, 'cpuCount').returns(100);
      Process.setAffinity([98]);
      expect(setAffinity.args).to.deep.equal([[[98]]]);
    });

    it('refuses an empty list, an unknown CPU and what is no list', () => {
      thrownBy(() => {
        Process.setAffinity([]);
      }, 'ERR_OUT_OF_RANGE');
      thrownBy(() => {
        Process.setAffinity([100_000]);
      }, 'ERR_OUT_OF_RANGE');
      thrownBy(() => {
        Process.setAffinity(0 as never);
      }, 'ERR_INVALID_ARG_TYPE');
      expect(setAffinity.called).to.equal(false);
    });
  });

  it('kill() sends SIGTERM by default', () => {
    expect(Process.kill(4_194_305)).to.equal(true);
    expect((binding.kill as sinon.SinonStub).args).to.deep.equal([[4_194_305, 15]]);
  });

  it('has the numbers of Swoole', () => {
    expect(Process).to.include({
      PIPE_TYPE_NONE: 0,
      PIPE_TYPE_STREAM: 1,
      PIPE_TYPE_DGRAM: 2,
      PIPE_MASTER: 1,
      PIPE_WORKER: 2,
      PIPE_READ: 3,
      PIPE_WRITE: 4,
      IPC_NOWAIT: 256,
      QUEUE_ORIENT: 1,
      QUEUE_BALANCE: 2,
      ITIMER_REAL: 0,
      ITIMER_VIRTUAL: 1,
      ITIMER_PROF: 2,
    });
  });
});
