import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import type { NewSession, Session } from '../../../lib/server/session';
import { SessionTable } from '../../../lib/server/session-table';
import { thrownBy } from '../fake-kernel';

const NOT_EXIST = 'ERR_SESSION_NOT_EXIST';
const CLOSED = 'ERR_SESSION_CLOSED';
const LAST_ID = 0x7fffffff;

const INFO: NewSession = {
  worker: 1,
  reactor: 0,
  port: 2,
  remoteAddress: '127.0.0.1',
  remotePort: 40_000,
};

function open(table: SessionTable, info: Partial<NewSession> = {}): Session {
  const session = table.open({ ...INFO, ...info });
  if (session === null) throw new Error('the table is full');
  return session;
}

/** The session that must be there. */
function found(table: SessionTable, id: number): Session {
  const session = table.find(id);
  if (typeof session === 'string') throw new Error(session);
  return session;
}

/** Two views of one table, as two processes have them. */
function twoProcesses(maxConnection: number): [SessionTable, SessionTable] {
  const first = sinon.spy(binding, 'mapShared');
  const one = new SessionTable(maxConnection);
  const memory = first.firstCall.returnValue;
  first.restore();
  const second = sinon.stub(binding, 'mapShared').returns(memory);
  const other = new SessionTable(maxConnection);
  second.restore();
  return [one, other];
}

const CHANGES = ['add', 'sub', 'store', 'exchange', 'compareExchange'] as const;

/** Lets `act` end before its first change of shared memory, then before its second, …  @returns how many */
function dyingAtEachStep(make: () => { act: () => unknown; then: () => void }): number {
  for (let step = 0; ; step++) {
    const { act, then } = make();
    let left = step;
    const stubs = CHANGES.map((name) => {
      const stub = sinon.stub(Atomics, name);
      return stub.callsFake((...args: unknown[]) => {
        if (left-- === 0) throw new Error('killed');
        return (stub.wrappedMethod as (...args: unknown[]) => unknown)(...args) as never;
      });
    });
    let died = false;
    try {
      act();
    } catch {
      died = true;
    }
    for (const stub of stubs) stub.restore();
    then();
    if (!died) return step;
  }
}

