/**
 * A listening socket that several processes share: made once, before the forks, which inherit it. Each
 * accepts for itself; the kernel gives a connection to one of them and keeps the rest in the backlog.
 *
 *   master   ListeningSocket.tcp() or .unix() ........................... unlink(), close()
 *   workers    \-- fork --> new FdWatcher(socket.fd), then accept() until it gives null
 *
 * Every process owns its copy of the fd; the file of a unix socket belongs to the process that made it.
 * See listen(2), accept(2), ip(7), unix(7).
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { binding } from '../binding';
import { isSystemError, PreforkError, withHint } from '../errors';
import { checkInteger, checkString } from '../validate';
import { generation } from './generation';

/** Connections that wait for a worker. The kernel cuts it to net.core.somaxconn, usually 4096. */
export const DEFAULT_BACKLOG = 2048;

const MAX_PORT = 65535;
const MAX_BACKLOG = 65535;

/** sizeof(sockaddr_un.sun_path) without the NUL at its end. */
const MAX_PATH_BYTES = 107;

interface SocketFile {
  path: string;
  device: bigint;
  inode: bigint;
}

export class ListeningSocket {
  /** For people: `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`. */
  readonly address: string;
  /** The port, also when the kernel has chosen it; null for a unix socket. */
  readonly port: number | null;
  readonly #file: SocketFile | null;
  readonly #generation = generation();
  #fd: number;

  private constructor(fd: number, address: string, port: number | null, file: SocketFile | null) {
    this.#fd = fd;
    this.address = address;
    this.port = port;
    this.#file = file;
  }

  /**
   * Listens on a TCP port, with SO_REUSEADDR. `::` takes IPv4 clients as well.
   *
   * @param host - an IPv4 or IPv6 address, or `localhost`, which is 127.0.0.1; names are not looked up
   * @param port - 0: one that the kernel chooses
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  static tcp(host: string, port: number, backlog = DEFAULT_BACKLOG): ListeningSocket {
    const address = numericAddress(host);
    checkInteger('port', port, 0, MAX_PORT);
    checkInteger('backlog', backlog, 0, MAX_BACKLOG);
    const [fd, bound] = naming(tcpName(address, port), () =>
      binding.listenTcp(address, port, backlog),
    );
    return new ListeningSocket(fd, tcpName(address, bound), bound, null);
  }

  /**
   * Listens on a unix socket whose file only this user may open (mode 0600). The file of a socket that
   * nobody listens on any more is replaced.
   *
   * @param path - 107 bytes at most
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; EADDRINUSE when somebody listens on it
   * or it is no socket; ENOENT, EACCES
   */
  static unix(path: string, backlog = DEFAULT_BACKLOG): ListeningSocket {
    checkPath(path);
    checkInteger('backlog', backlog, 0, MAX_BACKLOG);
    const address = `unix:${path}`;
    const fd = naming(address, () => binding.listenUnix(path, backlog));
    try {
      return new ListeningSocket(fd, address, null, fileAt(resolve(path)));
    } catch (error) {
      binding.closeFd(fd);
      throw error;
    }
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * The fd of the next connection, non-blocking and closed on exec, or null when there is none. The
   * caller owns it.
   *
   * @throws EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the backlog
   */
  accept(): number | null {
    const fd = naming(this.address, () => binding.accept(this.#fd));
    return fd < 0 ? null : fd;
  }

  /**
   * Removes the file of a unix socket, if this process has made it and it is still the same file.
   * Before {@link close}: while the socket is open no other file gets its inode number.
   *
   * @returns whether it was removed
   */
  unlink(): boolean {
    if (this.#file === null || this.closed || this.#generation !== generation()) return false;
    const { path, device, inode } = this.#file;
    const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (there?.dev !== device || there.ino !== inode) return false;
    unlinkSync(path);
    return true;
  }

  /** Closes this process's copy: the port is free when the last process has closed its own. */
  close(): void {
    if (this.closed) return;
    const fd = this.#fd;
    this.#fd = -1;
    binding.closeFd(fd);
  }
}

function numericAddress(host: string): string {
  checkString('host', host);
  if (host === 'localhost') return '127.0.0.1';
  if (isIP(host) !== 0) return host;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `host must be an IPv4 or IPv6 address or 'localhost', got ${JSON.stringify(host)}: ` +
      'names are not looked up',
  );
}

function checkPath(path: string): void {
  const bytes = Buffer.byteLength(checkString('path', path));
  if (bytes >= 1 && bytes <= MAX_PATH_BYTES && !path.includes('\0')) return;
  throw new PreforkError(
    'ERR_OUT_OF_RANGE',
    `the path of a unix socket must have 1 to ${MAX_PATH_BYTES} bytes and no NUL byte, ` +
      `got ${bytes} bytes: ${JSON.stringify(path)}`,
  );
}

function tcpName(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function fileAt(path: string): SocketFile {
  const { dev, ino } = lstatSync(path, { bigint: true });
  return { path, device: dev, inode: ino };
}

/** The kernel's errors do not say which address they are about. */
function naming<T>(address: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw isSystemError(error) ? withHint(error, address) : error;
  }
}
