import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { keepSpareFd, releaseSpareFd, withFdToSpare } from '../../../lib/ipc/spare-fd';

const noFds = (syscall = 'fcntl') => systemError('EMFILE', syscall, 'too many open files');

describe('the spare fd', () => {
  let open: Set<number>;
  let next = 1_000_000;

  beforeEach(() => {
    open = new Set();
    sinon.stub(binding, 'dup').callsFake(() => {
      open.add(++next);
      return next;
    });
    sinon.stub(binding, 'closeFd').callsFake((fd) => {
      open.delete(fd);
    });
  });

  afterEach(() => {
    releaseSpareFd();
    sinon.restore();
  });

  /** Fails for want of fds while the spare one is kept. */
  const needy = (isTight: boolean): string => {
    if (open.size > 0) throw noFds();
    return `read, tight: ${String(isTight)}`;
  };

  it('is freed for the moment in which it is needed', () => {
    keepSpareFd();
    expect(withFdToSpare(needy)).to.equal('read, tight: true');
    expect(open.size).to.equal(1);
    expect(withFdToSpare(needy)).to.equal('read, tight: true');
  });

  it('is not touched when it is not needed', () => {
    keepSpareFd();
    const kept = [...open];
    expect(withFdToSpare((isTight) => isTight)).to.equal(false);
    expect([...open]).to.deep.equal(kept);
  });

  it('is kept by who has asked for it', () => {
    expect(() =>
      withFdToSpare(() => {
        throw noFds();
      }),
    ).to.throw('EMFILE');
    expect(open.size).to.equal(0);
  });

  it('is one: who needs more is told', () => {
    keepSpareFd();
    expect(() =>
      withFdToSpare(() => {
        throw noFds();
      }),
    ).to.throw('EMFILE');
    expect(open.size).to.equal(1);
  });

  it('is of no use where a message is lost already, or for other errors', () => {
    keepSpareFd();
    const read = sinon.stub();
    read.onFirstCall().throws(noFds('recvmmsg'));
    read.onSecondCall().throws(systemError('EIO', 'fcntl', 'broken'));
    expect(() => withFdToSpare(read)).to.throw('EMFILE');
    expect(() => withFdToSpare(read)).to.throw('EIO');
    sinon.assert.calledTwice(read);
  });

  it('that could not be made again is made when there are fds', () => {
    keepSpareFd();
    const dup = binding.dup as sinon.SinonStub;
    dup.onCall(dup.callCount).throws(noFds());
    withFdToSpare(needy);
    expect(open.size).to.equal(0);
    withFdToSpare(() => 0);
    expect(open.size).to.equal(1);
  });
});
