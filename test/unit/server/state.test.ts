import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { ROWS_PER_SLOT } from '../../../lib/pool/worker-table';
import {
  ACCEPTED,
  CLOSED,
  DISPATCHED,
  REFUSED,
  REQUESTS,
  RESPONSES,
  ROUND,
  ServerState,
  TASK_ROUND,
  TASKING,
  TASKS,
} from '../../../lib/server/state';

const COUNTERS = [
  ...[ROUND, TASK_ROUND, ACCEPTED, CLOSED, REFUSED],
  ...[REQUESTS, RESPONSES, DISPATCHED, TASKS, TASKING],
];
const SLOTS = 3;
const ROWS = SLOTS * ROWS_PER_SLOT + 1;

describe('ServerState', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('is empty at first', () => {
    const state = new ServerState(SLOTS);
    expect(state).to.include({ masterPid: 0, managerPid: 0, stopping: false, startedAt: 0 });
    expect(COUNTERS.map((counter) => state.count(counter))).to.deep.equal(COUNTERS.map(() => 0));
  });

  it('has a place of its own for each field, each counter and the task ids of each row', () => {
    const state = new ServerState(SLOTS);
    Object.assign(state, { masterPid: 11, managerPid: 22, startedAt: 1.8e12, stopping: true });
    COUNTERS.forEach((counter, i) => state.add(counter, 100 + i));
    for (let row = 0; row < ROWS; row++) {
      for (let i = 0; i <= row; i++) state.nextTaskId(row);
    }
    expect(state).to.include({ masterPid: 11, managerPid: 22, startedAt: 1.8e12, stopping: true });
    COUNTERS.forEach((counter, i) => {
      expect(state.count(counter), String(counter)).to.equal(100 + i);
    });
    for (let row = 0; row < ROWS; row++) {
      expect(state.nextTaskId(row), `row ${String(row)}`).to.equal(row + 1);
    }
  });

  it('add() returns what was there before', () => {
    const state = new ServerState(1);
    expect([state.add(ROUND), state.add(ROUND), state.add(TASKING, -5)]).to.deep.equal([0, 1, 0]);
    expect(state.count(TASKING)).to.equal(-5);
  });

  it('stopping can be taken back', () => {
    const state = new ServerState(1);
    state.stopping = true;
    state.stopping = false;
    expect(state.stopping).to.equal(false);
  });

  it('counters and task ids wrap at 2^32', () => {
    const memory = sinon.spy(binding, 'mapShared');
    const state = new ServerState(1);
    const words = new Int32Array(memory.firstCall.returnValue as ArrayBuffer);
    expect(state.nextTaskId(0)).to.equal(0);
    words.fill(-1);
    expect(state.nextTaskId(0)).to.equal(0xffffffff);
    expect(state.nextTaskId(0)).to.equal(0);
    expect(state.add(ACCEPTED)).to.equal(-1);
    expect(state.count(ACCEPTED)).to.equal(0);
  });
});
