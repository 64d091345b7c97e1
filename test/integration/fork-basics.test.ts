import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const profile = `prefork-${String(process.pid)}.cpuprofile`;

describe('fork: basics', () => {
  assertNothingLeaks();

  it('ends by itself with process.exitCode after a timer', async () => {
    const { code, stdout } = await runFixture('fork/exit-code.js');
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ samePid: true, code: 7, signal: 0 });
  });

  it('refuses a fork under the CPU profiler where the child would hang', async () => {
    const node = ['--cpu-prof', '--cpu-prof-dir', tmpdir(), '--cpu-prof-name', profile];
    const { stdout } = await runFixture('fork/profiler.js', { node });
    rmSync(join(tmpdir(), profile), { force: true });
    const line = Number(process.versions.node.split('.')[0]);
    expect(stdout.trim()).to.equal(line < 24 ? 'ERR_UNSAFE_FORK' : '3');
  });
});
