/**
 * What does a pool do better than what Node has?
 *
 *   replacement   SIGKILL of a worker until its successor has answered the next message
 *   reload        all workers replaced, one after the other, and all serve
 *   messages      from the master to one worker, as fast as that handles them
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 7;
/** Of a round, for prefork; a cluster is slow and gets fewer. */
const REPLACEMENTS = 10;
const MESSAGES = 60_000;

const REPLACEMENT_TARGET = 12;
const MESSAGES_TARGET = 3;

interface Case {
  heading: Pick<Section, 'title' | 'unit' | 'better'>;
  entrants: [Entrant, ...Entrant[]];
}

function lifeCases(prefork: Subject, cluster: Subject): Case[] {
  return [
    {
      heading: { title: 'SIGKILL to the next answer of that worker', unit: 'ms', better: 'lower' },
      entrants: [
        { subject: prefork, request: `replace ${String(REPLACEMENTS)}` },
        { subject: cluster, request: 'replace 2', target: REPLACEMENT_TARGET },
      ],
    },
    {
      heading: { title: 'reload of 4 workers', unit: 'ms', better: 'lower' },
      entrants: [
        { subject: prefork, request: 'reload 3' },
        { subject: cluster, request: 'reload 1' },
      ],
    },
  ];
}

function messageCase(prefork: Subject, childProcess: Subject, bytes: number, size: string): Case {
  const request = `messages ${String(bytes)} ${String(MESSAGES)}`;
  return {
    heading: {
      title: `master to worker, ${size}`,
      unit: 'thousand messages a second',
      better: 'higher',
    },
    entrants: [
      { subject: prefork, request: `${request} async`, name: 'prefork, sendMessageAsync' },
      { subject: prefork, request: `${request} sync`, name: 'prefork, sendMessage', own: true },
      { subject: childProcess, request, target: MESSAGES_TARGET },
    ],
  };
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const prefork = Subject.ofFixture('prefork', 'pool/prefork.js');
  const cluster = Subject.ofFixture('cluster that forks on exit', 'pool/cluster.js');
  const childProcess = Subject.ofFixture('child_process send, advanced', 'pool/child-process.js');
  const cases = [
    ...lifeCases(prefork, cluster),
    messageCase(prefork, childProcess, 64, '64 B'),
    messageCase(prefork, childProcess, 8192, '8 KB'),
  ];
  for (const { heading, entrants } of cases) {
    yield compare(heading, await alternate(entrants, quick ? 1 : ROUNDS));
  }
  await closeAll([prefork, cluster, childProcess]);
}

export const question: Question = { title: 'what does a pool do better?', answer };
