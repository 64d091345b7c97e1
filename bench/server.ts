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

/** Of the cluster's speed. */
const BASE_TARGET = 1;
const PROCESS_TARGET = 0.6;
/** A cluster needs about 130 ms, prefork may need 10. */
const RECOVERY_TARGET = 13;

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
    swoolePeer(`Swoole, ${mode} mode`, 'server/swoole.php', [mode, String(workers), reply]);
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

/** The same rounds, as each of our modes sees them. */
function sections(
  heading: Pick<Section, 'title' | 'unit' | 'better'>,
  sampled: Sampled[],
  [baseTarget, processTarget]: [number, number],
  skipped: string[],
): Section[] {
  const [base, process, cluster, ...others] = sampled as [Sampled, Sampled, Sampled, ...Sampled[]];
  const title = (mode: string): string => `${heading.title}, ${mode} mode`;
  return [
    compare(
      { ...heading, title: title('base') },
      [base, { ...cluster, target: baseTarget }, ...others],
      skipped,
    ),
    compare(
      { ...heading, title: title('process') },
      [process, { ...cluster, target: processTarget }, ...others],
      skipped,
    ),
  ];
}

async function echo(client: Subject, quick: boolean): Promise<Section[]> {
  const limit = cPeer('C, two processes with epoll', 'server-echo');
  const servers = startServers(WORKERS, 'echo', [limit]);
  const made: Section[] = [];
  for (const [bytes, size] of [
    [64, '64 B'],
    [4096, '4 KB'],
  ] as const) {
    const details = `${bytes} ${CONNECTIONS} ${quick ? QUICK_ROUND_MS : ROUND_MS}`;
    const rivals = await entrants(client, servers, 'echo', details);
    const sampled = await alternate(rivals, quick ? 1 : ROUNDS);
    const heading = {
      title: `echo of ${size}, ${CONNECTIONS} connections`,
      unit: 'thousand a second',
      better: 'higher' as const,
    };
    made.push(...sections(heading, sampled, [BASE_TARGET, PROCESS_TARGET], servers.skipped));
  }
  await closeServers(servers);
  return made;
}

async function recovery(client: Subject, quick: boolean): Promise<Section[]> {
  const servers = startServers(1, 'pid');
  const rivals = await entrants(client, servers, 'recover', String(RECOVERIES));
  const sampled = await alternate(rivals, quick ? 1 : ROUNDS);
  const heading = {
    title: 'SIGKILL of the worker to the next reply',
    unit: 'ms',
    better: 'lower' as const,
  };
  const targets: [number, number] = [RECOVERY_TARGET, RECOVERY_TARGET];
  const made = sections(heading, sampled, targets, servers.skipped);
  await closeServers(servers);
  return made;
}

async function closeServers({ base, process, cluster, others }: Servers): Promise<void> {
  await closeAll([base, process, cluster, ...others]);
}

async function answer({ quick }: Options): Promise<Section[]> {
  const peer = cPeer('client', 'server-load');
  if ('skipped' in peer) {
    console.log(`    skipped: ${peer.skipped}`);
    return [];
  }
  const client = peer.subject;
  const made = [...(await echo(client, quick)), ...(await recovery(client, quick))];
  await client.close();
  return made;
}

export const question: Question = {
  title: 'what does a server do better than a cluster?',
  answer,
};
