import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import sinon from 'sinon';
import {
  ROWS_PER_SLOT,
  STAGE_NONE,
  WorkerTable,
  type WorkerRow,
} from '../../../lib/pool/worker-table';
import type { Process } from '../../../lib/process/process';
import { ServerGroup, type GroupOptions } from '../../../lib/server/worker-groups';
import { thrownBy } from '../fake-kernel';

const FIRST_ID = 2;
const SIZE = 2;
const GENERATION = 5;

describe('ServerGroup', () => {
  let table: WorkerTable;
  let group: ServerGroup;
  let nextPid: number;
  let failure: Error | null;
  /** What the new processes run, by pid. */
  let programs: Map<number, () => unknown>;
  let run: sinon.SinonSpy<[number, WorkerRow, boolean]>;
  let ends: { workerId: number; pid: number; handled: number; expected: boolean }[];
  let onDegraded: sinon.SinonSpy;
  let indexes: number[];

  const start = (slot = 0): number => group.start(slot, GENERATION).pid;
  const end = (pid: number, slot = 0, expected = true): void => {
    group.ended(slot, pid, { pid, code: 0, signal: 0 }, expected);
  };
  /** Whether the new process was told that an older one of its id still works. */
  const hasPredecessor = (pid: number): boolean => {
    programs.get(pid)?.();
    return run.lastCall.args[2];
  };
  const rowOf = (pid: number): WorkerRow => {
    const found = group.rows().find((row) => row.pid === pid);
    if (found === undefined) throw new Error(`pid ${String(pid)} has no row`);
    return found;
  };

  beforeEach(() => {
    table = new WorkerTable(FIRST_ID + SIZE);
    nextPid = 100;
    failure = null;
    programs = new Map();
    indexes = [];
    run = sinon.fake();
    ends = [];
    onDegraded = sinon.fake();
    const onEnd: GroupOptions['onEnd'] = (workerId, { pid }, { handled }, expected) => {
      ends.push({ workerId, pid, handled, expected });
    };
    const makeProcess: GroupOptions['makeProcess'] = (index, program) => {
      indexes.push(index);
      const start = (): number => {
        if (failure !== null) throw failure;
        programs.set(nextPid, program);
        return nextPid++;
      };
      return { start, exited: Promise.resolve() } as unknown as Process;
    };
    group = new ServerGroup({
      ...{ name: 'task', firstId: FIRST_ID, size: SIZE, startFirst: true, table },
      ...{ makeProcess, run, onEnd, onDegraded },
    });
  });

  it('is what the supervisor has to know of it', () => {
    expect(group).to.include({ name: 'task', size: SIZE, startFirst: true });
  });

  describe('start', () => {
    it('starts the process of a slot in a row of its worker id', () => {
      const { pid, ended } = group.start(1, GENERATION);
      expect(pid).to.equal(100);
      expect(ended).to.be.instanceOf(Promise);
      expect(indexes).to.deep.equal([1]);
      expect(table.current(FIRST_ID + 1)).to.include({ pid, generation: GENERATION });
      expect(table.current(FIRST_ID)).to.equal(null);
    });

    it('runs the worker with its id and row, and without a predecessor', () => {
      const pid = start(1);
      programs.get(pid)?.();
      expect(run.args).to.deep.equal([[FIRST_ID + 1, table.current(FIRST_ID + 1), false]]);
    });

    it('gives the row back when the process cannot be started', () => {
      failure = new Error('no fork now');
      expect(() => start()).to.throw('no fork now');
      expect(table.current(FIRST_ID)).to.include({ stage: STAGE_NONE, pid: 0, generation: 0 });
      expect(group.rows()).to.deep.equal([]);
      failure = null;
      expect(hasPredecessor(start())).to.equal(false);
    });

    it('counts a restart of each start but the first of an id', () => {
      end(start(0));
      end(start(0));
      start(1);
      expect([0, 1, 2, 3].map((id) => table.restarts(id))).to.deep.equal([0, 0, 1, 0]);
    });

    it('publishes a restart, not a first start, to those who listen', () => {
      const listener = sinon.fake();
      subscribe('prefork.respawn', listener);
      end(start(0));
      start(0);
      unsubscribe('prefork.respawn', listener);
      const message = { workerId: FIRST_ID, kind: 'task', pid: 101, restarts: 1 };
      expect(listener.args).to.deep.equal([[message, 'prefork.respawn']]);
    });

    it('fails when too many predecessors have not ended, and says of whom', () => {
      for (let i = 0; i < ROWS_PER_SLOT; i++) start(1);
      const { message } = thrownBy(() => start(1), 'EAGAIN');
      expect(message).to.include('worker 3 has too many predecessors');
      expect(start(0), 'others can be started').to.equal(104);
    });
  });

  describe('ended', () => {
    it('tells of the end with the row still filled, and clears it then', () => {
      const pid = start(1);
      const row = rowOf(pid);
      row.handled = 9;
      end(pid, 1, false);
      expect(ends).to.deep.equal([{ workerId: FIRST_ID + 1, pid, handled: 9, expected: false }]);
      expect(row).to.include({ handled: 0, pid: 0, stage: STAGE_NONE });
      expect(group.rows()).to.deep.equal([]);
    });

    it('of a pid it does not know is nothing', () => {
      start();
      end(4711);
      expect(ends).to.deep.equal([]);
      expect(group.rows()).to.have.length(1);
    });
  });

  it('a worker that has handled something has proved itself', () => {
    const [first, second] = [start(0), start(1)];
    rowOf(second).handled = 1;
    expect([first, second, 4711].map((pid) => group.provedItself(pid))).to.deep.equal([
      ...[false, true, false],
    ]);
  });

  it('names a degraded worker by its id', () => {
    const why = new Error('no memory');
    group.degraded(1, 7, why);
    expect(onDegraded.args).to.deep.equal([[FIRST_ID + 1, 7, why]]);
  });

  it('knows the rows of all its processes, also of those on their way out', () => {
    const pids = [start(0), start(0), start(1)];
    expect(group.rows().map(({ pid }) => pid)).to.deep.equal(pids);
  });

  describe('the mailbox of a slot', () => {
    it('has a predecessor while an older process of that id holds it', () => {
      start(0);
      expect(hasPredecessor(start(0))).to.equal(true);
      expect(hasPredecessor(start(1)), 'of another id').to.equal(false);
    });

    it('has none when the older one has released it, or has ended', () => {
      const first = start(0);
      group.release(first);
      const second = start(0);
      expect(hasPredecessor(second)).to.equal(false);
      end(first);
      end(second);
      expect(hasPredecessor(start(0))).to.equal(false);
    });

    it('goes to the successor when it is released', () => {
      const first = start(0);
      const second = start(0);
      expect(group.release(first)).to.equal(rowOf(second));
    });

    it('goes to nobody when it is released and there is no successor yet', () => {
      expect(group.release(start(0))).to.equal(null);
      expect(group.successorOf(FIRST_ID)).to.equal(null);
    });

    it('is not handed on while an older one still holds it', () => {
      const [, second, third] = [start(0), start(0), start(0)];
      expect(group.release(second)).to.equal(null);
      expect(group.successorOf(FIRST_ID), 'two hold it').to.equal(null);
      end(100);
      expect(group.successorOf(FIRST_ID)).to.equal(rowOf(third));
    });

    it('is handed on by the end of a predecessor that has not released it', () => {
      const first = start(0);
      const second = start(0);
      expect(group.successorOf(FIRST_ID)).to.equal(null);
      end(first);
      expect(group.successorOf(FIRST_ID)).to.equal(rowOf(second));
    });

    it('stays with one process when it is released twice', () => {
      const first = start(0);
      const second = start(0);
      group.release(first);
      expect(group.release(first)).to.equal(rowOf(second));
    });

    it('is not touched by a pid that is not known', () => {
      const pid = start(0);
      expect(group.release(4711)).to.equal(null);
      expect(group.successorOf(FIRST_ID)).to.equal(rowOf(pid));
    });

    it('of one id says nothing of another', () => {
      start(0);
      const other = start(1);
      expect(group.successorOf(FIRST_ID + 1)).to.equal(rowOf(other));
      expect(group.successorOf(FIRST_ID + 2)).to.equal(null);
    });
  });
});
