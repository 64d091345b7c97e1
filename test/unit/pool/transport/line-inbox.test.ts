import { expect } from 'chai';
import sinon, { type SinonStub } from 'sinon';
import { binding } from '../../../../lib/binding';
import { systemError } from '../../../../lib/errors';
import type { Packet } from '../../../../lib/ipc/packet-socket';
import { LineInbox } from '../../../../lib/pool/transport/line-inbox';
import { DOORBELL, WorkerLine } from '../../../../lib/pool/transport/worker-line';
import { FakeWatcher, fakeKernel, removeFakes, thrownBy } from '../../fake-kernel';

const READABLE = 1;

describe('LineInbox', () => {
  let line: WorkerLine;
  let inbox: LineInbox;
  let siblings: Packet[];
  let long: (Packet | Error)[];
  let told: number;

  const packet = (text: string, change: Partial<Packet> = {}): Packet => {
    return { data: Buffer.from(text), sender: 0, tag: 0, flags: 0, ...change };
  };
  const put = (...texts: string[]): void => {
    texts.forEach((text) => line.ring.put(Buffer.from(text)));
  };
  const receive = (): string | null => inbox.receive()?.toString() ?? null;
  const receiveAll = (): string[] => {
    const all: string[] = [];
    for (let text; (text = receive()) !== null;) all.push(text);
    return all;
  };
  const immediates = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  beforeEach(() => {
    fakeKernel();
    sinon.stub(binding, 'pollFd').returns(0);
    line = new WorkerLine(1_000_000);
    siblings = [];
    long = [];
    told = 0;
    sinon.stub(line.siblings.reader, 'receive').callsFake(() => siblings.shift() ?? null);
    sinon.stub(line.long.reader, 'receive').callsFake(() => {
      const next = long.shift() ?? null;
      if (next instanceof Error) throw next;
      return next;
    });
    inbox = new LineInbox(line, 1, () => {
      told++;
    });
  });
  afterEach(() => {
    inbox.onReadable(null);
    removeFakes();
  });

  it('takes from the ring and from the siblings by turns: neither starves the other', () => {
    put('a', 'b', 'c', 'd');
    siblings = ['1', '2'].map((text) => packet(text));
    expect(receiveAll()).to.deep.equal(['a', '1', 'b', '2', 'c', 'd']);
  });

  it('takes by turns also when each turn of the loop takes one message only', async () => {
    put(...Array.from({ length: 50 }, () => 'a'));
    siblings = ['1', '2', '3'].map((text) => packet(text));
    const seen: (string | null)[] = [];
    inbox.onReadable(() => seen.push(receive()));
    for (let i = 0; i < 10; i++) {
      FakeWatcher.of(line.siblings.reader.fd).fire(READABLE);
      await new Promise(setImmediate);
    }
    expect(seen).to.include.members(['1', '2', '3']);
  });

  it('hands out no bell', () => {
    siblings = [packet('x', { flags: DOORBELL }), packet('1'), packet('x', { flags: DOORBELL })];
    expect(receiveAll()).to.deep.equal(['1']);
  });

  describe('long messages', () => {
    const mark = (serial: number): void => {
      line.ring.putMarker(serial);
      long.push(packet(`long ${String(serial)}`, { tag: serial }));
    };

    it('come where their marker stands', () => {
      put('a');
      mark(1);
      put('b');
      mark(2);
      mark(3);
      expect(receiveAll()).to.deep.equal(['a', 'long 1', 'b', 'long 2', 'long 3']);
    });

    it('are dropped when the marker was passed by a worker that was killed before it had them', () => {
      mark(1);
      line.ring.passMarker();
      put('a');
      mark(2);
      expect(receiveAll()).to.deep.equal(['a', 'long 2']);
    });

    it('are left out when they have gone', () => {
      mark(1);
      long = [];
      put('a');
      expect(receiveAll()).to.deep.equal(['a']);
    });

    it('that are bad do not cost the next one', () => {
      mark(1);
      mark(2);
      long[0] = Object.assign(new Error('bad'), { code: 'ERR_BAD_FRAME' });
      thrownBy(() => inbox.receive(), 'ERR_BAD_FRAME');
      expect(receiveAll()).to.deep.equal(['long 2']);
    });

    it('keep their marker while no fd is free', () => {
      mark(1);
      (binding.dup as SinonStub).onFirstCall().throws(systemError('EMFILE', 'dup', 'no fd'));
      thrownBy(() => inbox.receive(), 'EMFILE');
      expect(line.ring.marker).to.equal(1);
      expect(receiveAll()).to.deep.equal(['long 1']);
    });

    it('are received later when the last fd was taken in between', () => {
      mark(1);
      put('a');
      const failure = Object.assign(systemError('EMFILE', 'fcntl', 'no fd'), { syscall: 'fcntl' });
      long.unshift(failure);
      thrownBy(() => inbox.receive(), 'EMFILE');
      expect(receiveAll()).to.deep.equal(['long 1', 'a']);
    });
  });

  describe('room', () => {
    const fillAndWait = (): void => {
      while (line.ring.put(Buffer.alloc(10_000, 1)));
      line.ring.setWaiting(true);
    };

    it('is told once, when there is plenty', () => {
      fillAndWait();
      const { length } = receiveAll();
      expect({ told, some: length > 10 }).to.deep.equal({ told: 1, some: true });
    });
  });

  describe('on the event loop', () => {
    it('comes round for the ring by itself, turn by turn, until it is empty', async () => {
      put('a', 'b', 'c');
      const seen: (string | null)[] = [];
      inbox.onReadable(() => seen.push(receive()));
      expect(seen).to.deep.equal([]);
      for (let i = 0; i < 6; i++) await immediates();
      expect(seen).to.deep.equal(['a', 'b', 'c']);
      expect(line.ring.mustWake(), 'asleep').to.equal(true);
    });

    it('is woken by the socket, and looks at both', () => {
      const seen: string[] = [];
      inbox.onReadable(() => seen.push(...receiveAll()));
      expect(line.ring.mustWake()).to.equal(true);
      put('a');
      siblings = [packet('x', { flags: DOORBELL }), packet('1')];
      FakeWatcher.of(line.siblings.reader.fd).fire(READABLE);
      expect(seen.sort()).to.deep.equal(['1', 'a']);
    });

    it('does not sleep when something came at the last moment', async () => {
      const listener = sinon.fake(() => receive());
      sinon.stub(line.ring, 'setAsleep').callsFake((on) => {
        if (on && listener.notCalled) put('a');
      });
      inbox.onReadable(listener);
      await immediates();
      expect(listener.callCount).to.equal(1);
    });

    it('rests while nobody wants messages, and goes on', async () => {
      put('a', 'b');
      const seen: (string | null)[] = [];
      inbox.onReadable(() => {
        seen.push(receive());
        inbox.onReadable(null);
      });
      for (let i = 0; i < 3; i++) await immediates();
      expect(seen).to.deep.equal(['a']);
      expect(FakeWatcher.of(line.siblings.reader.fd).events).to.equal(0);
      inbox.onReadable(() => seen.push(receive()));
      await immediates();
      expect(seen).to.deep.equal(['a', 'b']);
    });

    it('waits for its predecessor, then takes over', async () => {
      const clock = sinon.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      line.ring.claim(9);
      put('a');
      const seen: (string | null)[] = [];
      inbox.onReadable(() => seen.push(receive()));
      await clock.tickAsync(50);
      await immediates();
      expect(seen).to.deep.equal([]);
      line.ring.release(9);
      await clock.tickAsync(5);
      await immediates();
      expect(seen).to.deep.equal(['a']);
    });

    it('lets go of the ring when it is released', () => {
      inbox.onReadable(() => undefined);
      expect(line.ring.claim(2)).to.equal(false);
      inbox.release();
      expect(line.ring.claim(2)).to.equal(true);
    });
  });
});
