import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { expect } from 'chai';
import { lines, runFixture, startFixture, type FixtureResult } from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const EXAMPLES = resolve(__dirname, '..', '..', 'examples');
const pathOf = (name: string): string => resolve(EXAMPLES, name);

/** What the header comment of an example says it prints: a pattern for each line. */
function expectedOutput(name: string): RegExp[] {
  const header = readFileSync(pathOf(name), 'utf8').split('\n\nimport ')[0] as string;
  const [, told = ''] = header.split('// Expected output');
  return told
    .split('\n')
    .filter((line) => line.startsWith('//   '))
    .map((line) => patternOf(line.slice('//   '.length)));
}

/** `<n>`, `<pid>` and the like stand for a number. */
function patternOf(line: string): RegExp {
  const literal = line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^ *${literal.replace(/<[a-z ]+>/g, '\\d+(\\.\\d+)?')}$`);
}

function expectLines(stdout: string, patterns: RegExp[]): void {
  const printed = lines(stdout);
  patterns.forEach((pattern, i) => {
    expect(printed[i], `line ${String(i + 1)}`).to.match(pattern);
  });
  expect(printed.slice(patterns.length), 'more than expected').to.deep.equal([]);
}

/** Each pattern fits a line of its own, in any order. */
function expectLinesInAnyOrder(printed: string[], patterns: RegExp[]): void {
  const rest = [...printed];
  for (const pattern of patterns) {
    const at = rest.findIndex((line) => pattern.test(line));
    expect(at, `${String(pattern)} among\n${rest.join('\n')}\n`).to.be.at.least(0);
    rest.splice(at, 1);
  }
  expect(rest, 'more than expected').to.deep.equal([]);
}

function expectGoodEnd({ code, signal, stderr, leftFiles }: FixtureResult): void {
  expect({ code, signal, stderr, leftFiles }).to.deep.equal({
    code: 0,
    signal: null,
    stderr: '',
    leftFiles: [],
  });
}

/** How many processes want each CPU at this moment, at least one. */
function load(): number {
  const [, running = '1'] = / (\d+)\//.exec(readFileSync('/proc/loadavg', 'utf8')) ?? [];
  return Math.max(1, Math.max(loadavg()[0] ?? 0, Number(running)) / availableParallelism());
}

async function outputOf(name: string): Promise<string> {
  const result = await runFixture(pathOf(name));
  expectGoodEnd(result);
  return result.stdout;
}

describe('examples', () => {
  assertNothingLeaks();

  for (const name of ['closure.mjs', 'tail.mjs', 'queue-jobs.mjs']) {
    it(`${name} prints what its header says`, async () => {
      const patterns = expectedOutput(name);
      expect(patterns).to.not.be.empty;
      expectLines(await outputOf(name), patterns);
    });
  }

  it('queue-jobs.mjs does each job once, by four workers together', async () => {
    const stdout = await outputOf('queue-jobs.mjs');
    const shares = [...stdout.matchAll(/did (\d+) jobs/g)].map(([, jobs]) => Number(jobs));
    expect(shares).to.have.length(4);
    expect(shares.reduce((sum, jobs) => sum + jobs)).to.equal(400);
  });

  it('reaping-loop.mjs reaps five children with the status of each', async () => {
    const stdout = await outputOf('reaping-loop.mjs');
    const [first, ...rest] = expectedOutput('reaping-loop.mjs');
    const [started, ...printed] = lines(stdout);
    expect(started).to.match(first as RegExp);
    expectLinesInAnyOrder(printed, rest);
    expect(printed.at(-1)).to.equal('nothing is left');
  });

  it('shared-data.mjs shares 200 MB with eight children, none of which copies a tenth', async () => {
    const stdout = await outputOf('shared-data.mjs');
    const [loaded, child, sum] = expectedOutput('shared-data.mjs') as [RegExp, RegExp, RegExp];
    expectLines(stdout, [loaded, ...Array<RegExp>(8).fill(child), sum]);
    for (const [, dirty] of stdout.matchAll(/Private_Dirty (\d+) MB/g)) {
      expect(Number(dirty)).to.be.below(20);
    }
    const [, all] = /PSS (\d+) MB in all/.exec(stdout) as RegExpExecArray;
    // The data once, and what nine processes have of their own; never the data twice.
    expect(Number(all)).to.be.within(200, 400);
  });

  describe('custom-pool.mjs', () => {
    const name = 'custom-pool.mjs';

    it('is shorter than 60 lines, comments included', () => {
      expect(readFileSync(pathOf(name), 'utf8').trimEnd().split('\n').length).to.be.below(60);
    });

    it('restarts a worker that crashes, and ends all gracefully on SIGTERM', async () => {
      const pool = startFixture(pathOf(name));
      await pool.prints(/worker 1 started[^]*worker 1 started/);
      await pool.prints('worker 2 started');
      await pool.prints('worker 3 started');
      pool.process.kill('SIGTERM');
      const result = await pool.ended;

      expectGoodEnd(result);
      const [master, started, crashed, stopping, finished, ended, end] = expectedOutput(
        name,
      ) as RegExp[] & { length: 7 };
      const patterns = [
        master,
        crashed,
        stopping,
        end,
        ...Array<RegExp>(4).fill(started as RegExp),
      ];
      for (let i = 0; i < 3; i++) patterns.push(finished, ended);
      expectLinesInAnyOrder(lines(result.stdout), patterns as RegExp[]);
      expect(result.stdout).to.match(/stopping[^]*pool ended\n$/);
    });

    it('restarts a worker that was killed from outside', async () => {
      const pool = startFixture(pathOf(name));
      const [, pid] = /worker 3 started as (\d+)/.exec(
        await pool.prints(/worker 3 started as \d+\n/),
      ) as RegExpExecArray;
      process.kill(Number(pid), 'SIGKILL');
      await pool.prints(
        new RegExp(`worker 3 \\(${String(pid)}\\) ended, code 0 signal 9: restart`),
      );
      await pool.prints(/worker 3 started[^]*worker 3 started/);
      pool.process.kill('SIGINT');
      expectGoodEnd(await pool.ended);
    });
  });

  it('task-server.ts gives a line of a client to a task worker and gets the result', async () => {
    const server = startFixture(pathOf('task-server.ts'), {
      node: ['--require', 'ts-node/register'],
      env: { PORT: '0', DISABLE_V8_COMPILE_CACHE: '1' },
    });
    const [, port] = /port (\d+)\n/.exec(await server.prints(/port \d+\n/)) as RegExpExecArray;
    const client = connect(Number(port), '127.0.0.1', () => client.write('hello\n'));
    const [answer] = (await once(client, 'data')) as [Buffer];
    await server.prints('Async -> OK\n');
    client.destroy();
    server.process.kill('SIGINT');
    const result = await server.ended;

    expect(String(answer)).to.equal('task 0 was submitted\n');
    expectGoodEnd(result);
    expectLinesInAnyOrder(lines(result.stdout), expectedOutput('task-server.ts'));
  });

  describe('demo.mjs', () => {
    it('prints the transcript of its header, and ends within 5 s, or later as the machine is busy', async () => {
      const limit = 5000 * load();
      const begin = performance.now();
      const stdout = await outputOf('demo.mjs');
      expect(performance.now() - begin).to.be.below(limit);

      const patterns = expectedOutput('demo.mjs');
      // Children of the reaping loop end in any order.
      const from = patterns.findIndex((pattern) => pattern.test('   1: code 0'));
      const printed = lines(stdout);
      const reaped = printed.splice(from, 4);
      expectLinesInAnyOrder(reaped, patterns.splice(from, 4));
      expectLines(printed.join('\n'), patterns);
    });

    it('runs program and closure in children of its own', async () => {
      const stdout = await outputOf('demo.mjs');
      const [, parent] = /parent (\d+)/.exec(stdout) as RegExpExecArray;
      const [, child, itsParent] = /child (\d+), child of (\d+)/.exec(stdout) as RegExpExecArray;
      expect(itsParent).to.equal(parent);
      expect(child).to.not.equal(parent);
    });
  });
});
