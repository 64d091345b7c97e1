import { expect } from 'chai';
import sinon from 'sinon';
import { Addresses } from '../../../lib/server/bus/addresses';
import { CONTROL } from '../../../lib/server/bus/message';
import type { ServerContext } from '../../../lib/server/context';
import {
  ControlClient,
  EVENT_WORKER_DIED,
  READY,
  RELEASED,
  RELOAD,
  RELOAD_TASKS,
  REPLACE,
  SHUTDOWN,
  STOP,
} from '../../../lib/server/control';

const WORKER = 3;

describe('ControlClient', () => {
  const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 2, userNum: 0 }, false);
  const { manager, master } = addresses;
  const send = sinon.fake();
  const control = new ControlClient({ addresses, bus: { send } } as unknown as ServerContext);
  const { pid } = process;

  beforeEach(() => {
    send.resetHistory();
  });

  const calls: [name: string, call: () => void, to: number, id: number, what: number][] = [
    ['ready', () => control.ready(), manager, pid, READY],
    ['released', () => control.released(), manager, pid, RELEASED],
    ['replace', () => control.replace(), manager, pid, REPLACE],
    ['reload', () => control.reload(false), manager, pid, RELOAD],
    ['reload of task workers', () => control.reload(true), manager, pid, RELOAD_TASKS],
    ['stopWorker', () => control.stopWorker(WORKER), manager, WORKER, STOP],
    ['shutdown', () => control.shutdown(), master, pid, SHUTDOWN],
    ['eventWorkerDied', () => control.eventWorkerDied(WORKER), master, WORKER, EVENT_WORKER_DIED],
  ];

  for (const [name, call, to, id, what] of calls) {
    it(`${name} goes to the ${to === master ? 'master' : 'manager'} at once`, () => {
      call();
      expect(send.args).to.deep.equal([[to, CONTROL, id, undefined, what]]);
    });
  }

  it('every request is another, and fits into the kind of a message', () => {
    const kinds = calls.map(([, , , , what]) => what);
    expect(new Set(kinds).size).to.equal(kinds.length);
    expect(Math.max(...kinds)).to.be.at.most(7);
  });
});
