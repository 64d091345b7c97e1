import fs from 'node:fs';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { nextGeneration } from '../../../lib/ipc/generation';
import { MessageQueue } from '../../../lib/ipc/message-queue';
import {
  fakeKernel,
  FakeWatcher,
  fill,
  rejectionOf,
  removeFakes,
  settle,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

const READABLE = 1;
const WRITABLE = 2;
const LIMITS: Record<string, string> = {
  '/proc/sys/fs/mqueue/msg_max': '10\n',
  '/proc/sys/fs/mqueue/msgsize_default': '8192\n',
  '/proc/sys/fs/mqueue/queues_max': '256\n',
};

describe('MessageQueue', () => {
  let kernel: FakeKernel;
  let mqOpen: sinon.SinonStub<Parameters<typeof binding.mqOpen>, number>;
  let mqSend: sinon.SinonStub<Parameters<typeof binding.mqSend>, boolean>;
  let mqReceive: sinon.SinonStub<Parameters<typeof binding.mqReceive>, number>;

  const openQueue = (capacity = 0): MessageQueue => new MessageQueue('/prefork.0.1', capacity);
  const watcher = (): FakeWatcher => FakeWatcher.all.at(-1) as FakeWatcher;
  const comes = (...messages: string[]): void => {
    const take = fill(...messages);
    mqReceive.callsFake((_fd, buffer) => take(buffer));
  };

  beforeEach(() => {
    kernel = fakeKernel();
    mqOpen = sinon.stub(binding, 'mqOpen').callsFake(() => kernel.openFd());
    mqSend = sinon.stub(binding, 'mqSend').returns(true);
    mqReceive = sinon.stub(binding, 'mqReceive').returns(-1);
    sinon.stub(binding, 'mqStat').returns([3, 10, 8192]);
    const real = fs.readFileSync;
    sinon.replace(
      fs,
      'readFileSync',
      ((path: string, ...rest: never[]) => LIMITS[path] ?? real(path, ...rest)) as never,
    );
  });
  afterEach(removeFakes);

  describe('opening', () => {
    it('leaves capacity and message size to the kernel by default', () => {
      openQueue();
      expect(mqOpen.firstCall.args).to.deep.equal(['/prefork.0.1', 0, 0]);
    });

    it("gives the kernel's default message size along with a capacity", () => {
      openQueue(5);
      expect(mqOpen.firstCall.args).to.deep.equal(['/prefork.0.1', 5, 8192]);
    });

    it('names msg_max and its value when the capacity is over it', () => {
      const cause = systemError('EINVAL', 'mq_open', 'invalid argument');
      mqOpen.throws(cause);
      const error = thrownBy(() => openQueue(50), 'ERR_OUT_OF_RANGE');
      expect(error.message).to.match(/at most 10 messages.*mqueue\/msg_max.*got 50/);
      expect(error).to.have.property('cause', cause);
    });

    it('names the limits behind EMFILE', () => {
      mqOpen.throws(systemError('EMFILE', 'mq_open', 'too many'));
      expect(thrownBy(openQueue, 'EMFILE').message).to.match(/RLIMIT_MSGQUEUE.*ulimit -n and -q/);
    });

    it('names queues_max and its value behind ENOSPC', () => {
      mqOpen.throws(systemError('ENOSPC', 'mq_open', 'no space'));
      expect(thrownBy(openQueue, 'ENOSPC').message).to.match(/queues_max allows 256 queues/);
    });

    it('passes other errors on as they are', () => {
      const error = systemError('EACCES', 'mq_open', 'permission denied');
      mqOpen.throws(error);
      expect(thrownBy(openQueue, 'EACCES')).to.equal(error);
    });
  });

  describe('push', () => {
    it('says whether the message was taken', () => {
      const queue = openQueue();
      expect(queue.push(Buffer.from('x'), true)).to.equal(true);
      mqSend.returns(false);
      expect(queue.push(Buffer.from('x'), false)).to.equal(false);
    });

    it("refuses a message over the queue's size, and names both", () => {
      const queue = openQueue();
      const { message } = thrownBy(
        () => queue.push(Buffer.alloc(8193), true),
        'ERR_MESSAGE_TOO_BIG',
      );
      expect(message).to.match(/8193 bytes.*8192 bytes.*msgsize_default/);
      expect(mqSend.called).to.equal(false);
    });

    it('sends a message of exactly that size', () => {
      expect(openQueue().push(Buffer.alloc(8192), true)).to.equal(true);
    });
  });

  describe('pop', () => {
    it('passes on whether it may block; null when there is nothing', () => {
      expect(openQueue().pop(undefined, false)).to.equal(null);
      expect(mqReceive.lastCall.args[2]).to.equal(false);
    });

    it('returns a copy: the next message does not change it', () => {
      comes('first', 'other');
      const queue = openQueue();
      const first = queue.pop(undefined, true);
      queue.pop(undefined, true);
      expect(String(first)).to.equal('first');
    });

    it('keeps a message longer than asked for, and names both sizes', () => {
      comes('0123456789', 'next');
      const queue = openQueue();
      const { message } = thrownBy(() => queue.pop(4, true), 'ERR_MESSAGE_TOO_BIG');
      expect(message).to.match(/10 bytes.*asked for is 4/);
      expect(String(queue.pop(10, true))).to.equal('0123456789');
      expect(String(queue.pop(undefined, true))).to.equal('next');
    });

    it('a message that the parent keeps is not delivered in a child once more', () => {
      comes('0123456789');
      const queue = openQueue();
      thrownBy(() => queue.pop(4, true), 'ERR_MESSAGE_TOO_BIG');
      nextGeneration();
      expect(queue.pop(undefined, false)).to.equal(null);
    });
  });

  describe('async', () => {
    it('popAsync waits until a message comes, and never blocks', async () => {
      const pop = openQueue().popAsync();
      await settle();
      comes('later');
      watcher().fire(READABLE);
      expect(String(await pop)).to.equal('later');
      expect(mqReceive.getCalls().every(({ args }) => !args[2])).to.equal(true);
    });

    it('pushAsync waits for room', async () => {
      mqSend.onFirstCall().returns(false);
      const push = openQueue().pushAsync(Buffer.from('x'));
      await settle();
      expect(mqSend.callCount).to.equal(1);
      watcher().fire(WRITABLE);
      await push;
      expect(mqSend.callCount).to.equal(2);
    });

    it('an abort rejects with its reason', async () => {
      const abort = new AbortController();
      const pop = openQueue().popAsync(undefined, abort.signal);
      await settle();
      abort.abort(new Error('enough'));
      expect(await rejectionOf(pop)).to.have.property('message', 'enough');
    });

    it('close() rejects those who wait with ERR_NO_QUEUE', async () => {
      const queue = openQueue();
      const pop = queue.popAsync();
      await settle();
      queue.close();
      await rejectionOf(pop, 'ERR_NO_QUEUE');
    });

    it('lets others have a turn of the loop after 64 messages taken at once', async () => {
      mqReceive.returns(1);
      const queue = openQueue();
      const immediate = sinon.spy();
      setImmediate(immediate);
      for (let i = 0; i < 63; i++) await queue.popAsync();
      expect(immediate.called, 'after 63').to.equal(false);
      await queue.popAsync();
      expect(immediate.called, 'after 64').to.equal(true);
    });
  });

  it('calls a listener whenever a message is there, until it is taken away', () => {
    const listener = sinon.spy();
    const queue = openQueue();
    queue.onReadable(listener);
    watcher().fire(READABLE);
    watcher().fire(READABLE);
    queue.onReadable(null);
    watcher().fire(READABLE);
    expect(listener.callCount).to.equal(2);
  });

  it('status() tells how full it is, and its limits', () => {
    expect(openQueue().status()).to.deep.equal({
      messages: 3,
      maxMessages: 10,
      messageSize: 8192,
    });
  });

  it('close() closes the descriptor once; each call after it throws ERR_NO_QUEUE', () => {
    const queue = openQueue();
    queue.close();
    queue.close();
    expect(queue.closed).to.equal(true);
    expect(kernel.openFds.size).to.equal(0);
    for (const call of [
      () => queue.push(Buffer.from('x'), false),
      () => queue.pop(undefined, false),
      () => queue.status(),
    ]) {
      thrownBy(call, 'ERR_NO_QUEUE');
    }
  });

  it('unlink() removes the name, and says when somebody was faster', () => {
    const mqUnlink = sinon.stub(binding, 'mqUnlink').returns(false);
    expect(openQueue().unlink()).to.equal(false);
    expect(mqUnlink.calledOnceWith('/prefork.0.1')).to.equal(true);
  });
});
