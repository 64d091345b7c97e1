import { expect } from 'chai';
import sinon from 'sinon';
import { STAGE_DRAINING } from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';
import { FINISH, IN_MEMORY, TASK, TASK_DONE } from '../../../../lib/server/bus/message';
import { TASKING, TASKS } from '../../../../lib/server/state';
import type { TaskAsyncOptions } from '../../../../lib/server/task/task-client';
import { errorOf, FIRST, Rig, SECOND } from './rig';

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}

describe('TaskClient', () => {
  let rig: Rig;

  beforeEach(() => {
    rig = new Rig();
  });

  afterEach(() => {
    sinon.restore();
  });

  describe('task()', () => {
    it('sends the data to a task worker', () => {
      const id = rig.client.task({ a: [1] }, 0);
      const task = rig.take(FIRST);
      expect(rig.dataOf(task)).to.deep.equal({ a: [1] });
      expect([task.id, task.from]).to.deep.equal([id, rig.replyAddress]);
    });

    it('gives ids that are unique for its row', () => {
      const ids = [1, 2, 3].map(() => rig.client.task('x'));
      const successor = new Rig({ state: rig.state });
      expect(new Set([...ids, successor.client.task('x')]).size).to.equal(4);
    });

    it('calls the finish event for each result', () => {
      const id = rig.client.task('x', 0);
      const task = rig.take(FIRST);
      rig.finish(task, 'first');
      rig.finish(task, undefined);
      rig.done(task, 'returned');
      rig.turn();
      expect(rig.finished).to.deep.equal([
        [id, 'first'],
        [id, undefined],
        [id, 'returned'],
      ]);
    });

    it('calls nothing when the handler returned nothing', () => {
      rig.client.task('x', 0);
      rig.done(rig.take(FIRST));
      rig.turn();
      expect(rig.finished).to.deep.equal([]);
      expect(rig.client.unsettled).to.equal(0);
    });

    it('calls the finish event for what finish() gives after the handler has ended', () => {
      const id = rig.client.task('x', 0);
      const task = rig.take(FIRST);
      rig.done(task);
      rig.finish(task, 'late');
      rig.turn();
      expect(rig.finished).to.deep.equal([[id, 'late']]);
    });

    it('calls a callback in place of the finish event', () => {
      const results: unknown[] = [];
      const id = rig.client.task('x', 0, (...args) => results.push(args));
      rig.done(rig.take(FIRST), 0);
      rig.turn();
      expect(results).to.deep.equal([[id, 0]]);
      expect(rig.finished).to.deep.equal([]);
    });

    it('takes null for a callback as none', () => {
      rig.client.task('x', 0, null);
      rig.done(rig.take(FIRST), 1);
      rig.turn();
      expect(rig.finished.length).to.equal(1);
    });

    it('goes on with other results when a callback throws', async () => {
      const unhandled = sinon.stub(process, 'emit').returns(true as never);
      rig.client.task('x', 0, () => {
        throw new Error('of the callback');
      });
      rig.client.task('y', 0);
      rig.done(rig.take(FIRST), 1);
      rig.done(rig.take(FIRST), 2);
      rig.turn();
      await new Promise(setImmediate);
      expect(rig.finished.length).to.equal(1);
      expect(unhandled.calledWith('unhandledRejection' as never)).to.equal(true);
    });

    it('warns of an error that nobody waits for', () => {
      const warn = sinon.stub(process, 'emitWarning');
      const id = rig.client.task('x', 0);
      rig.fail(rig.take(FIRST), new TypeError('of the handler'));
      rig.turn();
      sinon.assert.calledOnce(warn);
      expect(warn.firstCall.args[0]).to.include(`task ${id}`).and.include('of the handler');
      expect(warn.firstCall.args[1]).to.have.property('code', 'PREFORK_TASK_FAILED');
      expect(rig.client.unsettled).to.equal(0);
    });

    it('passes on what cannot be cloned, and sends nothing', () => {
      expect(() => rig.client.task(() => 0, 0)).to.throw('could not be cloned');
      expect(rig.queued(FIRST) + rig.queued(SECOND)).to.equal(0);
      expect(rig.client.unsettled).to.equal(0);
    });

    it('refuses a worker that there is not, and a callback that is none', () => {
      for (const dst of [-2, 2, 1.5]) {
        expect(errorOf(() => rig.client.task('x', dst))).to.have.property(
          'code',
          'ERR_OUT_OF_RANGE',
        );
      }
      const notOne = 'x' as unknown as () => void;
      expect(errorOf(() => rig.client.task('x', 0, notOne))).to.have.property(
        'code',
        'ERR_INVALID_ARG_TYPE',
      );
    });

    it('refuses more than may wait for room, and counts nothing of it', () => {
      rig.network.full.add(FIRST);
      const megabytes = Buffer.alloc(40 * 1024 * 1024);
      rig.client.task(megabytes, 0);
      const error = errorOf(() => rig.client.task(megabytes, 0));
      expect(error).to.have.property('code', 'ERR_TASK_QUEUE_FULL');
      expect(rig.client.unsettled).to.equal(1);
      expect(rig.table.queued(FIRST)).to.equal(1);
    });

    it('puts large data into memory, until the task is settled', () => {
      const data = Buffer.alloc(100_000, 'large');
      rig.client.task(data, 0);
      const task = rig.take(FIRST);
      expect(task.type).to.equal(TASK | IN_MEMORY);
      const { memory } = rig.channel;
      expect(memory.used).to.equal(2);
      expect(memory.take(task.data)?.equals(data)).to.equal(true);
      rig.client.task(data, 0);
      const killed = rig.take(FIRST);
      rig.done(killed);
      rig.turn();
      expect(memory.used).to.equal(0);
    });

    it('takes large results out of memory', () => {
      const id = rig.client.task('x', 0);
      const task = rig.take(FIRST);
      const data = Buffer.alloc(100_000, 'large');
      const { memory } = rig.channel;
      for (const type of [FINISH, TASK_DONE]) {
        const reference = memory.put(data) as Buffer;
        rig.answer(type | IN_MEMORY, task, { kind: 0, data: reference });
      }
      rig.turn();
      expect(rig.finished).to.deep.equal([
        [id, data],
        [id, data],
      ]);
      expect([memory.used, rig.client.unsettled]).to.deep.equal([0, 0]);
    });

    it('is lost when its result is gone from memory', async () => {
      const result = rig.client.taskAsync('x', { dst: 0 });
      const task = rig.take(FIRST);
      const reference = rig.channel.memory.put(Buffer.alloc(100_000)) as Buffer;
      rig.channel.memory.free(reference);
      rig.answer(TASK_DONE | IN_MEMORY, task, { kind: 0, data: reference });
      rig.turn();
      expect(await rejectionOf(result)).to.have.property('code', 'ERR_WORKER_DIED');
    });

    it('may be larger than that alone', () => {
      rig.client.task(Buffer.alloc(65 * 1024 * 1024), 0);
      expect(rig.queued(FIRST)).to.equal(1);
    });
  });

  describe('choice of a worker', () => {
    it('is in turn while all are idle', () => {
      for (let i = 0; i < 4; i++) {
        rig.client.task('x');
        const slot = rig.queued(FIRST) > 0 ? FIRST : SECOND;
        rig.done(rig.take(slot));
        expect(slot).to.equal(i % 2 === 0 ? FIRST : SECOND);
      }
    });

    it('prefers one that is idle', () => {
      const row = rig.table.current(FIRST);
      if (row !== null) row.busy = 1;
      for (let i = 0; i < 3; i++) {
        rig.client.task('x');
        rig.take(SECOND);
      }
    });

    it('leaves out those that are leaving or have tasks queued', () => {
      const row = rig.table.current(FIRST);
      if (row !== null) row.stage = STAGE_DRAINING;
      rig.client.task('x');
      expect(rig.queued(SECOND)).to.equal(1);
      if (row !== null) row.stage = 2;
      rig.client.task('x');
      expect(rig.queued(FIRST)).to.equal(1);
    });

    it('goes on in turn when none is idle, and says so', () => {
      let told = 0;
      const busy = new Rig({ call: { finish: () => 0, allBusy: () => told++ } });
      for (let i = 0; i < 6; i++) busy.client.task('x');
      expect([busy.queued(FIRST), busy.queued(SECOND)]).to.deep.equal([3, 3]);
      expect(told).to.equal(4);
    });
  });

  describe('taskwait()', () => {
    it('returns the result', () => {
      rig.network.whileBlocked = () => {
        rig.done(rig.take(FIRST), { ok: true });
      };
      expect(rig.client.taskwait('x', 500, 0)).to.deep.equal({ ok: true });
      expect(rig.client.unsettled).to.equal(0);
      expect(rig.finished).to.deep.equal([]);
    });

    it('does not wait for the end of a handler that has called finish()', () => {
      let task = rig.network.mailbox(FIRST)[0];
      rig.network.whileBlocked = () => {
        task = rig.take(FIRST);
        rig.finish(task, 'early');
      };
      expect(rig.client.taskwait('x', 500, 0)).to.equal('early');
      expect(rig.client.unsettled).to.equal(1);
      if (task !== undefined) rig.done(task, 'returned');
      rig.turn();
      expect(rig.client.unsettled).to.equal(0);
      expect(rig.finished).to.deep.equal([]);
    });

    it('returns undefined when the handler returned nothing', () => {
      rig.network.whileBlocked = () => {
        rig.done(rig.take(FIRST));
      };
      expect(rig.client.taskwait('x', 500, 0)).to.equal(undefined);
    });

    it('returns undefined when the time is over, and the late result reaches nobody', () => {
      expect(rig.client.taskwait('late', 1, 0)).to.equal(undefined);
      const late = rig.take(FIRST);
      rig.network.whileBlocked = () => {
        rig.finish(late, 'late');
        rig.done(late, 'late');
        rig.network.whileBlocked = () => {
          rig.done(rig.take(FIRST), 'own');
        };
      };
      expect(rig.client.taskwait('next', 500, 0)).to.equal('own');
      rig.turn();
      expect(rig.finished).to.deep.equal([]);
      expect(rig.client.unsettled).to.equal(0);
    });

    it('throws the error of the handler', () => {
      rig.network.whileBlocked = () => {
        rig.fail(rig.take(FIRST), Object.assign(new TypeError('no'), { code: 'E_OWN' }));
      };
      const error = errorOf(() => rig.client.taskwait('x', 500, 0)) as Error;
      expect(error).to.include({ code: 'ERR_TASK_FAILED', taskId: 0, workerId: FIRST });
      expect(error.cause).to.include({ name: 'TypeError', message: 'no', code: 'E_OWN' });
      expect((error.cause as Error).stack).to.include('task-client.test');
    });

    it('throws what was thrown when that is no error', () => {
      rig.network.whileBlocked = () => {
        rig.fail(rig.take(FIRST), { own: 1 });
      };
      const error = errorOf(() => rig.client.taskwait('x', 500, 0)) as Error;
      expect(error.cause).to.deep.equal({ own: 1 });
    });

    it('leaves what comes for others to the event loop, in order', () => {
      const results: unknown[] = [];
      rig.client.task('a', 0);
      rig.client.task('b', 0, (_, data) => results.push(data));
      const others = [rig.take(FIRST), rig.take(FIRST)];
      rig.network.whileBlocked = () => {
        for (const other of others) rig.done(other, rig.dataOf(other));
        rig.done(rig.take(FIRST), 'own');
      };
      expect(rig.client.taskwait('own', 500, 0)).to.equal('own');
      expect([rig.finished, results]).to.deep.equal([[], []]);
      rig.turn();
      expect([rig.finished, results]).to.deep.equal([[[0, 'a']], ['b']]);
    });

    it('returns undefined when there was no room in time: the task is never run', () => {
      rig.network.full.add(FIRST);
      expect(rig.client.taskwait('x', 5, 0)).to.equal(undefined);
      expect(rig.client.unsettled).to.equal(0);
      expect(rig.table.queued(FIRST)).to.equal(0);
    });

    it('is not for processes that must not block', () => {
      const manager = new Rig({ inbox: null });
      for (const call of ['taskwait', 'taskWaitMulti'] as const) {
        const error = errorOf(() => manager.client[call]([]));
        expect(error).to.have.property('code', 'ERR_TASK_WORKER_ONLY');
      }
    });

    it('refuses timeouts that are none', () => {
      for (const timeout of [-1, 0.5, Infinity, NaN]) {
        expect(errorOf(() => rig.client.taskwait('x', timeout))).to.have.property(
          'code',
          'ERR_OUT_OF_RANGE',
        );
      }
    });
  });

  describe('taskWaitMulti()', () => {
    it('returns results by index, whatever their order', () => {
      rig.network.whileBlocked = () => {
        for (const slot of [SECOND, FIRST]) {
          while (rig.queued(slot) > 0) {
            const task = rig.take(slot);
            rig.done(task, `${String(rig.dataOf(task))}!`);
          }
        }
      };
      const results = rig.client.taskWaitMulti(['a', 'b', 'c']);
      expect([...results].sort()).to.deep.equal([
        [0, 'a!'],
        [1, 'b!'],
        [2, 'c!'],
      ]);
    });

    it('leaves out what is late or has failed', () => {
      const warn = sinon.stub(process, 'emitWarning');
      let round = 0;
      rig.network.whileBlocked = () => {
        if (round++ > 0) return;
        rig.done(rig.take(FIRST), 'a');
        rig.fail(rig.take(SECOND), new Error('b'));
      };
      const results = rig.client.taskWaitMulti(['a', 'b', 'c'], 1);
      expect([...results]).to.deep.equal([[0, 'a']]);
      sinon.assert.calledOnce(warn);
    });

    it('returns nothing for nothing', () => {
      expect(rig.client.taskWaitMulti([]).size).to.equal(0);
    });

    it('sends nothing when one cannot be cloned', () => {
      expect(() => rig.client.taskWaitMulti(['a', () => 0])).to.throw('could not be cloned');
      expect(rig.queued(FIRST) + rig.queued(SECOND)).to.equal(0);
    });
  });

  describe('taskAsync()', () => {
    it('resolves with the result', async () => {
      const result = rig.client.taskAsync('x', { dst: 0 });
      rig.done(rig.take(FIRST), null);
      rig.turn();
      expect(await result).to.equal(null);
    });

    it('resolves with the first result only', async () => {
      const result = rig.client.taskAsync('x', { dst: 0 });
      const task = rig.take(FIRST);
      rig.finish(task, 1);
      rig.finish(task, 2);
      rig.done(task, 3);
      rig.turn();
      expect(await result).to.equal(1);
      expect(rig.finished).to.deep.equal([]);
    });

    it('warns when a handler fails after its result', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      const result = rig.client.taskAsync('x', { dst: 0 });
      const task = rig.take(FIRST);
      rig.finish(task, 1);
      rig.fail(task, new Error('after that'));
      rig.turn();
      expect(await result).to.equal(1);
      sinon.assert.calledOnce(warn);
    });

    it('rejects with the error of the handler', async () => {
      const result = rig.client.taskAsync('x', { dst: 0 });
      rig.fail(rig.take(FIRST), new Error('no'));
      rig.turn();
      expect(await rejectionOf(result)).to.have.property('code', 'ERR_TASK_FAILED');
    });

    it('rejects when the time is over', async () => {
      const result = rig.client.taskAsync('x', { dst: 0, timeout: 1 });
      const error = await rejectionOf(result);
      expect(error).to.include({ code: 'ERR_TASK_TIMEOUT', taskId: 0, workerId: FIRST });
      rig.done(rig.take(FIRST), 'late');
      rig.turn();
      expect(rig.client.unsettled).to.equal(0);
    });

    it('rejects when it is aborted, and takes its listeners back', async () => {
      const { signal, abort } = abortable();
      const result = rig.client.taskAsync('x', { signal, timeout: 10_000 });
      abort(new Error('enough'));
      expect(await rejectionOf(result)).to.have.property('message', 'enough');
      await rig.client.idle();
    });

    it('rejects with the reason, whatever that is', async () => {
      const { signal, abort } = abortable();
      const result = rig.client.taskAsync('x', { signal });
      abort(null);
      expect(await rejectionOf(result)).to.equal(null);
    });

    it('submits nothing when it is aborted already, or its options are wrong', async () => {
      const { signal, abort } = abortable();
      abort(new Error('enough'));
      await rejectionOf(rig.client.taskAsync('x', { signal }));
      await rejectionOf(rig.client.taskAsync('x', { timeout: -1 }));
      await rejectionOf(rig.client.taskAsync('x', { dst: 7 }));
      for (const options of [null, 5, { signal: {} }, { signal: null }]) {
        const error = await rejectionOf(rig.client.taskAsync('x', options as TaskAsyncOptions));
        expect(error).to.have.property('code', 'ERR_INVALID_ARG_TYPE');
      }
      expect(rig.client.unsettled).to.equal(0);
    });
  });

  describe('taskCo()', () => {
    it('resolves with all results in order, undefined where one failed or was late', async () => {
      sinon.stub(process, 'emitWarning');
      const results = rig.client.taskCo(['a', 'b', 'c'], 20);
      rig.done(rig.take(FIRST), 'A');
      rig.fail(rig.take(SECOND), new Error('b'));
      rig.turn();
      expect(await results).to.deep.equal(['A', undefined, undefined]);
    });

    it('resolves as soon as all are there', async () => {
      const results = rig.client.taskCo(['a', 'b'], 0x7fffffff);
      rig.done(rig.take(FIRST), 'A');
      rig.done(rig.take(SECOND));
      rig.turn();
      expect(await results).to.deep.equal(['A', undefined]);
    });

    it('resolves with nothing for nothing', async () => {
      expect(await rig.client.taskCo([])).to.deep.equal([]);
    });

    it('takes an array with holes', async () => {
      const holes: unknown[] = [];
      holes[1] = 'b';
      const results = rig.client.taskCo(holes, 0x7fffffff);
      rig.done(rig.take(FIRST));
      rig.done(rig.take(SECOND), 'B');
      rig.turn();
      expect(await results).to.deep.equal([undefined, 'B']);
    });

    it('rejects where no task can be submitted at all', async () => {
      const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 0, userNum: 0 }, false);
      const without = new Rig({ addresses });
      expect(await rejectionOf(without.client.taskCo(['a', 'b']))).to.have.property(
        'code',
        'ERR_TASK_NO_WORKERS',
      );
    });
  });

  describe('idle()', () => {
    it('resolves when no result is waited for', async () => {
      await rig.client.idle();
      rig.client.task('x', 0);
      let idle = false;
      const waiting = rig.client.idle().then(() => (idle = true));
      await new Promise(setImmediate);
      expect(idle).to.equal(false);
      rig.done(rig.take(FIRST));
      rig.turn();
      await waiting;
    });

    it('does not wait for what nobody waits for any more', async () => {
      rig.client.taskwait('x', 0, 0);
      await rig.client.idle();
      expect(rig.client.unsettled).to.equal(1);
    });

    it('is told to who wants to know, once for many', () => {
      const told: boolean[] = [];
      const user = new Rig({ call: { finish: () => 0, awaiting: (on) => told.push(on) } });
      user.client.task('x', 0);
      user.client.task('y', 0);
      user.done(user.take(FIRST));
      user.turn();
      expect(told).to.deep.equal([true]);
      user.done(user.take(FIRST));
      user.turn();
      expect(told).to.deep.equal([true, false]);
    });
  });

  describe('counters', () => {
    it('tell the tasks of all processes, and those not settled', () => {
      rig.client.task('x', 0);
      rig.client.task('y', 0);
      rig.done(rig.take(FIRST));
      rig.turn();
      expect([rig.state.count(TASKS), rig.state.count(TASKING)]).to.deep.equal([2, 1]);
    });

    it('forget what a predecessor has not seen settled', () => {
      rig.client.task('x', 0);
      new Rig({ state: rig.state, channel: rig.channel });
      expect(rig.state.count(TASKING)).to.equal(0);
    });
  });

  it('says so when there are no task workers', () => {
    const { addresses } = new Rig();
    Object.assign(addresses, { taskWorkerNum: 0 });
    const without = new Rig({ addresses });
    expect(errorOf(() => without.client.task('x'))).to.have.property('code', 'ERR_TASK_NO_WORKERS');
  });

  it('leaves other messages to others', () => {
    expect(rig.client.handle(1, 0, 0, 0, Buffer.alloc(0))).to.equal(false);
  });
});

function abortable(): { signal: AbortSignal; abort: (reason: unknown) => void } {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    abort: (reason) => {
      controller.abort(reason);
    },
  };
}
