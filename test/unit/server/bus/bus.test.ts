import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { systemError } from '../../../../lib/errors';
import { nextGeneration } from '../../../../lib/ipc/generation';
import { PacketWriter, type PacketMeta } from '../../../../lib/ipc/packet-socket';
import { ROWS_PER_SLOT } from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';
import { Bus } from '../../../../lib/server/bus/bus';
import { BATCH, readEntries, RECEIVE, SEND } from '../../../../lib/server/bus/message';
import { fakeKernel, FakeWatcher, removeFakes, settle, type FakeKernel } from '../../fake-kernel';

const EVENT_WORKER = 0;
const OTHER = 1;

/** Event workers 0 and 1, task worker 2. */
const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 1, userNum: 0 }, false);
const MAILBOXES = addresses.count - ROWS_PER_SLOT;

describe('Bus', () => {
  let kernel: FakeKernel;
  let bus: Bus;
  /** What was sent, as `id to mailbox from sender`. */
  let sent: string[];
  let full: boolean;
  let makeRoom: () => void;
  /** fd of a writer -> its mailbox. */
  let mailboxes: Map<number, number>;

  const record = (fd: number, data: Buffer, meta: PacketMeta): void => {
    const to = `to ${String(mailboxes.get(fd))} from ${String(meta.sender)}`;
    if (meta.flags !== BATCH) sent.push(`${String(meta.tag)} ${to}`);
    else {
      const ids: number[] = [];
      readEntries(data, 0, (_type, _kind, id) => ids.push(id));
      sent.push(`${ids.join('+')} ${to}`);
    }
  };

  const make = (): Bus => {
    const pairs = (binding.socketPair as sinon.SinonStub).returnValues.length;
    bus = new Bus(addresses);
    const writers = (binding.socketPair as sinon.SinonStub).returnValues as [number, number][];
    const existing = Array.from({ length: addresses.count }, (_, address) => address).filter(
      (address) => addresses.exists(address),
    );
    mailboxes = new Map(
      writers.slice(pairs).map(([fd], i) => [fd, existing[i] as number] as const),
    );
    return bus;
  };

  beforeEach(() => {
    kernel = fakeKernel();
    sent = [];
    full = false;
    let wake: (() => void)[] = [];
    makeRoom = () => {
      full = false;
      for (const send of wake) send();
      wake = [];
    };
    sinon.stub(PacketWriter.prototype, 'send').callsFake(function (this: PacketWriter, data, meta) {
      if (full) return false;
      record(this.fd, data, meta ?? {});
      return true;
    });
    sinon.stub(PacketWriter.prototype, 'sendAsync').callsFake(function (
      this: PacketWriter,
      data,
      meta,
    ) {
      return new Promise((resolve) => {
        wake.push(() => {
          record(this.fd, data, meta ?? {});
          resolve();
        });
      });
    });
    make();
    bus.adopt(addresses.master);
  });
  afterEach(removeFakes);

  describe('is made', () => {
    it('with a pair for each mailbox, and closes all of them', () => {
      expect(mailboxes.size).to.equal(MAILBOXES);
      expect(kernel.openFds.size).to.equal(2 * MAILBOXES);
      bus.close();
      expect(kernel.openFds.size).to.equal(0);
    });

    it('as a whole or not at all', () => {
      bus.close();
      const socketPair = binding.socketPair as sinon.SinonStub;
      const calls = socketPair.callCount;
      socketPair.onCall(calls + 4).throws(systemError('EMFILE', 'socketpair', 'no fd'));
      expect(() => new Bus(addresses)).to.throw('EMFILE');
      expect(kernel.openFds.size).to.equal(0);
    });

    it('without an address before a process adopts one', () => {
      expect(make().address).to.equal(-1);
      bus.adopt(EVENT_WORKER);
      expect(bus.address).to.equal(EVENT_WORKER);
    });
  });

  it('refuses a mailbox that does not exist', () => {
    const rowOfTaskWorker = addresses.row(2 * ROWS_PER_SLOT);
    for (const address of [-1, addresses.count, rowOfTaskWorker]) {
      const why = `no mailbox has the address ${String(address)}`;
      expect(() => bus.post(address, RECEIVE, 1)).to.throw(RangeError, why);
      expect(() => bus.send(address, RECEIVE, 1)).to.throw(RangeError, why);
      expect(() => bus.inbox(address, { handler: () => undefined })).to.throw(RangeError, why);
    }
  });

  describe('post', () => {
    it('outside a turn leaves soon, with the others of each mailbox in one packet', async () => {
      for (const id of [1, 2, 3]) bus.post(EVENT_WORKER, RECEIVE, id);
      bus.post(OTHER, RECEIVE, 4);
      expect(sent, 'at once').to.deep.equal([]);
      await nextTurn();
      const { master } = addresses;
      expect(sent).to.deep.equal([`1+2+3 to 0 from ${master}`, `4 to 1 from ${master}`]);
      await nextTurn();
      expect(sent, 'once').to.have.length(2);
    });

    it('inside a turn leaves at its end', () => {
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.post(EVENT_WORKER, RECEIVE, 2);
      expect(sent).to.deep.equal([]);
      bus.end();
      expect(sent).to.deep.equal([`1+2 to 0 from ${addresses.master}`]);
    });

    it('inside nested turns leaves at the end of the outermost', () => {
      bus.begin();
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.end();
      expect(sent).to.deep.equal([]);
      bus.end();
      expect(sent).to.have.length(1);
    });

    it('after a turn leaves soon again', async () => {
      bus.begin();
      bus.end();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      await nextTurn();
      expect(sent).to.have.length(1);
    });

    it('leaves with a flush() before that', async () => {
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.flush();
      expect(sent).to.have.length(1);
      await nextTurn();
      expect(sent).to.have.length(1);
    });

    it('of many in a turn leaves in full packets, none of them lost', () => {
      bus.begin();
      for (let id = 0; id < 200; id++) bus.post(EVENT_WORKER, RECEIVE, id);
      bus.end();
      const ids = sent.flatMap((line) => (line.split(' ')[0] as string).split('+').map(Number));
      expect(ids).to.deep.equal(Array.from({ length: 200 }, (_, id) => id));
      expect(sent).to.have.length(4);
    });
  });

  describe('send', () => {
    it('leaves now, after what was posted to that mailbox before', () => {
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.post(OTHER, RECEIVE, 2);
      bus.send(EVENT_WORKER, SEND, 3, Buffer.from('x'));
      expect(sent.map((line) => line.split(' from')[0])).to.deep.equal(['1 to 0', '3 to 0']);
      bus.end();
      expect(sent).to.have.length(3);
    });

    it('sendWithin says whether there was room in time', () => {
      const data = Buffer.from('x');
      expect(bus.sendWithin(EVENT_WORKER, SEND, 1, data, 0, 50)).to.equal(true);
      full = true;
      expect(bus.sendWithin(EVENT_WORKER, SEND, 2, data, 0, 50)).to.equal(false);
      expect((PacketWriter.prototype.send as sinon.SinonStub).lastCall.args[2]).to.equal(50);
      expect(bus.allWaitingBytes).to.equal(0);
    });
  });

  describe('a full mailbox', () => {
    beforeEach(() => {
      full = true;
    });

    it('keeps what waits, counted for each and for all', async () => {
      bus.send(EVENT_WORKER, SEND, 1, Buffer.alloc(10));
      bus.send(OTHER, SEND, 2, Buffer.alloc(5));
      expect([EVENT_WORKER, OTHER, 2].map((to) => bus.waitingBytes(to))).to.deep.equal([10, 5, 0]);
      expect(bus.allWaitingBytes).to.equal(15);
      makeRoom();
      await settle();
      expect(bus.allWaitingBytes).to.equal(0);
      expect(sent).to.have.length(2);
    });

    it('tells who waits for room when there is', async () => {
      const drained = sinon.fake();
      const other = sinon.fake();
      bus.onDrain(EVENT_WORKER, drained);
      bus.onDrain(OTHER, other);
      bus.send(EVENT_WORKER, SEND, 1, Buffer.alloc(10));
      makeRoom();
      await settle();
      expect([drained.callCount, other.callCount]).to.deep.equal([1, 0]);
    });

    it('sent() waits for one mailbox, allSent() for all', async () => {
      const told: string[] = [];
      bus.send(EVENT_WORKER, SEND, 1, Buffer.alloc(10));
      void bus.sent(OTHER).then(() => told.push('other'));
      void bus.sent(EVENT_WORKER).then(() => told.push('one'));
      void bus.allSent().then(() => told.push('all'));
      await settle();
      expect(told).to.deep.equal(['other']);
      makeRoom();
      await settle();
      expect(told).to.have.members(['other', 'one', 'all']);
    });

    it('whenLeft() resolves when what was flushed has left for it', async () => {
      expect(bus.whenLeft(EVENT_WORKER)).to.equal(null);
      bus.send(EVENT_WORKER, SEND, 1, Buffer.alloc(10));
      const left = sinon.fake();
      void bus.whenLeft(EVENT_WORKER)?.then(left);
      await settle();
      expect(left.callCount).to.equal(0);
      makeRoom();
      await settle();
      expect(left.callCount).to.equal(1);
      expect(bus.whenLeft(EVENT_WORKER)).to.equal(null);
    });
  });

  describe('afterFlush', () => {
    it('calls at once when nothing is to be flushed', () => {
      const listener = sinon.fake();
      bus.afterFlush(listener);
      expect(listener.callCount).to.equal(1);
      bus.flush();
      expect(listener.callCount, 'once').to.equal(1);
    });

    it('inside a turn calls after its end, when all was sent', () => {
      const listener = sinon.fake(() => {
        expect(sent).to.have.length(1);
      });
      bus.begin();
      bus.afterFlush(listener);
      bus.post(EVENT_WORKER, RECEIVE, 1);
      expect(listener.callCount).to.equal(0);
      bus.end();
      bus.begin();
      bus.end();
      expect(listener.callCount).to.equal(1);
    });

    it('waits for the flush that a post outside a turn has asked for', async () => {
      const listener = sinon.fake();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.afterFlush(listener);
      expect(listener.callCount).to.equal(0);
      await nextTurn();
      expect(listener.callCount).to.equal(1);
    });
  });

  describe('in a forked child', () => {
    it('its parent sends what it has joined, not the child with a post', async () => {
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      nextGeneration();
      bus.post(EVENT_WORKER, RECEIVE, 2);
      await nextTurn();
      expect(sent).to.deep.equal([`2 to 0 from ${addresses.master}`]);
    });

    it('its parent sends what it has joined, not the child with a flush', () => {
      bus.post(EVENT_WORKER, RECEIVE, 1);
      nextGeneration();
      bus.flush();
      expect(sent).to.deep.equal([]);
    });

    it('its parent sends what it has joined, not the child with a send', () => {
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      nextGeneration();
      bus.send(EVENT_WORKER, RECEIVE, 2);
      expect(sent).to.deep.equal([`2 to 0 from ${addresses.master}`]);
    });

    it('a worker adopts an address of its own, and nothing of its parent', () => {
      const drained = sinon.fake();
      bus.begin();
      bus.post(EVENT_WORKER, RECEIVE, 1);
      bus.onDrain(OTHER, drained);
      nextGeneration();
      bus.adopt(addresses.row(0));
      bus.begin();
      bus.post(OTHER, RECEIVE, 2);
      bus.end();
      expect(sent).to.deep.equal([`2 to 1 from ${addresses.row(0)}`]);
    });

    it('what waited for room in its parent does not wait here', () => {
      full = true;
      bus.send(EVENT_WORKER, SEND, 1, Buffer.alloc(10));
      nextGeneration();
      bus.adopt(OTHER);
      expect(bus.allWaitingBytes).to.equal(0);
    });
  });

  it('an inbox reads the mailbox that it was made for', () => {
    const readFd = (binding.socketPair as sinon.SinonStub).returnValues[OTHER] as number[];
    bus.inbox(OTHER, { handler: () => undefined }).start();
    expect(FakeWatcher.of(readFd[1] as number).events).to.equal(1);
  });

  it('what has not left when it is closed is for nobody', async () => {
    bus.post(EVENT_WORKER, RECEIVE, 1);
    bus.close();
    await nextTurn();
    expect(sent).to.deep.equal([]);
  });
});
