/**
 * Does JavaScript that becomes hot only in a forked child reach the speed it has in a fresh process?
 * It depends on V8's background threads, which compile and collect garbage: a fork has to replace them.
 * Each sample is a process of its own.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { repeat } from './support/alternate';
import type { Options, Question } from './support/cli';
import { compare, type Section } from './support/report';
import { fixturePath, ROOT } from './support/subject';

const ROUNDS = 9;
const TARGET = 0.95;
const WORKLOADS = {
  recursion: 'recursion (fib)',
  collections: 'maps and arrays',
  trees: 'trees (garbage collection)',
  json: 'JSON',
};

const execute = promisify(execFile);

async function sample(fixture: string, workload: string): Promise<number> {
  const script = fixturePath(`child-speed/${fixture}.js`);
  const { stdout } = await execute(process.execPath, [script, workload], { cwd: ROOT });
  return Number(stdout);
}

async function measure(workload: string, title: string, rounds: number): Promise<Section> {
  const forked = { name: 'forked child', samples: [] as number[] };
  const fresh = { name: 'fresh Node process', samples: [] as number[], target: TARGET };
  await repeat(rounds, async (round) => {
    // Changing turns: who comes first may find the processor cooler.
    const order = round % 2 === 0 ? ['forked', 'fresh'] : ['fresh', 'forked'];
    for (const fixture of order) {
      const { samples } = fixture === 'forked' ? forked : fresh;
      samples.push(await sample(fixture, workload));
    }
  });
  return compare({ title, unit: 'ms', better: 'lower' }, [forked, fresh]);
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  for (const [workload, title] of Object.entries(WORKLOADS)) {
    yield await measure(workload, title, quick ? 3 : ROUNDS);
  }
}

export const question: Question = {
  title: 'is a forked child as fast as a fresh process?',
  answer,
};
