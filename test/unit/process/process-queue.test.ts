import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { MessageQueue } from '../../../lib/ipc/message-queue';
import { IPC_NOWAIT, QUEUE_BALANCE, QUEUE_ORIENT } from '../../../lib/process/constants';
import { ProcessQueue } from '../../../lib/process/process-queue';
import { keyOfMainScript } from '../../../lib/process/queue-name';
import { fakeKernel, fill, removeFakes, thrownBy, type FakeKernel } from '../fake-kernel';

const ID = 3;
const KEY = 0xabc;

describe('ProcessQueue', () => {
  let kernel: FakeKernel;
  let queue: ProcessQueue;
  let mqOpen: sinon.SinonStub<Parameters<typeof binding.mqOpen>, number>;
  let mqSend: sinon.SinonStub<Parameters<typeof binding.mqSend>, boolean>;
  let mqReceive: sinon.SinonStub<Parameters<typeof binding.mqReceive>, number>;

  const openedName = (): string => mqOpen.lastCall.args[0];

  beforeEach(() => {
    kernel = fakeKernel();
    mqOpen = sinon.stub(binding, 'mqOpen').callsFake(() => kernel.openFd());
    mqSend = sinon.stub(binding, 'mqSend').returns(true);
    mqReceive = sinon.stub(binding, 'mqReceive').returns(-1);
    sinon.stub(binding, 'mqStat').returns([0, 10, 100]);
    sinon.stub(binding, 'mqUnlink').returns(true);
    queue = new ProcessQueue();
  });
  afterEach(() => {
    // A queue left open would be closed by its real number when it is collected.
    if (queue.key !== null) queue.free();
    expect(kernel.openFds.size, 'fds left').to.equal(0);
    removeFakes();
  });

  it('tells to call useQueue() while none is open', () => {
    expect(queue.key).to.equal(null);
    for (const call of [
      () => queue.push('x'),
      () => queue.pop(undefined),
      () => queue.status(),
      () => queue.free(),
    ]) {
      expect(thrownBy(call, 'ERR_NO_QUEUE').message).to.include('useQueue()');
    }
  });

  it('key 0 stands for the key of the main script', () => {
    queue.open(0, QUEUE_BALANCE, 0, ID);
    expect(queue.key).to.equal(keyOfMainScript());
  });

  it('opens a mailbox with the id of the Process in mode QUEUE_ORIENT', () => {
    queue.open(KEY, QUEUE_ORIENT, 0, ID);
    expect(openedName()).to.match(/\.abc\.3$/);
  });

  it('a mode of IPC_NOWAIT alone means balance', () => {
    queue.open(KEY, IPC_NOWAIT, 0, ID);
    expect(openedName()).to.match(/\.abc$/);
  });

  for (const [name, mode, mayBlock] of [
    ['blocks by default', QUEUE_BALANCE, true],
    ['does not block with IPC_NOWAIT', QUEUE_BALANCE | IPC_NOWAIT, false],
  ] as const) {
    it(name, () => {
      queue.open(KEY, mode, 0, ID);
      queue.push('x');
      queue.pop(undefined);
      expect(mqSend.lastCall.args[4]).to.equal(mayBlock);
      expect(mqReceive.lastCall.args[2]).to.equal(mayBlock);
    });
  }

  it('opening another closes the first', () => {
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    queue.open(KEY + 1, QUEUE_BALANCE, 0, ID);
    expect(kernel.openFds.size).to.equal(1);
    expect(queue.key).to.equal(KEY + 1);
  });

  it('a failed opening leaves the first as it is', () => {
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    mqOpen.throws(systemError('EACCES', 'mq_open', 'no'));
    thrownBy(() => {
      queue.open(KEY + 1, QUEUE_BALANCE, 0, ID);
    }, 'EACCES');
    expect(queue.key).to.equal(KEY);
    expect(queue.push('x')).to.equal(true);
  });

  for (const [what, key, mode, capacity] of [
    ['a negative key', -1, QUEUE_BALANCE, 0],
    ['a key over 32 bits', 2 ** 32, QUEUE_BALANCE, 0],
    ['an unknown mode', KEY, 3, 0],
    ['a negative capacity', KEY, QUEUE_BALANCE, -1],
  ] as const) {
    it(`refuses ${what}`, () => {
      thrownBy(() => {
        queue.open(key, mode, capacity, ID);
      }, 'ERR_OUT_OF_RANGE');
      expect(mqOpen.called).to.equal(false);
    });
  }

  it('refuses empty data and a size below 1 before it asks the kernel', () => {
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    thrownBy(() => queue.push(''), 'ERR_EMPTY_DATA');
    thrownBy(() => queue.pop(0), 'ERR_OUT_OF_RANGE');
    expect(mqSend.called || mqReceive.called).to.equal(false);
  });

  it('pops what is there', () => {
    const take = fill('job');
    mqReceive.callsFake((_fd, buffer) => take(buffer));
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    expect(String(queue.pop(undefined))).to.equal('job');
  });

  it('free() removes the name and closes, and says whether it was the first to do so', () => {
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    expect(queue.free()).to.equal(true);
    expect(kernel.openFds.size).to.equal(0);
    expect(queue.key).to.equal(null);
    (binding.mqUnlink as sinon.SinonStub).returns(false);
    queue.open(KEY, QUEUE_BALANCE, 0, ID);
    expect(queue.free()).to.equal(false);
  });

  describe('a queue shared by somebody else', () => {
    let shared: MessageQueue;
    beforeEach(() => {
      shared = new MessageQueue('/prefork.test', 0);
      queue.share(shared, KEY);
    });

    it('is used with its key, and blocks', () => {
      queue.push('x');
      expect(queue.key).to.equal(KEY);
      expect(mqSend.lastCall.args[4]).to.equal(true);
      shared.close();
      queue.free();
    });

    it('is not closed when another takes its place', () => {
      queue.open(KEY + 1, QUEUE_BALANCE, 0, ID);
      expect(shared.closed).to.equal(false);
      shared.close();
    });
  });
});
