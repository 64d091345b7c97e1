/** Peers outside Node: C programs are compiled here, interpreters are used where they are installed. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fixturePath, ROOT, Subject } from './subject';

/** A peer that can run here, or the reason why not. */
export type Peer = { subject: Subject } | { skipped: string };

const CACHE = resolve(ROOT, '.cache/bench');

/** Compiles bench/c/`name`.c; the binary is kept until the source changes. */
function compile(name: string): string {
  const source = resolve(ROOT, 'bench/c', `${name}.c`);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const binary = resolve(CACHE, `${name}-${process.arch}-${hash}`);
  if (existsSync(binary)) return binary;
  mkdirSync(CACHE, { recursive: true });
  const result = spawnSync('cc', ['-O2', '-Wall', '-o', binary, source, '-lrt'], {
    stdio: ['ignore', 2, 2],
  });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`cc could not compile bench/c/${name}.c`);
  return binary;
}

/** How an outside peer is started. */
interface Start {
  args?: readonly string[];
  /** A command that starts it, such as `taskset -c 0`. */
  wrapper?: readonly string[];
}

export function cPeer(name: string, source: string, { args = [], wrapper = [] }: Start = {}): Peer {
  try {
    return { subject: new Subject(name, [...wrapper, compile(source), ...args]) };
  } catch (error) {
    return { skipped: `${name}: ${(error as Error).message}` };
  }
}

function output(command: string, args: string[]): string | undefined {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout : undefined;
}

/** The command that keeps a program on one CPU; null where there is none. */
export function pinning(): readonly string[] | null {
  const command = ['taskset', '-c', '0'];
  return output('taskset', ['-c', '0', 'true']) === undefined ? null : command;
}

export function pythonPeer(
  name: string,
  fixture: string,
  { args = [], wrapper = [] }: Start = {},
): Peer {
  if (output('python3', ['-c', '0']) === undefined) return { skipped: `${name}: no python3 here` };
  const command = [...wrapper, 'python3', fixturePath(fixture), ...args];
  return { subject: new Subject(name, command) };
}

export function swoolePeer(
  name: string,
  fixture: string,
  { args = [], wrapper = [] }: Start = {},
): Peer {
  const modules = output('php', ['-m']);
  if (modules === undefined) return { skipped: `${name}: no php here` };
  if (!/^swoole$/m.test(modules)) return { skipped: `${name}: php has no swoole extension` };
  return { subject: new Subject(name, [...wrapper, 'php', fixturePath(fixture), ...args]) };
}

/** Separates what runs from what was left out. */
export function sortPeers(peers: readonly Peer[]): { subjects: Subject[]; skipped: string[] } {
  const subjects: Subject[] = [];
  const skipped: string[] = [];
  for (const peer of peers) {
    if ('subject' in peer) subjects.push(peer.subject);
    else skipped.push(peer.skipped);
  }
  return { subjects, skipped };
}
