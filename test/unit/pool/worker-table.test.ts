import { expect } from 'chai';
import {
  ROWS_PER_SLOT,
  STAGE_DETACHED,
  STAGE_DRAINING,
  STAGE_NAMES,
  STAGE_NONE,
  STAGE_READY,
  STAGE_STARTING,
  WorkerTable,
  type WorkerRow,
} from '../../../lib/pool/worker-table';

const FIELDS = [
  'pid',
  'stage',
  'busy',
  'generation',
  'startedAt',
  'busySince',
  'busyTime',
  'taken',
  'handled',
  'unsent',
] as const;

const claim = (table: WorkerTable, slot: number): WorkerRow => {
  const row = table.claimRow(slot);
  if (row === null) throw new Error('no row is free');
  return row;
};

describe('WorkerTable', () => {
  let table: WorkerTable;

  beforeEach(() => {
    table = new WorkerTable(3);
  });

  it('has no current row before the first worker', () => {
    expect([0, 1, 2].map((slot) => table.current(slot))).to.deep.equal([null, null, null]);
  });

  it('a claimed row is the current one, starting, and empty', () => {
    const row = claim(table, 1);
    expect(table.current(1)).to.equal(row);
    expect(row).to.include({ stage: STAGE_STARTING, pid: 0, taken: 0, handled: 0 });
    expect(table.current(0)).to.equal(null);
  });

  it('every field of every row is its own place', () => {
    const rows = [0, 1, 2].flatMap((slot) => [claim(table, slot), claim(table, slot)]);
    rows.forEach((row, i) => FIELDS.forEach((field, j) => (row[field] = 100 * i + j + 1)));
    rows.forEach((row, i) => {
      FIELDS.forEach((field, j) => expect(row[field], field).to.equal(100 * i + j + 1));
    });
  });

  it('holds times and counts beyond 32 bits', () => {
    const row = claim(table, 0);
    row.startedAt = 1.8e12;
    row.handled = 2 ** 40 + 1;
    expect(row).to.include({ startedAt: 1.8e12, handled: 2 ** 40 + 1 });
  });

  it('a worker on its way out keeps its row while its successor has another', () => {
    const old = claim(table, 0);
    old.taken = 5;
    const next = claim(table, 0);
    expect(next).to.not.equal(old);
    expect(table.current(0)).to.equal(next);
    expect([old.taken, next.taken]).to.deep.equal([5, 0]);
  });

  it('gives four rows to a slot at most, and one again when one is cleared', () => {
    const rows = [1, 2, 3, 4].map(() => claim(table, 2));
    expect(table.claimRow(2)).to.equal(null);
    expect(table.current(2), 'the failed claim changes nothing').to.equal(rows[3]);
    rows[1]?.clear();
    expect(table.claimRow(2)).to.equal(rows[1]);
    expect(table.claimRow(1), 'other slots have their own').to.not.equal(null);
  });

  it('gives rows of the reserve, when there is one, to any slot that has used up its own', () => {
    table = new WorkerTable(2, 2);
    const own = [0, 1].map((slot) =>
      Array.from({ length: ROWS_PER_SLOT }, () => claim(table, slot)),
    );
    const extra = [claim(table, 1), claim(table, 0)];
    expect(new Set([...own.flat(), ...extra]).size).to.equal(2 * ROWS_PER_SLOT + 2);
    expect([table.current(0), table.current(1)]).to.deep.equal([extra[1], extra[0]]);
    expect(table.claimRow(0)).to.equal(null);
    own[0]?.[2]?.clear();
    expect(table.claimRow(0), 'its own first').to.equal(own[0]?.[2]);
    table.countRestart(0);
    expect(extra.map(({ pid }) => pid)).to.deep.equal([0, 0]);
  });

  it('clears what the last worker of a row has left', () => {
    const row = claim(table, 0);
    for (const field of FIELDS) row[field] = 7;
    row.clear();
    expect(FIELDS.map((field) => row[field])).to.deep.equal(FIELDS.map(() => 0));
    expect(row.stage).to.equal(STAGE_NONE);
  });

  it('clears all rows when those that they were of have died: every slot can be started anew', () => {
    for (const slot of [0, 1, 2]) {
      for (let i = 0; i < ROWS_PER_SLOT; i++) claim(table, slot).stage = STAGE_READY;
    }
    table.countRestart(1);
    table.countSent(2, 1);
    const row = table.current(1) as WorkerRow;
    row.pid = row.handled = 7;
    table.clearRows();
    expect(row).to.include({ pid: 0, stage: STAGE_NONE, handled: 0 });
    for (const slot of [0, 1, 2]) expect(table.claimRow(slot)).to.not.equal(null);
    expect([table.restarts(1), table.queued(2)], 'those of the slots stay').to.deep.equal([1, 1]);
  });

  it('counts restarts for each slot', () => {
    table.countRestart(1);
    table.countRestart(1);
    table.countRestart(2);
    expect([0, 1, 2].map((slot) => table.restarts(slot))).to.deep.equal([0, 2, 1]);
  });

  it('knows how many messages wait: sent less taken', () => {
    for (let i = 0; i < 5; i++) table.countSent(1, 1);
    table.countSent(1, -1);
    table.countTaken(1, 1);
    expect([0, 1, 2].map((slot) => table.queued(slot))).to.deep.equal([0, 3, 0]);
    table.countTaken(1, -1);
    expect(table.queued(1)).to.equal(4);
  });

  it('is never below none, and starts anew when a slot is found empty', () => {
    table.countTaken(0, 1);
    expect(table.queued(0)).to.equal(0);
    table.countSent(0, 1);
    table.countSent(0, 1);
    expect(table.queued(0)).to.equal(1);
    table.noteEmpty(0);
    table.countSent(0, 1);
    expect(table.queued(0)).to.equal(1);
  });

  it('names the stages in the order of a life', () => {
    const stages = [STAGE_NONE, STAGE_STARTING, STAGE_READY, STAGE_DRAINING, STAGE_DETACHED];
    expect(stages.map((stage) => STAGE_NAMES[stage])).to.deep.equal([
      'none',
      'starting',
      'ready',
      'draining',
      'detached',
    ]);
  });
});
