/**
 * Gives up root in a worker, and checks that there is no way back:
 *
 *   look names up -> groups -> chroot -> gid -> uid -> try to take root again, which must fail
 *
 * Names and groups come first, because a new root hides /etc/passwd; the uid comes last, because every
 * other step needs root.  See initgroups(3), chroot(2), setgid(2), setuid(2).
 */
import { opendirSync } from 'node:fs';
import { binding } from '../binding';
import { PreforkError } from '../errors';

export interface Privileges {
  /** A name or uid. */
  user?: string | number;
  /** A name or gid; default: the user's own. */
  group?: string | number;
  /** A folder that becomes the root directory. */
  chroot?: string;
}

interface Identity {
  uid: number;
  gid: number;
  /** Null for a uid without an account: it has no further groups. */
  name: string | null;
}

/** Documented by Node, missing in its types. */
interface WithInitgroups {
  initgroups(user: string | number, extraGroup: string | number): void;
}

/** SIGKILL, as set after the fork: a change of the uid makes the kernel forget it. */
const DEATH_SIGNAL = 9;

/**
 * What can be told before there is any worker, in the master.
 *
 * @throws PreforkError ERR_PRIVILEGES: it is not root, or does not know the user, the group or the folder
 */
export function checkPrivileges(privileges: Privileges): void {
  const { chroot } = privileges;
  if (areNone(privileges)) return;
  lookUp(privileges);
  if (chroot !== undefined)
    step(`chroot to ${chroot}`, () => {
      opendirSync(chroot).closeSync();
    });
}

/** @throws PreforkError ERR_PRIVILEGES naming the step that failed: the worker must not go on */
export function dropPrivileges(privileges: Privileges): void {
  if (areNone(privileges)) return;
  const { chroot } = privileges;
  const { identity, gid } = lookUp(privileges);
  if (gid !== null)
    step('setgroups', () => {
      setGroups(identity?.name ?? null, gid);
    });
  if (chroot !== undefined)
    step(`chroot to ${chroot}`, () => {
      binding.chroot(chroot);
    });
  if (gid !== null) step(`setgid to ${String(gid)}`, () => process.setgid?.(gid));
  if (identity !== null) dropUser(identity.uid);
  binding.setParentDeathSignal(DEATH_SIGNAL);
}

function areNone({ user, group, chroot }: Privileges): boolean {
  return user === undefined && group === undefined && chroot === undefined;
}

function lookUp({ user, group }: Privileges): { identity: Identity | null; gid: number | null } {
  if (process.getuid?.() !== 0) {
    throw failure(`user, group and chroot need root, this is uid ${String(process.getuid?.())}`);
  }
  const identity = user === undefined ? null : identify(user, group);
  return { identity, gid: identity?.gid ?? (group === undefined ? null : groupId(group)) };
}

function identify(user: string | number, group: string | number | undefined): Identity {
  const account = binding.lookupUser(user);
  if (account === undefined && typeof user === 'string') throw failure(`no user is called ${user}`);
  const gid = group === undefined ? account?.[1] : groupId(group);
  if (gid === undefined) throw failure(`uid ${String(user)} has no account: give a group as well`);
  return { uid: account?.[0] ?? Number(user), gid, name: account?.[2] ?? null };
}

function groupId(group: string | number): number {
  const gid = typeof group === 'number' ? group : binding.lookupGroup(group);
  if (gid === undefined) throw failure(`no group is called ${String(group)}`);
  return gid;
}

function setGroups(name: string | null, gid: number): void {
  if (name === null) process.setgroups?.([gid]);
  else (process as unknown as WithInitgroups).initgroups(name, gid);
}

function dropUser(uid: number): void {
  step(`setuid to ${String(uid)}`, () => process.setuid?.(uid));
  if (uid !== 0 && canBecomeRoot()) throw failure('setuid did not last: root could be taken back');
}

function canBecomeRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}

function step(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw failure(`${what} failed: ${(error as Error).message}`, error);
  }
}

function failure(message: string, cause?: unknown): PreforkError {
  return new PreforkError('ERR_PRIVILEGES', message, { cause });
}
