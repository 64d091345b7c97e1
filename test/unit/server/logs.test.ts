import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { STAGE_READY, WorkerTable, type WorkerRow } from '../../../lib/pool/worker-table';
import { Process } from '../../../lib/process/process';
import { Addresses } from '../../../lib/server/bus/addresses';
import { REOPEN_LOGS } from '../../../lib/server/bus/message';
import type { ServerContext } from '../../../lib/server/context';
import { LogFile } from '../../../lib/server/log-file';
import { Logs } from '../../../lib/server/logs';
import { resolveServerSettings, type ServerOptions } from '../../../lib/server/settings';
import { SIGRTMIN } from '../../../lib/server/signals';
import type { SlowLog } from '../../../lib/server/slow-log';

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
    for (const logs of made) logs.close();
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

  it('leave stdout and stderr alone elsewhere; warnings of this library are in the log file', () => {
    const logs = make({ logFile: logFile() });
    expect(attach.called).to.equal(false);
    const warning = Object.assign(new Error('look'), { name: 'PreforkWarning', code: 'PREFORK_X' });
    process.listeners('warning').at(-1)?.(warning);
    process.listeners('warning').at(-1)?.(new Error('of others'));
    logs.write('a line');
    logs.close();
    const lines = readFileSync(logFile(), 'utf8').split('\n');
    expect(lines.map((line) => line.replace(/^\S+Z \d+ /, ''))).to.deep.equal([
      ...['PREFORK_X look', 'a line', ''],
    ]);
  });

  it('of a daemon get warnings by its stderr, once', () => {
    const before = process.listenerCount('warning');
    make({ logFile: logFile(), daemonize: true });
    expect(process.listenerCount('warning')).to.equal(before);
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

    it('are opened again when they were rotated before it was ready', () => {
      const logs = make({ logFile: logFile() });
      logs.catchUp();
      expect(reopen.called).to.equal(false);
      renameSync(logFile(), `${logFile()}.1`);
      writeFileSync(logFile(), '');
      logs.catchUp();
      expect(reopen.callCount).to.equal(1);
    });

    it('so is the slow log', () => {
      const logs = make({ requestSlowlogFile: slowlog() });
      const slowLog = logs.slowLog as SlowLog;
      const reopenSlowLog = sinon.stub(slowLog, 'reopen');
      renameSync(slowlog(), `${slowlog()}.1`);
      writeFileSync(slowlog(), '');
      logs.catchUp();
      expect(reopenSlowLog.callCount).to.equal(1);
    });

    it('take no signal where there are none', () => {
      make().reopenOnSignal();
      expect(signal.called).to.equal(false);
    });
  });

  describe('in the manager', () => {
    /** Event worker 0 to 2, task worker 3, user process 4; worker 1 does not run, 2 is not ready. */
    const addresses = new Addresses({ workerNum: 3, taskWorkerNum: 1, userNum: 1 }, false);
    let context: ServerContext;
    let send: sinon.SinonSpy;

    beforeEach(() => {
      const table = new WorkerTable(addresses.slots);
      for (const id of [0, 2, 3, 4]) {
        const row = table.claimRow(id) as WorkerRow;
        row.pid = 100 + id;
        if (id !== 2) row.stage = STAGE_READY;
      }
      table.claimRow(1);
      send = sinon.fake();
      context = { table, addresses, bus: { send } } as unknown as ServerContext;
    });

    it('workers that are ready are told by a signal, user processes by a message', () => {
      make({ requestSlowlogFile: slowlog() }).tellWorkers(context);
      expect(kill.args).to.deep.equal([
        [100, SIGRTMIN],
        [103, SIGRTMIN],
      ]);
      const row = context.table.current(4) as WorkerRow;
      expect(send.args).to.deep.equal([[addresses.row(row.index), REOPEN_LOGS, 0]]);
    });

    it('nobody is told where there are none: it would end them', () => {
      make().tellWorkers(context);
      expect(kill.called).to.equal(false);
    });
  });
});
