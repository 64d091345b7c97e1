/** From what a user names, a pid, a pid file or a control socket, to the path of the control socket. */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { listSockets, possiblePaths } from '../control/socket-path';
import { CommandError } from './client';

const HINT = 'its pool or server needs the option controlSocket: true';

/** @throws CommandError */
export function findSocket(target: string | undefined): string {
  if (target === undefined) return onlySocket();
  if (/^\d+$/.test(target)) return socketOf(Number(target));
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined) throw new CommandError(`${target}: no such file`);
  return found.isSocket() ? target : socketOf(pidIn(target));
}

function onlySocket(): string {
  const found = listSockets();
  const [first] = found;
  if (first !== undefined && found.length === 1) return first.path;
  throw new CommandError(
    found.length === 0
      ? `no pool or server of this user was found: ${HINT}`
      : `which one? ${found.map(({ pid }) => pid).join(', ')}`,
    2,
  );
}

function pidIn(file: string): number {
  const text = readFileSync(file, 'utf8').trim();
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new CommandError(`${file}: this is neither a control socket nor a file with a pid`);
}

function socketOf(pid: number): string {
  const owner = lstatSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  if (owner === undefined) throw new CommandError(`there is no process ${pid}`);
  const path = possiblePaths(pid).find((candidate) => isSocketOf(candidate, owner));
  if (path !== undefined) return path;
  throw new CommandError(`process ${pid} has no control socket: ${HINT}, or name its path here`);
}

/** Not one that another user has put there. */
function isSocketOf(path: string, owner: number): boolean {
  try {
    const found = lstatSync(path);
    return found.isSocket() && found.uid === owner;
  } catch {
    return false;
  }
}
