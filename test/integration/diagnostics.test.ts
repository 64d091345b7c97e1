import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { lines, runFixture } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

interface Coverage {
  result: { url: string; functions: { functionName: string; ranges: { count: number }[] }[] }[];
}

type Message = Record<string, unknown>;

describe('diagnostics', () => {
  assertNothingLeaks();

  async function published(what: string): Promise<[string, Message][]> {
    const result = await runFixture('control/diagnostics.js', { args: [what] });
    expect(result).to.include({ code: 0, stderr: '' });
    return lines(result.stdout).map((line) => JSON.parse(line) as [string, Message]);
  }

  const of = (all: [string, Message][], name: string): Message[] =>
    all.filter(([channel]) => channel === name).map(([, message]) => message);

  it('a fork and an exit are told in the parent', async () => {
    const all = await published('process');
    const [parent] = of(all, 'parent');
    const [fork, ...otherForks] = of(all, 'prefork.fork');
    const { durationMs, ...forked } = fork as Message;
    expect(forked).to.deep.equal({ pid: parent?.['child'], parentPid: parent?.['pid'] });
    expect(durationMs).to.be.within(0.01, 30_000);
    expect(otherForks).to.deep.equal([]);
    expect(of(all, 'prefork.exit')).to.deep.equal([{ pid: parent?.['child'], code: 3, signal: 0 }]);
  });

  it('a reload of a pool is told once, with its respawns', async () => {
    const all = await published('pool');
    const [begin, end, ...others] = of(all, 'prefork.reload');
    expect(others).to.deep.equal([]);
    expect(begin).to.deep.equal({ phase: 'begin', onlyTasks: false });
    expect(end).to.include({ phase: 'end', generation: 1, replaced: 2, killed: 0 });
    const forks = of(all, 'prefork.fork').map(({ pid }) => pid);
    const respawns = of(all, 'prefork.respawn');
    expect(forks).to.have.length(4);
    const pids = forks.slice(2);
    expect(respawns).to.deep.equal([
      { workerId: 0, kind: 'worker', pid: pids[0], restarts: 1 },
      { workerId: 1, kind: 'worker', pid: pids[1], restarts: 1 },
    ]);
    const ended = of(all, 'prefork.exit').map(({ pid }) => pid);
    expect(ended).to.have.members(forks);
  });

  it('tasks of a server are told when they are submitted and settled', async () => {
    const all = await published('server');
    const [good, goodEnd, bad, badEnd, ...others] = of(all, 'prefork.task');
    expect(others).to.deep.equal([]);
    const ids = { taskId: good?.['taskId'], srcWorkerId: -1, dstWorkerId: 1 };
    expect([good, goodEnd]).to.deep.equal([
      { phase: 'submitted', ...ids },
      { phase: 'settled', ...ids },
    ]);
    expect(bad?.['taskId']).to.not.equal(good?.['taskId']);
    expect(badEnd).to.deep.equal({ ...bad, phase: 'settled', error: 'ERR_TASK_FAILED' });
    expect(
      of(all, 'prefork.reload').map(({ phase, onlyTasks }) => [phase, onlyTasks]),
    ).to.deep.equal([
      ['begin', true],
      ['end', true],
    ]);
    const respawned = of(all, 'prefork.respawn');
    expect(respawned.map(({ workerId, kind }) => [workerId, kind])).to.deep.equal([[1, 'task']]);
  });

  it('nothing is printed without NODE_DEBUG; with it the same, by the pid that tells', async () => {
    const args = ['pool', 'silent'];
    const quiet = await runFixture('control/diagnostics.js', { args, env: { NODE_DEBUG: '' } });
    expect(quiet).to.include({ code: 0, stdout: '', stderr: '' });
    const told = await runFixture('control/diagnostics.js', {
      args,
      env: { NODE_DEBUG: 'prefork' },
    });
    const found = lines(told.stderr);
    const kinds = found.map((line) => /^PREFORK \d+: (\w+) \{ .* \}$/.exec(line)?.[1]);
    const count = (kind: string): number => kinds.filter((each) => each === kind).length;
    expect([count('fork'), count('exit'), count('respawn'), count('reload')]).to.deep.equal([
      4, 4, 2, 2,
    ]);
    expect(kinds).to.have.length(12);
    const master = /parentPid: (\d+)/.exec(told.stderr)?.[1];
    expect(found.every((line) => line.startsWith(`PREFORK ${String(master)}: `))).to.equal(true);
  });

  it('children write their coverage when they end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
    const env = { NODE_V8_COVERAGE: folder };
    const result = await runFixture('control/covered.js', { env });
    expect(result).to.include({ code: 0, stderr: '' });
    const counts = readdirSync(folder).flatMap((file) => countsIn(join(folder, file)));
    rmSync(folder, { recursive: true });
    // A child's file also holds what its parent had run before the fork.
    const ran = (name: string): number =>
      counts.filter((each) => each.name === name && each.count > 0).length;
    expect(['inChild', 'inWorker'].map(ran)).to.deep.equal([1, 2]);
    expect(ran('inParent')).to.be.within(1, 4);
  });

  function countsIn(file: string): { name: string; count: number }[] {
    const { result } = JSON.parse(readFileSync(file, 'utf8')) as Coverage;
    const own = result.filter(({ url }) => url.endsWith('/control/covered.js'));
    return own.flatMap(({ functions }) =>
      functions.map(({ functionName, ranges }) => ({
        name: functionName,
        count: ranges[0]?.count ?? 0,
      })),
    );
  }
});
