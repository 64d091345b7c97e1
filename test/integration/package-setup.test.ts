import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { startFixture, type RunningFixture } from '../support/fixture';
import { assertNothingLeaks, eventually } from '../support/leaks';
import { ROOT } from '../support/markdown';
import { makeFolder, run } from '../support/package';

/** What scripts/setup.mjs reads; the addon is built already. */
const SOURCES = ['package.json', 'package-lock.json', 'tsconfig.json', 'binding.gyp', 'prebuilds'];

describe('package: set-up of a checkout', () => {
  assertNothingLeaks();

  let folder: string;
  beforeEach(() => {
    folder = makeFolder();
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const takeLock = (): RunningFixture =>
    startFixture('package/lock.mjs', { args: [folder], stdio: ['pipe', 'pipe', 'pipe'] });

  it('has a lock that the next one gets when its holder leaves it', async () => {
    const first = takeLock();
    await first.prints('taken');
    const second = takeLock();
    await waits(second);
    first.process.stdin?.end();
    await second.prints('taken');
    expect((await first.ended).stdout).to.equal('taken\nleft\n');
    second.process.stdin?.end();
    expect((await second.ended).code).to.equal(0);
  });

  it('has a lock that the next one gets when its holder is killed', async () => {
    const first = takeLock();
    await first.prints('taken');
    const second = takeLock();
    await waits(second);
    first.process.kill('SIGKILL');
    await second.prints('taken');
    expect((await first.ended).signal).to.equal('SIGKILL');
    second.process.stdin?.end();
    await second.ended;
  });

  it('may run twice at the same time', async function () {
    this.timeout(180_000);
    copyCheckout(folder);
    const setup = [join(folder, 'scripts/setup.mjs')];
    const outcomes = await Promise.all([
      run(process.execPath, setup),
      run(process.execPath, setup),
    ]);
    for (const { code, stderr } of outcomes) expect(code, stderr).to.equal(0);
    const waited = outcomes.filter(({ stderr }) => stderr.includes('waiting for it'));
    expect(waited).to.have.lengthOf(1);
    expect(existsSync(join(folder, 'dist/.stamp'))).to.equal(true);
    const left = readdirSync(join(folder, '.cache')).filter((name) => name.startsWith('dist'));
    expect(left).to.deep.equal([]);
    const { code } = await run(process.execPath, ['-e', `require(${JSON.stringify(folder)})`]);
    expect(code).to.equal(0);
  });
});

/** Until it has said that it waits. */
async function waits(fixture: RunningFixture): Promise<void> {
  let said = '';
  fixture.process.stderr?.on('data', (text: string) => (said += text));
  await eventually(() => {
    expect(said).to.include('waiting for it');
  });
}

/** A checkout in which only the library has to be compiled. */
function copyCheckout(folder: string): void {
  for (const name of [...SOURCES, 'lib', 'native', 'scripts', 'typings']) {
    const source = join(ROOT, name);
    if (existsSync(source)) cpSync(source, join(folder, name), { recursive: true });
  }
  const built = `native-abi${String(process.versions.modules)}-${process.arch}`;
  mkdirSync(join(folder, '.cache', built), { recursive: true });
  cpSync(join(ROOT, '.cache', built, 'stamp'), join(folder, '.cache', built, 'stamp'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}
