import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { systemError } from '../../../../lib/errors';
import { PacketSlab } from '../../../../lib/ipc/packet-slab';
import { DOORBELL, WorkerLine } from '../../../../lib/pool/transport/worker-line';
import {
  FakeWatcher,
  fakeKernel,
  rejectionOf,
  removeFakes,
  settle,
  thrownBy,
} from '../../fake-kernel';

const MAX = 1_000_000;
const WRITABLE = 2;
const SENT = 1;
const FULL = 0;

describe('WorkerLine, in the master', () => {
  const slab = new PacketSlab();
  let line: WorkerLine;
  let packetSend: sinon.SinonStub<
    Parameters<(typeof binding)['packetSend']>,
    ReturnType<(typeof binding)['packetSend']>
  >;

  const small = (fill = 1, length = 100): Buffer => Buffer.alloc(length, fill);
  const long = (fill = 1): Buffer => Buffer.alloc(20_000, fill);
  const take = (): number | null => line.ring.take(slab)?.[0] ?? null;

  /** What was sent by socket: "bell", or the serial of a long message. */
  const sent = (): (string | number)[] =>
    packetSend.args.map(([fd, header]) => {
      const view = Buffer.from(header);
      if (fd === line.long.writer.fd) return view.readUInt32LE(12);
      return view[2] === DOORBELL ? 'bell' : 'sibling';
    });

  /** Puts until it is full; returns how many there are. */
  const fillRing = (): number => {
    let count = 0;
    while (line.send(small(200, 1000), 0)) count++;
    return count;
  };

  beforeEach(() => {
    fakeKernel();
    (binding.messageLimit as sinon.SinonStub).returns(200_000);
    packetSend = sinon.stub(binding, 'packetSend').returns(SENT);
    line = new WorkerLine(MAX);
  });
  afterEach(removeFakes);

  it('puts messages into the ring, without a call of the kernel', () => {
    expect([line.send(small(1), 0), line.sendAsync(small(2))]).to.deep.equal([true, null]);
    expect([take(), take(), line.empty]).to.include.members([1, 2]);
    expect(packetSend.called).to.equal(false);
  });

  it('rings once for a reader that sleeps', () => {
    line.ring.setAsleep(true);
    line.send(small(), 0);
    line.send(small(), 0);
    expect(sent()).to.deep.equal(['bell']);
  });

  it('rings at the next message when there was no memory for the bell', () => {
    line.ring.setAsleep(true);
    packetSend.onFirstCall().throws(systemError('ENOBUFS', 'sendmsg', 'no memory'));
    expect([line.send(small(), 0), line.send(small(), 0)]).to.deep.equal([true, true]);
    expect(packetSend.callCount).to.equal(2);
  });

  it('sends a long message first, then puts its marker', () => {
    line.send(small(1), 0);
    packetSend.callsFake(() => {
      expect(line.ring.marker).to.equal(0);
      return SENT;
    });
    line.send(long(), 0);
    line.send(small(2), 0);
    expect(take()).to.equal(1);
    expect(line.ring.marker).to.equal(1);
    line.ring.passMarker();
    expect(take()).to.equal(2);
  });

  it('a long message that finds its socket full leaves no marker', () => {
    packetSend.returns(FULL);
    expect(line.send(long(), 0)).to.equal(false);
    expect(line.ring.empty).to.equal(true);
  });

  it('names the limit', async () => {
    const { message } = thrownBy(() => line.send(Buffer.alloc(MAX + 1), 0), 'ERR_MESSAGE_TOO_BIG');
    expect(message).to.include('1000001 bytes').and.to.include('1000000');
    thrownBy(() => line.sendAsync(Buffer.alloc(MAX + 1)), 'ERR_MESSAGE_TOO_BIG');
    await settle();
  });

  describe('a full ring', () => {
    it('is false to send(), and makes sendAsync() wait, in order, until there is room', async () => {
      const count = fillRing();
      const done: number[] = [];
      [1, 2, 3].forEach((fill) => void line.sendAsync(small(fill))?.then(() => done.push(fill)));
      expect(line.send(small(9), 0), 'behind those that wait').to.equal(false);
      for (let i = 0; i < count; i++) {
        expect(take()).to.equal(200);
        if (line.ring.mustTellRoom()) line.pump();
      }
      await settle();
      expect(done).to.deep.equal([1, 2, 3]);
      expect([take(), take(), take(), take()]).to.deep.equal([1, 2, 3, null]);
    });

    it('holds a long message back, too', async () => {
      fillRing();
      expect(line.send(long(), 0)).to.equal(false);
      const sending = line.sendAsync(long());
      expect(packetSend.called).to.equal(false);
      while (!line.ring.mustTellRoom()) take();
      line.pump();
      await sending;
      expect(packetSend.callCount).to.equal(1);
      while (take() !== null);
      expect(line.ring.marker).to.be.greaterThan(0);
    });

    it('is tried once more after the flag was set: who made room before that did not tell', () => {
      fillRing();
      const setWaiting = sinon.stub(line.ring, 'setWaiting');
      setWaiting.onFirstCall().callsFake(() => {
        while (line.ring.full) take();
      });
      expect(line.sendAsync(small(7))).to.be.instanceOf(Promise);
      expect(setWaiting.args).to.deep.equal([[true], [false]]);
    });

    it('an aborted message is taken back, and those behind it go on', async () => {
      const count = fillRing();
      const abort = new AbortController();
      const first = rejectionOf(line.sendAsync(small(1), abort.signal) as Promise<void>);
      const second = line.sendAsync(small(2));
      abort.abort(new RangeError('mine'));
      expect(await first).to.be.instanceOf(RangeError);
      for (let i = 0; i < count; i++) take();
      line.pump();
      await second;
      expect([take(), take()]).to.deep.equal([2, null]);
      expect(() => line.sendAsync(small(), AbortSignal.abort())).to.throw('abort');
    });

    it('close() tells those who wait', async () => {
      fillRing();
      const codes = [1, 2].map((fill) =>
        rejectionOf(line.sendAsync(small(fill)) as Promise<void>, 'ERR_NO_PIPE'),
      );
      line.close();
      await Promise.all(codes);
    });
  });

  describe('a full socket', () => {
    it('makes a long message wait on the event loop, and all behind it, in order', async () => {
      packetSend.returns(FULL);
      const sending = [line.sendAsync(long()), line.sendAsync(small(2))];
      expect(line.ring.empty).to.equal(true);
      packetSend.returns(SENT);
      FakeWatcher.of(line.long.writer.fd).fire(WRITABLE);
      await Promise.all(sending);
      expect(line.ring.marker).to.be.greaterThan(0);
      line.ring.passMarker();
      expect(take()).to.equal(2);
    });

    it('a failure is told to its message alone', async () => {
      packetSend.returns(FULL);
      const failing = rejectionOf(line.sendAsync(long()) as Promise<void>, 'EPIPE');
      const next = line.sendAsync(small(2));
      packetSend.throws(systemError('EPIPE', 'sendmsg', 'gone'));
      FakeWatcher.of(line.long.writer.fd).fire(WRITABLE);
      await failing;
      await next;
      expect(take()).to.equal(2);
    });

    it('an aborted long message is taken back', async () => {
      packetSend.returns(FULL);
      const abort = new AbortController();
      const first = rejectionOf(line.sendAsync(long(), abort.signal) as Promise<void>);
      const next = line.sendAsync(small(2));
      abort.abort(new RangeError('mine'));
      expect(await first).to.be.instanceOf(RangeError);
      await next;
      expect([take(), line.ring.marker]).to.deep.equal([2, 0]);
    });
  });

  it('goes on when a worker has ended that was the reader, and could not tell of room', async () => {
    line.ring.claim(3);
    const count = fillRing();
    const sending = line.sendAsync(small(5));
    for (let i = 0; i < count; i++) take();
    line.readerEnded(3);
    await sending;
    expect([take(), line.ring.claim(4)]).to.deep.equal([5, true]);
  });
});
