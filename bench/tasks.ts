/**
 * How fast do task workers take work off an event worker?
 *
 *   taskwait    one task after the other: there and back
 *   in flight   100 tasks at a time, two task workers
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 7;
const UNIT = { unit: 'thousand tasks a second', better: 'higher' } as const;

const WAIT_TARGET = 1.5;
const FLIGHT_TARGET = 2;

const SIZES = [
  { bytes: 64, tasks: 20_000, size: '64 B', target: WAIT_TARGET },
  { bytes: 8192, tasks: 20_000, size: '8 KB' },
  { bytes: 100_000, tasks: 4000, size: '100 KB' },
  { bytes: 1_048_576, tasks: 500, size: '1 MB' },
];

type Case = [title: string, ...entrants: [Entrant, ...Entrant[]]];

function cases(prefork: Subject, piscina: Subject, others: readonly Subject[]): Case[] {
  const waits = SIZES.map(({ bytes, tasks, size, ...target }): Case => {
    const request = `wait ${bytes} ${tasks}`;
    return [
      `taskwait, ${size}`,
      { subject: prefork, request },
      { subject: piscina, request, ...target },
    ];
  });
  const request = 'flight 64 60000 100';
  const small = 'wait 64 5000';
  return [
    ...waits,
    [
      '100 in flight, 64 B',
      { subject: prefork, request },
      { subject: piscina, request, target: FLIGHT_TARGET },
    ],
    [
      'taskwait, 64 B, by taskIpcMode',
      { subject: prefork, request: small },
      ...others.map((subject) => ({ subject, request: small, own: true })),
    ],
  ];
}

async function answer({ quick }: Options): Promise<Section[]> {
  const prefork = Subject.ofFixture('prefork', 'tasks/prefork.js');
  const piscina = Subject.ofFixture('piscina', 'tasks/piscina.js');
  const others = [2, 3, 4].map((mode) =>
    Subject.ofFixture(`prefork, taskIpcMode ${mode}`, 'tasks/prefork.js', {
      env: { TASK_IPC_MODE: String(mode) },
    }),
  );
  const sections: Section[] = [];
  for (const [title, ...entrants] of cases(prefork, piscina, others)) {
    sections.push(compare({ title, ...UNIT }, await alternate(entrants, quick ? 1 : ROUNDS)));
  }
  await closeAll([prefork, piscina, ...others]);
  return sections;
}

export const question: Question = { title: 'how fast are task workers?', answer };
