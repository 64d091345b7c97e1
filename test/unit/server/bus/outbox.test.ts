import { expect } from 'chai';
import sinon from 'sinon';
import type { PacketMeta, PacketWriter } from '../../../../lib/ipc/packet-socket';
import {
  BATCH,
  ENTRY_BYTES,
  MAX_ENTRIES,
  readEntries,
  RECEIVE,
  SEND,
} from '../../../../lib/server/bus/message';
import { Outbox } from '../../../../lib/server/bus/outbox';
import { settle } from '../../fake-kernel';

const KIB = 1024;
const FROM = 5;

type Seen = [type: number, kind: number, id: number, data: string];

/** A pipe that has room or not, as a test says; what waits is sent in order. */
class FakeWriter {
  full = false;
  /** A caller that blocks gets room. */
  roomInTime = false;
  /** What was sent, as the reader would see it. */
  readonly packets: { data: Buffer; meta: PacketMeta }[] = [];
  readonly timeouts: number[] = [];
  failure: Error | null = null;
  readonly #waiting: { data: Buffer; meta: PacketMeta; end: (error: Error | null) => void }[] = [];

  send(data: Buffer, meta: PacketMeta, timeoutMs: number): boolean {
    this.timeouts.push(timeoutMs);
    if (this.roomInTime && timeoutMs > 0) this.makeRoom();
    if (this.full || this.#waiting.length > 0) return false;
    this.packets.push({ data: Buffer.from(data), meta });
    return true;
  }

  sendAsync(data: Buffer, meta: PacketMeta): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error: Error | null): void => {
        if (error === null) resolve();
        else reject(error);
      };
      this.#waiting.push({ data, meta, end });
    });
  }

  /** There is room for `count` of those that wait. */
  makeRoom(count = Infinity): void {
    for (const { data, meta, end } of this.#waiting.splice(0, count)) {
      if (this.failure === null) this.packets.push({ data, meta });
      end(this.failure);
    }
    this.full = this.#waiting.length > 0;
  }

  /** All messages that were sent, those of batches one by one. */
  get messages(): Seen[] {
    return this.packets.flatMap(({ data, meta }) => messagesOf(data, meta));
  }
}

function messagesOf(data: Buffer, { flags = 0, tag = 0 }: PacketMeta): Seen[] {
  if (flags !== BATCH) return [[flags & 31, flags >> 5, tag, data.toString()]];
  const seen: Seen[] = [];
  readEntries(data, 0, (type, kind, id, _from, part) => {
    seen.push([type, kind, id, part.toString()]);
  });
  return seen;
}

