import {
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { binding } from '../../../lib/binding';
import { LogFile } from '../../../lib/server/log-file';
import { thrownBy } from '../fake-kernel';

describe('LogFile', () => {
  let folder: string;
  let file: string;
  let dup2: sinon.SinonStub<[number, number], void>;

  /** What is written to the fd that became an output. */
  const printing = (text: string): void => {
    dup2.callsFake((fd) => {
      writeSync(fd, text);
    });
  };
  const isOpen = (fd: number): boolean => {
    try {
      fstatSync(fd);
      return true;
    } catch {
      return false;
    }
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
    file = join(folder, 'server.log');
    dup2 = sinon.stub(binding, 'dup2');
  });
  afterEach(() => {
    sinon.restore();
    rmSync(folder, { recursive: true });
  });

  it('is made when it is not there; only its owner may read it', () => {
    new LogFile(file);
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(dup2.called, 'nothing is redirected yet').to.equal(false);
  });

  it('throws at once when it cannot be opened, with the path', () => {
    const missing = join(folder, 'missing', 'server.log');
    expect(thrownBy(() => new LogFile(missing), 'ENOENT').message).to.include(missing);
    thrownBy(() => new LogFile(folder), 'EISDIR');
  });

  it('becomes stdout and stderr; a rotation leaves no fd of the old file open', () => {
    const log = new LogFile(file);
    log.attach();
    const [[fd] = [-1]] = dup2.args;
    expect(dup2.args).to.deep.equal([
      [fd, 1],
      [fd, 2],
    ]);
    dup2.resetHistory();
    log.reopen();
    const [[next] = [-1]] = dup2.args;
    expect(dup2.callCount).to.equal(2);
    expect([fd, next].map(isOpen)).to.deep.equal([false, true]);
    log.close();
    expect(isOpen(next)).to.equal(false);
    log.close();
  });

  it('takes lines, also after a rotation; what fails is nobody’s fault', () => {
    const log = new LogFile(file);
    log.write('one');
    expect(log.isRotated).to.equal(false);
    renameSync(file, `${file}.1`);
    expect(log.isRotated, 'nobody has made a new one').to.equal(false);
    writeFileSync(file, '');
    expect(log.isRotated).to.equal(true);
    log.reopen();
    expect(log.isRotated).to.equal(false);
    log.write('two');
    expect(readFileSync(`${file}.1`, 'utf8')).to.equal('one\n');
    expect(readFileSync(file, 'utf8')).to.equal('two\n');
    expect(dup2.called, 'stdout is left alone').to.equal(false);
    log.close();
    log.write('three');
  });

  it('is appended to', () => {
    writeFileSync(file, 'before\n');
    printing('after\n');
    new LogFile(file).attach();
    expect(readFileSync(file, 'utf8')).to.equal('before\nafter\nafter\n');
  });

  it('goes on in a new file of the old name after a rotation', () => {
    const log = new LogFile(file);
    log.attach();
    renameSync(file, `${file}.1`);
    printing('new\n');
    log.reopen();
    expect(readFileSync(file, 'utf8')).to.equal('new\nnew\n');
    expect(readFileSync(`${file}.1`, 'utf8')).to.equal('');
    expect(statSync(file).mode & 0o777).to.equal(0o600);
  });

  it('goes on in the old one, with a warning, when the new one cannot be opened', () => {
    const warn = sinon.stub(process, 'emitWarning');
    const log = new LogFile(file);
    log.attach();
    dup2.resetHistory();
    rmSync(file);
    mkdirSync(file);
    log.reopen();
    expect(dup2.called).to.equal(false);
    const [message, options] = warn.firstCall.args as unknown as [string, object];
    expect(message).to.include('was not opened again: EISDIR');
    expect(options).to.deep.equal({ type: 'PreforkWarning', code: 'PREFORK_LOG_REOPEN' });
  });

  it('is found again after a change of the folder', () => {
    const cwd = sinon.stub(process, 'cwd').returns(folder);
    const log = new LogFile('server.log');
    rmSync(file);
    cwd.returns(tmpdir());
    log.reopen();
    expect(existsSync(file)).to.equal(true);
  });
});
