import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { PreforkError, systemError } from '../../../../lib/errors';
import type { Packet, PacketReader } from '../../../../lib/ipc/packet-socket';
import { Inbox, type InboxOptions } from '../../../../lib/server/bus/inbox';
import { BATCH, putEntry, RECEIVE, SEND } from '../../../../lib/server/bus/message';
import { thrownBy } from '../../fake-kernel';

const FROM = 9;
const PACKETS_PER_TURN = 64;

type Wanted = Parameters<Inbox['receiveOne']>[1];
type Message = [id: number, data: string];

/** The read end of a pipe; an error in it is what reading there throws. */
class FakeReader {
  readonly fd = 1_000_000;
  queue: (Packet | Error)[] = [];
  listener: (() => void) | null = null;
  ref = true;
  badFrame: (error: Error) => void = () => undefined;

  receive(): Packet | null {
    const next = this.queue.shift() ?? null;
    if (next instanceof Error) throw next;
    return next;
  }

  receiveBatch(max: number): Packet[] {
    return this.queue.splice(0, max).filter((next) => {
      if (next instanceof Error && 'syscall' in next) throw next;
      if (next instanceof Error) this.badFrame(next);
      return !(next instanceof Error);
    }) as Packet[];
  }

  onReadable(listener: (() => void) | null): void {
    this.listener = listener;
  }

  onBadFrame(listener: (error: Error) => void): void {
    this.badFrame = listener;
  }

  setRef(on: boolean): void {
    this.ref = on;
  }
}

function packet(id: number, data = 'data', type = RECEIVE, kind = 0): Packet {
  return { data: Buffer.from(data), sender: FROM, tag: id, flags: (kind << 5) | type };
}

function batch(...messages: Message[]): Packet {
  const data = Buffer.alloc(1024);
  let at = 0;
  for (const [id, text] of messages) at = putEntry(data, at, RECEIVE, 2, id, Buffer.from(text));
  return { data: data.subarray(0, at), sender: FROM, tag: 0, flags: BATCH };
}

/** It says that a message follows of which nothing is there. */
function badBatch(): Packet {
  return { data: Buffer.from([RECEIVE]), sender: FROM, tag: 0, flags: BATCH };
}

