import fs from 'node:fs';
import { expect } from 'chai';
import sinon from 'sinon';
import { QUEUE_BALANCE, QUEUE_ORIENT } from '../../../lib/process/constants';
import { keyOfMainScript, queueName } from '../../../lib/process/queue-name';
import { thrownBy } from '../fake-kernel';

describe('queue name', () => {
  const uid = String(process.getuid?.());

  afterEach(() => {
    sinon.restore();
  });

  function statIs(dev: number, ino: number): sinon.SinonStub {
    return sinon.stub(fs, 'statSync').returns({ dev, ino } as fs.Stats);
  }

  it('is shared by all who balance, and holds user and key', () => {
    const name = `/prefork.${uid}.ff`;
    expect(queueName(255, QUEUE_BALANCE, 1)).to.equal(name);
    expect(queueName(255, QUEUE_BALANCE, 2)).to.equal(name);
  });

  it('is a mailbox for each Process in the other mode', () => {
    expect(queueName(255, QUEUE_ORIENT, 1)).to.equal(`/prefork.${uid}.ff.1`);
    expect(queueName(255, QUEUE_ORIENT, 2)).to.equal(`/prefork.${uid}.ff.2`);
  });

  it('differs for each user', () => {
    sinon.stub(process, 'getuid').returns(1234);
    expect(queueName(1, QUEUE_BALANCE, 1)).to.equal('/prefork.1234.1');
  });

  it('refuses another mode and names the two there are', () => {
    const { message } = thrownBy(() => queueName(1, 3, 1), 'ERR_OUT_OF_RANGE');
    expect(message).to.match(/QUEUE_ORIENT \(1\) or QUEUE_BALANCE \(2\).*IPC_NOWAIT.*got 3/);
  });

  it('the key comes from device and inode of the main script, as ftok(3) makes it', () => {
    const stat = statIs(0x12ab, 0x98cdef);
    expect(keyOfMainScript()).to.equal(0x01abcdef);
    expect(stat.firstCall.args[0]).to.equal(process.argv[1]);
  });

  it('the key is never zero or negative', () => {
    const stat = statIs(0, 0);
    expect(keyOfMainScript()).to.equal(0x01000000);
    stat.returns({ dev: 0xff, ino: 0xffff } as fs.Stats);
    expect(keyOfMainScript()).to.equal(0x01ffffff);
  });

  it('without a script the working directory takes its place', () => {
    const stat = statIs(1, 2);
    sinon.stub(process, 'argv').value([process.execPath]);
    keyOfMainScript();
    expect(stat.firstCall.args[0]).to.equal(process.cwd());
  });
});
