import { expect } from 'chai';
import { TaskBoard } from '../../../../lib/server/task/task-board';

const SLOT = 1;
const ROW = 5;
const PID = 4711;
const FROM = 9;

describe('TaskBoard', () => {
  let board: TaskBoard;

  beforeEach(() => {
    board = new TaskBoard(2);
    board.claim(ROW, PID);
  });

  it('tells the task that a worker had when it ended', () => {
    board.taking(ROW);
    board.holding(ROW, FROM, 0xfffffff0);
    expect(board.bury(SLOT, PID)).to.deep.equal({
      task: { from: FROM, id: 0xfffffff0 },
      unsure: false,
    });
  });

  it('tells that there was none', () => {
    board.taking(ROW);
    board.holding(ROW, FROM, 3);
    board.idle(ROW);
    expect(board.bury(SLOT, PID)).to.deep.equal({ task: null, unsure: false });
  });

  it('is not sure of a worker that was reading its queue', () => {
    board.taking(ROW);
    expect(board.bury(SLOT, PID)).to.deep.equal({ task: null, unsure: true });
  });

  it('is not sure of a worker whose answers had not left', () => {
    board.setUnsent(ROW, true);
    expect(board.bury(SLOT, PID)).to.deep.equal({ task: null, unsure: true });
    board.claim(ROW, PID + 1);
    expect(board.isUnsure(SLOT)).to.equal(false);
  });

  it('tells the same to everybody who asks', () => {
    board.holding(ROW, FROM, 3);
    expect(board.bury(SLOT, PID)).to.deep.equal(board.bury(SLOT, PID));
  });

  it('knows nothing of a worker whose row has been taken by its successor', () => {
    board.holding(ROW, FROM, 3);
    board.claim(ROW, PID + 1);
    expect(board.bury(SLOT, PID)).to.equal(null);
    expect(board.holds(SLOT, FROM, 3)).to.equal(false);
  });

  it('tells who holds a task, as long as that lives', () => {
    board.holding(ROW, FROM, 3);
    expect(board.holds(SLOT, FROM, 3)).to.equal(true);
    expect(board.holds(SLOT, FROM, 4)).to.equal(false);
    expect(board.holds(SLOT, FROM + 1, 3)).to.equal(false);
    expect(board.holds(0, FROM, 3)).to.equal(false);
    board.bury(SLOT, PID);
    expect(board.holds(SLOT, FROM, 3)).to.equal(false);
  });

  it('tells who has not been buried', () => {
    expect(board.living(SLOT)).to.deep.equal([PID]);
    board.bury(SLOT, PID);
    expect(board.living(SLOT)).to.deep.equal([]);
  });

  it('is not sure while a living worker reads its queue', () => {
    expect(board.isUnsure(SLOT)).to.equal(false);
    board.taking(ROW);
    expect(board.isUnsure(SLOT)).to.equal(true);
    expect(board.isUnsure(0)).to.equal(false);
    board.bury(SLOT, PID);
    expect(board.isUnsure(SLOT)).to.equal(false);
  });

  it('goes on counting its states for ever', () => {
    for (let i = 0; i < 1000; i++) {
      board.taking(ROW);
      board.holding(ROW, FROM, i);
      expect(board.holds(SLOT, FROM, i)).to.equal(true);
      board.idle(ROW);
    }
  });

  it('counts what a process has not seen settled, for its successor', () => {
    board.addUnsettled(ROW, 3);
    board.addUnsettled(ROW, -1);
    expect(board.takeUnsettled(ROW)).to.equal(2);
    expect(board.takeUnsettled(ROW)).to.equal(0);
  });
});
