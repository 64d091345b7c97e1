import { expect } from 'chai';
import {
  addressKey,
  chooseIdle,
  CLOSE,
  deliversConnectionEvents,
  DISCARD,
  DISPATCH_CONNECT,
  DISPATCH_DATA,
  DISPATCH_MODES,
  Dispatcher,
  type DispatchMode,
  type Source,
  type Workers,
} from '../../../lib/server/dispatch';
import { thrownBy } from '../fake-kernel';

/** Workers of which the `busy` ones are not idle. */
function workers(workerNum: number, busy: readonly number[] = [], round = -1): Workers {
  return { workerNum, isIdle: (id) => !busy.includes(id), nextRound: () => ++round };
}

function source(parts: Partial<Source> = {}): Source {
  return { fd: 1, uid: null, address: '127.0.0.1', ...parts };
}

function choices(dispatcher: Dispatcher, times: number, from = source()): number[] {
  return Array.from({ length: times }, () => dispatcher.choose(from));
}

describe('Dispatcher', () => {
  it('takes the workers in turn in mode 1', () => {
    expect(choices(new Dispatcher(workers(3, [0, 1, 2]), 1), 7)).to.deep.equal([
      0, 1, 2, 0, 1, 2, 0,
    ]);
  });

  it('copes with a round counter that wraps', () => {
    for (const round of [-5, 0x7ffffffe, 0xfffffffe]) {
      for (const id of choices(new Dispatcher(workers(3, [], round), 1), 9)) {
        expect(id).to.be.within(0, 2);
      }
    }
  });

  it('takes the session id modulo the workers in mode 2', () => {
    const dispatcher = new Dispatcher(workers(4), 2);
    const fds = [1, 2, 3, 4, 5, 0x7fffffff];
    const chosen = fds.map((fd) => dispatcher.choose(source({ fd })));
    expect(chosen).to.deep.equal([1, 2, 3, 0, 1, 3]);
  });

  for (const mode of [3, 7] as const) {
    it(`takes idle workers in turn in mode ${mode}`, () => {
      expect(choices(new Dispatcher(workers(4, [0, 2]), mode), 4)).to.deep.equal([1, 3, 1, 3]);
    });

    it(`takes busy workers in turn in mode ${mode} when none is idle, and says so`, () => {
      let told = 0;
      const all = workers(3, [0, 1, 2]);
      const dispatcher = new Dispatcher(all, mode, null, () => told++);
      expect(choices(dispatcher, 6).sort()).to.deep.equal([0, 0, 1, 1, 2, 2]);
      expect(told).to.equal(6);
    });
  }

  it('keeps a client of IPv4 with one worker in mode 4', () => {
    const dispatcher = new Dispatcher(workers(3), 4);
    const chosen = [0, 1, 2, 3].map((last) => {
      const ids = [5, 6, 7].map((fd) =>
        dispatcher.choose(source({ fd, address: `10.0.0.${last}` })),
      );
      expect(new Set(ids).size).to.equal(1);
      return ids[0];
    });
    expect(chosen).to.deep.equal([1, 2, 0, 1]);
  });

  it('takes the session id in mode 4 when there is no address', () => {
    expect(new Dispatcher(workers(4), 4).choose(source({ fd: 7, address: '' }))).to.equal(3);
  });

  it('takes the uid in mode 5, and the session id while there is none', () => {
    const dispatcher = new Dispatcher(workers(4), 5);
    expect(dispatcher.choose(source({ fd: 7, uid: 6 }))).to.equal(2);
    expect(dispatcher.choose(source({ fd: 7, uid: 0 }))).to.equal(0);
    expect(dispatcher.choose(source({ fd: 7, uid: null }))).to.equal(3);
    expect(dispatcher.choose(source({ fd: 7, uid: -1 }))).to.equal(3);
  });

  it('gives the only worker in every mode', () => {
    for (const mode of DISPATCH_MODES) {
      expect(new Dispatcher(workers(1), mode).choose(source({ uid: 5 }))).to.equal(0);
    }
  });
});

