import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { MessageSocket } from '../../../lib/ipc/message-socket';
import {
  fakeKernel,
  FakeWatcher,
  fill,
  removeFakes,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

const READABLE = 1;
const WRITABLE = 2;
const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

describe('MessageSocket', () => {
  let kernel: FakeKernel;
  let receive: sinon.SinonStub<Parameters<typeof binding.receive>, number>;
  let send: sinon.SinonStub<Parameters<typeof binding.send>, number>;
  let socket: MessageSocket;
  let watcher: FakeWatcher;
  let fd: number;

  const comes = (...messages: string[]): void => {
    const take = fill(...messages);
    receive.callsFake((_fd, buffer) => take(buffer));
  };
  const sent = (): string[] => send.getCalls().map(({ args }) => String(args[1]));

  beforeEach(() => {
    kernel = fakeKernel();
    receive = sinon.stub(binding, 'receive').returns(-1);
    send = sinon.stub(binding, 'send').callsFake((_fd, _data, _offset, length) => length);
    fd = kernel.openFd();
    socket = new MessageSocket(fd);
    watcher = FakeWatcher.of(fd);
  });
  afterEach(removeFakes);

  it('emits one message event for each message that is there', () => {
    const messages: string[] = [];
    socket.on('message', (data) => messages.push(String(data)));
    comes('one', 'two');
    watcher.fire(READABLE);
    expect(messages).to.deep.equal(['one', 'two']);
  });

  it('handles 64 messages in one turn of the loop, and leaves the rest to the next', () => {
    let count = 0;
    socket.on('message', () => count++);
    receive.returns(1);
    watcher.fire(READABLE);
    expect(count).to.equal(64);
  });

  it('stops between two messages when a listener closes it', () => {
    let count = 0;
    socket.on('message', () => {
      count++;
      socket.close();
    });
    comes('one', 'two');
    watcher.fire(READABLE);
    expect(count).to.equal(1);
  });

  it('closes itself, with a close event, when the peer is gone', async () => {
    const closed = sinon.spy();
    socket.on('close', closed);
    receive.returns(0);
    watcher.fire(READABLE);
    expect(socket.closed).to.equal(true);
    expect(kernel.openFds.has(fd)).to.equal(false);
    await nextTick();
    expect(closed.callCount).to.equal(1);
  });

  it('leaves a message in the pipe while nobody listens, and takes it for the next listener', () => {
    (binding.peekInput as sinon.SinonStub).returns(1);
    watcher.fire(READABLE);
    expect(receive.called).to.equal(false);
    expect(watcher.events & READABLE, 'does not spin').to.equal(0);
    comes('one', 'two');
    const first = sinon.spy();
    socket.once('message', first);
    watcher.fire(READABLE);
    expect(first.args.map(([data]) => String(data))).to.deep.equal(['one']);
    expect(receive.callCount, 'the second stays').to.equal(1);
  });

  it('goes on waiting for the end while nobody listens and nothing comes', () => {
    (binding.peekInput as sinon.SinonStub).returns(-1);
    watcher.fire(READABLE);
    expect(socket.closed).to.equal(false);
    expect(watcher.events & READABLE).to.equal(READABLE);
  });

  it('send() returns true when the kernel took the message', () => {
    expect(socket.send('now')).to.equal(true);
    expect(socket.queuedMessages).to.equal(0);
  });

  it('queues while the kernel is full, keeps the order, and emits drain when all went out', () => {
    const drained = sinon.spy();
    socket.on('drain', drained);
    send.returns(0);
    expect([socket.send('a'), socket.send('b')]).to.deep.equal([false, false]);
    expect(socket.queuedMessages).to.equal(2);
    send.resetHistory();
    send.callsFake((_fd, _data, _offset, length) => length);
    watcher.fire(WRITABLE);
    expect(sent()).to.deep.equal(['a', 'b']);
    expect(drained.callCount).to.equal(1);
    expect(watcher.events & WRITABLE).to.equal(0);
  });

  it('does not overtake what is queued', () => {
    send.onFirstCall().returns(0);
    socket.send('first');
    expect(socket.send('second')).to.equal(false);
    expect(sent()).to.deep.equal(['first']);
  });

  it('queues a copy: the caller may use its buffer again', () => {
    send.onFirstCall().returns(0);
    const data = Buffer.from('good');
    socket.send(data);
    data.fill('x');
    watcher.fire(WRITABLE);
    expect(sent().at(-1)).to.equal('good');
  });

  it('throws what is misuse: empty data, a wrong type, a message too big', () => {
    thrownBy(() => socket.send(''), 'ERR_EMPTY_DATA');
    thrownBy(() => socket.send(5 as never), 'ERR_INVALID_ARG_TYPE');
    thrownBy(() => socket.send(Buffer.alloc(1001)), 'ERR_MESSAGE_TOO_BIG');
  });

  it('tells a peer that is gone by an error event, and closes', async () => {
    const failed = sinon.spy();
    socket.on('error', failed);
    send.throws(systemError('EPIPE', 'send', 'gone'));
    socket.send('x');
    const closed = sinon.spy();
    socket.on('close', closed);
    expect(socket.closed).to.equal(true);
    await nextTick();
    expect(closed.calledAfter(failed)).to.equal(true);
    expect(failed.calledOnce).to.equal(true);
    expect(failed.firstCall.args[0]).to.have.property('code', 'EPIPE');
  });

  it('tells a failing read by an error event, and closes', async () => {
    const failed = sinon.spy();
    socket.on('error', failed);
    socket.on('message', () => undefined);
    receive.throws(systemError('ECONNRESET', 'recv', 'reset'));
    watcher.fire(READABLE);
    await nextTick();
    expect(failed.firstCall.args[0]).to.have.property('code', 'ECONNRESET');
    expect(socket.closed).to.equal(true);
  });

  it('close() drops the queue, and a second one does nothing', async () => {
    const closed = sinon.spy();
    socket.on('close', closed);
    send.returns(0);
    socket.send('never');
    socket.close();
    socket.close();
    await nextTick();
    expect(socket.queuedMessages).to.equal(0);
    expect(closed.callCount).to.equal(1);
    expect(watcher.closed).to.equal(true);
  });

  it('send() on a closed socket throws ERR_NO_PIPE', () => {
    socket.close();
    thrownBy(() => socket.send('x'), 'ERR_NO_PIPE');
  });

  it('unref() and ref() say whether it keeps the loop, and return it', () => {
    expect(socket.unref()).to.equal(socket);
    expect(watcher.ref).to.equal(false);
    expect(socket.ref()).to.equal(socket);
    expect(watcher.ref).to.equal(true);
  });
});