describe('SessionTable', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('gives ids from 1 on', () => {
    const table = new SessionTable(10);
    expect([open(table).id, open(table).id, open(table).id]).to.deep.equal([1, 2, 3]);
    expect(table.count).to.equal(3);
  });

  it('goes on after another id', () => {
    expect(open(new SessionTable(10, 500)).id).to.equal(501);
  });

  it('finds a session with all that is known of it', () => {
    const table = new SessionTable(10);
    const before = Date.now();
    const { id } = open(table);
    const info = found(table, id).info();
    expect(info?.connectedAt).to.be.within(before, Date.now());
    expect(info).to.deep.equal({
      ...INFO,
      id,
      state: 'open',
      uid: null,
      isProtected: false,
      sendQueuedBytes: 0,
      connectedAt: info?.connectedAt,
      lastReceivedAt: 0,
      lastSentAt: 0,
    });
  });

  it('keeps sessions apart', () => {
    const table = new SessionTable(3);
    const ids = ['::1', '', '2001:db8:1111:2222:3333:4444:5555:6666'].map(
      (remoteAddress, worker) => open(table, { remoteAddress, worker }).id,
    );
    const seen = ids.map((id) => [found(table, id).worker, found(table, id).remoteAddress]);
    expect(seen).to.deep.equal([
      [0, '::1'],
      [1, ''],
      [2, '2001:db8:1111:2222:3333:4444:5555:6666'],
    ]);
  });

  it('cuts an address that is longer than any', () => {
    const table = new SessionTable(2);
    const { id } = open(table, { remoteAddress: 'x'.repeat(100) });
    const next = open(table);
    expect(found(table, id).remoteAddress).to.equal('x'.repeat(48));
    expect(next.info()).to.include(INFO);
  });

  it('shows every process what the owner writes', () => {
    const [owner, other] = twoProcesses(10);
    const session = open(owner, { worker: -1 });
    const seen = found(other, session.id);
    session.worker = 3;
    session.lastReceivedAt = 1_700_000_000_123;
    session.lastSentAt = 1_700_000_000_456;
    session.sendQueuedBytes = 0x7fffffff;
    expect(seen.info()).to.include({
      worker: 3,
      lastReceivedAt: 1_700_000_000_123,
      lastSentAt: 1_700_000_000_456,
      sendQueuedBytes: 0x7fffffff,
    });
    expect(other.count).to.equal(1);
    session.beginClose();
    expect(seen.state).to.equal('closing');
    owner.close(session.id);
    expect(seen.state).to.equal('closed');
    expect(other.find(session.id)).to.equal(CLOSED);
  });

  it('gives no id or slot twice when several processes open sessions', () => {
    const [one, other] = twoProcesses(100);
    const ids = Array.from({ length: 50 }, () => [open(one).id, open(other).id]).flat();
    expect(new Set(ids).size).to.equal(100);
    expect([...one.ids()].sort((a, b) => a - b)).to.deep.equal(ids);
    expect(other.open(INFO)).to.equal(null);
  });

  it('refuses sizes that are none', () => {
    for (const size of [0, -1, 1.5, 1_048_577]) {
      thrownBy(() => new SessionTable(size), 'ERR_OUT_OF_RANGE');
    }
  });

  describe('at maxConnection', () => {
    it('opens no more until one is closed', () => {
      const table = new SessionTable(2);
      const { id } = open(table);
      open(table);
      expect(table.open(INFO)).to.equal(null);
      expect(table.open(INFO)).to.equal(null);
      expect(table.count).to.equal(2);
      table.close(id);
      expect(table.open(INFO)).not.to.equal(null);
      expect(table.open(INFO)).to.equal(null);
    });

    it('counts a session that is closing', () => {
      const table = new SessionTable(1);
      const session = open(table);
      session.beginClose();
      expect(table.open(INFO)).to.equal(null);
      table.close(session.id);
      expect(table.open(INFO)).not.to.equal(null);
    });

    it('finds a slot for each when almost all stay open', () => {
      const table = new SessionTable(1000);
      const stay = Array.from({ length: 999 }, () => open(table).id);
      let last = 0;
      for (let i = 0; i < 10_000; i++) {
        const { id } = open(table);
        expect(id).to.be.greaterThan(last);
        last = id;
        table.close(id);
      }
      for (const id of stay) expect(found(table, id).state).to.equal('open');
    });
  });

  describe('find', () => {
    it('knows ids that were never given out', () => {
      const table = new SessionTable(10);
      open(table);
      for (const id of [2, 100, LAST_ID]) expect(table.find(id), String(id)).to.equal(NOT_EXIST);
    });

    it('takes what is no id for one that never was', () => {
      const table = new SessionTable(10);
      open(table);
      for (const id of [0, -1, 1.5, NaN, LAST_ID + 1, 2 ** 32 + 1, '1', null, undefined]) {
        expect(table.find(id as number), String(id)).to.equal(NOT_EXIST);
        expect(table.close(id as number), String(id)).to.equal(false);
      }
    });

    it('remembers every session that was closed, long after its slot went to others', () => {
      const table = new SessionTable(4);
      const ids: number[] = [];
      for (let i = 0; i < 1000; i++) {
        const { id } = open(table);
        ids.push(id);
        table.close(id);
        expect(table.find(id)).to.equal(CLOSED);
      }
      for (const id of ids) expect(table.find(id), String(id)).to.equal(CLOSED);
      expect(table.find((ids.at(-1) ?? 0) + 1)).to.equal(NOT_EXIST);
    });

    it('finds a session that is closing', () => {
      const table = new SessionTable(4);
      const session = open(table);
      session.beginClose();
      expect(found(table, session.id).state).to.equal('closing');
    });
  });

  describe('get', () => {
    it('throws what find returns', () => {
      const table = new SessionTable(4);
      const { id } = open(table);
      expect(table.get(id).id).to.equal(id);
      table.close(id);
      expect(thrownBy(() => table.get(id), CLOSED).message).to.include('session 1');
      thrownBy(() => table.get(77), NOT_EXIST);
    });
  });

  describe('close', () => {
    it('closes once, from open or closing', () => {
      const table = new SessionTable(4);
      const [one, other] = [open(table), open(table)];
      expect(other.beginClose()).to.equal(true);
      expect(other.beginClose()).to.equal(false);
      for (const { id } of [one, other]) {
        expect(table.close(id)).to.equal(true);
        expect(table.close(id)).to.equal(false);
      }
      expect(one.beginClose()).to.equal(false);
      expect(table.count).to.equal(0);
    });

    it('leaves the next session of the slot alone', () => {
      const table = new SessionTable(1);
      const old = open(table);
      table.close(old.id);
      let next = open(table);
      // Until the slot comes round.
      while (old.info() !== null) {
        table.close(next.id);
        next = open(table);
      }
      expect(old.state).to.equal('closed');
      expect(old.beginClose()).to.equal(false);
      expect(old.bind(5)).to.equal(false);
      old.isProtected = true;
      expect(table.close(old.id)).to.equal(false);
      expect(next.info()).to.include({ state: 'open', uid: null, isProtected: false });
    });

    it('closes all that a process has left behind', () => {
      const table = new SessionTable(10, 0, 2);
      const ids = [0, 1, 0, 1, 0].map((reactor) => open(table, { reactor }).id);
      found(table, ids[2] ?? 0).beginClose();
      table.close(ids[4] ?? 0);
      expect(table.closeAllOf(0)).to.deep.equal([ids[0], ids[2]]);
      expect(table.closeAllOf(0)).to.deep.equal([]);
      expect([...table.ids()]).to.deep.equal([ids[1], ids[3]]);
      expect(table.count).to.equal(2);
    });

    for (const what of ['open', 'close'] as const) {
      it(`has no slot and no count left of a process that is killed at any step of ${what}()`, () => {
        const steps = dyingAtEachStep(() => {
          const table = new SessionTable(3, 0, 2);
          const session = open(table);
          return {
            act: () => (what === 'open' ? open(table) : table.close(session.id)),
            then: () => {
              table.closeAllOf(0);
              expect(table.count).to.equal(0);
              const again = [open(table), open(table), open(table)];
              expect(new Set([...table.ids()])).to.deep.equal(new Set(again.map(({ id }) => id)));
            },
          };
        });
        expect(steps).to.be.greaterThan(1);
      });
    }
  });

  describe('after 2^31 ids', () => {
    it('begins again, past slots of sessions that are still open', () => {
      const table = new SessionTable(10, LAST_ID - 2);
      const ids = [open(table).id, open(table).id, open(table).id, open(table).id];
      // With 10 connections there are 77 slots, and LAST_ID - 1 has the one that 1 would get.
      expect(ids).to.deep.equal([LAST_ID - 1, LAST_ID, 2, 3]);
      for (const id of ids) expect(found(table, id).id).to.equal(id);
    });

    it('takes every other id for a closed one', () => {
      const table = new SessionTable(10, LAST_ID);
      expect(table.find(5)).to.equal(NOT_EXIST);
      const { id } = open(table);
      expect(id).to.equal(1);
      for (const other of [2, 1000, LAST_ID]) expect(table.find(other)).to.equal(CLOSED);
      expect(table.find(0)).to.equal(NOT_EXIST);
    });
  });

  describe('idsAfter', () => {
    it('gives pages of open sessions', () => {
      const table = new SessionTable(30);
      const ids = Array.from({ length: 25 }, () => open(table).id);
      const seen: number[] = [];
      for (let last = 0; ; last = seen.at(-1) ?? 0) {
        const page = table.idsAfter(last, 10);
        if (typeof page === 'string') throw new Error(page);
        if (page.length === 0) break;
        seen.push(...page);
      }
      expect(seen).to.deep.equal(ids);
      expect(table.idsAfter(0, 10)).to.have.length(10);
    });

    it('leaves out sessions that are closed or closing', () => {
      const table = new SessionTable(10);
      const sessions = [open(table), open(table), open(table)];
      sessions[0]?.beginClose();
      table.close(sessions[1]?.id ?? 0);
      expect(table.idsAfter(0, 10)).to.deep.equal([sessions[2]?.id]);
    });

    it('goes on after a session that was closed meanwhile', () => {
      const table = new SessionTable(10);
      const ids = [open(table).id, open(table).id, open(table).id];
      table.close(ids[1] ?? 0);
      expect(table.idsAfter(ids[1] ?? 0, 10)).to.deep.equal([ids[2]]);
    });

    it('refuses an id that never was', () => {
      expect(new SessionTable(10).idsAfter(5, 10)).to.equal(NOT_EXIST);
    });

    it('sees each session once that stays open while others come and go', () => {
      const table = new SessionTable(20);
      const stay = Array.from({ length: 10 }, () => open(table).id);
      const seen: number[] = [];
      for (let last = 0; ; last = seen.at(-1) ?? 0) {
        const page = table.idsAfter(last, 1);
        if (typeof page === 'string' || page.length === 0) break;
        seen.push(...page);
        table.close(open(table).id);
      }
      expect(seen).to.deep.equal(stay);
    });
  });
});

