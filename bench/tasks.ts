/**
 * How fast do task workers take work off an event worker?
 *
 *   taskwait    one task after the other, there and back, one task worker
 *   in flight   many tasks at a time, two task workers
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { sortPeers, swoolePeer } from './support/peers';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 5;
const UNIT = { unit: 'thousand tasks a second', better: 'higher' } as const;

/** What is wanted, as a multiple of the peer's speed. */
type Targets = Partial<Record<'piscina' | 'Swoole', number>>;

interface Case {
  title: string;
  request: string;
  targets?: Targets;
}

const wait = (size: string, bytes: number, tasks: number, targets: Targets = {}): Case => ({
  title: `taskwait, ${size}`,
  request: `wait ${bytes} ${tasks}`,
  targets,
});

const flight = (size: string, bytes: number, tasks: number, targets: Targets = {}): Case => ({
  title: `100 in flight, ${size}`,
  request: `flight ${bytes} ${tasks} 100`,
  targets,
});

const CASES = [
  wait('64 B', 64, 10_000, { piscina: 1.5, Swoole: 0.5 }),
  wait('8 KB', 8192, 8000, { Swoole: 3 }),
  wait('100 KB', 100_000, 3000, { Swoole: 1.5 }),
  wait('1 MB', 1_048_576, 400, { Swoole: 1.5 }),
  flight('64 B', 64, 40_000, { piscina: 2, Swoole: 0.6 }),
  flight('8 KB', 8192, 20_000),
  flight('1 MB', 1_048_576, 500),
];

const MODES = 'wait 64 5000';

function entrantsOf(subjects: readonly Subject[], { request, targets = {} }: Case): Entrants {
  const made = subjects.map((subject): Entrant => {
    const target = targets[subject.name as keyof Targets];
    return { subject, request, ...(target !== undefined && { target }) };
  });
  return made as Entrants;
}

type Entrants = [Entrant, ...Entrant[]];

function threadPool(library: string): Subject {
  return Subject.ofFixture(library, 'tasks/thread-pool.js', { args: [library] });
}

function preforkIn(mode: number): Subject {
  const env = { TASK_IPC_MODE: String(mode) };
  return Subject.ofFixture(`prefork, taskIpcMode ${mode}`, 'tasks/prefork.js', { env });
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const rounds = quick ? 1 : ROUNDS;
  const prefork = Subject.ofFixture('prefork', 'tasks/prefork.js');
  const pools = ['piscina', 'tinypool', 'workerpool'].map(threadPool);
  const { subjects, skipped } = sortPeers([swoolePeer('Swoole', 'tasks/swoole.php')]);
  const rivals = [prefork, ...pools, ...subjects];
  for (const one of CASES) {
    const sampled = await alternate(entrantsOf(rivals, one), rounds);
    yield compare({ title: one.title, ...UNIT }, sampled, skipped);
  }
  await closeAll(rivals.slice(1));

  const others = [2, 3, 4].map(preforkIn);
  const entrants: Entrants = [
    { subject: prefork, request: MODES },
    ...others.map((subject) => ({ subject, request: MODES, own: true })),
  ];
  const title = 'taskwait, 64 B, by taskIpcMode';
  yield compare({ title, ...UNIT }, await alternate(entrants, rounds));
  await closeAll([prefork, ...others]);
}

export const question: Question = { title: 'how fast are task workers?', answer };
