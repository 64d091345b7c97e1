import { expect } from 'chai';
import sinon from 'sinon';
import { decodePayload, encodePayload } from '../../../../lib/ipc/payload';
import { WorkerTable, type WorkerRow } from '../../../../lib/pool/worker-table';
import { Addresses } from '../../../../lib/server/bus/addresses';
import {
  FINISH,
  PIPE_MESSAGE,
  TASK,
  TASK_DONE,
  TASK_ERROR,
  TASK_MARK,
} from '../../../../lib/server/bus/message';
import { MailboxChannel } from '../../../../lib/server/task/mailbox-channel';
import { decodeError } from '../../../../lib/server/task/task-errors';
import { FOR_EVENT } from '../../../../lib/server/task/task-message';
import { TaskWorker } from '../../../../lib/server/task/task-worker';
import { FakeBus, FakeNetwork, type Message } from './fake-bus';
import { errorOf, FIRST, SIZES } from './rig';

type Handler = (taskId: number, source: number, data: unknown) => unknown;

/** Event worker 1. */
const SUBMITTER = 1;

class WorkerRig {
  readonly addresses = new Addresses(SIZES, false);
  readonly network = new FakeNetwork(this.addresses);
  readonly bus: FakeBus = this.network.bus(this.addresses.slot(FIRST));
  readonly table = new WorkerTable(this.addresses.slots);
  readonly row = this.table.claimRow(FIRST) as WorkerRow;
  readonly channel = new MailboxChannel(this.addresses, this.bus.real);
  readonly state = { stopping: false };
  readonly stop = sinon.stub();
  readonly pipeMessage = sinon.stub();
  readonly from = this.addresses.row(SUBMITTER * 4);
  readonly worker: TaskWorker;
  #nextId = 0;

  constructor(handler: Handler, settings = { taskMaxRequest: 0, taskMaxRequestGrace: 0 }) {
    this.worker = new TaskWorker({
      ...{ bus: this.bus.real, addresses: this.addresses, table: this.table, row: this.row },
      ...{ workerId: FIRST, settings, state: this.state, channel: this.channel, slowLog: null },
      stop: this.stop,
      call: { task: handler, pipeMessage: this.pipeMessage },
    });
    this.worker.start();
  }

  send(value: unknown, flags = 0, from = this.from): number {
    const { kind, data } = encodePayload(value);
    const id = this.#nextId++;
    this.table.countSent(FIRST, 1);
    this.network.mailbox(FIRST).push({ type: TASK, id, kind: kind | flags, from, data });
    return id;
  }

  /** What it has answered since the last call: type, id and value. */
  answers(address = this.from): [type: number, id: number, value: unknown][] {
    return this.network.mailbox(address).splice(0).map(readAnswer);
  }

  /** Some turns of the event loop, in which the mailbox is read. */
  async turns(): Promise<void> {
    for (let i = 0; i < 5; i++) {
      for (const inbox of this.bus.inboxes) inbox.drainIfListening();
      await new Promise(setImmediate);
    }
  }
}

function readAnswer({ type, id, kind, data }: Message): [number, number, unknown] {
  const value = type === TASK_ERROR ? decodeError(kind & 3, data) : decodePayload(kind & 3, data);
  return [type, id, value];
}

