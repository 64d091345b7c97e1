/**
 * What do push and pop cost, next to mq_send and mq_receive in C? One side pushes, the child pops, on
 * queues of the same capacity and message size. Swoole's queue is of another kind, and larger.
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { cPeer, sortPeers, swoolePeer } from './support/peers';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 9;
const COUNT = 20000;

function entrantsOf(prefork: Subject, peers: Subject[], bytes: number): [Entrant, ...Entrant[]] {
  const request = (way: string): string => `${String(bytes)} ${String(COUNT)} ${way}`;
  return [
    { subject: prefork, request: request('sync'), name: 'prefork, push and pop' },
    {
      subject: prefork,
      request: request('async'),
      name: 'prefork, pushAsync and popAsync',
      own: true,
    },
    ...peers.map((subject) => ({ subject, request: request('sync') })),
  ];
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const { subjects, skipped } = sortPeers([
    cPeer('C, mq_send and mq_receive', 'queue'),
    swoolePeer('Swoole\\Process, System V queue', 'queue/swoole.php'),
  ]);
  const prefork = Subject.ofFixture('prefork', 'queue/prefork.js');
  for (const bytes of [64, 8192]) {
    const title = `one way, messages of ${String(bytes)} B`;
    const heading = { title, unit: 'µs per message', better: 'lower' } as const;
    const sampled = await alternate(entrantsOf(prefork, subjects, bytes), quick ? 1 : ROUNDS);
    yield compare(heading, sampled, skipped);
  }
  await closeAll([prefork, ...subjects]);
}

export const question: Question = { title: 'what does the message queue cost?', answer };
