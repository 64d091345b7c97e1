import { expect } from 'chai';
import { ROWS_PER_SLOT } from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';

/** Event workers 0 to 2, task workers 3 and 4, user process 5. */
const SIZES = { workerNum: 3, taskWorkerNum: 2, userNum: 1 };
const SLOTS = 6;
const ROWS = SLOTS * ROWS_PER_SLOT;

describe('Addresses', () => {
  const addresses = new Addresses(SIZES, false);
  const slots = Array.from({ length: SLOTS }, (_, id) => addresses.slot(id));
  const rows = Array.from({ length: ROWS }, (_, index) => addresses.row(index));

  it('numbers all mailboxes from 0 on, each once: slots, rows, manager, master', () => {
    const all = [...slots, ...rows, addresses.manager, addresses.master];
    expect(all).to.deep.equal(Array.from({ length: addresses.count }, (_, address) => address));
  });

  it('has one mailbox for manager and master when they are one process', () => {
    const base = new Addresses(SIZES, true);
    expect(base.master).to.equal(base.manager).and.to.equal(addresses.manager);
    expect(base.count).to.equal(addresses.count - 1);
  });

  it('knows the worker of a slot and of each of its rows', () => {
    expect(slots.map((address) => addresses.workerOf(address))).to.deep.equal([0, 1, 2, 3, 4, 5]);
    const ofRows = rows.map((address) => addresses.workerOf(address));
    expect(ofRows).to.deep.equal(rows.map((_, index) => Math.floor(index / ROWS_PER_SLOT)));
  });

  it('knows no worker of manager and master', () => {
    expect(addresses.workerOf(addresses.manager)).to.equal(-1);
    expect(addresses.workerOf(addresses.master)).to.equal(-1);
  });

  it('tells event workers, task workers and user processes apart', () => {
    const ids = [-1, 0, 1, 2, 3, 4, 5, 6];
    expect(ids.filter((id) => addresses.isTaskWorker(id))).to.deep.equal([3, 4]);
    expect(ids.filter((id) => addresses.isUserProcess(id))).to.deep.equal([5]);
  });

  it('has no mailbox for the rows of task workers, and one for all else', () => {
    const missing = Array.from({ length: addresses.count }, (_, address) => address).filter(
      (address) => !addresses.exists(address),
    );
    const first = addresses.row(3 * ROWS_PER_SLOT);
    const rowsOfTaskWorkers = Array.from({ length: 2 * ROWS_PER_SLOT }, (_, i) => first + i);
    expect(missing).to.deep.equal(rowsOfTaskWorkers);
  });

  it('works for a server of one event worker', () => {
    const one = new Addresses({ workerNum: 1, taskWorkerNum: 0, userNum: 0 }, true);
    expect(one).to.include({ slots: 1, manager: 1 + ROWS_PER_SLOT, count: 2 + ROWS_PER_SLOT });
    expect([one.isTaskWorker(0), one.isUserProcess(0)]).to.deep.equal([false, false]);
  });
});
