import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sinon from 'sinon';
import { PidFile } from '../../../lib/server/pid-file';
import { thrownBy } from '../fake-kernel';

describe('PidFile', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-'));
    file = join(folder, 'server.pid');
  });
  afterEach(() => {
    sinon.restore();
    rmSync(folder, { recursive: true });
  });

  it('holds the pid of this process, as a line', () => {
    new PidFile(file);
    expect(readFileSync(file, 'utf8')).to.equal(`${process.pid}\n`);
  });

  it('replaces what a server has left behind', () => {
    writeFileSync(file, '4194305 and more\n');
    new PidFile(file);
    expect(readFileSync(file, 'utf8')).to.equal(`${process.pid}\n`);
  });

  it('is gone after remove(), however often that is called', () => {
    const pid = new PidFile(file);
    pid.remove();
    expect(existsSync(file)).to.equal(false);
    pid.remove();
  });

  it('stays when another server has taken it meanwhile', () => {
    const pid = new PidFile(file);
    writeFileSync(file, `${process.pid + 1}\n`);
    pid.remove();
    expect(readFileSync(file, 'utf8')).to.equal(`${process.pid + 1}\n`);
  });

  it('stays when it holds no pid any more', () => {
    const pid = new PidFile(file);
    for (const text of ['', 'a text\n', `${process.pid} x`]) {
      writeFileSync(file, text);
      pid.remove();
      expect(existsSync(file), JSON.stringify(text)).to.equal(true);
    }
  });

  it('remove() says nothing when somebody was faster', () => {
    const pid = new PidFile(file);
    unlinkSync(file);
    pid.remove();
    symlinkSync('nowhere', file);
    pid.remove();
  });

  it('is found again after a change of the folder', () => {
    const cwd = sinon.stub(process, 'cwd').returns(folder);
    const pid = new PidFile('server.pid');
    expect(readFileSync(file, 'utf8')).to.equal(`${process.pid}\n`);
    cwd.returns(tmpdir());
    pid.remove();
    expect(existsSync(file)).to.equal(false);
  });

  it('throws when it cannot be written, with the path', () => {
    const missing = join(folder, 'missing', 'server.pid');
    expect(thrownBy(() => new PidFile(missing), 'ENOENT').message).to.include(missing);
    thrownBy(() => new PidFile(folder), 'EISDIR');
  });
});
