import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { ProcessPipe, type PipePair } from '../../../lib/process/pipe';
import { fakeKernel, removeFakes, settle, thrownBy, type FakeKernel } from '../fake-kernel';

describe('ProcessPipe', () => {
  let kernel: FakeKernel;
  let pipe: ProcessPipe;

  const makePair = (): PipePair => pipe.makePair() as PipePair;
  const attach = (): PipePair => {
    const pair = makePair();
    pipe.attachParentEnd(pair);
    return pair;
  };
  const inputWaits = (bytes: number): void => {
    (binding.peekInput as sinon.SinonStub).returns(bytes);
  };

  beforeEach(() => {
    kernel = fakeKernel();
    pipe = new ProcessPipe('stream');
  });
  afterEach(() => {
    // An end that was left open would be closed by its real number when it is collected.
    pipe.close();
    expect(kernel.openFds.size, 'fds left').to.equal(0);
    removeFakes();
  });

  it('without a kind it makes no pair, and tells why it has no socket', () => {
    const none = new ProcessPipe(null);
    expect(none.makePair()).to.equal(null);
    expect(none.fd).to.equal(null);
    const { message } = thrownBy(() => none.socket(), 'ERR_NO_PIPE');
    expect(message).to.include('PIPE_TYPE_NONE');
  });

  it('is not started before a pair is attached', () => {
    expect(pipe.fd).to.equal(null);
    thrownBy(() => pipe.socket(), 'ERR_NOT_STARTED');
  });

  it("the parent closes the child's end, the child the parent's", () => {
    const pair = attach();
    expect(pair.child.closed).to.equal(true);
    expect(pipe.fd).to.equal(pair.parent.fd);
    const inChild = new ProcessPipe('stream');
    const other = makePair();
    inChild.enterChild(other);
    expect(other.parent.closed).to.equal(true);
    expect(inChild.fd).to.equal(other.child.fd);
    inChild.close();
  });

  it("the next child's pair takes the place of an earlier one, which is closed", () => {
    const first = attach();
    const second = attach();
    expect(first.parent.closed).to.equal(true);
    expect(pipe.socket()).to.equal(second.parent);
  });

  it('release() lets the end go when everything was read: then writes are EPIPE', () => {
    const pair = attach();
    pipe.release();
    expect(pipe.ended).to.equal(true);
    expect(pipe.fd).to.equal(null);
    expect(pair.parent.closed).to.equal(true);
    thrownBy(() => pipe.socket(), 'EPIPE');
  });

  it('release() keeps an end with input until that was read', () => {
    attach();
    inputWaits(1);
    pipe.release();
    expect(pipe.ended).to.equal(false);
    inputWaits(0);
    pipe.release();
    expect(pipe.ended).to.equal(true);
  });

  it('release() answers a read that waits with the end', async () => {
    sinon.stub(binding, 'receive').returns(-1);
    attach();
    const read = pipe.socket().readAsync();
    await settle();
    pipe.release();
    expect(await read).to.have.length(0);
  });

  it('release() does nothing before the start and after close()', () => {
    pipe.release();
    expect(pipe.ended).to.equal(false);
    attach();
    pipe.close();
    pipe.release();
    expect(pipe.ended).to.equal(false);
  });

  it('is closed by close(), open or ended', () => {
    attach();
    pipe.close();
    thrownBy(() => pipe.socket(), 'ERR_NO_PIPE');
    attach();
    pipe.release();
    pipe.close();
    thrownBy(() => pipe.socket(), 'ERR_NO_PIPE');
  });

  it('opens again for the next child after release() and after close()', () => {
    attach();
    pipe.release();
    attach();
    expect(pipe.ended).to.equal(false);
    pipe.close();
    expect(pipe.socket.bind(pipe)).to.throw();
    const { parent } = attach();
    expect(pipe.socket()).to.equal(parent);
  });

  it('duplicate() gives an fd of its own for somebody else to close', () => {
    attach();
    const copy = pipe.duplicate();
    expect(copy).to.not.equal(pipe.fd);
    pipe.close();
    expect(kernel.openFds.has(copy)).to.equal(true);
    binding.closeFd(copy);
  });
});