/** A promise that the test settles. */
class Deferred {
  resolve!: (value?: unknown) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

describe('TaskWorker', () => {
  afterEach(() => {
    sinon.restore();
  });

  describe('a handler', () => {
    it('is told the task, who has submitted it and its data', async () => {
      const handler = sinon.stub();
      const rig = new WorkerRig(handler);
      const id = rig.send({ a: 1 });
      await rig.turns();
      expect(handler.args).to.deep.equal([[id, SUBMITTER, { a: 1 }]]);
    });

    it('that the manager has given a task is told -1', async () => {
      const handler = sinon.stub();
      const rig = new WorkerRig(handler);
      rig.send('x', 0, rig.addresses.manager);
      await rig.turns();
      expect(handler.firstCall.args[1]).to.equal(-1);
    });

    for (const [what, value] of [
      ['nothing', undefined],
      ['null', null],
      ['zero', 0],
      ['an empty string', ''],
      ['a Buffer', Buffer.from('x')],
      ['an object', { deep: [new Map([[1, 2n]])] }],
    ] as const) {
      it(`answers with ${what} that it returns`, async () => {
        const rig = new WorkerRig(() => value);
        const id = rig.send('x');
        await rig.turns();
        expect(rig.answers()).to.deep.equal([[TASK_DONE, id, value]]);
      });

      it(`answers with ${what} that its promise resolves to`, async () => {
        const rig = new WorkerRig(() => Promise.resolve(value));
        const id = rig.send('x');
        await rig.turns();
        expect(rig.answers()).to.deep.equal([[TASK_DONE, id, value]]);
      });
    }

    it('may return anything that has a then()', async () => {
      const thenable = {
        then: (resolve: (value: unknown) => void) => {
          resolve('later');
        },
      };
      const rig = new WorkerRig(() => thenable);
      const id = rig.send('x');
      await rig.turns();
      expect(rig.answers()).to.deep.equal([[TASK_DONE, id, 'later']]);
    });

    it('that fails costs its task, not the worker', async () => {
      const failing: Handler = (id) => {
        if (id === 0) throw Object.assign(new RangeError('sync'), { code: 'E_OWN' });
        return id === 1 ? Promise.reject(new Error('async')) : 'fine';
      };
      const rig = new WorkerRig(failing);
      for (let i = 0; i < 3; i++) rig.send('x');
      await rig.turns();
      const [first, second, third] = rig.answers();
      expect(first?.[0]).to.equal(TASK_ERROR);
      expect(first?.[2]).to.include({ name: 'RangeError', message: 'sync', code: 'E_OWN' });
      expect(second?.[2]).to.include({ name: 'Error', message: 'async' });
      expect(third).to.deep.equal([TASK_DONE, 2, 'fine']);
    });

    it('whose result cannot be cloned has failed', async () => {
      const rig = new WorkerRig(() => () => 0);
      rig.send('x');
      await rig.turns();
      const [answer] = rig.answers();
      expect(answer?.[0]).to.equal(TASK_ERROR);
      expect((answer?.[2] as Error).message).to.include('could not be cloned');
    });

    it('costs its task also with a result or an error that throws when it is looked at', async () => {
      const rig = new WorkerRig((id) => {
        if (id > 0) throw Object.assign(Object.create(null), { inside: () => 0 });
        return {
          get then() {
            throw new Error('of the getter');
          },
        };
      });
      rig.send('x');
      rig.send('x');
      await rig.turns();
      const answers = rig.answers();
      expect(answers.map(([type]) => type)).to.deep.equal([TASK_ERROR, TASK_ERROR]);
      expect(answers[0]?.[2]).to.include({ message: 'of the getter' });
    });

    it('of data that cannot be read has failed', async () => {
      const handler = sinon.stub();
      const rig = new WorkerRig(handler);
      rig.network
        .mailbox(FIRST)
        .push({ type: TASK, id: 9, kind: 2, from: rig.from, data: Buffer.from('no') });
      await rig.turns();
      expect(rig.answers()[0]?.slice(0, 2)).to.deep.equal([TASK_ERROR, 9]);
      sinon.assert.notCalled(handler);
    });

    it('is not called for data that cannot be read, and who waits is told', async () => {
      const handler = sinon.stub();
      const rig = new WorkerRig(handler);
      rig.worker.unreadable(0, 7, rig.from, new Error('gone'));
      await rig.turns();
      const [answer] = rig.answers();
      expect(answer?.slice(0, 2)).to.deep.equal([TASK_ERROR, 7]);
      expect(answer?.[2]).to.include({ message: 'gone' });
      expect([rig.row.taken, rig.row.handled, rig.row.busy]).to.deep.equal([1, 1, 0]);
      sinon.assert.notCalled(handler);
    });

    it('that is asynchronous ends before the next task is taken', async () => {
      const pending = [new Deferred(), new Deferred()];
      const started: number[] = [];
      const rig = new WorkerRig((id) => {
        started.push(id);
        return pending[id]?.promise;
      });
      rig.send('x');
      rig.send('y');
      await rig.turns();
      expect(started).to.deep.equal([0]);
      expect(rig.network.mailbox(FIRST).length).to.equal(1);
      pending[0]?.resolve('a');
      await rig.turns();
      expect(started).to.deep.equal([0, 1]);
      pending[1]?.reject(new Error('b'));
      await rig.turns();
      expect(rig.answers().map(([type]) => type)).to.deep.equal([TASK_DONE, TASK_ERROR]);
    });
  });

  describe('finish()', () => {
    it('gives results while the handler runs, and the handler its own at the end', async () => {
      const rig: WorkerRig = new WorkerRig(() => {
        expect(rig.worker.finish('a')).to.equal(true);
        rig.worker.finish(undefined);
        return 'returned';
      });
      const id = rig.send('x');
      await rig.turns();
      expect(rig.answers()).to.deep.equal([
        [FINISH, id, 'a'],
        [FINISH, id, undefined],
        [TASK_DONE, id, 'returned'],
      ]);
    });

    it('is one result also for a handler that returns what it returns', async () => {
      const rig: WorkerRig = new WorkerRig((id) => {
        const returned = rig.worker.finish('a');
        return id === 0 ? returned : Promise.resolve(returned);
      });
      rig.send('x');
      rig.send('x');
      await rig.turns();
      expect(rig.answers()).to.deep.equal([
        [FINISH, 0, 'a'],
        [TASK_DONE, 0, undefined],
        [FINISH, 1, 'a'],
        [TASK_DONE, 1, undefined],
      ]);
    });

    it('leaves a handler without it its true', async () => {
      const rig = new WorkerRig(() => true);
      rig.send('x');
      await rig.turns();
      expect(rig.answers()).to.deep.equal([[TASK_DONE, 0, true]]);
    });

    it('finds its task also after the handler has ended, while another one runs', async () => {
      const pending = new Deferred();
      const late = new Deferred();
      const rig: WorkerRig = new WorkerRig((id) => {
        if (id > 0) return pending.promise;
        setImmediate(() => late.resolve(rig.worker.finish('late')));
        return undefined;
      });
      rig.send('x', FOR_EVENT);
      rig.send('y');
      await rig.turns();
      expect(await late.promise).to.equal(true);
      expect(rig.answers()).to.deep.equal([
        [TASK_DONE, 0, undefined],
        [FINISH, 0, 'late'],
      ]);
      pending.resolve();
    });

    it('tells that nobody hears it after the handler has ended, but for the finish event', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      const late = new Deferred();
      const rig: WorkerRig = new WorkerRig(() => {
        setImmediate(() => late.resolve([rig.worker.finish('late'), rig.worker.finish('later')]));
      });
      rig.send('x');
      await rig.turns();
      expect(await late.promise).to.deep.equal([false, false]);
      expect(rig.answers()).to.deep.equal([[TASK_DONE, 0, undefined]]);
      expect(warn.args.map(([, options]) => options)).to.deep.equal([
        { type: 'PreforkWarning', code: 'PREFORK_LATE_FINISH' },
      ]);
      expect(warn.firstCall.args[0]).to.match(
        /^finish\(\) for task 0 came after .*Return a promise/,
      );
    });

    it('is not worth a word when the task has had its result', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      const late = new Deferred();
      const rig: WorkerRig = new WorkerRig(() => {
        setImmediate(() => late.resolve(rig.worker.finish('another')));
        return 'result';
      });
      rig.send('x');
      await rig.turns();
      expect(await late.promise).to.equal(false);
      expect(warn.called).to.equal(false);
    });

    it('passes on whether the result is for the finish event', async () => {
      const rig: WorkerRig = new WorkerRig(() => rig.worker.finish('a'));
      rig.send('x', FOR_EVENT);
      await rig.turns();
      expect(rig.network.mailbox(rig.from).map(({ kind }) => kind & FOR_EVENT)).to.deep.equal([
        FOR_EVENT,
        FOR_EVENT,
      ]);
    });

    it('throws outside a task, and what cannot be cloned', async () => {
      let thrown: unknown;
      const rig: WorkerRig = new WorkerRig(() => {
        thrown = errorOf(() => rig.worker.finish(() => 0));
      });
      expect(errorOf(() => rig.worker.finish('x'))).to.have.property(
        'code',
        'ERR_TASK_NOT_RUNNING',
      );
      rig.send('x');
      await rig.turns();
      expect((thrown as Error).message).to.include('could not be cloned');
    });

    it('throws in pipeMessage', async () => {
      const rig = new WorkerRig(() => 0);
      rig.pipeMessage.callsFake(() => rig.worker.finish('x'));
      const { kind, data } = encodePayload('x');
      rig.network.mailbox(FIRST).push({ type: PIPE_MESSAGE, id: 0, kind, from: 3, data });
      const error = errorOf(() => {
        rig.bus.inboxes[0]?.drain();
      });
      expect(error).to.have.property('code', 'ERR_TASK_NOT_RUNNING');
    });
  });

