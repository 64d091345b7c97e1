import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../../lib/binding';
import { alignUp } from '../../../../lib/ipc/aligned-buffer';
import { EpollSet, READS, WRITES } from '../../../../lib/server/reactor/epoll-set';
import { fakeKernel, FakeWatcher, removeFakes, type FakeKernel } from '../../fake-kernel';

const ERROR = 8;
const HANG_UP = 16;
const EAGAIN = -11;
const ECONNRESET = -104;
const MOST_EVENTS = 64;

type Event = [token: number, reported: number, received: number | string];

describe('EpollSet', () => {
  let kernel: FakeKernel;
  let control: sinon.SinonStub;
  let receive: sinon.SinonStub<[number, Uint8Array, Int32Array], number>;
  let diary: string[];
  let set: EpollSet;
  let fd: number;

  /** What one call of the kernel brings; a text stands for bytes received. */
  const brings = (events: Event[]): void => {
    receive.onCall(receive.callCount + queued++).callsFake((_epoll, room, results) => {
      let at = 0;
      events.forEach(([token, reported, received], i) => {
        const bytes = typeof received === 'string' ? Buffer.from(received) : Buffer.alloc(0);
        room.set(bytes, at);
        at = alignUp(at + bytes.length);
        results.set(
          [token, reported, typeof received === 'string' ? bytes.length : received],
          3 * i,
        );
      });
      return events.length;
    });
  };
  let queued = 0;
  const turn = (): string[] => {
    set.turn();
    queued = 0;
    return diary.splice(0);
  };

  beforeEach(() => {
    kernel = fakeKernel();
    fd = kernel.openFd();
    sinon.stub(binding, 'epollCreate').returns(fd);
    control = sinon.stub(binding, 'epollControl');
    receive = sinon.stub(binding, 'epollReceive').returns(0);
    queued = 0;
    diary = [];
    set = new EpollSet({
      onData: (token, chunk) => diary.push(`${String(token)} data ${chunk.toString()}`),
      onWritable: (token) => diary.push(`${String(token)} writable`),
      onEnd: (token, gone) => diary.push(`${String(token)} ${gone ? 'gone' : 'end'}`),
    });
  });
  afterEach(removeFakes);

  describe('watch', () => {
    it('adds, changes and removes as what is wanted changes', () => {
      set.watch(7, 70, 0, READS);
      set.watch(7, 70, READS, READS | WRITES);
      set.watch(7, 70, READS | WRITES, 0);
      expect(control.args).to.deep.equal([
        [fd, 1, 7, READS, 70],
        [fd, 3, 7, READS | WRITES, 70],
        [fd, 2, 7, 0, 70],
      ]);
    });

    it('tells the kernel nothing when nothing changes', () => {
      set.watch(7, 70, 0, 0);
      set.watch(7, 70, READS, READS);
      expect(control.called).to.equal(false);
    });
  });

  describe('turn', () => {
    it('hands out what was received, each with its own bytes', () => {
      brings([
        [1, READS, 'one'],
        [2, READS, 'three'],
        [3, READS, ''.padEnd(100, 'x')],
      ]);
      expect(turn()).to.deep.equal(['1 data one', '2 data three', `3 data ${'x'.repeat(100)}`]);
    });

    it('tells of one that can be written to, and nothing else of it', () => {
      brings([[1, WRITES, EAGAIN]]);
      expect(turn()).to.deep.equal(['1 writable']);
    });

    it('tells of both of one that can be read and written', () => {
      brings([[1, READS | WRITES, 'data']]);
      expect(turn()).to.deep.equal(['1 writable', '1 data data']);
    });

    it('tells of the end of a peer that may still read', () => {
      brings([[1, READS, 0]]);
      expect(turn()).to.deep.equal(['1 end']);
    });

    it('tells of a peer that is gone', () => {
      brings([
        [1, READS, ECONNRESET],
        [2, HANG_UP, EAGAIN],
        [3, ERROR, EAGAIN],
      ]);
      expect(turn()).to.deep.equal(['1 gone', '2 gone', '3 gone']);
    });

    it('says nothing of one that had nothing after all', () => {
      brings([[1, READS, EAGAIN]]);
      expect(turn()).to.deep.equal([]);
    });

    it('hands out the last data of one that has hung up; its end comes with the next read', () => {
      brings([[1, READS | HANG_UP, 'last']]);
      expect(turn()).to.deep.equal(['1 data last']);
      brings([[1, READS | HANG_UP, 0]]);
      expect(turn()).to.deep.equal(['1 end']);
    });

    it('asks once when fewer came than may come in one call', () => {
      brings([[1, READS, 'a']]);
      turn();
      expect(receive.callCount).to.equal(1);
    });

    it('asks again after a full call, but four times at most', () => {
      const full = Array.from({ length: MOST_EVENTS }, (_, i): Event => [i, READS, 'x']);
      brings(full);
      brings([[1, READS, 'y']]);
      expect(turn()).to.have.length(MOST_EVENTS + 1);
      for (let i = 0; i < 5; i++) brings(full);
      expect(turn()).to.have.length(4 * MOST_EVENTS);
    });
  });

  it('is told by the event loop that there is something to do', () => {
    const ready = sinon.fake();
    set.start(ready);
    FakeWatcher.of(fd).fire(1);
    expect(ready.callCount).to.equal(1);
  });

  it('closes its fd, and the watcher before it', () => {
    set.start(() => undefined);
    set.close();
    expect(FakeWatcher.of(fd).closed).to.equal(true);
    expect(kernel.openFds.size).to.equal(0);
  });

  it('in a child closes its fd and leaves the watcher of the parent alone', () => {
    set.start(() => undefined);
    set.abandon();
    expect(FakeWatcher.of(fd).closed).to.equal(false);
    expect(kernel.openFds.size).to.equal(0);
  });
});