describe('Session', () => {
  it('is bound to a uid once, by any process', () => {
    const [owner, other] = twoProcesses(10);
    const session = open(owner);
    expect(session.uid).to.equal(null);
    expect(found(other, session.id).bind(7)).to.equal(true);
    expect(session.uid).to.equal(7);
    expect(session.bind(8)).to.equal(false);
    expect(session.uid).to.equal(7);
  });

  it('takes uids of 32 bits, with and without a sign', () => {
    const table = new SessionTable(10);
    for (const uid of [0, -1, -0x80000000, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const session = open(table);
      session.bind(uid);
      expect(session.uid).to.equal(uid);
    }
    for (const uid of [-0x80000001, 0x100000000, 1.5]) {
      thrownBy(() => open(table).bind(uid), 'ERR_OUT_OF_RANGE');
    }
    thrownBy(() => open(table).bind('1' as never), 'ERR_INVALID_ARG_TYPE');
  });

  it('is protected until it is not, whatever it is bound to', () => {
    const session = open(new SessionTable(10));
    session.isProtected = true;
    session.bind(5);
    expect(session.info()).to.include({ isProtected: true, uid: 5 });
    session.isProtected = false;
    expect(session.info()).to.include({ isProtected: false, uid: 5 });
  });

  it('starts anew in a slot that another one had', () => {
    const table = new SessionTable(1);
    const old = open(table);
    old.bind(5);
    old.isProtected = true;
    old.lastSentAt = 5;
    old.sendQueuedBytes = 5;
    table.close(old.id);
    for (let i = 0; i < 200; i++) {
      const next = open(table);
      expect(next.info()).to.include({ uid: null, isProtected: false, lastSentAt: 0 });
      expect(next.sendQueuedBytes).to.equal(0);
      table.close(next.id);
    }
  });
});