  describe('a task from outside', () => {
    it('is run; its results are for nobody, its error is a warning', async () => {
      const warn = sinon.stub(process, 'emitWarning');
      const results: unknown[] = [];
      const rig: WorkerRig = new WorkerRig((_, source, data) => {
        results.push([source, data, rig.worker.finish('x')]);
        throw new Error('of the handler');
      });
      rig.send('outside', 0, -1);
      await rig.turns();
      expect(results).to.deep.equal([[-1, 'outside', false]]);
      sinon.assert.calledOnce(warn);
    });
  });

  it('sends marks back, in order with its answers', async () => {
    const rig = new WorkerRig(() => 'x');
    rig.send('x');
    rig.network
      .mailbox(FIRST)
      .push({ type: TASK_MARK, id: 77, kind: 0, from: rig.from, data: Buffer.from('m') });
    rig.send('y');
    await rig.turns();
    expect(rig.network.mailbox(rig.from).map(({ type, id }) => [type, id])).to.deep.equal([
      [TASK_DONE, 0],
      [TASK_MARK, 77],
      [TASK_DONE, 1],
    ]);
  });

  it('hands over messages of others', async () => {
    const rig = new WorkerRig(() => 'x');
    const { kind, data } = encodePayload('hello');
    rig.network.mailbox(FIRST).push({ type: PIPE_MESSAGE, id: 0, kind, from: 3, data });
    await rig.turns();
    expect(rig.pipeMessage.args).to.deep.equal([[kind, 3, data]]);
  });

