/**
 * How long does it take to start a process and to see it end, and until its first byte arrives?
 *
 *   cycle       start, run an empty function, exit, reap
 *   first byte  start until the parent has read one byte of the child
 *
 * Variants are states of the parent. Peers that begin from nothing load the same modules again.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { cPeer, pythonPeer, sortPeers, swoolePeer, type Peer } from './support/peers';
import { compare, type Section } from './support/report';
import { Subject, type SubjectOptions } from './support/subject';

const MODULES = 300;
const HEAP_MB = 100;
/** What a bare Node has in private memory: the C program is given as much to copy. */
const NODE_PRIVATE_MB = 10;
const ROUNDS = 5;

const PREFORK = 'prefork';
const CHILD_PROCESS = 'child_process.fork';

interface Variant extends SubjectOptions {
  title: string;
  /** How often prefork shall be as fast as child_process.fork. */
  target?: number;
  /** Peers that no module graph and no heap of ours slows down. */
  others?: () => Peer[];
}

/** How many samples one round takes of each peer, by what it costs. */
const COUNTS: Record<string, number> = { [PREFORK]: 15, [CHILD_PROCESS]: 3, worker_threads: 4 };
const COUNT_OF_OTHERS = 10;

/** About 8 KB, what a file of an npm package has on average. */
function moduleText(index: number): string {
  const functions = Array.from({ length: 40 }, (_, i) => {
    const n = String(i);
    return `exports.f${n} = function f${n}(list, options = {}) {
  const { limit = ${n}, name = 'module ${String(index)}' } = options;
  const found = list.filter((item) => item.size > limit).map((item) => ({ ...item, name }));
  return found.length > 0 ? found : null;
};`;
  });
  return `${functions.join('\n')}\n`;
}

/** index.js requires all of them. */
function generateModules(folder: string): string {
  mkdirSync(folder);
  const names = Array.from({ length: MODULES }, (_, i) => `module${String(i)}.js`);
  names.forEach((name, i) => writeFileSync(join(folder, name), moduleText(i)));
  const index = join(folder, 'index.js');
  writeFileSync(index, names.map((name) => `require('./${name}');\n`).join(''));
  return index;
}

function variants(modules: string): Variant[] {
  return [
    {
      title: 'bare parent',
      target: 15,
      others: () => [
        cPeer('C: socketpair, fork, waitpid', 'start', { args: [String(NODE_PRIVATE_MB)] }),
        pythonPeer('Python multiprocessing, fork', 'start/multiprocessing_fork.py'),
        swoolePeer('PHP Swoole\\Process', 'start/swoole.php'),
      ],
    },
    {
      title: `parent with a heap of ${String(HEAP_MB)} MB`,
      env: { BENCH_HEAP_MB: String(HEAP_MB) },
      others: () => [
        cPeer('C, as much memory', 'start', { args: [String(NODE_PRIVATE_MB + HEAP_MB)] }),
      ],
    },
    {
      title: `${String(MODULES)} modules loaded in parent and child`,
      env: { BENCH_MODULES: modules },
      target: 30,
    },
    { title: 'under ts-node', node: ['-r', 'ts-node/register/transpile-only'] },
  ];
}

function nodePeers(variant: Variant): Subject[] {
  return [
    Subject.ofFixture(PREFORK, 'start/prefork.js', variant),
    Subject.ofFixture(CHILD_PROCESS, 'start/child-process.js', variant),
    Subject.ofFixture('worker_threads', 'start/worker.js', variant),
  ];
}

async function* measure(variant: Variant, quick: boolean): AsyncGenerator<Section> {
  const { subjects, skipped } = sortPeers(variant.others?.() ?? []);
  const all = [...nodePeers(variant), ...subjects];
  for (const [mode, what] of [
    ['cycle', 'start, exit, reap'],
    ['first-byte', 'start to the first byte'],
  ] as const) {
    const entrants = all.map((subject): Entrant => {
      const request = `${mode} ${String(COUNTS[subject.name] ?? COUNT_OF_OTHERS)}`;
      const wanted =
        mode === 'cycle' && subject.name === CHILD_PROCESS ? variant.target : undefined;
      return { subject, request, ...(wanted !== undefined && { target: wanted }) };
    }) as [Entrant, ...Entrant[]];
    const heading = { title: `${what}: ${variant.title}`, unit: 'ms', better: 'lower' } as const;
    yield compare(heading, await alternate(entrants, quick ? 1 : ROUNDS), skipped);
  }
  await closeAll(all);
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'prefork-bench-'));
  try {
    for (const variant of variants(generateModules(join(folder, 'graph')))) {
      yield* measure(variant, quick);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const question: Question = { title: 'how long does a start take?', answer };
