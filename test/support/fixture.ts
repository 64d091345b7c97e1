/**
 * Runs a fixture: a script that forks, in a Node process of its own. The test runner never forks: its
 * child would go on running the suite.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const FIXTURES = resolve(__dirname, '..', 'fixtures');
const DEFAULT_TIMEOUT_MS = 30_000;

/** In the environment of every process of a test run, so that those left behind are found. */
export const RUN_MARK = 'PREFORK_TEST_RUN';
export const runId = randomUUID();

export interface FixtureOptions {
  args?: string[];
  /** Options for Node itself. */
  node?: string[];
  env?: NodeJS.ProcessEnv;
  /** Where the fixture's stdio goes; default: collected. */
  stdio?: SpawnOptions['stdio'];
  uid?: number;
  /** A command that starts Node, such as `prlimit --nproc=5`. */
  wrapper?: string[];
  timeoutMs?: number;
}

export interface FixtureResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Files the fixture left in its TMPDIR. */
  leftFiles: string[];
}

export interface RunningFixture {
  process: ChildProcess;
  /** Its TMPDIR. */
  temporary: string;
  /** Resolves when stdout contains `text` or matches it. */
  prints(text: string | RegExp): Promise<string>;
  ended: Promise<FixtureResult>;
}

/** Starts test/fixtures/`name` and does not wait for its end. */
export function startFixture(name: string, options: FixtureOptions = {}): RunningFixture {
  const temporary = mkdtempSync(join(tmpdir(), 'prefork-test-'));
  const node = [process.execPath, ...(options.node ?? [])];
  const script = resolve(FIXTURES, name);
  const [command, ...args] = [
    ...(options.wrapper ?? []),
    ...node,
    script,
    ...(options.args ?? []),
  ] as [string, ...string[]];
  const child = spawn(command, args, {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env, [RUN_MARK]: runId, TMPDIR: temporary },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  return follow(child, name, temporary, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
}

/** Runs test/fixtures/`name` to its end. */
export function runFixture(name: string, options: FixtureOptions = {}): Promise<FixtureResult> {
  return startFixture(name, options).ended;
}

function follow(
  child: ChildProcess,
  name: string,
  temporary: string,
  timeoutMs: number,
): RunningFixture {
  const output = { stdout: '', stderr: '' };
  let changed = (): void => undefined;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
    changed();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const ended = new Promise<FixtureResult>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      changed();
      try {
        const leftFiles = takeFolder(temporary);
        if (timedOut) throw new Error(`${name} hung for ${String(timeoutMs)} ms`);
        done({ code, signal, ...output, leftFiles });
      } catch (error) {
        // An error that is thrown here would be taken for one of whatever test runs then.
        (error as Error).message += `\n${output.stdout}${output.stderr}`;
        fail(error as Error);
      }
    });
  });
  const prints = (text: string | RegExp): Promise<string> =>
    new Promise((found, fail) => {
      changed = () => {
        const hit =
          typeof text === 'string' ? output.stdout.includes(text) : text.test(output.stdout);
        if (hit) found(output.stdout);
      };
      changed();
      ended.then(
        (result) =>
          fail(
            new Error(`${name} ended without printing ${String(text)}: ${JSON.stringify(result)}`),
          ),
        fail,
      );
    });
  return { process: child, temporary, prints, ended };
}

/** Removes a folder.  @returns what was in it */
function takeFolder(path: string): string[] {
  const names = readdirSync(path);
  rmSync(path, { recursive: true, force: true });
  return names;
}

/** The lines of a text without the empty ones. */
export function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
