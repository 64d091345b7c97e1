/**
 * How fast do task workers take work off an event worker?
 *
 *   taskwait    one task after the other, there and back, one task worker
 *   in flight   many tasks at a time, two task workers
 *
 * With one task after the other, both sides mostly wait: where the scheduler wakes them decides more than
 * any code does. So taskwait is measured on one CPU, where only work counts.
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { pinning, sortPeers, swoolePeer } from './support/peers';
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

const ON_ONE_CPU = [
  wait('64 B', 64, 6000, { piscina: 1.5, Swoole: 0.5 }),
  wait('8 KB', 8192, 5000, { Swoole: 3 }),
  wait('100 KB', 100_000, 2000, { Swoole: 1.5 }),
  wait('1 MB', 1_048_576, 300, { Swoole: 1.5 }),
];

const ANYWHERE = [
  wait('64 B', 64, 3000),
  flight('64 B', 64, 20_000, { piscina: 2, Swoole: 0.6 }),
  flight('8 KB', 8192, 10_000),
  flight('1 MB', 1_048_576, 400),
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
type Subjects = [Subject, ...Subject[]];

type Wrapper = readonly string[];

function threadPool(library: string, wrapper: Wrapper): Subject {
  return Subject.ofFixture(library, 'tasks/thread-pool.js', { args: [library], wrapper });
}

async function* measure(
  cases: Case[],
  place: string,
  wrapper: Wrapper,
  rounds: number,
): AsyncGenerator<Section> {
  const { subjects, skipped } = sortPeers([swoolePeer('Swoole', 'tasks/swoole.php', { wrapper })]);
  const rivals = [
    Subject.ofFixture('prefork', 'tasks/prefork.js', { wrapper }),
    ...['piscina', 'tinypool', 'workerpool'].map((library) => threadPool(library, wrapper)),
    ...subjects,
  ];
  for (const one of cases) {
    const sampled = await alternate(entrantsOf(rivals, one), rounds);
    yield compare({ title: `${one.title}${place}`, ...UNIT }, sampled, skipped);
  }
  await closeAll(rivals);
}

async function compareModes(place: string, wrapper: Wrapper, rounds: number): Promise<Section> {
  const [first, ...others] = [1, 2, 3, 4].map((mode) => {
    const env = { TASK_IPC_MODE: String(mode) };
    return Subject.ofFixture(`prefork, taskIpcMode ${mode}`, 'tasks/prefork.js', { env, wrapper });
  }) as Subjects;
  const entrants: Entrants = [
    { subject: first, request: MODES },
    ...others.map((subject) => ({ subject, request: MODES, own: true })),
  ];
  const title = `taskwait, 64 B, by taskIpcMode${place}`;
  const section = compare({ title, ...UNIT }, await alternate(entrants, rounds));
  await closeAll([first, ...others]);
  return section;
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const rounds = quick ? 1 : ROUNDS;
  const pinned = pinning();
  yield* measure(ANYWHERE, ', any CPU', [], rounds);
  if (pinned === null) {
    console.log('    skipped: taskwait on one CPU: no taskset here');
    return;
  }
  yield* measure(ON_ONE_CPU, ', one CPU', pinned, rounds);
  yield await compareModes(', one CPU', pinned, rounds);
}

export const question: Question = { title: 'how fast are task workers?', answer };
