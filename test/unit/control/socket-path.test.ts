import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  leaveDefaultPath,
  listSockets,
  makeDefaultPath,
  possiblePaths,
} from '../../../lib/control/socket-path';

/** Above the kernel's largest. */
const NO_SUCH_PID = 4_194_305;

describe('path of a control socket', () => {
  const before = process.env['XDG_RUNTIME_DIR'];
  const name = `prefork-${String(process.getuid?.())}`;
  let base: string;

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'prefork-test-'));
    process.env['XDG_RUNTIME_DIR'] = base;
  });
  afterEach(() => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = before;
    rmSync(base, { recursive: true });
  });

  it('is in a folder that only this user may enter, made when it is missing', () => {
    const path = makeDefaultPath();
    expect(path).to.equal(join(base, name, `${String(process.pid)}.sock`));
    expect(lstatSync(join(base, name)).mode & 0o777).to.equal(0o700);
    expect(makeDefaultPath()).to.equal(path);
    leaveDefaultPath(path);
    expect(existsSync(join(base, name))).to.equal(false);
  });

  it('is not in a folder that others may enter, nor behind a link', () => {
    const refused = (): Chai.Assertion =>
      expect(makeDefaultPath)
        .to.throw(/mode 0700/)
        .with.property('code', 'EACCES');
    mkdirSync(join(base, name));
    chmodSync(join(base, name), 0o750);
    refused();
    rmSync(join(base, name), { recursive: true });
    mkdirSync(join(base, 'elsewhere'), { mode: 0o700 });
    symlinkSync('elsewhere', join(base, name));
    refused();
  });

  it('leaves a folder that others still use', () => {
    const path = makeDefaultPath();
    writeFileSync(join(base, name, '1.sock'), '');
    leaveDefaultPath(path);
    expect(existsSync(join(base, name))).to.equal(true);
  });

  it('of processes that are gone is removed, other files are not', () => {
    makeDefaultPath();
    const at = (file: string): string => join(base, name, file);
    for (const file of [`${String(NO_SUCH_PID)}.sock`, '1.sock', 'note', 'x.sock'])
      writeFileSync(at(file), '');
    makeDefaultPath();
    const left = ['1.sock', 'note', 'x.sock'].map((file) => existsSync(at(file)));
    expect(left).to.deep.equal([true, true, true]);
    expect(existsSync(at(`${String(NO_SUCH_PID)}.sock`))).to.equal(false);
    expect(listSockets()).to.deep.include({ pid: 1, path: at('1.sock') });
  });

  it('is looked for where it may be', () => {
    const paths = possiblePaths(process.pid);
    const file = `${name}/${String(process.pid)}.sock`;
    expect(paths).to.include.members([join(base, file), join('/tmp', file), join(tmpdir(), file)]);
    expect(new Set(paths).size).to.equal(paths.length);
  });
});