describe('Inbox', () => {
  let reader: FakeReader;
  let diary: string[];
  let inbox: Inbox;
  let warn: sinon.SinonStub;

  const make = (options: Partial<InboxOptions> = {}): Inbox => {
    const handler: InboxOptions['handler'] = (_type, _kind, id, _from, data) => {
      diary.push(`${String(id)} ${data.toString()}`);
    };
    inbox = new Inbox(reader as unknown as PacketReader, { handler, ...options });
    return inbox;
  };
  /** The event loop says that something can be read. */
  const readable = (...packets: (Packet | Error)[]): void => {
    reader.queue.push(...packets);
    reader.listener?.();
  };
  const warnings = (): string[] => warn.args.map(([error]) => (error as { code: string }).code);
  const takeDiary = (): string[] => diary.splice(0);

  beforeEach(() => {
    reader = new FakeReader();
    diary = [];
    warn = sinon.stub(process, 'emitWarning');
  });
  afterEach(() => {
    sinon.restore();
  });

  it('reads nothing before it is started', () => {
    make();
    expect(reader.listener).to.equal(null);
  });

  it('hands out all that a packet says', () => {
    const handler = sinon.fake();
    make({ handler }).start();
    readable(packet(0xffffffff, 'text', SEND, 7));
    expect(handler.args).to.deep.equal([[SEND, 7, 0xffffffff, FROM, Buffer.from('text')]]);
  });

  it('hands out the messages of a batch one by one', () => {
    const handler = sinon.fake();
    make({ handler }).start();
    readable(batch([1, 'a'], [2, '']));
    expect(handler.args).to.deep.equal([
      [RECEIVE, 2, 1, FROM, Buffer.from('a')],
      [RECEIVE, 2, 2, FROM, Buffer.from('')],
    ]);
  });

  it('leaves what is in the mailbox there once it is stopped', () => {
    make().start();
    inbox.stop();
    readable(packet(1));
    expect(diary).to.deep.equal([]);
    expect(reader.queue).to.have.length(1);
  });

  it('drains what is in the mailbox also when it was stopped', () => {
    make().start();
    inbox.stop();
    reader.queue.push(packet(1));
    inbox.drain();
    expect(diary).to.deep.equal(['1 data']);
    expect(reader.listener, 'and does not listen again').to.equal(null);
  });

  it('takes no further packet once a handler has stopped it', () => {
    make({
      handler: (_type, _kind, id) => {
        diary.push(String(id));
        inbox.stop();
      },
    }).start();
    readable(batch([1, ''], [2, '']), packet(3));
    expect(diary, 'all of the batch that was taken').to.deep.equal(['1', '2']);
    expect(reader.queue).to.have.length(1);
  });

  it('lets the process end, or not, as it is told', () => {
    make();
    inbox.setRef(false);
    expect(reader.ref).to.equal(false);
    inbox.setRef(true);
    expect(reader.ref).to.equal(true);
  });

  describe('a turn', () => {
    for (const inBatches of [false, true]) {
      const how = inBatches ? 'in batches' : 'one by one';

      it(`ends after 64 packets, read ${how}, so that others have theirs`, () => {
        make({ inBatches }).start();
        readable(...Array.from({ length: 100 }, (_, id) => packet(id)));
        expect(diary).to.have.length(PACKETS_PER_TURN);
        readable();
        expect(diary).to.have.length(100);
      });

      it(`begins before the first and ends after the last, read ${how}`, () => {
        const onTurn = { begin: () => diary.push('begin'), end: () => diary.push('end') };
        make({ inBatches, onTurn }).start();
        readable(packet(1, 'a'), packet(2, 'b'));
        expect(diary).to.deep.equal(['begin', '1 a', '2 b', 'end']);
      });

      it(`drain() handles all, read ${how}, without waiting`, () => {
        make({ inBatches }).start();
        reader.queue = Array.from({ length: 150 }, (_, id) => packet(id));
        inbox.drain();
        expect(diary).to.have.length(150);
      });
    }

    it('ends also when a handler throws', () => {
      const onTurn = { begin: sinon.fake(), end: sinon.fake() };
      const handler = sinon.fake.throws(new Error('of the handler'));
      make({ handler, onTurn }).start();
      expect(() => {
        readable(packet(1));
      }).to.throw('of the handler');
      expect(onTurn.end.callCount).to.equal(1);
    });
  });

  describe('a packet that cannot be read', () => {
    const badFrame = (): Error => new PreforkError('ERR_BAD_FRAME', 'a frame was dropped');

    it('is a warning, and the next ones are handled', () => {
      make().start();
      readable(packet(1), badFrame(), packet(2));
      readable();
      expect(diary).to.deep.equal(['1 data', '2 data']);
      expect(warnings()).to.deep.equal(['ERR_BAD_FRAME']);
    });

    it('is a warning among others of a batch', () => {
      make({ inBatches: true }).start();
      readable(packet(1), badFrame(), packet(2));
      expect(diary).to.deep.equal(['1 data', '2 data']);
      expect(warnings()).to.deep.equal(['ERR_BAD_FRAME']);
    });

    for (const inBatches of [false, true]) {
      it(`a malformed batch is dropped whole${inBatches ? ', read in batches' : ''}`, () => {
        make({ inBatches }).start();
        const malformed = batch([1, 'a'], [2, 'b']);
        malformed.data = malformed.data.subarray(0, -1);
        readable(packet(7), malformed, badBatch(), packet(8));
        expect(diary).to.deep.equal(['7 data', '8 data']);
        expect(warnings()).to.deep.equal(['ERR_BAD_FRAME', 'ERR_BAD_FRAME']);
      });
    }

    for (const inBatches of [false, true]) {
      const name = inBatches ? ', read in batches' : '';
      const noFds = () => systemError('EMFILE', 'recvmsg', 'too many open files');

      it(`for want of fds is a warning; the packet stays, and is read a little later${name}`, () => {
        const clock = sinon.useFakeTimers({ toFake: ['setTimeout'] });
        make({ inBatches }).start();
        readable(noFds());
        expect(warnings()).to.deep.equal(['EMFILE']);
        expect(reader.listener).to.equal(null);
        clock.tick(100);
        readable(packet(1));
        expect(diary).to.deep.equal(['1 data']);
      });

      it(`for want of fds leaves it stopped, or starts it${name}`, () => {
        const clock = sinon.useFakeTimers({ toFake: ['setTimeout'] });
        const inbox = make({ inBatches });
        inbox.start();
        readable(noFds());
        inbox.stop();
        clock.tick(100);
        expect(reader.listener).to.equal(null);
        inbox.start();
        expect(reader.listener).not.to.equal(null);
      });
    }
  });

  describe('onTake', () => {
    let onTake: { begin: () => void; end: (messages: number) => void };

    beforeEach(() => {
      onTake = {
        begin: () => diary.push('begin'),
        end: (messages) => diary.push(`end ${String(messages)}`),
      };
    });

    it('is told before a packet is taken, and the number of its messages before they are handled', () => {
      make({ onTake }).start();
      readable(packet(1), batch([2, 'a'], [3, 'b']));
      expect(diary).to.deep.equal([
        ...['begin', 'end 1', '1 data'],
        ...['begin', 'end 2', '2 a', '3 b'],
        ...['begin', 'end 0'],
      ]);
    });

    it('is told of none when the packet is bad', () => {
      make({ onTake }).start();
      readable(badBatch(), packet(1));
      expect(diary).to.deep.equal([
        ...['begin', 'end 0'],
        ...['begin', 'end 1', '1 data'],
        ...['begin', 'end 0'],
      ]);
      takeDiary();
      // It was dropped: the next one may stand behind it.
      readable(new PreforkError('ERR_BAD_FRAME', 'a frame was dropped'));
      expect(diary).to.deep.equal(['begin', 'end 0', 'begin', 'end 0']);
    });

    it('is told of none when a batch has no message', () => {
      make({ onTake }).start();
      readable(batch());
      expect(diary).to.deep.equal(['begin', 'end 0', 'begin', 'end 0']);
    });
  });

  describe('onHandled', () => {
    it('is told after the messages of each packet, and when there was none', () => {
      make({ onHandled: () => diary.push('handled') }).start();
      readable(packet(1), batch([2, 'a'], [3, 'b']));
      expect(diary).to.deep.equal(['1 data', 'handled', '2 a', '3 b', 'handled', 'handled']);
    });

    it('may stop the inbox: no further packet is taken', () => {
      make({
        onHandled: () => {
          inbox.stop();
        },
      }).start();
      readable(packet(1), packet(2));
      expect(diary).to.deep.equal(['1 data']);
    });
  });

  describe('receiveOne', () => {
    let poll: sinon.SinonStub;
    const takes =
      (...ids: number[]): Wanted =>
      (_type, _kind, id, _from, data) => {
        if (!ids.includes(id)) return false;
        diary.push(`wanted ${String(id)} ${data.toString()}`);
        return true;
      };

    beforeEach(() => {
      poll = sinon.stub(binding, 'pollFd').returns(0);
    });

    it('shows a packet that is there at once', () => {
      make();
      reader.queue.push(packet(1, 'a', SEND, 3));
      const wanted = sinon.fake.returns(true);
      expect(inbox.receiveOne(1000, wanted)).to.equal(true);
      expect(wanted.args).to.deep.equal([[SEND, 3, 1, FROM, Buffer.from('a')]]);
      expect(poll.called, 'waited').to.equal(false);
    });

    it('waits for one for its time', () => {
      make();
      poll.callsFake(() => reader.queue.push(packet(1)));
      expect(inbox.receiveOne(700, takes(1))).to.equal(true);
      expect(poll.args).to.deep.equal([[reader.fd, 1, 700]]);
      expect(diary).to.deep.equal(['wanted 1 data']);
    });

    it('says when the time is over, and does not wait when there is none', () => {
      make();
      expect(inbox.receiveOne(10, takes(1))).to.equal(false);
      expect(poll.callCount).to.equal(1);
      expect(inbox.receiveOne(0, takes(1))).to.equal(false);
      expect(inbox.receiveOne(-5, takes(1))).to.equal(false);
      expect(poll.callCount).to.equal(1);
    });

    it('takes one packet only', () => {
      make();
      reader.queue.push(packet(1), packet(2));
      inbox.receiveOne(0, takes(1, 2));
      expect(diary).to.deep.equal(['wanted 1 data']);
      expect(reader.queue).to.have.length(1);
    });

    it('leaves what is not wanted to the event loop, in order, before what comes later', async () => {
      make().start();
      reader.queue.push(packet(1), batch([2, 'a'], [3, 'b'], [4, 'c']), packet(5));
      for (let i = 0; i < 3; i++) expect(inbox.receiveOne(0, takes(3))).to.equal(true);
      expect(takeDiary(), 'at once').to.deep.equal(['wanted 3 b']);
      readable(packet(6));
      expect(takeDiary()).to.deep.equal(['1 data', '2 a', '4 c', '5 data', '6 data']);
      await nextTurn();
      expect(diary, 'once').to.deep.equal([]);
    });

    it('what is not wanted is handled soon, also when nothing else comes', async () => {
      const onTurn = { begin: () => diary.push('begin'), end: () => diary.push('end') };
      make({ onTurn }).start();
      reader.queue.push(packet(1), packet(2));
      inbox.receiveOne(0, takes());
      inbox.receiveOne(0, takes());
      expect(diary).to.deep.equal([]);
      await nextTurn();
      expect(diary).to.deep.equal(['begin', '1 data', '2 data', 'end']);
    });

    it('keeps type, kind, id and sender of what is not wanted', () => {
      const handler = sinon.fake();
      make({ handler }).start();
      reader.queue.push(packet(77, 'x', SEND, 5), batch([0xffffffff, 'y']));
      inbox.receiveOne(0, takes());
      inbox.receiveOne(0, takes());
      inbox.drain();
      expect(handler.args).to.deep.equal([
        [SEND, 5, 77, FROM, Buffer.from('x')],
        [RECEIVE, 2, 0xffffffff, FROM, Buffer.from('y')],
      ]);
    });

    it('handles what is not wanted also after a stop: nobody else can', async () => {
      make().start();
      reader.queue.push(packet(1), packet(2));
      inbox.receiveOne(0, takes());
      inbox.stop();
      await nextTurn();
      expect(diary).to.deep.equal(['1 data']);
      expect(reader.queue).to.have.length(1);
    });

    it('by a handler keeps the order as well', async () => {
      make({
        inBatches: true,
        handler: (_type, _kind, id) => {
          diary.push(String(id));
          if (id !== 1) return;
          reader.queue.push(packet(4), packet(5));
          inbox.receiveOne(0, takes(5));
          inbox.receiveOne(0, takes(5));
        },
      }).start();
      readable(packet(1), packet(2), packet(3));
      await nextTurn();
      expect(diary).to.deep.equal(['1', 'wanted 5 data', '2', '3', '4']);
    });

    it('throws of a malformed batch, and shows nothing of it', () => {
      make();
      const wanted = sinon.fake.returns(true);
      const malformed = batch([1, 'a'], [2, 'b']);
      malformed.data = malformed.data.subarray(0, -1);
      reader.queue.push(malformed, packet(3));
      thrownBy(() => inbox.receiveOne(0, wanted), 'ERR_BAD_FRAME');
      expect(wanted.called).to.equal(false);
      expect(inbox.receiveOne(0, takes(3))).to.equal(true);
    });
  });
});
