import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { lines, runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const NONE = 'ignore' as const;

function expected(tty: boolean): string[] {
  return [
    'parent before',
    `child console.log, tty ${String(tty)}`,
    'child process.stdout.write',
    'parent after 3',
  ];
}

/** Runs a command on a terminal of its own and shows its output: script of util-linux, or Python. */
function terminal(): string[] {
  const { error } = spawnSync('script', ['--version'], { stdio: 'ignore' });
  if (error === undefined) return ['sh', '-c', 'exec script -qec "$*" /dev/null', 'sh'];
  return ['python3', '-c', 'import pty, sys; pty.spawn(sys.argv[1:])'];
}

describe('fork: what a child writes arrives when stdout is', () => {
  assertNothingLeaks();

  it('a socket', async () => {
    const { stdout } = await runFixture('fork/output.js');
    expect(lines(stdout)).to.deep.equal(expected(false));
  });

  it('a pipe', async () => {
    const wrapper = ['sh', '-c', '"$@" | cat', 'sh'];
    const { stdout } = await runFixture('fork/output.js', { wrapper });
    expect(lines(stdout)).to.deep.equal(expected(false));
  });

  for (const who of ['parent', 'child']) {
    it(`a pipe, and more than it takes at once comes from the ${who}`, async () => {
      const wrapper = ['sh', '-c', '"$@" | { sleep 0.2; cat; }', 'sh'];
      const args = [who, '1000000'];
      const { code, stdout } = await runFixture('fork/output.js', { wrapper, args });
      expect(code).to.equal(0);
      const bulk = stdout.match(/x+/g) ?? [];
      expect(bulk.reduce((sum, { length }) => sum + length, 0)).to.equal(1_000_000);
      // Both write to one pipe: the child's lines may stand in the middle of the bulk.
      for (const line of [who, ...expected(false)]) expect(stdout).to.include(line);
    });
  }

  it('a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'prefork-output-'));
    const file = join(folder, 'output');
    const fd = openSync(file, 'w');
    try {
      await runFixture('fork/output.js', { stdio: [NONE, fd, 'inherit'] });
      expect(lines(readFileSync(file, 'utf8'))).to.deep.equal(expected(false));
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });

  it('a terminal', async () => {
    const { stdout } = await runFixture('fork/output.js', { wrapper: terminal() });
    expect(lines(stdout.replaceAll('\r', ''))).to.deep.equal(expected(true));
  });

  it('its own pipe, with console and the programs it runs', async () => {
    const { stdout } = await runFixture('fork/redirected.js');
    const output = 'log\nerror\nwrite\nprogram\n';
    expect(JSON.parse(stdout)).to.deep.equal({ output, code: 0 });
  });

  it('/dev/null, where it goes nowhere, and nobody fails', async () => {
    const { code, stderr } = await runFixture('fork/output.js', { stdio: [NONE, NONE, 'pipe'] });
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
  });
});
