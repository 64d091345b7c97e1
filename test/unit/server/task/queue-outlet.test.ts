import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import type { MessageQueue } from '../../../../lib/ipc/message-queue';
import { QueueOutlet } from '../../../../lib/server/task/queue-outlet';
import { fakeKernel, FakeWatcher, removeFakes } from '../../fake-kernel';
import { errorOf } from './rig';

const WRITABLE = 2;
const MEGABYTE = 1024 * 1024;

class FakeQueue {
  readonly fd = 9;
  readonly messageSize = 8192;
  readonly taken: string[] = [];
  room: number;

  constructor(room: number) {
    this.room = room;
  }

  push(data: Buffer): boolean {
    if (this.room === 0) return false;
    this.room--;
    this.taken.push(data.toString());
    return true;
  }
}

describe('QueueOutlet', () => {
  let queue: FakeQueue;
  let outlet: QueueOutlet;
  let pollFd: sinon.SinonStub;

  const open = (room: number): void => {
    queue = new FakeQueue(room);
    outlet = new QueueOutlet(queue as unknown as MessageQueue);
  };
  const push = (text: string, bytes = text.length): void => {
    outlet.push(Buffer.from(text), bytes);
  };
  const watcher = (): FakeWatcher => FakeWatcher.all.at(-1) as FakeWatcher;

  beforeEach(() => {
    fakeKernel();
    pollFd = sinon.stub(binding, 'pollFd').returns(0);
  });
  afterEach(removeFakes);

  it('pushes at once while there is room', () => {
    open(2);
    push('a');
    push('b');
    expect(queue.taken).to.deep.equal(['a', 'b']);
    expect(FakeWatcher.all).to.deep.equal([]);
  });

  it('pushes the rest when there is room again, in order', () => {
    open(1);
    for (const text of ['a', 'b', 'c', 'd']) push(text);
    expect(queue.taken).to.deep.equal(['a']);
    queue.room = 2;
    watcher().fire(WRITABLE);
    expect(queue.taken).to.deep.equal(['a', 'b', 'c']);
    expect(watcher().events).to.equal(WRITABLE);
    queue.room = 2;
    watcher().fire(WRITABLE);
    expect(queue.taken).to.deep.equal(['a', 'b', 'c', 'd']);
    expect(watcher().events).to.equal(0);
  });

  it('lets nobody overtake what waits', () => {
    open(0);
    push('a');
    queue.room = 5;
    push('b');
    expect(queue.taken).to.deep.equal([]);
    expect(outlet.pushWithin(Buffer.from('c'), 0)).to.equal(true);
    expect(queue.taken).to.deep.equal(['a', 'b', 'c']);
  });

  it('blocks until there is room', () => {
    open(0);
    pollFd.callsFake(() => {
      queue.room = 1;
      return 4;
    });
    expect(outlet.pushWithin(Buffer.from('a'), 1000)).to.equal(true);
    expect(pollFd.firstCall.args.slice(0, 2)).to.deep.equal([9, 4]);
  });

  it('gives up when the time is over', () => {
    open(0);
    expect(outlet.pushWithin(Buffer.from('a'), 5)).to.equal(false);
    expect(queue.taken).to.deep.equal([]);
  });

  it('counts what waits, up to a limit', () => {
    open(0);
    outlet.checkRoom(100 * MEGABYTE);
    push('a', 60 * MEGABYTE);
    outlet.checkRoom(4 * MEGABYTE - 256);
    expect(
      errorOf(() => {
        outlet.checkRoom(5 * MEGABYTE);
      }),
    ).to.have.property('code', 'ERR_TASK_QUEUE_FULL');
    queue.room = 1;
    watcher().fire(WRITABLE);
    outlet.checkRoom(100 * MEGABYTE);
  });
});
