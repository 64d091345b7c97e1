import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { systemError } from '../../../lib/errors';
import type { SharedPipe } from '../../../lib/pool/worker-process';
import { Process } from '../../../lib/process/process';
import { ServerContext, type ContextParts } from '../../../lib/server/context';
import { ServerCallbacks } from '../../../lib/server/events';
import type { Logs } from '../../../lib/server/logs';
import type { ServerPort } from '../../../lib/server/port';
import type { Server } from '../../../lib/server/server';
import { resolveServerSettings, type ServerOptions } from '../../../lib/server/settings';
import { fakeKernel, removeFakes, type FakeKernel } from '../fake-kernel';
import { fakeSockets, makePort } from './fake-ports';

const nothing = (): void => undefined;
const WORKERS: ServerOptions = { workerNum: 2, taskWorkerNum: 1 };

describe('ServerContext', () => {
  let kernel: FakeKernel;
  let ports: ServerPort[];
  let callbacks: ServerCallbacks;

  const make = (options: ServerOptions = {}, parts: Partial<ContextParts> = {}): ServerContext => {
    const { mode = 'process' } = parts;
    return new ServerContext({
      ...{ server: {} as Server, mode, callbacks, ports, users: [] },
      settings: resolveServerSettings({ ...WORKERS, ...options }, mode, {
        cpus: 4,
        openFiles: 1000,
      }),
      logs: { slowLog: null, close: () => undefined } as unknown as Logs,
      ...parts,
    });
  };

  beforeEach(() => {
    kernel = fakeKernel();
    fakeSockets(kernel);
    ports = [makePort(), makePort()];
    callbacks = new ServerCallbacks();
  });
  afterEach(removeFakes);

  it('has a slot for each event worker, task worker and user process', () => {
    const users = [{ process: {} as Process, pipe: null }];
    const { addresses } = make({}, { users });
    expect(addresses).to.include({ workerNum: 2, taskWorkerNum: 1, slots: 4 });
    expect(addresses.isUserProcess(3)).to.equal(true);
  });

  it('holds as many sessions as may connect', () => {
    expect(make({ maxConnection: 7 }).sessions.maxConnection).to.equal(7);
  });

  describe('portCallback', () => {
    it('of the port comes before that of the server', () => {
      const own = (): void => undefined;
      callbacks.set('receive', nothing);
      ports[1]?.on('receive', own);
      const context = make();
      expect(context.portCallback(0, 'receive')).to.equal(nothing);
      expect(context.portCallback(1, 'receive')).to.equal(own);
      expect(context.portCallback(0, 'close')).to.equal(undefined);
    });
  });

  describe('reactorAddress', () => {
    it('in process mode is the master, which is not the manager', () => {
      const context = make();
      const { addresses } = context;
      expect(context.reactorAddress(0)).to.equal(addresses.master);
      expect(addresses.master).to.not.equal(addresses.manager);
    });

    it('in base mode is the row of the worker that holds the connection', () => {
      const context = make({}, { mode: 'base' });
      const { addresses } = context;
      expect([0, 5].map((row) => context.reactorAddress(row))).to.deep.equal([
        addresses.row(0),
        addresses.row(5),
      ]);
      expect(addresses.master).to.equal(addresses.manager);
    });
  });

  describe('cpuOf', () => {
    beforeEach(() => {
      sinon.stub(Process, 'getAffinity').returns([0, 2, 3, 5]);
    });

    it('is none when workers are not bound', () => {
      expect(make().cpuOf(0)).to.equal(null);
    });

    it('goes round the CPUs that this process may use', () => {
      const context = make({ openCpuAffinity: true });
      expect([0, 1, 2, 3, 4].map((id) => context.cpuOf(id))).to.deep.equal([0, 2, 3, 5, 0]);
    });

    it('leaves out those that are to be ignored', () => {
      const context = make({ openCpuAffinity: true, cpuAffinityIgnore: [0, 3] });
      expect([0, 1, 2].map((id) => context.cpuOf(id))).to.deep.equal([2, 5, 2]);
    });

    it('is none when all are to be ignored', () => {
      const context = make({ openCpuAffinity: true, cpuAffinityIgnore: [0, 2, 3] });
      (Process.getAffinity as sinon.SinonStub).returns([2, 3]);
      expect(context.cpuOf(0)).to.equal(null);
    });
  });

  describe('close', () => {
    it('closes all that it has made, its ports, its logs and the pipes of user processes', () => {
      const closeBoth = sinon.fake();
      const close = sinon.fake();
      const users = [
        { process: {} as Process, pipe: { closeBoth } as unknown as SharedPipe },
        { process: {} as Process, pipe: null },
      ];
      make({}, { users, logs: { close } as unknown as Logs }).close();
      expect(kernel.openFds.size).to.equal(0);
      expect([closeBoth.callCount, close.callCount]).to.deep.equal([1, 1]);
    });

    it('closeListening() leaves the mailboxes open', () => {
      const context = make();
      const before = kernel.openFds.size;
      context.closeListening();
      expect(kernel.openFds.size).to.equal(before - 2);
      context.close();
      expect(kernel.openFds.size).to.equal(0);
    });
  });

  it('leaves nothing open when the queues of tasks cannot be made', () => {
    sinon.stub(binding, 'mqOpen').throws(systemError('ENOSPC', 'mq_open', 'no space'));
    const before = kernel.openFds.size;
    expect(() => make({ taskIpcMode: 2 })).to.throw('ENOSPC');
    expect(kernel.openFds.size).to.equal(before);
  });
});
