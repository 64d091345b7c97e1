import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { UnixSocket } from '../../../lib/ipc/unix-socket';
import {
  fakeKernel,
  FakeWatcher,
  fill,
  rejectionOf,
  removeFakes,
  settle,
  type FakeKernel,
} from '../fake-kernel';

const READABLE = 1;
const WRITABLE = 2;

describe('UnixSocket, async', () => {
  let kernel: FakeKernel;
  let receive: sinon.SinonStub<Parameters<typeof binding.receive>, number>;
  let send: sinon.SinonStub<Parameters<typeof binding.send>, number>;
  let stream: UnixSocket;
  let dgram: UnixSocket;

  /** What the kernel was asked for by the last receive. */
  const asked = (): { length: number; timeout: number } => {
    const [, , , length, timeout] = receive.lastCall.args;
    return { length, timeout };
  };
  const comes = (...messages: string[]): void => {
    const take = fill(...messages);
    receive.callsFake((_fd, buffer) => take(buffer));
  };

  beforeEach(() => {
    kernel = fakeKernel();
    receive = sinon.stub(binding, 'receive').returns(-1);
    send = sinon.stub(binding, 'send').callsFake((_fd, _data, _offset, length) => length);
    stream = new UnixSocket(kernel.openFd(), 'stream');
    dgram = new UnixSocket(kernel.openFd(), 'dgram');
  });
  afterEach(removeFakes);

  describe('readAsync', () => {
    it('takes what is there without a watch, and never blocks', async () => {
      comes('now');
      expect(String(await stream.readAsync())).to.equal('now');
      expect(asked().timeout).to.equal(0);
      expect(FakeWatcher.all).to.have.length(0);
    });

    it('waits for the fd when nothing is there', async () => {
      const read = stream.readAsync();
      await settle();
      comes('later');
      FakeWatcher.of(stream.fd).fire(READABLE);
      expect(String(await read)).to.equal('later');
    });

    it('watches on when somebody else was faster', async () => {
      const read = stream.readAsync();
      await settle();
      FakeWatcher.of(stream.fd).fire(READABLE);
      await settle();
      comes('mine');
      FakeWatcher.of(stream.fd).fire(READABLE);
      expect(String(await read)).to.equal('mine');
    });

    it('serves several outstanding reads in their order', async () => {
      comes('one', 'two');
      const reads = await Promise.all([stream.readAsync(), stream.readAsync()]);
      expect(reads.map(String)).to.deep.equal(['one', 'two']);
    });

    it('an abort rejects with its reason, and the next read gets the data', async () => {
      const abort = new AbortController();
      const read = stream.readAsync(undefined, abort.signal);
      await settle();
      abort.abort(new Error('enough'));
      expect(await rejectionOf(read)).to.have.property('message', 'enough');
      comes('kept');
      expect(String(await stream.readAsync())).to.equal('kept');
    });

    it('close() rejects the reads that wait with ERR_NO_PIPE', async () => {
      const reads = [stream.readAsync(), stream.readAsync()];
      await settle();
      stream.close();
      for (const read of reads) await rejectionOf(read, 'ERR_NO_PIPE');
    });

    it('closeAtEnd() answers the reads that wait with the end', async () => {
      const reads = [stream.readAsync(), stream.readAsync()];
      await settle();
      stream.closeAtEnd();
      for (const read of reads) expect(await read).to.have.length(0);
    });

    it('lets others have a turn of the loop after 64 reads that found data', async () => {
      receive.returns(1);
      const immediate = sinon.spy();
      setImmediate(immediate);
      for (let i = 0; i < 63; i++) await stream.readAsync();
      expect(immediate.called, 'after 63 reads').to.equal(false);
      await stream.readAsync();
      expect(immediate.called, 'after 64 reads').to.equal(true);
    });
  });

  describe('writeAsync', () => {
    it('waits for room until all is written, and goes on where it was', async () => {
      send.onFirstCall().returns(2);
      send.onSecondCall().returns(3);
      const write = stream.writeAsync(Buffer.from('hello'));
      await settle();
      FakeWatcher.of(stream.fd).fire(WRITABLE);
      expect(await write).to.equal(5);
      expect(send.secondCall.args.slice(2)).to.deep.equal([2, 3, 0]);
    });

    it('does not mix two outstanding writes', async () => {
      send.onFirstCall().returns(1);
      const writes = [stream.writeAsync(Buffer.from('aa')), stream.writeAsync(Buffer.from('bb'))];
      await settle();
      expect(send.callCount).to.equal(1);
      FakeWatcher.of(stream.fd).fire(WRITABLE);
      await Promise.all(writes);
      expect(send.getCalls().map(({ args }) => String(args[1]))).to.deep.equal(['aa', 'aa', 'bb']);
    });

    it('a failed write does not stop the next one', async () => {
      await rejectionOf(dgram.writeAsync(Buffer.alloc(2000)), 'ERR_MESSAGE_TOO_BIG');
      expect(await dgram.writeAsync(Buffer.from('ok'))).to.equal(2);
    });

    it('an abort rejects while it waits for room', async () => {
      send.returns(0);
      const abort = new AbortController();
      const write = stream.writeAsync(Buffer.from('x'), abort.signal);
      await settle();
      abort.abort(new Error('enough'));
      expect(await rejectionOf(write)).to.have.property('message', 'enough');
    });

    it('a write that waits when the peer is gone rejects with EPIPE', async () => {
      send.returns(0);
      const write = stream.writeAsync(Buffer.from('x'));
      await settle();
      stream.closeAtEnd();
      await rejectionOf(write, 'EPIPE');
    });
  });
});
