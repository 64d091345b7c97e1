/**
 * What does the pipe of a Process cost, next to the same loop in C and to Node's own channels?
 *
 *   ping-pong   the parent sends a message and waits until it comes back
 *   one way     the parent sends, the child reads, and answers once at the end
 *
 * Where the scheduler puts the two sides decides more than any code does: a wake-up on another CPU
 * costs several times a round trip on one. So ping-pong is measured on one CPU, where only work counts.
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { cPeer, pinning, pythonPeer, sortPeers, swoolePeer } from './support/peers';
import { compare, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 5;
/** Of C's speed. */
const PING_PONG_TARGET = 0.7;

/** What prefork offers; the first is the one compared. */
const WAYS = [
  { way: 'sync', name: 'prefork, read and write' },
  { way: 'async', name: 'prefork, readAsync and writeAsync' },
];

interface Case {
  title: string;
  unit: string;
  better: 'lower' | 'higher';
  request: string;
  target?: number;
}

function sizeName(bytes: number): string {
  if (bytes < 1024) return `${String(bytes)} B`;
  return bytes < 1 << 20 ? `${String(bytes >> 10)} KB` : `${String(bytes >> 20)} MB`;
}

function pingPong(kind: string, bytes: number, count: number, target?: number): Case {
  return {
    title: `ping-pong of ${sizeName(bytes)} on a ${kind} pipe`,
    unit: 'µs per round trip',
    better: 'lower',
    request: `ping-pong ${kind} ${String(bytes)} ${String(count)}`,
    ...(target !== undefined && { target }),
  };
}

function oneWay(bytes: number, count: number): Case {
  return {
    title: `one way, ${sizeName(bytes)} a write on a stream pipe`,
    unit: 'MB/s',
    better: 'higher',
    request: `one-way stream ${String(bytes)} ${String(count)}`,
  };
}

const ON_ONE_CPU = [
  pingPong('dgram', 64, 5000, PING_PONG_TARGET),
  pingPong('dgram', 8192, 4000, PING_PONG_TARGET),
  pingPong('stream', 64, 5000, PING_PONG_TARGET),
  pingPong('stream', 8192, 4000, PING_PONG_TARGET),
];

const ANYWHERE = [
  pingPong('dgram', 64, 4000),
  pingPong('stream', 8192, 4000),
  pingPong('stream', 1 << 20, 100),
  oneWay(64, 20000),
  oneWay(8192, 10000),
  oneWay(1 << 20, 100),
];

function entrants(prefork: Subject, peers: Subject[], one: Case): [Entrant, ...Entrant[]] {
  const ours = WAYS.map(({ way, name }, i) => {
    return { subject: prefork, request: `${one.request} ${way}`, name, own: i > 0 };
  });
  // The peers know one way each. Only C has a target.
  const others = peers.map((subject) => {
    const target = subject.name.startsWith('C,') ? one.target : undefined;
    return { subject, request: `${one.request} sync`, ...(target !== undefined && { target }) };
  });
  return [...ours, ...others] as [Entrant, ...Entrant[]];
}

async function* measure(
  cases: Case[],
  place: string,
  wrapper: readonly string[],
  quick: boolean,
): AsyncGenerator<Section> {
  const { subjects, skipped } = sortPeers([
    cPeer('C, the same socket and calls', 'pipe', { wrapper }),
    swoolePeer('Swoole\\Process', 'pipe/swoole.php', { wrapper }),
    pythonPeer('Python multiprocessing.Pipe', 'pipe/multiprocessing_pipe.py', { wrapper }),
  ]);
  const prefork = Subject.ofFixture('prefork', 'pipe/prefork.js', { wrapper });
  const peers = [
    ...subjects,
    Subject.ofFixture('child_process send, advanced', 'pipe/child-process.js', { wrapper }),
    Subject.ofFixture('Worker postMessage', 'pipe/worker.js', { wrapper }),
  ];
  for (const one of cases) {
    const sampled = await alternate(entrants(prefork, peers, one), quick ? 1 : ROUNDS);
    yield compare({ ...one, title: `${one.title}${place}` }, sampled, skipped);
  }
  await closeAll([prefork, ...peers]);
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const pinned = pinning();
  if (pinned !== null) yield* measure(ON_ONE_CPU, ', one CPU', pinned, quick);
  else console.log('    skipped: ping-pong on one CPU: no taskset here');
  yield* measure(ANYWHERE, ', any CPU', [], quick);
}

export const question: Question = { title: 'what does the pipe cost?', answer };
