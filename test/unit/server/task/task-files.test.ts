import { expect } from 'chai';
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TaskFiles } from '../../../../lib/server/task/task-files';

/** No process has it: it is over the kernel's highest. */
const DEAD = 0x7fffffff;

describe('TaskFiles', () => {
  let folder: string;
  let files: TaskFiles;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
    files = new TaskFiles(folder, 0);
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('keeps a payload until it is taken', () => {
    const data = Buffer.from('large');
    const file = files.write(data);
    expect(statSync(join(folder, file.name)).mode & 0o777).to.equal(0o600);
    expect(files.take(file)).to.deep.equal(data);
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('gives each a name of its own', () => {
    const names = [1, 2, 3].map(() => files.write(Buffer.from('x')).name);
    expect(new Set(names).size).to.equal(3);
  });

  it('refuses names that lead elsewhere', () => {
    writeFileSync(join(folder, 'other'), 'secret');
    for (const name of ['other', '../etc/passwd', '/etc/passwd', 'prefork.task.0.1.1-1/../other']) {
      expect(() => files.take({ name, bytes: 6 }))
        .to.throw()
        .with.property('code', 'ERR_BAD_PACKET');
    }
    expect(readdirSync(folder)).to.deep.equal(['other']);
  });

  it('refuses links, and files of another length', () => {
    const { name, bytes } = files.write(Buffer.from('large'));
    const link = 'prefork.task.0.1.1-1';
    symlinkSync(join(folder, name), join(folder, link));
    for (const file of [
      { name: link, bytes },
      { name, bytes: bytes + 1 },
      { name: 'prefork.task.0.1.1-2', bytes },
    ]) {
      expect(() => files.take(file))
        .to.throw()
        .with.property('code', 'ERR_BAD_PACKET');
    }
  });

  it('sweeps what dead servers of its key have left, and nothing else', () => {
    const [dead, other] = [
      new TaskFiles(folder, 0, null, DEAD),
      new TaskFiles(folder, 7, null, DEAD),
    ];
    dead.write(Buffer.from('x'));
    const kept = [files.write(Buffer.from('x')).name, other.write(Buffer.from('x')).name];
    writeFileSync(join(folder, 'prefork.task.else'), '');
    files.sweep();
    expect(readdirSync(folder).sort()).to.deep.equal([...kept, 'prefork.task.else'].sort());
  });

  it('removes what it has left itself', () => {
    files.write(Buffer.from('x'));
    const other = new TaskFiles(folder, 0, null, DEAD).write(Buffer.from('x')).name;
    files.removeOwn();
    expect(readdirSync(folder)).to.deep.equal([other]);
  });

  it('says which setting names a folder that is not there', () => {
    const nowhere = new TaskFiles(join(folder, 'nowhere'), 0);
    expect(() => {
      nowhere.checkFolder();
    }).to.throw(/ENOENT.*taskTmpdir/);
  });
});
