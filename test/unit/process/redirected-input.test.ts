import { once } from 'node:events';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { RedirectedInput } from '../../../lib/process/redirected-input';
import { fakeKernel, FakeWatcher, fill, removeFakes, type FakeKernel } from '../fake-kernel';

const READABLE = 1;
const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

describe('RedirectedInput', () => {
  let kernel: FakeKernel;
  let receive: sinon.SinonStub<Parameters<typeof binding.receive>, number>;
  let input: RedirectedInput;
  let fd: number;

  const isWatched = (): boolean =>
    FakeWatcher.all.some((watcher) => watcher.fd === fd && watcher.events === READABLE);
  const comes = (...messages: string[]): void => {
    const take = fill(...messages);
    receive.callsFake((_fd, buffer) => take(buffer));
    FakeWatcher.of(fd).fire(READABLE);
  };
  const texts = (): string[] => {
    const seen: string[] = [];
    input.on('data', (data: Buffer) => seen.push(String(data)));
    return seen;
  };

  beforeEach(() => {
    kernel = fakeKernel();
    receive = sinon.stub(binding, 'receive').returns(-1);
    fd = kernel.openFd();
    input = new RedirectedInput(fd);
  });
  afterEach(removeFakes);

  it('touches nothing until somebody reads', () => {
    expect(FakeWatcher.all).to.deep.equal([]);
    expect(input.fd).to.equal(fd);
  });

  it('gives what comes, one read a turn, and goes on watching', async () => {
    const seen = texts();
    await nextTick();
    expect(isWatched()).to.equal(true);
    comes('one', 'two');
    await nextTick();
    expect(seen).to.deep.equal(['one']);
    FakeWatcher.of(fd).fire(READABLE);
    await nextTick();
    expect(seen).to.deep.equal(['one', 'two']);
    expect(isWatched()).to.equal(true);
  });

  it('waits on when there was nothing after all', async () => {
    const seen = texts();
    await nextTick();
    FakeWatcher.of(fd).fire(READABLE);
    expect(isWatched()).to.equal(true);
    comes('late');
    expect(seen).to.deep.equal(['late']);
  });

  it('lets go of the loop by pause(), also in a listener, and takes it again by resume()', async () => {
    const seen = texts();
    input.once('data', () => input.pause());
    await nextTick();
    comes('one');
    await nextTick();
    expect(isWatched()).to.equal(false);
    input.resume();
    await nextTick();
    expect(isWatched()).to.equal(true);
    input.pause();
    expect(isWatched()).to.equal(false);
    expect(seen).to.deep.equal(['one']);
  });

  it('watches for a readable listener and for read(), after a pause as well', async () => {
    texts();
    await nextTick();
    input.pause();
    input.on('readable', () => undefined);
    await nextTick();
    expect(isWatched()).to.equal(true);
    input.pause();
    expect(isWatched()).to.equal(false);
    expect(input.read()).to.equal(null);
    expect(isWatched()).to.equal(true);
  });

  it('ends, lets go of the loop and leaves the fd open', async () => {
    texts();
    const ended = once(input, 'close');
    await nextTick();
    receive.returns(0);
    FakeWatcher.of(fd).fire(READABLE);
    await ended;
    expect(isWatched()).to.equal(false);
    expect(kernel.openFds.has(fd)).to.equal(true);
  });

  it('destroy() lets go of the loop, for good', async () => {
    texts();
    await nextTick();
    input.destroy();
    expect(isWatched()).to.equal(false);
    input.read();
    expect(isWatched()).to.equal(false);
  });

  it('a failing read is an error event', async () => {
    texts();
    const failed = once(input, 'error');
    await nextTick();
    receive.throws(systemError('EBADF', 'recv', 'closed'));
    FakeWatcher.of(fd).fire(READABLE);
    expect((await failed)[0]).to.have.property('code', 'EBADF');
    expect(isWatched()).to.equal(false);
  });

  it('unref() and ref() say whether a read keeps the loop, and return it', () => {
    expect(input.unref()).to.equal(input);
    expect(FakeWatcher.of(fd).ref).to.equal(false);
    expect(input.ref()).to.equal(input);
    expect(FakeWatcher.of(fd).ref).to.equal(true);
  });
});
