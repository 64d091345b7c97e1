import { expect } from 'chai';
import sinon from 'sinon';
import { FdWatcher } from '../../../lib/ipc/fd-watcher';
import { nextGeneration } from '../../../lib/ipc/generation';
import { fakeKernel, FakeWatcher, rejectionOf, removeFakes, settle } from '../fake-kernel';

const READABLE = 1;
const WRITABLE = 2;

describe('FdWatcher', () => {
  let watcher: FdWatcher;
  let native: FakeWatcher;

  beforeEach(() => {
    fakeKernel();
    watcher = new FdWatcher(5);
    native = FakeWatcher.of(5);
  });
  afterEach(removeFakes);

  it('watches nothing until somebody asks', () => {
    expect(native.starts).to.equal(0);
  });

  it('readable() resolves at the next read event and stops the watch', async () => {
    const readable = watcher.readable();
    expect(native.events).to.equal(READABLE);
    native.fire(READABLE);
    await readable;
    expect(native.events).to.equal(0);
  });

  it('writable() does not resolve at a read event', async () => {
    const done = sinon.spy();
    const both = [watcher.readable(), watcher.writable().then(done)];
    expect(native.events).to.equal(READABLE | WRITABLE);
    native.fire(READABLE);
    await both[0];
    expect(done.called).to.equal(false);
    expect(native.events).to.equal(WRITABLE);
    native.fire(WRITABLE);
    await both[1];
  });

  it('one event wakes everybody who waits for it', async () => {
    const waits = [watcher.readable(), watcher.readable(), watcher.readable()];
    native.fire(READABLE);
    await Promise.all(waits);
  });

  it('calls a listener at every event until it is taken away', () => {
    const listener = sinon.spy();
    watcher.onReadable(listener);
    native.fire(READABLE);
    native.fire(READABLE);
    watcher.onReadable(null);
    native.fire(READABLE);
    expect(listener.callCount).to.equal(2);
    expect(native.events).to.equal(0);
  });

  it('does not start the same watch twice', () => {
    watcher.onReadable(() => undefined);
    void watcher.readable();
    native.fire(READABLE);
    expect(native.starts).to.equal(1);
    expect(native.events).to.equal(READABLE);
  });

  it('an error wakes both directions: the next call on the fd tells what it was', async () => {
    const waits = [watcher.readable(), watcher.writable()];
    native.fire(-9);
    await Promise.all(waits);
  });

  it('starts a lasting watch again after an error, because libuv has stopped it', () => {
    watcher.onReadable(() => undefined);
    native.fire(-9);
    expect(native.starts).to.equal(2);
  });

  it('an abort rejects with its reason, takes the wait out and leaves the others', async () => {
    const abort = new AbortController();
    const aborted = watcher.readable(abort.signal);
    const other = watcher.readable();
    abort.abort(new Error('enough'));
    expect(await rejectionOf(aborted)).to.have.property('message', 'enough');
    expect(native.events).to.equal(READABLE);
    native.fire(READABLE);
    await other;
  });

  it('the last abort stops the watch', async () => {
    const abort = new AbortController();
    const aborted = watcher.readable(abort.signal);
    abort.abort();
    await rejectionOf(aborted);
    expect(native.events).to.equal(0);
  });

  it('a signal that is aborted already rejects without any watch', async () => {
    await rejectionOf(watcher.readable(AbortSignal.abort(new Error('before'))));
    expect(native.starts).to.equal(0);
  });

  it('leaves no listener on an AbortSignal once the wait is over', async () => {
    const { signal } = new AbortController();
    const remove = sinon.spy(signal, 'removeEventListener');
    const readable = watcher.readable(signal);
    native.fire(READABLE);
    await readable;
    expect(remove.calledOnceWith('abort')).to.equal(true);
  });

  it('close() wakes all who wait and closes the native watcher', async () => {
    const waits = [watcher.readable(), watcher.writable()];
    watcher.close();
    await Promise.all(waits);
    expect(native.closed).to.equal(true);
  });

  it('passes on whether it keeps the loop', () => {
    watcher.setRef(false);
    expect(native.ref).to.equal(false);
    watcher.setRef(true);
    expect(native.ref).to.equal(true);
  });

  it('is inherited in the next generation, where close() touches nothing', async () => {
    const woken = sinon.spy();
    void watcher.readable().then(woken);
    expect(watcher.inherited).to.equal(false);
    nextGeneration();
    expect(watcher.inherited).to.equal(true);
    watcher.close();
    await settle();
    expect(native.closed).to.equal(false);
    expect(woken.called).to.equal(false);
  });
});
