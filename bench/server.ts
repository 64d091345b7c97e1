/**
 * What does a server do better than Node's cluster?
 *
 *   echo      50 connections, each sends its next message when it has the last one back; 2 workers
 *   recovery  SIGKILL of the only worker until its successor has answered a new connection
 *
 * One client in C drives all servers in turn: one in Node would measure itself.
 */
import { alternate, closeAll, type Entrant } from './support/alternate';
import type { Options, Question } from './support/cli';
import { cPeer, sortPeers, swoolePeer, type Peer } from './support/peers';
import { compare, type Sampled, type Section } from './support/report';
import { Subject } from './support/subject';

const ROUNDS = 7;
const ROUND_MS = 1200;
const QUICK_ROUND_MS = 600;
const CONNECTIONS = 50;
const WORKERS = 2;
const RECOVERIES = 5;
const SIZES = [
  [64, '64 B'],
  [4096, '4 KB'],
] as const;

/** Of the cluster's speed. */
const ECHO_AIMS: Aims = { base: { target: 1 }, process: { target: 0.6 } };
/** In ms. */
const RECOVERY_AIMS: Aims = { base: { limit: 10 }, process: { limit: 10 } };

interface Servers {
  base: Subject;
  process: Subject;
  cluster: Subject;
  others: Subject[];
  skipped: string[];
}

function startServers(workers: number, reply: string, cPeers: readonly Peer[] = []): Servers {
  const ours = (mode: string): Subject => {
    const args = [mode, String(workers), reply];
    return Subject.ofFixture(`prefork, ${mode} mode`, 'server/prefork.js', { args });
  };
  const swoole = (mode: string): Peer =>
    swoolePeer(`Swoole, ${mode} mode`, 'server/swoole.php', {
      args: [mode, String(workers), reply],
    });
  const { subjects, skipped } = sortPeers([...cPeers, swoole('base'), swoole('process')]);
  return {
    base: ours('base'),
    process: ours('process'),
    cluster: Subject.ofFixture('cluster', 'server/cluster.js', { args: [String(workers), reply] }),
    others: subjects,
    skipped,
  };
}

/** What the client is told for each server: it is the one that measures. */
async function entrants(
  client: Subject,
  { base, process, cluster, others }: Servers,
  what: string,
  details: string,
): Promise<[Entrant, ...Entrant[]]> {
  const made: Entrant[] = [];
  for (const server of [base, process, cluster, ...others]) {
    const [port = 0] = await server.ask('port');
    made.push({ subject: client, name: server.name, request: `${what} ${port} ${details}` });
  }
  return made as [Entrant, ...Entrant[]];
}

/** What is wanted of each of our modes. */
interface Aims {
  base: Pick<Sampled, 'target' | 'limit'>;
  process: Pick<Sampled, 'target' | 'limit'>;
}

/** The same rounds, as each of our modes sees them. */
function sections(
  heading: Pick<Section, 'title' | 'unit' | 'better'>,
  sampled: Sampled[],
  aims: Aims,
  skipped: string[],
): Section[] {
  const [base, process, cluster, ...others] = sampled as [Sampled, Sampled, Sampled, ...Sampled[]];
  const section = (mode: 'base' | 'process', ours: Sampled): Section => {
    const { target, limit } = aims[mode];
    const title = `${heading.title}, ${mode} mode`;
    return compare(
      { ...heading, title },
      [{ ...ours, limit }, { ...cluster, target }, ...others],
      skipped,
    );
  };
  return [section('base', base), section('process', process)];
}

async function* echo(client: Subject, servers: Servers, quick: boolean): AsyncGenerator<Section> {
  for (const [bytes, size] of SIZES) {
    const details = `${bytes} ${CONNECTIONS} ${quick ? QUICK_ROUND_MS : ROUND_MS}`;
    const rivals = await entrants(client, servers, 'echo', details);
    const sampled = await alternate(rivals, quick ? 1 : ROUNDS);
    const heading = {
      title: `echo of ${size}, ${CONNECTIONS} connections`,
      unit: 'thousand a second',
      better: 'higher' as const,
    };
    yield* sections(heading, sampled, ECHO_AIMS, servers.skipped);
  }
}

async function* recovery(
  client: Subject,
  servers: Servers,
  quick: boolean,
): AsyncGenerator<Section> {
  const rivals = await entrants(client, servers, 'recover', String(RECOVERIES));
  const sampled = await alternate(rivals, quick ? 1 : ROUNDS);
  const heading = {
    title: 'SIGKILL of the worker to the next reply',
    unit: 'ms',
    better: 'lower' as const,
  };
  yield* sections(heading, sampled, RECOVERY_AIMS, servers.skipped);
}

/** Nobody else runs while these are measured. */
async function* withServers(
  servers: Servers,
  measure: (servers: Servers) => AsyncIterable<Section>,
): AsyncGenerator<Section> {
  try {
    yield* measure(servers);
  } finally {
    const { base, process, cluster, others } = servers;
    await closeAll([base, process, cluster, ...others]);
  }
}

async function* answer({ quick }: Options): AsyncGenerator<Section> {
  const peer = cPeer('client', 'server-load');
  if ('skipped' in peer) {
    console.log(`    skipped: ${peer.skipped}`);
    return;
  }
  const client = peer.subject;
  const limit = cPeer('C, two processes with epoll', 'server-echo');
  try {
    yield* withServers(startServers(WORKERS, 'echo', [limit]), (servers) =>
      echo(client, servers, quick),
    );
    yield* withServers(startServers(1, 'pid'), (servers) => recovery(client, servers, quick));
  } finally {
    await client.close();
  }
}

export const question: Question = {
  title: 'what does a server do better than a cluster?',
  answer,
};
