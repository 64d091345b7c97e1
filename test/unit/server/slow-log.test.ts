import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { onChildReset } from '../../../lib/process/child-reset';
import { SlowLog } from '../../../lib/server/slow-log';
import { freshAll, removeFakes, thrownBy } from '../fake-kernel';

const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;

// What native code sees.
const TICKET = 0;
const SLEEP = 1;
const OVERDUE = 2;
const REPORTED = 3;
const KIND = 4;
const FILE = 5;
const STARTED = 4;
const ID = 5;

const FOR_A_BEGIN = 1;

describe('SlowLog', () => {
  let folder: string;
  let file: string;
  let log: SlowLog;
  let words: Int32Array;
  let numbers: Float64Array;
  let start: sinon.SinonStub<[ArrayBuffer, number, number, number], boolean>;
  let stop: sinon.SinonStub;
  let wake: sinon.SinonStub;
  let late: sinon.SinonStub;
  let addKind: sinon.SinonStub<[string], number>;

  beforeEach(() => {
    folder = fs.mkdtempSync(join(tmpdir(), 'prefork-'));
    file = join(folder, 'slow.log');
    start = sinon.stub(binding, 'slowLogStart').callsFake((memory) => {
      words = new Int32Array(memory);
      numbers = new Float64Array(memory);
      return true;
    });
    stop = sinon.stub(binding, 'slowLogStop');
    wake = sinon.stub(binding, 'slowLogWake');
    late = sinon.stub(binding, 'slowLogLate');
    let kinds = 100;
    addKind = sinon.stub(binding, 'slowLogKind').callsFake(() => kinds++);
    log = SlowLog.open(file);
  });
  afterEach(() => {
    log.close();
    removeFakes();
    fs.rmSync(folder, { recursive: true });
  });

  const ticket = (): number => Atomics.load(words, TICKET);
  const isRequest = (): boolean => (ticket() & 1) === 1;

  describe('open', () => {
    it('makes a file that only its owner may read, to append to, closed on exec', () => {
      const umask = process.umask(0);
      try {
        const other = join(folder, 'other.log');
        SlowLog.open(other).close();
        expect(fs.statSync(other).mode & 0o777).to.equal(0o600);
      } finally {
        process.umask(umask);
      }
      const info = fs.readFileSync(`/proc/self/fdinfo/${String(log.fd)}`, 'utf8');
      const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '', 8);
      expect(flags & (O_APPEND | O_CLOEXEC)).to.equal(O_APPEND | O_CLOEXEC);
    });

    it('keeps what a file has', () => {
      fs.writeFileSync(file, 'before\n');
      SlowLog.open(file).close();
      expect(fs.readFileSync(file, 'utf8')).to.equal('before\n');
    });

    it('fails, with the path, when the file cannot be opened', () => {
      const { message } = thrownBy(() => SlowLog.open(join(folder, 'none', 'x')), 'ENOENT');
      expect(message).to.include(join(folder, 'none', 'x'));
      thrownBy(() => SlowLog.open(folder), 'EISDIR');
      thrownBy(() => SlowLog.open(1 as never), 'ERR_INVALID_ARG_TYPE');
    });

    it('knows the file also after the working directory has changed', () => {
      const before = process.cwd();
      process.chdir(folder);
      try {
        const relative = SlowLog.open('relative.log');
        process.chdir(before);
        expect(relative.file).to.equal(join(folder, 'relative.log'));
        relative.close();
      } finally {
        process.chdir(before);
      }
    });
  });

  describe('start', () => {
    it('gives native code timeout, worker and the time by which requests begin', () => {
      const before = performance.now();
      log.start(1000, 3);
      const [memory, timeout, worker, now] = start.firstCall.args;
      expect([memory.byteLength, timeout, worker]).to.deep.equal([48, 1000, 3]);
      expect(now).to.be.within(before, performance.now());
      expect([ticket(), words[FILE]]).to.deep.equal([0, log.fd]);
    });

    it('refuses a second one in the same process', () => {
      start.callsFake(() => false);
      thrownBy(() => {
        log.start(1000, 0);
      }, 'ERR_ALREADY_STARTED');
      log.begin('receive', 1);
      log.end();
      log.close();
      sinon.assert.notCalled(stop);
    });

    it('refuses a timeout and a worker that are none, and a closed log', () => {
      for (const timeout of [0, -1, 1.5, 2 ** 31]) {
        thrownBy(() => {
          log.start(timeout, 0);
        }, 'ERR_OUT_OF_RANGE');
      }
      thrownBy(() => {
        log.start(1, -1);
      }, 'ERR_OUT_OF_RANGE');
      log.close();
      thrownBy(() => {
        log.start(1, 0);
      }, 'EBADF');
      sinon.assert.notCalled(start);
    });
  });

  describe('begin and end', () => {
    it('do nothing before start() and after close()', () => {
      log.begin('receive', 1);
      log.end();
      log.start(1000, 0);
      log.close();
      log.begin('receive', 1);
      log.end();
      expect(ticket()).to.equal(0);
    });

    it('mark the time of one request, with its kind, number and beginning', () => {
      log.start(1000, 0);
      const before = performance.now();
      log.begin('receive', 2 ** 40);
      expect(isRequest()).to.equal(true);
      expect(numbers[ID]).to.equal(2 ** 40);
      expect(numbers[STARTED]).to.be.within(before, performance.now());
      const during = ticket();
      log.end();
      expect(isRequest()).to.equal(false);
      log.begin('receive', 1);
      expect(ticket()).to.equal(during + 2);
    });

    it('give each kind a number, once', () => {
      log.start(1000, 0);
      const seen = ['slow-a', 'slow-a', 'slow-b', 'slow-a'].map((kind) => {
        log.begin(kind, 1);
        log.end();
        return words[KIND];
      });
      const [a, , b] = seen;
      expect(seen).to.deep.equal([a, a, b, a]);
      expect(addKind.args).to.deep.equal([['slow-a'], ['slow-b']]);
    });

    it('count the outermost of nested requests; an end() too many does nothing', () => {
      log.start(1000, 0);
      log.begin('receive', 1);
      log.begin('finish', 2);
      expect([ticket(), numbers[ID]]).to.deep.equal([1, 1]);
      log.end();
      expect(ticket()).to.equal(1);
      log.end();
      log.end();
      expect(ticket()).to.equal(2);
      log.begin('receive', 3);
      expect([ticket(), numbers[ID]]).to.deep.equal([3, 3]);
    });

    it('wake the watchdog when it sleeps until the next request, and only then', () => {
      log.start(1000, 0);
      log.begin('receive', 1);
      log.end();
      sinon.assert.notCalled(wake);
      Atomics.store(words, SLEEP, FOR_A_BEGIN);
      wake.callsFake(() => {
        expect(isRequest()).to.equal(true);
      });
      log.begin('receive', 2);
      sinon.assert.calledOnce(wake);
    });

    it('write the request that was overdue and not reported, before it ends', () => {
      log.start(1000, 0);
      log.begin('receive', 1);
      words[OVERDUE] = ticket();
      late.callsFake(() => {
        expect(isRequest()).to.equal(true);
      });
      log.end();
      sinon.assert.calledOnce(late);
      log.begin('receive', 2);
      log.end();
      sinon.assert.calledOnce(late);
    });

    it('write nothing for one that was reported', () => {
      log.start(1000, 0);
      log.begin('receive', 1);
      words[OVERDUE] = words[REPORTED] = ticket();
      log.end();
      sinon.assert.notCalled(late);
    });
  });

  describe('reopen', () => {
    it('goes on in a new file, in native code as well', () => {
      log.start(1000, 0);
      const before = log.fd;
      fs.renameSync(file, `${file}.1`);
      log.reopen();
      expect(words[FILE]).to.equal(log.fd);
      expect(fs.fstatSync(log.fd).ino).to.equal(fs.statSync(file).ino);
      if (log.fd !== before) thrownBy(() => fs.fstatSync(before), 'EBADF');
    });

    it('stays with the old file when it cannot be opened', () => {
      const { fd } = log;
      sinon.stub(fs, 'openSync').throws(Object.assign(new Error('no'), { code: 'EACCES' }));
      thrownBy(() => {
        log.reopen();
      }, 'EACCES');
      sinon.restore();
      expect(log.fd).to.equal(fd);
      fs.writeSync(fd, 'x');
    });

    it('fails once closed, and leaves no fd', () => {
      log.close();
      const before = fs.readdirSync('/proc/self/fd').length;
      thrownBy(() => {
        log.reopen();
      }, 'EBADF');
      expect(fs.readdirSync('/proc/self/fd')).to.have.length(before);
    });
  });

  it('close() ends the watchdog and closes the file, once', () => {
    log.start(1000, 0);
    const { fd } = log;
    log.close();
    log.close();
    sinon.assert.calledOnce(stop);
    expect(log.fd).to.equal(-1);
    thrownBy(() => fs.fstatSync(fd), 'EBADF');
  });

  it('is inert in a forked child, until that starts its own', () => {
    type Forget = Parameters<typeof onChildReset>[0];
    const forgetters: Forget[] = [];
    const childReset = require.cache[require.resolve('../../../lib/process/child-reset')];
    sinon
      .stub(childReset?.exports as { onChildReset: typeof onChildReset }, 'onChildReset')
      .callsFake((forget: Forget) => {
        forgetters.push(forget);
      });
    const [{ SlowLog: Fresh }] = freshAll(['server/slow-log']) as [{ SlowLog: typeof SlowLog }];
    const inherited = Fresh.open(file);
    const resetChild = (): void => {
      for (const forget of forgetters) forget();
    };
    resetChild();
    inherited.start(1000, 0);
    inherited.begin('receive', 1);
    resetChild();
    inherited.end();
    inherited.begin('receive', 2);
    inherited.end();
    expect(ticket()).to.equal(1);
    inherited.start(1000, 1);
    inherited.begin('receive', 3);
    expect([ticket(), numbers[ID]]).to.deep.equal([1, 3]);
    resetChild();
    inherited.close();
    sinon.assert.notCalled(stop);
  });
});