describe('Outbox', () => {
  let writer: FakeWriter;
  let outbox: Outbox;
  let drained: sinon.SinonSpy;

  beforeEach(() => {
    writer = new FakeWriter();
    drained = sinon.fake();
    outbox = new Outbox(writer as unknown as PacketWriter, FROM, drained);
  });
  afterEach(() => {
    sinon.restore();
  });

  const post = (id: number, data: string | Buffer = 'data'): boolean =>
    outbox.post(RECEIVE, 1, id, Buffer.from(data));
  const send = (id: number, data: string | Buffer = 'data'): void => {
    outbox.send(SEND, 2, id, Buffer.from(data));
  };
  const ids = (): number[] => writer.messages.map(([, , id]) => id);
  const lengths = (): number[] => writer.packets.map(({ data }) => data.length);

  describe('post', () => {
    it('sends nothing before a flush', () => {
      post(1);
      expect(writer.packets).to.deep.equal([]);
    });

    it('joins messages into one packet, a batch in the name of its sender', () => {
      post(1, 'a');
      post(2, '');
      post(3, 'ccc');
      outbox.flush();
      expect(writer.packets.map(({ meta }) => meta)).to.deep.equal([
        { sender: FROM, tag: 0, flags: BATCH },
      ]);
      expect(writer.messages).to.deep.equal([
        [RECEIVE, 1, 1, 'a'],
        [RECEIVE, 1, 2, ''],
        [RECEIVE, 1, 3, 'ccc'],
      ]);
    });

    it('says of the first after a flush that a flush is needed, and not of the others', () => {
      expect([post(1), post(2)]).to.deep.equal([true, false]);
      outbox.flush();
      expect([post(3), post(4)]).to.deep.equal([true, false]);
    });

    it('copies the data: the caller may use its buffer again', () => {
      const data = Buffer.from('before');
      outbox.post(RECEIVE, 0, 1, data);
      data.write('AFTER!');
      outbox.flush();
      expect(writer.messages).to.deep.equal([[RECEIVE, 0, 1, 'before']]);
    });

    it('sends by itself with the 64th message, not before', () => {
      for (let id = 1; id < MAX_ENTRIES; id++) post(id);
      expect(writer.packets).to.deep.equal([]);
      post(MAX_ENTRIES);
      expect(writer.packets).to.have.length(1);
      expect(writer.messages).to.have.length(MAX_ENTRIES);
      expect(post(MAX_ENTRIES + 1), 'the next waits again').to.equal(true);
    });

    it('fills a packet up to 32 KB exactly', () => {
      for (let id = 1; id <= 4; id++) post(id, Buffer.alloc(8 * KIB - ENTRY_BYTES));
      expect(writer.packets, 'before the flush').to.deep.equal([]);
      outbox.flush();
      expect(lengths()).to.deep.equal([32 * KIB]);
    });

    it('sends what was joined when the next message does not fit into 32 KB', () => {
      for (let id = 1; id <= 4; id++) post(id, Buffer.alloc(8 * KIB - ENTRY_BYTES));
      expect(post(5, ''), 'first of a new packet').to.equal(true);
      expect(lengths()).to.deep.equal([32 * KIB]);
      outbox.flush();
      expect(ids()).to.deep.equal([1, 2, 3, 4, 5]);
    });

    it('joins data of 8 KB', () => {
      expect(post(1, Buffer.alloc(8 * KIB))).to.equal(true);
      expect(writer.packets).to.deep.equal([]);
    });

    it('sends data above 8 KB at once, in a packet of their own, after what was joined', () => {
      post(1);
      const large = Buffer.alloc(8 * KIB + 1, 'x');
      expect(post(2, large), 'waits for a flush').to.equal(false);
      expect(ids()).to.deep.equal([1, 2]);
      expect(writer.packets[1]).to.deep.equal({
        data: large,
        meta: { sender: FROM, tag: 2, flags: (1 << 5) | RECEIVE },
      });
    });
  });

  describe('flush', () => {
    it('of nothing sends nothing', () => {
      outbox.flush();
      post(1);
      outbox.flush();
      outbox.flush();
      expect(writer.packets).to.have.length(1);
    });
  });

  describe('send', () => {
    it('sends at once, a packet that is the message', () => {
      send(7, 'now');
      expect(writer.packets).to.deep.equal([
        { data: Buffer.from('now'), meta: { sender: FROM, tag: 7, flags: (2 << 5) | SEND } },
      ]);
    });

    it('sends what was joined first', () => {
      post(1);
      post(2);
      send(3);
      expect(ids()).to.deep.equal([1, 2, 3]);
      expect(writer.packets).to.have.length(2);
    });

    it('sends a message without data as a batch of one: no packet is empty', () => {
      send(7, '');
      expect(lengths()).to.deep.equal([ENTRY_BYTES]);
      expect(writer.messages).to.deep.equal([[SEND, 2, 7, '']]);
    });

    it('does not block', () => {
      writer.full = true;
      send(1);
      expect(writer.timeouts).to.deep.equal([0]);
    });
  });

  describe('sendWithin', () => {
    const sendWithin = (id: number, timeoutMs: number, data = 'data'): boolean =>
      outbox.sendWithin(SEND, 0, id, Buffer.from(data), timeoutMs);

    it('blocks for its time at most, and says whether it was sent', () => {
      expect(sendWithin(1, 500)).to.equal(true);
      writer.full = true;
      expect(sendWithin(2, 700)).to.equal(false);
      expect(writer.timeouts).to.deep.equal([500, 700]);
      writer.makeRoom();
      expect(ids(), 'nothing of it waits').to.deep.equal([1]);
    });

    it('sends what waited before, and counts it as gone at once', async () => {
      writer.full = true;
      send(1);
      send(2);
      expect(outbox.waitingBytes).to.equal(8);
      writer.roomInTime = true;
      expect(sendWithin(3, 500)).to.equal(true);
      expect(outbox.waitingBytes, 'before the promises have settled').to.equal(0);
      expect(drained.callCount).to.equal(1);
      writer.roomInTime = false;
      writer.full = true;
      send(4);
      await settle();
      expect(outbox.waitingBytes, 'those before are not taken off twice').to.equal(4);
      writer.makeRoom();
      await settle();
      expect(outbox.waitingBytes).to.equal(0);
      expect(drained.callCount).to.equal(2);
      expect(ids()).to.deep.equal([1, 2, 3, 4]);
    });

    it('sends what was joined first, also a message without data', () => {
      post(1);
      expect(sendWithin(2, 10, '')).to.equal(true);
      expect(writer.messages).to.deep.equal([
        [RECEIVE, 1, 1, 'data'],
        [SEND, 0, 2, ''],
      ]);
    });
  });

  describe('while the pipe is full', () => {
    beforeEach(() => {
      writer.full = true;
    });

    it('all wait, and leave in order when there is room', async () => {
      post(1);
      post(2);
      send(3);
      post(4);
      outbox.flush();
      expect(writer.packets).to.deep.equal([]);
      writer.makeRoom(1);
      post(5);
      outbox.flush();
      expect(ids(), 'the next do not overtake').to.deep.equal([1, 2]);
      writer.makeRoom();
      await settle();
      expect(ids()).to.deep.equal([1, 2, 3, 4, 5]);
    });

    it('counts the bytes that wait', async () => {
      expect(outbox.waitingBytes).to.equal(0);
      send(1, 'x'.repeat(100));
      send(2, 'x'.repeat(50));
      expect(outbox.waitingBytes).to.equal(150);
      writer.makeRoom(1);
      await settle();
      expect(outbox.waitingBytes).to.equal(50);
      writer.makeRoom();
      await settle();
      expect(outbox.waitingBytes).to.equal(0);
    });

    it('does not count what is only joined', () => {
      post(1);
      expect(outbox.waitingBytes).to.equal(0);
    });

    it('copies what waits: the caller may use its buffer again', async () => {
      const data = Buffer.from('before');
      outbox.send(SEND, 0, 1, data);
      data.write('AFTER!');
      writer.makeRoom();
      await settle();
      expect(writer.messages).to.deep.equal([[SEND, 0, 1, 'before']]);
    });

    it('what is joined meanwhile is not written into a batch that waits', async () => {
      post(1, 'first');
      outbox.flush();
      post(2, 'SECOND');
      writer.makeRoom();
      outbox.flush();
      await settle();
      expect(writer.messages.map(([, , , data]) => data)).to.deep.equal(['first', 'SECOND']);
    });

    it('says once that nothing waits any more, when the last has left', async () => {
      send(1);
      send(2);
      writer.makeRoom(1);
      await settle();
      expect(drained.callCount).to.equal(0);
      writer.makeRoom();
      await settle();
      expect(drained.callCount).to.equal(1);
    });

    it('sent() resolves for all who wait when the last has left', async () => {
      send(1);
      const sent = sinon.fake();
      void outbox.sent().then(sent);
      void outbox.sent().then(sent);
      await settle();
      expect(sent.callCount).to.equal(0);
      writer.makeRoom();
      await settle();
      expect(sent.callCount).to.equal(2);
    });

    it('whenLeft() resolves when what was flushed so far has left, without what came later', async () => {
      send(1);
      send(2);
      const left = sinon.fake();
      void outbox.whenLeft()?.then(left);
      send(3);
      writer.makeRoom(1);
      await settle();
      expect(left.callCount, 'the second waits').to.equal(0);
      writer.makeRoom(1);
      await settle();
      expect(left.callCount).to.equal(1);
      expect(outbox.waitingBytes, 'the third waits').to.be.above(0);
      writer.makeRoom();
      await settle();
      expect(outbox.whenLeft()).to.equal(null);
    });

    it('warns of a message that cannot be sent later, and goes on', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      writer.failure = new Error('no such pipe');
      send(1);
      writer.makeRoom();
      await settle();
      expect(warn.args).to.deep.equal([
        [
          'messages were lost: no such pipe',
          { type: 'PreforkWarning', code: 'PREFORK_MESSAGE_LOST' },
        ],
      ]);
      expect(outbox.waitingBytes).to.equal(0);
      expect(drained.callCount).to.equal(1);
      send(2);
      expect(ids()).to.deep.equal([2]);
    });
  });

  it('sent() resolves at once, and whenLeft() has nothing to wait for, when nothing waits', async () => {
    await outbox.sent();
    expect(outbox.whenLeft()).to.equal(null);
    send(1);
    await outbox.sent();
    expect(drained.called, 'it was never full').to.equal(false);
  });
});
