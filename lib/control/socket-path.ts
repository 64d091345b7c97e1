/**
 * Where the control socket of a process is when its options do not say:
 *
 *   $XDG_RUNTIME_DIR, or else /run/user/<uid>, or else the temporary folder
 *     prefork-<uid>/     mode 0700, this user's: nobody else may put a socket into it
 *       <pid>.sock       mode 0600
 *
 * The command looks in the same places, so it does not load the addon.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemError } from '../errors';

const OTHERS = 0o077;
const OWNER_ONLY = 0o700;
const NAME = /^(\d+)\.sock$/;

/** Base folders, the first that exists is used. */
function baseFolders(uid: number, env: NodeJS.ProcessEnv): string[] {
  const runtime = env['XDG_RUNTIME_DIR'];
  const given = runtime === undefined || runtime === '' ? [] : [runtime];
  return [...given, `/run/user/${uid}`, env['TMPDIR'] ?? tmpdir(), tmpdir(), '/tmp'];
}

function folderIn(base: string, uid: number): string {
  return join(base, `prefork-${uid}`);
}

/** The path for this process, in a folder that is made and found to be safe. @throws EACCES, ENOENT */
export function makeDefaultPath(): string {
  const uid = process.getuid?.() ?? 0;
  const base = baseFolders(uid, process.env).find(isFolder) ?? tmpdir();
  const folder = folderIn(base, uid);
  mkdirSync(folder, { recursive: true, mode: OWNER_ONLY });
  checkFolder(folder, uid);
  removeStale(folder);
  return join(folder, `${process.pid}.sock`);
}

/** After the socket was removed: the folder as well, if it was the last. */
export function leaveDefaultPath(path: string): void {
  try {
    rmdirSync(dirname(path));
  } catch {
    // Another process has its socket there.
  }
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** A folder that others may write to, or a link to one, is a trap. */
function checkFolder(folder: string, uid: number): void {
  const found = lstatSync(folder);
  if (found.isDirectory() && found.uid === uid && (found.mode & OTHERS) === 0) return;
  throw systemError(
    'EACCES',
    'open',
    `the folder of control sockets ${folder} must be this user's with mode 0700; ` +
      'remove it, or set controlSocket to another path',
  );
}

/** Of masters that were killed. */
function removeStale(folder: string): void {
  for (const { pid, path } of socketsIn(folder)) {
    if (pid === process.pid || exists(pid)) continue;
    try {
      unlinkSync(path);
    } catch {
      // Somebody else has removed it.
    }
  }
}

export interface FoundSocket {
  pid: number;
  path: string;
}

function socketsIn(folder: string): FoundSocket[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const pid = NAME.exec(name)?.[1];
    return pid === undefined ? [] : [{ pid: Number(pid), path: join(folder, name) }];
  });
}

function exists(pid: number): boolean {
  return lstatSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined;
}

/** Control sockets of this user's processes. */
export function listSockets(): FoundSocket[] {
  const uid = process.getuid?.() ?? 0;
  const folders = baseFolders(uid, process.env).map((base) => folderIn(base, uid));
  return [...new Set(folders)].flatMap(socketsIn).filter(({ pid }) => exists(pid));
}

/** Where the socket of a process may be, also when its user or its environment is another. */
export function possiblePaths(pid: number): string[] {
  const uid = lstatSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? process.getuid?.() ?? 0;
  const bases = [...baseFolders(uid, environmentOf(pid)), ...baseFolders(uid, process.env)];
  return [...new Set(bases)].map((base) => join(folderIn(base, uid), `${pid}.sock`));
}

/** That it was started with. */
function environmentOf(pid: number): NodeJS.ProcessEnv {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    const pairs = entries.map((entry): [string, string] => {
      const [name = '', ...value] = entry.split('=');
      return [name, value.join('=')];
    });
    return Object.fromEntries(pairs);
  } catch {
    return {};
  }
}
