/** Addresses of sockets, as arguments and for people, and the file of a unix socket. */
import { lstatSync, unlinkSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { isSystemError, PreforkError, withHint } from '../errors';
import { checkInteger, checkString } from '../validate';
import { generation } from './generation';

const MAX_PORT = 65535;

/** sizeof(sockaddr_un.sun_path) without the NUL at its end. */
const MAX_PATH_BYTES = 107;

/** An IPv4 or IPv6 address; `localhost` is `loopback`. */
export function numericAddress(host: string, loopback = '127.0.0.1'): string {
  checkString('host', host);
  if (host === 'localhost') return loopback;
  if (isIP(host) !== 0) return host;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `host must be an IPv4 or IPv6 address or 'localhost', got ${JSON.stringify(host)}: ` +
      'names are not looked up',
  );
}

export function checkPort(port: number, min = 0): number {
  return checkInteger('port', port, min, MAX_PORT);
}

export function checkPath(path: string): string {
  const bytes = Buffer.byteLength(checkString('path', path));
  if (bytes >= 1 && bytes <= MAX_PATH_BYTES && !path.includes('\0')) return path;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `the path of a unix socket must have 1 to ${MAX_PATH_BYTES} bytes and no NUL byte, ` +
      `got ${bytes} bytes: ${JSON.stringify(path)}`,
  );
}

export function ipName(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

export function unixName(path: string): string {
  return `unix:${path}`;
}

/** The kernel's errors do not say which address they are about. */
export function naming<T>(address: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw isSystemError(error) ? withHint(error, address) : error;
  }
}

/** It belongs to the process that has made it. */
export class SocketFile {
  readonly #path: string;
  readonly #device: bigint;
  readonly #inode: bigint;
  readonly #generation = generation();

  /** A socket was just bound to `path`. */
  constructor(path: string) {
    this.#path = resolve(path);
    const { dev, ino } = lstatSync(this.#path, { bigint: true });
    this.#device = dev;
    this.#inode = ino;
  }

  /**
   * Unless it is another process's or another file by now. While the socket is open no other file gets
   * its inode number.
   *
   * @returns whether it was removed
   */
  remove(): boolean {
    if (this.#generation !== generation()) return false;
    const there = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (there?.dev !== this.#device || there.ino !== this.#inode) return false;
    unlinkSync(this.#path);
    return true;
  }
}