describe('dispatchFunc', () => {
  const returning = (result: unknown, mode: DispatchMode = 2) =>
    new Dispatcher(workers(4), mode, () => result as number);

  it('is told the session, what it is about and the data', () => {
    const seen: unknown[] = [];
    const dispatcher = new Dispatcher(workers(4), 2, (...args) => {
      seen.push(args);
      return 3;
    });
    const data = Buffer.from('x');
    expect(dispatcher.choose(source({ fd: 9 }), DISPATCH_DATA, data)).to.equal(3);
    expect(dispatcher.choose(source({ fd: 9 }), DISPATCH_CONNECT)).to.equal(3);
    expect(seen).to.deep.equal([
      [9, 0, data],
      [9, 4, null],
    ]);
  });

  it('chooses any worker', () => {
    for (let id = 0; id < 4; id++) expect(returning(id).choose(source())).to.equal(id);
  });

  it('discards with -1 and closes with -2', () => {
    expect(returning(-1).choose(source())).to.equal(DISCARD);
    expect(returning(-2).choose(source())).to.equal(CLOSE);
  });

  it('leaves it to dispatchMode with -3', () => {
    expect(returning(-3, 2).choose(source({ fd: 6 }))).to.equal(2);
    expect(returning(-3, 5).choose(source({ fd: 6, uid: 1 }))).to.equal(1);
  });

  it('may not return anything else', () => {
    for (const result of [4, 100, -4, 1.5, NaN, '1', undefined, null, Promise.resolve(1)]) {
      const { message } = thrownBy(() => returning(result).choose(source()), 'ERR_OUT_OF_RANGE');
      expect(message).to.include('0 to 3').and.include(String(result));
    }
  });

  it('throws to the caller', () => {
    const mistake = new TypeError('mine');
    const dispatcher = new Dispatcher(workers(4), 2, () => {
      throw mistake;
    });
    expect(() => dispatcher.choose(source())).to.throw(mistake);
  });
});

describe('chooseIdle', () => {
  it('finds the one idle worker', () => {
    for (let idle = 0; idle < 4; idle++) {
      const busy = [0, 1, 2, 3].filter((id) => id !== idle);
      expect(chooseIdle(workers(4, busy))).to.equal(idle);
    }
  });
});

describe('addressKey', () => {
  it('is the number of an IPv4 address', () => {
    expect(addressKey('1.2.3.4')).to.equal(0x01020304);
    expect(addressKey('255.255.255.255')).to.equal(0xffffffff);
    expect(addressKey('0.0.0.0')).to.equal(0);
  });

  it('is the same for IPv4 on a socket of IPv6', () => {
    expect(addressKey('::ffff:1.2.3.4')).to.equal(addressKey('1.2.3.4'));
  });

  it('is a number of an IPv6 address that never changes', () => {
    // It is part of the contract: a client stays with its worker over restarts.
    expect(addressKey('::1')).to.equal(0x15beeff1);
    expect(addressKey('fe80::1%eth0')).to.equal(addressKey('fe80::1%lo'));
  });

  it('spreads neighbours of IPv6 over the workers', () => {
    for (const workerNum of [2, 3, 4, 8]) {
      const counts = new Array<number>(workerNum).fill(0);
      for (let i = 1; i <= 4096; i++) {
        const id = (addressKey(`2001:db8::${i.toString(16)}`) ?? 0) % workerNum;
        counts[id] = (counts[id] ?? 0) + 1;
      }
      const fair = 4096 / workerNum;
      expect(Math.min(...counts), String(counts)).to.be.greaterThan(fair * 0.8);
      expect(Math.max(...counts), String(counts)).to.be.lessThan(fair * 1.2);
    }
  });

  it('is null for what is no address', () => {
    for (const text of ['', '/run/x.sock', '1.2.3', '1.2.3.4.5', '1.2.3.x', 'localhost']) {
      expect(addressKey(text), text).to.equal(null);
    }
  });
});

describe('deliversConnectionEvents', () => {
  it('is true where all of a connection goes to one worker', () => {
    const modes = DISPATCH_MODES.filter((mode) => deliversConnectionEvents(mode));
    expect(modes).to.deep.equal([2, 4]);
  });

  it('is true in every mode with enableUnsafeEvent', () => {
    for (const mode of DISPATCH_MODES) expect(deliversConnectionEvents(mode, true)).to.equal(true);
  });
});
