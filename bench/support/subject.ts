/**
 * A peer under measurement: a process that waits for requests on its stdin, one a line, and answers
 * each by a line with a JSON array of samples. It stays alive from round to round.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const ROOT = resolve(__dirname, '../..');
const FIXTURES = resolve(ROOT, 'bench/fixtures');

export interface SubjectOptions {
  env?: NodeJS.ProcessEnv;
  /** A command that starts it, such as `taskset -c 0`. */
  wrapper?: readonly string[];
  /** Options for Node itself. */
  node?: string[];
  args?: string[];
}

export class Subject {
  /** Those that have not been closed. */
  static readonly open = new Set<Subject>();

  readonly name: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(name: string, command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const [file = '', ...args] = command;
    this.name = name;
    this.#child = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error(`${name} has no stdout`);
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
    // One that has died is told by ask().
    this.#child.stdin?.on('error', () => undefined);
    Subject.open.add(this);
  }

  /** A script of bench/fixtures, run by the Node that runs us. */
  static ofFixture(name: string, fixture: string, options: SubjectOptions = {}): Subject {
    const { env, node = [], wrapper = [], args = [] } = options;
    const command = [...wrapper, process.execPath, ...node, fixturePath(fixture), ...args];
    return new Subject(name, command, env);
  }

  async ask(request: string): Promise<number[]> {
    this.#child.stdin?.write(`${request}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`${this.name} ended instead of answering "${request}"`);
    return JSON.parse(value) as number[];
  }

  async close(): Promise<void> {
    Subject.open.delete(this);
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
  }
}

export function fixturePath(fixture: string): string {
  return resolve(FIXTURES, fixture);
}