  it('counts what it does, and shows what it has in hand', async () => {
    const pending = new Deferred();
    const rig = new WorkerRig(() => pending.promise);
    const id = rig.send('x');
    expect(rig.table.queued(FIRST)).to.equal(1);
    await rig.turns();
    const { row, table, channel } = rig;
    expect([row.taken, row.handled, row.busy, table.queued(FIRST)]).to.deep.equal([1, 0, 1, 0]);
    expect(row.busySince).to.be.greaterThan(0);
    expect(channel.board.holds(FIRST, rig.from, id)).to.equal(true);
    pending.resolve();
    await rig.turns();
    expect([row.taken, row.handled, row.busy, row.busySince]).to.deep.equal([1, 1, 0, 0]);
    expect(channel.board.holds(FIRST, rig.from, id)).to.equal(false);
    expect(channel.board.isUnsure(FIRST)).to.equal(false);
  });

  it('shows as long as answers of its have not left', async () => {
    const rig = new WorkerRig(() => 'x');
    rig.network.full.add(rig.from);
    rig.send('x');
    await rig.turns();
    expect(rig.channel.board.isUnsure(FIRST)).to.equal(true);
    rig.bus.release();
    await rig.turns();
    expect(rig.channel.board.isUnsure(FIRST)).to.equal(false);
    expect(rig.answers().length).to.equal(1);
  });

  describe('taskMaxRequest', () => {
    async function run(settings: { taskMaxRequest: number; taskMaxRequestGrace: number }) {
      const rig = new WorkerRig(() => 'x', settings);
      let ended = 0;
      rig.stop.callsFake(() => {
        ended = rig.row.handled;
        void rig.worker.drain();
      });
      for (let i = 0; i < 50; i++) rig.send('x');
      await rig.turns();
      expect(rig.answers().length).to.equal(ended);
      return ended;
    }

    it('ends the worker after so many tasks', async () => {
      expect(await run({ taskMaxRequest: 10, taskMaxRequestGrace: 0 })).to.equal(10);
    });

    it('adds up to the grace at random', async () => {
      for (let i = 0; i < 10; i++) {
        const ended = await run({ taskMaxRequest: 10, taskMaxRequestGrace: 5 });
        expect(ended).to.be.within(11, 15);
      }
    });
  });

  describe('drain()', () => {
    it('waits for the task that runs, and leaves the others', async () => {
      const pending = new Deferred();
      const rig = new WorkerRig(() => pending.promise);
      rig.send('x');
      rig.send('y');
      await rig.turns();
      let drained = false;
      const draining = rig.worker.drain().then(() => (drained = true));
      await rig.turns();
      expect(drained).to.equal(false);
      pending.resolve('x');
      await draining;
      await rig.turns();
      expect(rig.answers()).to.deep.equal([[TASK_DONE, 0, 'x']]);
      expect(rig.network.mailbox(FIRST).length).to.equal(1);
    });

    it('takes all that is queued when nobody comes after it', async () => {
      const rig = new WorkerRig((id) => (id % 2 === 0 ? Promise.resolve(id) : id));
      for (let i = 0; i < 5; i++) rig.send('x');
      rig.state.stopping = true;
      await rig.worker.drain();
      expect(rig.answers().map(([, id]) => id)).to.deep.equal([0, 1, 2, 3, 4]);
    });

    it('does so also when that is known only while it drains', async () => {
      const pending = new Deferred();
      const rig = new WorkerRig((id) => (id === 0 ? pending.promise : id));
      rig.send('x');
      rig.send('y');
      await rig.turns();
      const draining = rig.worker.drain();
      rig.state.stopping = true;
      pending.resolve(0);
      await draining;
      expect(rig.answers().map(([, id]) => id)).to.deep.equal([0, 1]);
    });

    it('waits until its answers have left', async () => {
      const rig = new WorkerRig(() => 'x');
      rig.network.full.add(rig.from);
      rig.send('x');
      await rig.turns();
      let drained = false;
      const draining = rig.worker.drain().then(() => (drained = true));
      await rig.turns();
      expect(drained).to.equal(false);
      rig.bus.release();
      await draining;
    });
  });
});
