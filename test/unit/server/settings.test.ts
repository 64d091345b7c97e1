import { availableParallelism, tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { expect } from 'chai';
import {
  mergeServerOptions,
  portOptionsOf,
  resolveServerSettings,
  thisMachine,
  type Machine,
  type ServerMode,
  type ServerOptions,
} from '../../../lib/server/settings';
import { thrownBy } from '../fake-kernel';

const MACHINE: Machine = { cpus: 6, openFiles: 1_000_000 };

const checked = (options: ServerOptions) => mergeServerOptions({}, options);

/** As with set() and a start. */
function settingsOf(options: ServerOptions, mode: ServerMode = 'process', machine = MACHINE) {
  return resolveServerSettings(checked(options), mode, machine);
}

describe('settings of a server', () => {
  it('have defaults', () => {
    expect(settingsOf({})).to.deep.equal({
      workerNum: 6,
      taskWorkerNum: 0,
      taskIpcMode: 1,
      taskMaxRequest: 0,
      taskMaxRequestGrace: 0,
      maxRequest: 0,
      maxRequestGrace: 0,
      dispatchMode: 2,
      dispatchFunc: null,
      enableUnsafeEvent: false,
      discardTimeoutRequest: false,
      messageQueueKey: 0,
      taskTmpdir: tmpdir(),
      reloadAsync: true,
      maxWaitTime: 3000,
      requestSlowlogFile: null,
      requestSlowlogTimeout: 1000,
      traceEventWorker: false,
      openCpuAffinity: false,
      cpuAffinityIgnore: [],
      outputBufferSize: 0xffffffff,
      maxConnection: 100_000,
      daemonize: false,
      pidFile: null,
      logFile: null,
    });
  });

  it('are kept as they are set', () => {
    const options: ServerOptions = {
      workerNum: 3,
      taskWorkerNum: 4096,
      taskIpcMode: 4,
      taskMaxRequest: 7,
      taskMaxRequestGrace: 8,
      maxRequest: 9,
      maxRequestGrace: 10,
      dispatchMode: 7,
      dispatchFunc: () => 0,
      enableUnsafeEvent: true,
      discardTimeoutRequest: true,
      messageQueueKey: 0xffffffff,
      taskTmpdir: '/var/tmp',
      reloadAsync: false,
      maxWaitTime: 0,
      requestSlowlogFile: '/var/slow.log',
      requestSlowlogTimeout: 1,
      traceEventWorker: true,
      openCpuAffinity: true,
      cpuAffinityIgnore: [0, 2],
      outputBufferSize: 1,
      maxConnection: 1,
      daemonize: true,
      pidFile: '/run/a.pid',
      logFile: '/var/a.log',
      user: 'nobody',
      group: 65534,
      chroot: '/srv',
    };
    expect(settingsOf(options)).to.deep.equal(options);
  });

  it('have files in the folder of the start, where a daemon does not stay', () => {
    const { pidFile, logFile, requestSlowlogFile } = settingsOf({
      ...{ pidFile: 'a.pid', logFile: 'b.log', requestSlowlogFile: 'c.log' },
    });
    const inFolder = ['a.pid', 'b.log', 'c.log'].map((name) => resolve(name));
    expect([pidFile, logFile, requestSlowlogFile]).to.deep.equal(inFolder);
  });

  it('have one worker in base mode, and one per CPU for 0', () => {
    expect(settingsOf({}, 'base').workerNum).to.equal(1);
    expect(settingsOf({ workerNum: 0 }, 'base').workerNum).to.equal(6);
    expect(settingsOf({ workerNum: 0 }).workerNum).to.equal(6);
    expect(settingsOf({ workerNum: 2 }, 'base').workerNum).to.equal(2);
  });

  it('spread the last requests of workers over half of a limit above 10', () => {
    const grace = (options: ServerOptions) => {
      const { maxRequestGrace, taskMaxRequestGrace } = settingsOf(options);
      return [maxRequestGrace, taskMaxRequestGrace];
    };
    expect(grace({ maxRequest: 11, taskMaxRequest: 10 })).to.deep.equal([5, 0]);
    expect(grace({ maxRequest: 10, taskMaxRequest: 200 })).to.deep.equal([0, 100]);
    expect(grace({ maxRequest: 12, maxRequestGrace: 0 })).to.deep.equal([0, 0]);
  });

  it('allow no more connections than the process may have files', () => {
    const few = { cpus: 1, openFiles: 1024 };
    expect(settingsOf({}, 'process', few).maxConnection).to.equal(1024);
    expect(settingsOf({ maxConnection: 5000 }, 'process', few).maxConnection).to.equal(1024);
    expect(settingsOf({ maxConnection: 500 }, 'process', few).maxConnection).to.equal(500);
    const endless = { cpus: 1, openFiles: Infinity };
    expect(settingsOf({}, 'process', endless).maxConnection).to.equal(100_000);
  });

  it('leave a CPU to bind workers to', () => {
    const two = { cpus: 2, openFiles: 100 };
    expect(settingsOf({ cpuAffinityIgnore: [1, 1] }, 'base', two).cpuAffinityIgnore).to.have.length(
      1,
    );
    const all = () => settingsOf({ cpuAffinityIgnore: [0, 1] }, 'base', two);
    expect(thrownBy(all, 'ERR_OUT_OF_RANGE').message).to.include('this machine has 2');
  });

  const OUT_OF_RANGE: [keyof ServerOptions, unknown, string][] = [
    ['workerNum', -1, '0 to 4096'],
    ['workerNum', 4097, '0 to 4096'],
    ['taskWorkerNum', 4097, '0 to 4096'],
    ['taskIpcMode', 5, '1, 2, 3 or 4'],
    ['taskMaxRequest', -1, '0 to 2147483647'],
    ['maxRequest', 1.5, '0 to 2147483647'],
    ['dispatchMode', 6, '1, 2, 3, 4, 5 or 7'],
    ['messageQueueKey', 2 ** 32, '0 to 4294967295'],
    ['taskTmpdir', '', 'must not be empty'],
    ['pidFile', 'a\0b', 'zero byte'],
    ['maxWaitTime', Infinity, '0 to 2147483647'],
    ['requestSlowlogTimeout', 0, '1 to 2147483647'],
    ['cpuAffinityIgnore', [-1], '0 to 1023'],
    ['outputBufferSize', 0, '1 to 4294967295'],
    ['maxConnection', 1_048_577, '1 to 1048576'],
    ['user', -1, '0 to 4294967294'],
    ['group', '', 'must not be empty'],
    ['backlog', 65536, '0 to 65535'],
    ['packageEof', '', '1 to 8 bytes'],
  ];
  for (const [name, value, limits] of OUT_OF_RANGE) {
    it(`refuse ${name} ${JSON.stringify(value)}, naming it and the limits`, () => {
      const { message } = thrownBy(() => checked({ [name]: value }), 'ERR_OUT_OF_RANGE');
      expect(message).to.include(name).and.include(limits);
    });
  }

  it('refuse values of a wrong type, naming the setting', () => {
    for (const name of [...Object.keys(settingsOf({})), 'user', 'group', 'chroot', 'backlog']) {
      const wrong = { [name]: { an: 'object' } };
      const { message } = thrownBy(() => checked(wrong), 'ERR_INVALID_ARG_TYPE');
      expect(message).to.match(new RegExp(`^${name} must be`));
    }
  });

  it('refuse what is no object', () => {
    for (const wrong of [null, undefined, 5, 'workerNum', [1]]) {
      thrownBy(() => checked(wrong as never), 'ERR_INVALID_ARG_TYPE');
    }
  });

  it('name the nearest setting for an unknown one', () => {
    const nearestOf = (name: string) =>
      /nearest is "(\w+)"/.exec(
        thrownBy(() => checked({ [name]: 1 } as ServerOptions), 'ERR_UNKNOWN_OPTION').message,
      )?.[1];
    expect(nearestOf('workernum')).to.equal('workerNum');
    expect(nearestOf('task_worker_num')).to.equal('taskWorkerNum');
    expect(nearestOf('heartbeatIdle')).to.equal('heartbeatIdleTime');
    expect(nearestOf('constructor')).to.be.a('string');
  });

  it('set nothing when one of them is wrong', () => {
    const before = checked({ workerNum: 2 });
    thrownBy(() => mergeServerOptions(before, { workerNum: 3, backlog: -1 }), 'ERR_OUT_OF_RANGE');
    expect(before).to.deep.equal({ workerNum: 2 });
  });

  it('keep what was set before', () => {
    const options = mergeServerOptions(checked({ workerNum: 2, backlog: 7 }), { workerNum: 3 });
    expect(options).to.deep.equal({ workerNum: 3, backlog: 7 });
  });

  it('hold those of ports, which ports can be given', () => {
    const options = checked({ workerNum: 2, backlog: 7, openEofSplit: true, user: 'nobody' });
    expect(portOptionsOf(options)).to.deep.equal({ backlog: 7, openEofSplit: true });
    expect(settingsOf(options)).not.to.have.any.keys('backlog', 'openEofSplit');
  });

  it('accept a dispatchFunc of any server', () => {
    class Some {
      readonly name = 'some';
    }
    const options: ServerOptions<Some> = { dispatchFunc: (server) => server.name.length };
    expect(resolveServerSettings(mergeServerOptions({}, options), 'base', MACHINE))
      .to.have.property('dispatchFunc')
      .that.equals(options.dispatchFunc);
  });
});

describe('thisMachine', () => {
  it('knows the CPUs and the limit of open files', () => {
    const { cpus, openFiles } = thisMachine();
    expect(cpus).to.equal(availableParallelism());
    expect(openFiles).to.be.greaterThan(20);
  });
});
