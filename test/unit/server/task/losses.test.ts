import { expect } from 'chai';
import sinon from 'sinon';
import { TASK_MARK } from '../../../../lib/server/bus/message';
import type { TaskError } from '../../../../lib/server/task/task-errors';
import type { Message } from './fake-bus';
import { DEATH, errorOf, FIRST, Rig, SECOND } from './rig';

/** Rows of the first task worker: of the process that dies, and of another one with the same id. */
const ROW = FIRST * 4;
const SECOND_ROW = ROW + 1;
const SUCCESSOR = 101;

/** What a promise came to, as far as it has. */
class Outcome {
  value: unknown = 'open';

  constructor(promise: Promise<unknown>) {
    promise.then(
      (value) => (this.value = value),
      (error: unknown) => (this.value = (error as TaskError).code),
    );
  }
}

describe('a task worker dies', () => {
  let rig: Rig;

  beforeEach(() => {
    rig = new Rig();
    rig.board.claim(ROW, DEATH.pid);
  });

  afterEach(() => {
    sinon.restore();
  });

  const submit = (): Outcome => new Outcome(rig.client.taskAsync('x', { dst: 0 }));

  /** The worker that dies takes the next task. */
  function take(row = ROW): Message {
    const task = rig.take(FIRST);
    rig.board.holding(row, task.from, task.id);
    return task;
  }

  async function turn(): Promise<void> {
    rig.turn();
    await new Promise(setImmediate);
  }

  /** A successor takes what is queued: tasks are answered, marks sent back. */
  function serve(row = ROW): void {
    while (rig.queued(FIRST) > 0) {
      rig.board.taking(row);
      const message = rig.take(FIRST);
      if (message.type === TASK_MARK) rig.returnMark(message);
      else rig.done(message, 'served');
      rig.board.idle(row);
    }
  }

  describe('with a task in hand', () => {
    it('it is lost at once; those behind it are not', async () => {
      const [lost, queued] = [submit(), submit()];
      take();
      rig.die(FIRST);
      await turn();
      expect([lost.value, queued.value]).to.deep.equal(['ERR_WORKER_DIED', 'open']);
      expect(rig.queued(FIRST)).to.equal(1);
      rig.board.claim(ROW, SUCCESSOR);
      serve();
      await turn();
      expect(queued.value).to.equal('served');
    });

    it('the error tells all that is known', async () => {
      const promise = rig.client.taskAsync('x', { dst: 0 });
      take();
      rig.die(FIRST, { pid: DEATH.pid, code: 3, signal: 0 });
      rig.turn();
      const error = await promise.then(
        () => null,
        (rejection: unknown) => rejection,
      );
      expect(error).to.include({
        ...{ code: 'ERR_WORKER_DIED', taskId: 0, workerId: FIRST },
        ...{ pid: DEATH.pid, exitCode: 3, signal: 0 },
      });
    });

    it('a plain task is told as a warning', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      rig.client.task('x', 0);
      take();
      rig.die(FIRST);
      await turn();
      sinon.assert.calledOnce(warn);
      expect(warn.firstCall.args[1]).to.have.property('code', 'PREFORK_TASK_LOST');
      expect(rig.client.unsettled).to.equal(0);
    });

    it('its answer that has left before counts', async () => {
      const outcome = submit();
      rig.done(take(), 'in time');
      rig.die(FIRST);
      await turn();
      expect(outcome.value).to.equal('in time');
    });

    it('a task of another process is none of ours', async () => {
      const outcome = submit();
      rig.board.holding(ROW, rig.replyAddress + 1, 0);
      rig.die(FIRST);
      await turn();
      expect(outcome.value).to.equal('open');
    });

    it('a caller that blocks hears of it', () => {
      rig.network.whileBlocked = () => {
        take();
        rig.die(FIRST);
      };
      const error = errorOf(() => rig.client.taskwait('x', 500, 0));
      expect(error).to.include({ code: 'ERR_WORKER_DIED', pid: DEATH.pid });
    });

    it('taskWaitMulti leaves it out', () => {
      sinon.stub(process, 'emitWarning');
      rig.network.whileBlocked = () => {
        if (rig.queued(FIRST) === 0) return;
        take();
        rig.die(FIRST);
        rig.done(rig.take(SECOND), 'b');
      };
      expect([...rig.client.taskWaitMulti(['a', 'b'])]).to.deep.equal([[1, 'b']]);
    });
  });

  describe('between two steps', () => {
    it('the task it had just taken is lost, once its successor serves', async () => {
      const [lost, queued] = [submit(), submit()];
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.die(FIRST);
      await turn();
      expect(lost.value).to.equal('open');
      rig.board.claim(ROW, SUCCESSOR);
      serve();
      await turn();
      await turn();
      expect([lost.value, queued.value]).to.deep.equal(['ERR_WORKER_DIED', 'served']);
    });

    it('nothing is lost when it had taken nothing', async () => {
      const queued = submit();
      rig.board.taking(ROW);
      rig.die(FIRST);
      await turn();
      rig.board.claim(ROW, SUCCESSOR);
      serve();
      await turn();
      await turn();
      expect(queued.value).to.equal('served');
    });

    it('what a living process of the same worker has in hand is not lost', async () => {
      rig.board.claim(SECOND_ROW, SUCCESSOR);
      const [running, lost] = [submit(), submit()];
      const task = take(SECOND_ROW);
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.die(FIRST);
      await turn();
      rig.board.claim(ROW, SUCCESSOR + 1);
      serve();
      await turn();
      await turn();
      expect([running.value, lost.value]).to.deep.equal(['open', 'ERR_WORKER_DIED']);
      rig.done(task, 'done');
      await turn();
      expect(running.value).to.equal('done');
    });

    it('waits while another process of the worker is between two steps', async () => {
      rig.board.claim(SECOND_ROW, SUCCESSOR);
      const [running, lost] = [submit(), submit()];
      rig.board.taking(SECOND_ROW);
      const task = rig.take(FIRST);
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.die(FIRST);
      await turn();
      rig.board.claim(ROW, SUCCESSOR + 1);
      serve();
      await turn();
      await turn();
      expect([running.value, lost.value]).to.deep.equal(['open', 'open']);
      rig.board.holding(SECOND_ROW, task.from, task.id);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await turn();
      expect([running.value, lost.value]).to.deep.equal(['open', 'ERR_WORKER_DIED']);
    });

    it('an answer that came while it was looked for counts', async () => {
      rig.board.claim(SECOND_ROW, SUCCESSOR);
      const outcome = submit();
      const task = take(SECOND_ROW);
      rig.board.taking(ROW);
      rig.die(FIRST);
      await turn();
      const mark = rig.take(FIRST);
      rig.returnMark(mark);
      rig.done(task, 'in time');
      rig.board.idle(SECOND_ROW);
      await turn();
      await turn();
      expect(outcome.value).to.equal('in time');
    });

    it('a mark that dies with its worker is sent again', async () => {
      const lost = submit();
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.die(FIRST);
      await turn();
      rig.board.claim(ROW, SUCCESSOR);
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.die(FIRST, { ...DEATH, pid: SUCCESSOR });
      await turn();
      rig.board.claim(ROW, SUCCESSOR + 1);
      serve();
      await turn();
      await turn();
      expect(lost.value).to.equal('ERR_WORKER_DIED');
    });

    it('answers that had not left are lost', async () => {
      const lost = submit();
      take();
      rig.board.setUnsent(ROW, true);
      rig.board.idle(ROW);
      rig.die(FIRST);
      await turn();
      rig.board.claim(ROW, SUCCESSOR);
      serve();
      await turn();
      await turn();
      expect(lost.value).to.equal('ERR_WORKER_DIED');
    });

    it('a caller that blocks hears of it; others are not judged by what it has not read', async () => {
      const other = submit();
      const early = rig.take(FIRST);
      let step = 0;
      rig.network.whileBlocked = () => {
        if (step++ > 0) {
          rig.board.claim(ROW, SUCCESSOR);
          serve();
          return;
        }
        rig.done(early, 'in time');
        rig.board.taking(ROW);
        rig.take(FIRST);
        rig.die(FIRST);
      };
      const error = errorOf(() => rig.client.taskwait('x', 500, 0));
      expect(error).to.have.property('code', 'ERR_WORKER_DIED');
      await turn();
      serve();
      await turn();
      await turn();
      expect(other.value).to.equal('in time');
    });

    it('a mark that finds no room is sent when there is some', async () => {
      const lost = submit();
      rig.board.taking(ROW);
      rig.take(FIRST);
      rig.network.full.add(FIRST);
      rig.die(FIRST);
      await turn();
      rig.network.full.clear();
      await new Promise((resolve) => setTimeout(resolve, 20));
      rig.board.claim(ROW, SUCCESSOR);
      serve();
      await turn();
      await turn();
      expect(lost.value).to.equal('ERR_WORKER_DIED');
    });
  });

  it('with nothing of ours: nothing happens', async () => {
    rig.die(FIRST);
    await turn();
    expect(rig.queued(FIRST)).to.equal(0);
  });

  it('in good order, before it has taken anything: its tasks are its successor’s', async () => {
    const queued = submit();
    rig.die(FIRST, { ...DEATH, signal: 0 });
    await turn();
    expect(rig.queued(FIRST)).to.equal(1);
    serve();
    await turn();
    expect(queued.value).to.equal('served');
  });

  it('event workers are no business of tasks', async () => {
    submit();
    rig.die(0);
    await turn();
    expect(rig.queued(FIRST)).to.equal(1);
  });
});
