import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import {
  lines,
  runFixture,
  startFixture,
  type FixtureResult,
  type RunningFixture,
} from '../support/fixture';
import { assertNothingLeaks } from '../support/leaks';

const EXAMPLES = resolve(__dirname, '..', '..', 'examples');
const pathOf = (name: string): string => resolve(EXAMPLES, name);

/** What the header comment of an example says it prints: a pattern for each line. */
function expectedOutput(name: string): RegExp[] {
  const [, told = ''] = readFileSync(pathOf(name), 'utf8').split('// Expected output');
  const [block = ''] = told.split('\n\n');
  return block
    .split('\n')
    .filter((line) => line.startsWith('//   '))
    .map((line) => patternOf(line.slice('//   '.length)));
}

/** `<n>` and `<id>` stand for a number. */
function patternOf(line: string): RegExp {
  const literal = line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/<[a-z]+>/g, '\\d+')}$`);
}

function expectLines(printed: string[], patterns: RegExp[]): void {
  expect(printed.length, printed.join('\n')).to.equal(patterns.length);
  patterns.forEach((pattern, i) => {
    expect(printed[i]).to.match(pattern);
  });
}

function expectGoodEnd({ code, signal, stderr, leftFiles }: FixtureResult): void {
  expect({ code, signal, stderr, leftFiles }).to.deep.equal({
    code: 0,
    signal: null,
    stderr: '',
    leftFiles: [],
  });
}

async function outputOf(name: string): Promise<string> {
  const result = await runFixture(pathOf(name));
  expectGoodEnd(result);
  return result.stdout;
}

/** How many jobs each worker says it has done. */
function shares(stdout: string): number[] {
  return [...stdout.matchAll(/did (\d+) jobs/g)].map(([, jobs]) => Number(jobs));
}

describe('examples of pools', () => {
  assertNothingLeaks();

  for (const name of ['pool-unixsock.mjs', 'pool-msgqueue.mjs', 'pool-socket.mjs']) {
    it(`${name} prints what its header says`, async () => {
      expectLines(lines(await outputOf(name)), expectedOutput(name));
    });
  }

  it('pool-none.mjs does every job, the one of the worker that crashed included', async () => {
    const stdout = await outputOf('pool-none.mjs');
    const printed = lines(stdout);
    const last = printed.pop() as string;
    const patterns = expectedOutput('pool-none.mjs');
    expect(last).to.match(patterns.pop() as RegExp);
    // The successor of the worker that crashed may be told to end before it has begun, and then says nothing.
    const missing = patterns.length - printed.length;
    expect(missing, stdout).to.be.within(0, 1);
    expectLines(printed.sort(byKind), patterns.sort(byKind).slice(0, printed.length));
    expect(shares(stdout)).to.have.length(4 - missing);
  });

  it('pool-msgqueue.mjs shares the jobs among its workers, each done once', async () => {
    const jobs = shares(await outputOf('pool-msgqueue.mjs'));
    expect(jobs).to.have.length(3);
    expect(jobs.reduce((sum, share) => sum + share)).to.equal(300);
  });

  describe('clients of pool-socket.mjs in other languages', () => {
    let folder: string;
    let pool: RunningFixture;
    let port: string;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'prefork-client-'));
      pool = startFixture(pathOf('pool-socket.mjs'), { args: ['serve'] });
      [, port] = /port (\d+)\n/.exec(await pool.prints(/port \d+\n/)) as unknown as [
        string,
        string,
      ];
    });

    after(async () => {
      rmSync(folder, { recursive: true });
      pool.process.kill('SIGTERM');
      const result = await pool.ended;
      expectGoodEnd(result);
      expect(lines(result.stdout).at(-1)).to.equal('pool ended');
    });

    function run(command: string, args: string[], texts: string[]): SpawnSyncReturns<string> {
      const options = { encoding: 'utf8', timeout: 20_000 } as const;
      return spawnSync(command, [...args, port, ...texts], options);
    }

    function expectReplies(command: string, args: string[]): void {
      const texts = ['one', 'two words', 'für drei Wörter'];
      const { status, stdout, stderr } = run(command, args, texts);
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' });
      expectLines(lines(stdout), [
        /^worker \d says: 1 words, 3 letters$/,
        /^worker \d says: 2 words, 8 letters$/,
        /^worker \d says: 3 words, 13 letters$/,
      ]);
      const refused = run(command, args, ['']);
      expect(refused.status, 'an empty frame is refused').to.equal(1);
      expect(refused.stderr).to.include('closed the connection without a whole reply');
    }

    /** What the compiler says. */
    function compile(binary: string): string {
      const flags = ['-std=c11', '-D_DEFAULT_SOURCE', '-Wall', '-Wextra', '-Werror'];
      const args = [...flags, '-o', binary, pathOf('pool-client.c')];
      return spawnSync('cc', args, { encoding: 'utf8' }).stderr;
    }

    itWith('python3', ['-c', '0'], 'pool-client.py gets a reply to each request', () => {
      expectReplies('python3', [pathOf('pool-client.py')]);
    });

    itWith('cc', ['--version'], 'pool-client.c compiles and gets a reply to each request', () => {
      const binary = join(folder, 'pool-client');
      expect(compile(binary)).to.equal('');
      expectReplies(binary, []);
    });
  });
});

/** "crashed" before "did". */
function byKind(a: string | RegExp, b: string | RegExp): number {
  const rank = (line: string | RegExp): number => (String(line).includes('crashed') ? 0 : 1);
  return rank(a) - rank(b);
}

/** A test that needs a program, skipped where that does not run. */
function itWith(command: string, args: string[], title: string, test: () => void): void {
  if (spawnSync(command, args).status === 0) it(title, test);
  else it.skip(`${title} (there is no ${command} here)`, test);
}
