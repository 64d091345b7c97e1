/**
 * Files for payloads that are too large for a message queue. One is written by who submits a task, and
 * read and removed by who takes it. Mode 0600.
 *
 *   <taskTmpdir>/prefork.task.<key>.<pid>.<pid of the writer>-<number>      key and pids: hexadecimal
 *
 * pid is the server's master, or a program's that is no part of it. What a server has left that was killed,
 * the next one removes at its start, unless packets in a queue that outlived it still name it.
 */
import {
  chownSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isSystemError, withHint } from '../../errors';
import { withFdToSpare } from '../../ipc/spare-fd';
import { badPacket, type PayloadFile } from './task-packet';

const NAME = /^prefork\.task\.([0-9a-f]+)\.([0-9a-f]+)\.[0-9a-f]+-[0-9a-f]+$/;
const { O_CREAT, O_EXCL, O_WRONLY, O_RDONLY, O_NOFOLLOW } = constants;
const MODE = 0o600;

let written = 0;

export class TaskFiles {
  readonly #folder: string;
  readonly #key: string;
  readonly #owner: string;
  readonly #uid: number | null;

  /**
   * @param key - messageQueueKey
   * @param uid - who shall own the files, where root writes them; null: who writes them
   */
  constructor(folder: string, key: number, uid: number | null = null, pid = process.pid) {
    this.#folder = folder;
    this.#key = key.toString(16);
    this.#owner = pid.toString(16);
    this.#uid = uid;
  }

  /** @throws ENOENT, ENOTDIR with the name of the setting */
  checkFolder(): void {
    try {
      readdirSync(this.#folder);
    } catch (error) {
      throw isSystemError(error) ? withHint(error, 'the setting taskTmpdir') : error;
    }
  }

  /** @throws ENOSPC, EACCES and others: nothing is left behind */
  write(data: Uint8Array): PayloadFile {
    const [fd, name] = this.#create();
    try {
      if (this.#uid !== null && process.getuid?.() === 0)
        chownSync(this.#path(name), this.#uid, -1);
      for (let at = 0; at < data.length;) at += writeSync(fd, data, at);
    } catch (error) {
      unlinkSync(this.#path(name));
      throw error;
    } finally {
      closeSync(fd);
    }
    return { name, bytes: data.length };
  }

  /** Reads and removes it.  @throws PreforkError ERR_BAD_PACKET when it is not there, or not what was written */
  take({ name, bytes }: PayloadFile): Buffer {
    // Names come from packets: they must not lead anywhere else.
    if (!NAME.test(name)) throw badPacket(`a file with the name ${JSON.stringify(name)}`);
    try {
      const data = withFdToSpare(() => readWhole(this.#path(name), bytes));
      unlinkSync(this.#path(name));
      return data;
    } catch (error) {
      throw badPacket(`its file cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }

  /** For a packet that was not sent after all. */
  discard(name: string): void {
    removeQuietly(this.#path(name));
  }

  /** Removes files of this key whose owner does not live any more. */
  sweep(): void {
    this.#remove((owner) => !isAlive(parseInt(owner, 16)));
  }

  /** Removes what this server has left. */
  removeOwn(): void {
    this.#remove((owner) => owner === this.#owner);
  }

  #create(): [fd: number, name: string] {
    for (;;) {
      const writer = `${process.pid.toString(16)}-${(written++).toString(16)}`;
      const name = `prefork.task.${this.#key}.${this.#owner}.${writer}`;
      try {
        return [openSync(this.#path(name), O_CREAT | O_EXCL | O_WRONLY, MODE), name];
      } catch (error) {
        // Of a process that had this pid before.
        if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
      }
    }
  }

  #remove(belongs: (owner: string) => boolean): void {
    let names: string[];
    try {
      names = readdirSync(this.#folder);
    } catch {
      return;
    }
    for (const name of names) {
      const [, key, owner = ''] = NAME.exec(name) ?? [];
      if (key === this.#key && belongs(owner)) removeQuietly(this.#path(name));
    }
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

function readWhole(path: string, bytes: number): Buffer {
  const fd = openSync(path, O_RDONLY | O_NOFOLLOW);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size !== bytes) {
      throw new Error(`${stats.size} bytes where ${bytes} belong`);
    }
    const data = Buffer.allocUnsafeSlow(bytes);
    for (let at = 0; at < bytes;) {
      const read = readSync(fd, data, at, bytes - at, null);
      if (read === 0) throw new Error(`it ended after ${at} bytes`);
      at += read;
    }
    return data;
  } finally {
    closeSync(fd);
  }
}

function isAlive(pid: number): boolean {
  try {
    statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

export function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else was faster, or it is not ours to remove.
  }
}
