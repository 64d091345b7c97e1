/** From what a user names, a pid, a pid file or a control socket, to the path of the control socket. */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { listSockets, possiblePaths } from '../control/socket-path';
import { CommandError } from './client';

const HINT = 'its pool or server needs the option controlSocket: true';
export const NONE_FOUND =
  'no pool or server of this user was found; one needs the option controlSocket: true';

/** @throws CommandError */
export function findSocket(target: string | undefined): string {
  if (target === undefined) return onlySocket();
  if (/^\d+$/.test(target)) return socketOf(Number(target));
  return isSocket(target) ? target : socketOf(pidIn(target));
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): CommandError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new CommandError(code === 'ENOENT' ? `${path}: no such file` : message);
}

function onlySocket(): string {
  const found = listSockets();
  const [first] = found;
  if (first !== undefined && found.length === 1) return first.path;
  throw new CommandError(
    found.length === 0
      ? NONE_FOUND
      : `which one? ${found.map(({ pid }) => pid).join(', ')}; see prefork list`,
    2,
  );
}

function pidIn(file: string): number {
  const text = textOf(file).trim();
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new CommandError(`${file}: this is neither a control socket nor a file with a pid`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function socketOf(pid: number): string {
  const owner = lstatSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  if (owner === undefined) throw new CommandError(`there is no process ${pid}`);
  const path = possiblePaths(pid).find((candidate) => isSocketOf(candidate, owner));
  if (path !== undefined) return path;
  const own = process.getuid?.() ?? 0;
  throw new CommandError(
    own === 0 || own === owner
      ? `process ${pid} has no control socket: ${HINT}, or name its path here`
      : `process ${pid} belongs to another user (uid ${owner}): only that user and root may look at it`,
  );
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
