import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { WorkerTable, type WorkerRow } from '../../../lib/pool/worker-table';
import { Process } from '../../../lib/process/process';
import { Addresses } from '../../../lib/server/bus/addresses';
import type { ServerContext } from '../../../lib/server/context';
import { LogFile } from '../../../lib/server/log-file';
import { Logs } from '../../../lib/server/logs';
import { resolveServerSettings, type ServerOptions } from '../../../lib/server/settings';
import { SIGRTMIN } from '../../../lib/server/signals';

describe('Logs', () => {
  let folder: string;
  let attach: sinon.SinonStub;
  let reopen: sinon.SinonStub;
  let signal: sinon.SinonStub;
  let kill: sinon.SinonStub;
  let made: Logs[];

  const make = (options: ServerOptions = {}): Logs => {
    const logs = new Logs(resolveServerSettings(options, 'process'));
    made.push(logs);
    return logs;
  };
  const logFile = (): string => join(folder, 'server.log');
  const slowlog = (): string => join(folder, 'slow.log');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
    attach = sinon.stub(LogFile.prototype, 'attach');
    reopen = sinon.stub(LogFile.prototype, 'reopen');
    signal = sinon.stub(Process, 'signal');
    kill = sinon.stub(Process, 'kill');
    made = [];
  });
  afterEach(() => {
    sinon.restore();
    for (const { slowLog } of made) slowLog?.close();
    rmSync(folder, { recursive: true });
  });

  it('are none when none are set', () => {
    expect(make().slowLog).to.equal(null);
    expect(readdirSync(folder)).to.deep.equal([]);
    expect(attach.called).to.equal(false);
  });

  it('open the slow log', () => {
    expect(make({ requestSlowlogFile: slowlog() }).slowLog?.file).to.equal(slowlog());
    expect(readdirSync(folder)).to.deep.equal(['slow.log']);
  });

  it('make the log file stdout and stderr of a daemon', () => {
    make({ logFile: logFile(), daemonize: true });
    expect(attach.callCount).to.equal(1);
    expect(readdirSync(folder)).to.deep.equal(['server.log']);
  });

  it('leave stdout and stderr alone in a terminal', () => {
    make({ logFile: logFile() });
    expect(attach.called).to.equal(false);
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('throw when a file cannot be opened', () => {
    const missing = join(folder, 'missing', 'file');
    expect(() => make({ requestSlowlogFile: missing })).to.throw('ENOENT');
    expect(() => make({ logFile: missing, daemonize: true })).to.throw('ENOENT');
  });

  describe('after a rotation', () => {
    it('both files are opened again', () => {
      const logs = make({
        requestSlowlogFile: slowlog(),
        logFile: logFile(),
        daemonize: true,
      });
      rmSync(slowlog());
      logs.reopen();
      expect(reopen.callCount).to.equal(1);
      expect(readdirSync(folder)).to.include('slow.log');
    });

    it('a slow log that cannot be opened is a warning', () => {
      const warn = sinon.stub(process, 'emitWarning');
      const logs = make({ requestSlowlogFile: slowlog() });
      sinon
        .stub(logs.slowLog as object as { reopen: () => void }, 'reopen')
        .throws(new Error('no'));
      logs.reopen();
      expect(warn.args.map(([message]) => message as unknown)).to.deep.equal([
        'a log was not opened again: no',
      ]);
    });

    it('none is opened where there is none', () => {
      make().reopen();
      expect(reopen.called).to.equal(false);
    });
  });

  describe('in a worker', () => {
    it('are opened again at SIGRTMIN', () => {
      make({ logFile: logFile(), daemonize: true }).reopenOnSignal();
      expect(signal.args.map(([signo]) => signo as number)).to.deep.equal([SIGRTMIN]);
      expect(reopen.called).to.equal(false);
      (signal.firstCall.args[1] as () => void)();
      expect(reopen.callCount).to.equal(1);
    });

    it('take no signal where there are none', () => {
      make().reopenOnSignal();
      expect(signal.called).to.equal(false);
    });
  });

  describe('in the manager', () => {
    /** Event worker 0 and 1, task worker 2, user process 3; worker 1 does not run. */
    const addresses = new Addresses({ workerNum: 2, taskWorkerNum: 1, userNum: 1 }, false);
    let context: ServerContext;

    beforeEach(() => {
      const table = new WorkerTable(addresses.slots);
      for (const id of [0, 2, 3]) (table.claimRow(id) as WorkerRow).pid = 100 + id;
      table.claimRow(1);
      context = { table, addresses } as unknown as ServerContext;
    });

    it('event workers and task workers are told, user processes are not: it would end them', () => {
      make({ requestSlowlogFile: slowlog() }).tellWorkers(context);
      expect(kill.args).to.deep.equal([
        [100, SIGRTMIN],
        [102, SIGRTMIN],
      ]);
    });

    it('nobody is told where there are none: it would end them', () => {
      make().tellWorkers(context);
      expect(kill.called).to.equal(false);
    });
  });
});
