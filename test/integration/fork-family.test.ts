import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { expect } from 'chai';
import { runFixture, startFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const ENDED = { code: 0, signal: 0 };
const { SIGTERM } = constants.signals;

const scenes: [scene: string, title: string, outcome: unknown][] = [
  ['pids', 'a child has a pid and a ppid of its own', true],
  [
    'server-lives',
    "the parent answers 20 requests while the child, which has the server's fd, lives",
    { byParent: 20, alive: true, status: ENDED },
  ],
  [
    'parent-works',
    'the parent works on while a child runs',
    { ticks: 5, read: true, status: ENDED },
  ],
  [
    'running-program',
    'a program that outlives the child is reported',
    { program: 5, status: ENDED },
  ],
  ['program-ends-during-child', 'and one that does not', { program: 5, status: ENDED }],
  [
    'sigterm-default',
    'SIGTERM ends a child though its parent handles it',
    { status: { code: 0, signal: SIGTERM }, heard: 1 },
  ],
  ['sigterm-handled', 'a child handles SIGTERM itself', { status: { code: 5, signal: 0 } }],
];

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s[ZX]/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function secondsUntilGone(pid: number): Promise<number> {
  const start = performance.now();
  while (isRunning(pid) && performance.now() - start < 5000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return (performance.now() - start) / 1000;
}

describe('fork: parent and child', () => {
  assertNothingLeaks();

  for (const [scene, title, outcome] of scenes) {
    it(title, async () => {
      const result = await runFixture('fork/family.js', { args: [scene] });
      expect(result.stderr).to.equal('');
      expect(JSON.parse(result.stdout)).to.deep.equal(outcome);
    });
  }

  it('a child is gone within 1 s when its parent is killed', async () => {
    const parent = startFixture('fork/family.js', { args: ['parent-killed'] });
    const pid = parseInt(await parent.prints(/^\d+\n/), 10);
    expect(isRunning(pid)).to.equal(true);
    parent.process.kill('SIGKILL');
    expect(await secondsUntilGone(pid)).to.be.lessThan(1);
    expect((await parent.ended).signal).to.equal('SIGKILL');
  });

  it('a child that ignores SIGTERM is gone within 1 s when its parent exits', async () => {
    const parent = startFixture('fork/family.js', {
      args: ['parent-exits'],
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const pid = parseInt(await parent.prints(/^\d+\n/), 10);
    expect(isRunning(pid)).to.equal(true);
    parent.process.stdin?.end('exit\n');
    expect((await parent.ended).code).to.equal(3);
    expect(await secondsUntilGone(pid)).to.be.lessThan(1);
  });
});
