import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import { encodeHeader, INLINE, MEMFD } from '../../../lib/ipc/frame';
import { MemfdCount } from '../../../lib/ipc/memfd-count';
import { PacketPair, PacketReader, PacketWriter } from '../../../lib/ipc/packet-socket';
import {
  fakeKernel,
  FakeWatcher,
  rejectionOf,
  removeFakes,
  settle,
  thrownBy,
  type FakeKernel,
} from '../fake-kernel';

const POLLOUT = 4;
const POLLHUP = 16;
const WRITABLE = 2;
const LIMIT = 100;
const MAX = 10_000;

const SENT = 1;
const FULL = 0;
const IN_FLIGHT = -1;

type Stubbed =
  'packetSend' | 'packetFull' | 'packetReceive' | 'packetTake' | 'pollFd' | 'memfdWith';

type Stub<K extends Stubbed> = sinon.SinonStub<
  Parameters<(typeof binding)[K]>,
  ReturnType<(typeof binding)[K]>
>;

describe('packet socket (against a fake kernel)', () => {
  let kernel: FakeKernel;
  let send: Stub<'packetSend'>;
  let full: Stub<'packetFull'>;
  let poll: Stub<'pollFd'>;
  let memfdWith: Stub<'memfdWith'>;

  beforeEach(() => {
    kernel = fakeKernel();
    send = sinon.stub(binding, 'packetSend').returns(SENT);
    full = sinon.stub(binding, 'packetFull').returns(false);
    poll = sinon.stub(binding, 'pollFd').returns(POLLOUT);
    memfdWith = sinon.stub(binding, 'memfdWith').callsFake(() => kernel.openFd());
  });
  afterEach(removeFakes);

  describe('PacketPair', () => {
    it('makes one SOCK_SEQPACKET pair and carries inline what its send buffer takes in one frame', () => {
      const pair = new PacketPair();
      const socketPair = binding.socketPair as sinon.SinonStub;
      expect(socketPair.args.map(([type]) => type as number)).to.deep.equal([5]);
      expect([pair.writer.inlineLimit, pair.reader.inlineLimit]).to.deep.equal([984, 984]);
      expect(pair.writer.maxBytes).to.equal(64 * 1024 * 1024);
    });

    it('carries inline no more than 64 KiB with the header, however large the send buffer is', () => {
      (binding.messageLimit as sinon.SinonStub).returns(400_000);
      expect(new PacketPair().writer.inlineLimit).to.equal(65536 - 16);
    });

    it('refuses a maximum out of range', () => {
      for (const maxBytes of [0, 1.5, 2 ** 31]) {
        thrownBy(() => new PacketPair(maxBytes), 'ERR_OUT_OF_RANGE');
      }
      thrownBy(() => new PacketPair('9' as never), 'ERR_INVALID_ARG_TYPE');
    });

    it('closes both ends once', () => {
      const pair = new PacketPair();
      pair.close();
      pair.close();
      expect(kernel.openFds.size).to.equal(0);
    });
  });

  describe('PacketWriter', () => {
    let writer: PacketWriter;
    const small = Buffer.alloc(LIMIT, 1);
    const large = Buffer.alloc(LIMIT + 1, 2);

    beforeEach(() => {
      writer = new PacketWriter(kernel.openFd(), MAX, LIMIT);
    });

    it('names what is wrong with a message', () => {
      thrownBy(() => writer.send(Buffer.alloc(0)), 'ERR_EMPTY_DATA');
      const { message } = thrownBy(() => writer.send(Buffer.alloc(MAX + 1)), 'ERR_MESSAGE_TOO_BIG');
      expect(message).to.include('10001 bytes').and.to.include('(maxBytes) is 10000');
      for (const meta of [{ sender: 2 ** 31 }, { tag: -1 }, { tag: 2 ** 32 }, { flags: 256 }]) {
        thrownBy(() => writer.send(small, meta), 'ERR_OUT_OF_RANGE');
      }
      for (const timeout of [-2, 0.5, 2 ** 31]) {
        thrownBy(() => writer.send(small, {}, timeout), 'ERR_OUT_OF_RANGE');
      }
      expect(send.called).to.equal(false);
    });

    it('rejects what is wrong in sendAsync', async () => {
      await rejectionOf(writer.sendAsync(Buffer.alloc(0)), 'ERR_EMPTY_DATA');
      await rejectionOf(writer.sendAsync(small, { flags: -1 }), 'ERR_OUT_OF_RANGE');
    });

    it('puts a message up to the limit into its frame, a longer one into a memfd', () => {
      writer.send(small);
      writer.send(large);
      const [inline, memfd] = send.args;
      expect([inline?.[3], inline?.[4]]).to.deep.equal([LIMIT, -1]);
      expect(memfd?.[3]).to.equal(2);
      expect(memfdWith.lastCall.args).to.deep.equal([large]);
      expect(memfd?.[4]).to.equal(memfdWith.lastCall.returnValue);
      expect(kernel.openFds.size, 'fds left').to.equal(1);
    });

    it('closes the memfd when the frame cannot be sent', () => {
      send.throws(systemError('EPIPE', 'sendmsg', 'gone'));
      thrownBy(() => writer.send(large), 'EPIPE');
      send.resetBehavior();
      send.returns(FULL);
      expect(writer.send(large, {}, 0)).to.equal(false);
      expect(kernel.openFds.size, 'fds left').to.equal(1);
    });

    it('counts a memfd from before it is filled until it is received, unless it is not sent', () => {
      const memfds = new MemfdCount();
      const counting = new PacketWriter(kernel.openFd(), MAX, LIMIT, memfds);
      memfdWith.onFirstCall().callsFake(() => {
        expect(memfds.some, 'while it is filled').to.equal(true);
        return kernel.openFd();
      });
      counting.send(large);
      memfds.add(-1);
      send.returns(FULL);
      expect(counting.send(large, {}, 0)).to.equal(false);
      memfdWith.throws(systemError('EMFILE', 'memfd_create', 'no fd'));
      thrownBy(() => counting.send(large), 'EMFILE');
      expect(memfds.some).to.equal(false);
    });

    it('does not fill a memfd while the pipe is full', () => {
      full.returns(true);
      expect(writer.send(large, {}, 0)).to.equal(false);
      expect(memfdWith.called).to.equal(false);
      full.onSecondCall().returns(true).onThirdCall().returns(false);
      expect(writer.send(large)).to.equal(true);
      expect(memfdWith.callCount).to.equal(1);
    });

    it('never waits with a timeout of 0, without limit with -1', () => {
      send.returns(FULL);
      expect(writer.send(small, {}, 0)).to.equal(false);
      expect(poll.called).to.equal(false);
      send.onSecondCall().returns(FULL).onThirdCall().returns(SENT);
      expect(writer.send(small)).to.equal(true);
      expect(poll.lastCall.args).to.deep.equal([writer.fd, POLLOUT, -1]);
    });

    it('tries again after a signal, for the rest of its time', () => {
      send.returns(FULL);
      poll.onFirstCall().returns(-1).onSecondCall().returns(0);
      expect(writer.send(small, {}, 5000)).to.equal(false);
      expect(poll.args.map(([, , left]) => left <= 5000 && left > 1000)).to.deep.equal([
        true,
        true,
      ]);
    });

    it('naps instead of polling while the user has too many fds in flight', () => {
      send.onFirstCall().returns(IN_FLIGHT);
      expect(writer.send(large)).to.equal(true);
      expect(poll.args).to.deep.equal([[-1, 0, 2]]);
      expect(memfdWith.callCount).to.equal(1);
    });

    it('tells a failure to the message it belongs to, and sends those behind it', async () => {
      send.returns(FULL);
      const all = [1, 2, 3].map((tag) => writer.sendAsync(small, { tag }));
      const second = rejectionOf(all[1] as Promise<void>, 'ENOBUFS');
      expect(writer.waiting).to.equal(3);
      send.reset();
      send
        .returns(SENT)
        .onSecondCall()
        .throws(systemError('ENOBUFS', 'sendmsg', 'no memory'));
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      await Promise.all([all[0], second, all[2]]);
      expect(FakeWatcher.of(writer.fd).events, 'watched').to.equal(0);
    });

    it('sends one large message in a turn of the loop', async () => {
      send.returns(FULL);
      const all = [writer.sendAsync(large), writer.sendAsync(large)];
      send.returns(SENT);
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      expect(writer.waiting).to.equal(1);
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      await Promise.all(all);
    });

    it('waits by a timer, not by the watcher, while too many fds are in flight', async () => {
      send.returns(IN_FLIGHT);
      const sending = writer.sendAsync(large);
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      expect(FakeWatcher.of(writer.fd).events, 'watched').to.equal(0);
      send.returns(SENT);
      await new Promise<void>((done) => {
        const timer = setInterval(() => {
          if (FakeWatcher.of(writer.fd).events !== WRITABLE) return;
          clearInterval(timer);
          done();
        }, 1);
      });
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      await sending;
    });

    it('stops waiting when it is closed', async () => {
      send.returns(IN_FLIGHT);
      const sending = rejectionOf(writer.sendAsync(large), 'ERR_NO_PIPE');
      FakeWatcher.of(writer.fd).fire(WRITABLE);
      writer.close();
      await sending;
      expect(writer.waiting).to.equal(0);
    });

    it('passes setRef on', () => {
      writer.setRef(false);
      expect(FakeWatcher.of(writer.fd).ref).to.equal(false);
    });
  });

  describe('PacketReader', () => {
    let reader: PacketReader;
    let receive: Stub<'packetReceive'>;
    let take: Stub<'packetTake'>;
    const NO_FD = -1;

    interface Frame {
      length: number;
      body?: Buffer;
      fd?: number;
      bytes?: number;
    }

    const putHeader = (room: Uint8Array, at: number, length: number): void => {
      const view = new DataView(room.buffer, room.byteOffset + at);
      const kind = length > LIMIT ? MEMFD : INLINE;
      encodeHeader(view, { kind, flags: 1, sender: 2, length, tag: 3 });
    };

    const none = Buffer.alloc(0);

    /** Frames that the kernel has: the message's length, its body, its fd. */
    const comes = (...frames: Frame[]): void => {
      receive.callsFake((_fd, room, slotBytes, most, results) => {
        const batch = frames.splice(0, most);
        batch.forEach(({ length, body = none, fd = NO_FD, bytes }, i) => {
          putHeader(room, i * slotBytes, length);
          room.set(body, i * slotBytes + 16);
          results.set([bytes ?? 16 + body.length, fd], 2 * i);
        });
        return batch.length;
      });
      take.callsFake((_fd, room, target, offset) => {
        const frame = frames.shift();
        if (frame === undefined) return false;
        const { length, body = none, fd = NO_FD, bytes } = frame;
        putHeader(room, 16, length);
        const there = body.subarray(0, target.length - offset);
        target.set(there, offset);
        room.set(body.subarray(there.length), 32);
        new Int32Array(room.buffer, room.byteOffset, 2).set([bytes ?? 16 + body.length, fd]);
        return true;
      });
    };
    const text = (value: string) => ({ length: value.length, body: Buffer.from(value) });
    const memfd = (fd: number) => ({ length: 640, body: Buffer.alloc(10), fd });

    beforeEach(() => {
      reader = new PacketReader(kernel.openFd(), MAX, LIMIT);
      receive = sinon.stub(binding, 'packetReceive').returns(0);
      take = sinon.stub(binding, 'packetTake').returns(false);
      sinon.stub(binding, 'memfdStat').returns([640, 15]);
      sinon.stub(binding, 'memfdRead').callsFake((_fd, buffer) => buffer.fill(7).length);
    });

    it('asks for one frame, for the number wanted, and for 64 at most', () => {
      expect(reader.receive()).to.equal(null);
      expect(take.callCount).to.equal(1);
      reader.receiveBatch(7);
      reader.receiveBatch();
      reader.receiveBatch(1000);
      expect(receive.args.map(([, , , most]) => most)).to.deep.equal([7, 64, 64]);
      thrownBy(() => reader.receiveBatch(0), 'ERR_OUT_OF_RANGE');
    });

    it('gives each message a buffer of its own', () => {
      comes(text('one'), text('two'), text('six'));
      const [one] = reader.receiveBatch(1);
      const rest = reader.receiveBatch();
      expect(one).to.deep.equal({ data: Buffer.from('one'), sender: 2, tag: 3, flags: 1 });
      expect(rest.map(({ data }) => String(data))).to.deep.equal(['two', 'six']);
      comes(text('ten'), text('eleven'));
      const [ten, eleven] = [reader.receive(), reader.receive()];
      expect(ten).to.deep.equal({ data: Buffer.from('ten'), sender: 2, tag: 3, flags: 1 });
      expect(String(eleven?.data)).to.equal('eleven');
    });

    it('puts a message together that had not enough room where it was received', () => {
      const wide = new PacketReader(kernel.openFd(), 60_000, 60_000);
      const bodies = [10, 50_000, 7, 60_000, 60_000, 5].map((length, i) => Buffer.alloc(length, i));
      take.callsFake((_fd, room, target, offset) => {
        const body = bodies.shift();
        if (body === undefined) return false;
        const header = { kind: INLINE, flags: 0, sender: 0, length: body.length, tag: 0 };
        encodeHeader(new DataView(room.buffer, room.byteOffset + 16), header);
        const there = body.subarray(0, target.length - offset);
        target.set(there, offset);
        room.set(body.subarray(there.length), 32);
        new Int32Array(room.buffer, room.byteOffset, 2).set([16 + body.length, NO_FD]);
        return true;
      });
      const expected = [...bodies];
      const received = expected.map(() => wide.receive()?.data);
      expect(received.map((data, i) => data?.equals(expected[i] as Buffer))).to.deep.equal(
        expected.map(() => true),
      );
    });

    it('counts the memfds that come, and looks for room for them only then', () => {
      const memfds = new MemfdCount();
      const counting = new PacketReader(kernel.openFd(), MAX, LIMIT, memfds);
      memfds.add(1);
      comes(memfd(kernel.openFd()), text('on'));
      counting.receive();
      counting.receive();
      counting.receiveBatch();
      expect(take.args.map((args) => args[4])).to.deep.equal([true, false]);
      expect(receive.args.map((args) => args[5])).to.deep.equal([false]);
    });

    it('tells whether there is something', () => {
      poll.returns(0);
      expect(reader.empty).to.equal(true);
      poll.returns(1);
      expect(reader.empty).to.equal(false);
      expect(poll.lastCall.args).to.deep.equal([reader.fd, 1, 0]);
    });

    it('reads a memfd and closes it', () => {
      comes(memfd(kernel.openFd()));
      expect(reader.receive()?.data).to.deep.equal(Buffer.alloc(640, 7));
      expect(kernel.openFds.size, 'fds left').to.equal(1);
    });

    it('closes the memfd that cannot be read, and goes on with the batch', async () => {
      const errors: (string | undefined)[] = [];
      reader.onBadFrame((error) => errors.push((error as { code?: string }).code));
      const read = binding.memfdRead as sinon.SinonStub;
      read.onFirstCall().throws(systemError('EIO', 'pread', 'broken'));
      read.onSecondCall().returns(639);
      comes(memfd(kernel.openFd()), memfd(kernel.openFd()), memfd(kernel.openFd()), text('on'));
      expect(reader.receiveBatch().map(({ data }) => data.length)).to.deep.equal([640, 2]);
      await settle();
      expect(errors).to.deep.equal(['EIO', 'ERR_BAD_FRAME']);
      expect(kernel.openFds.size, 'fds left').to.equal(1);
    });

    it('tells whose message was lost when there was no place for its fd', () => {
      comes({ ...memfd(-3) });
      const { message } = thrownBy(() => reader.receive(), 'EMFILE');
      expect(message).to.include('640 bytes, sender 2, tag 3, was lost');
    });

    it('tells a missing memfd from several', () => {
      comes(memfd(NO_FD), memfd(-2));
      expect(thrownBy(() => reader.receive(), 'ERR_BAD_FRAME').message).to.include('missing');
      expect(thrownBy(() => reader.receive(), 'ERR_BAD_FRAME').message).to.include('several');
    });

    it('takes an empty frame for a bad one, and for the end when the write end is gone', () => {
      poll.returns(0);
      comes({ length: 0, bytes: 0 });
      thrownBy(() => reader.receive(), 'ERR_BAD_FRAME');
      expect(reader.ended).to.equal(false);
      poll.returns(POLLHUP);
      reader.onReadable(() => undefined);
      comes(text('last'), { length: 0, bytes: 0 }, { length: 0, bytes: 0 });
      expect(reader.receiveBatch().map(({ data }) => String(data))).to.deep.equal(['last']);
      expect(reader.ended).to.equal(true);
      expect(FakeWatcher.of(reader.fd).events, 'watched').to.equal(0);
      expect(reader.receive()).to.equal(null);
    });

    it('watches while there is a listener', () => {
      reader.onReadable(null);
      expect(FakeWatcher.all).to.deep.equal([]);
      const listener = sinon.stub();
      reader.onReadable(listener);
      FakeWatcher.of(reader.fd).fire(1);
      reader.onReadable(null);
      FakeWatcher.of(reader.fd).fire(1);
      expect(listener.callCount).to.equal(1);
    });

    it('has ERR_NO_PIPE for every call once closed', async () => {
      reader.close();
      thrownBy(() => reader.receive(), 'ERR_NO_PIPE');
      thrownBy(() => reader.receiveBatch(), 'ERR_NO_PIPE');
      thrownBy(() => {
        reader.onReadable(() => undefined);
      }, 'ERR_NO_PIPE');
      await rejectionOf(reader.readable(), 'ERR_NO_PIPE');
      expect([reader.closed, reader.fd]).to.deep.equal([true, -1]);
    });
  });
});
