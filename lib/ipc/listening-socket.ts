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
import { binding } from '../binding';
import { checkInteger } from '../validate';
import {
  checkPath,
  checkPort,
  ipName,
  naming,
  numericAddress,
  SocketFile,
  unixName,
} from './socket-address';

/** Connections that wait for a worker. The kernel cuts it to net.core.somaxconn, usually 4096. */
export const DEFAULT_BACKLOG = 2048;

const MAX_BACKLOG = 65535;

export class ListeningSocket {
  /** For people: `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`. */
  readonly address: string;
  /** The port, also when the kernel has chosen it; null for a unix socket. */
  readonly port: number | null;
  readonly #file: SocketFile | null;
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
    checkPort(port);
    checkInteger('backlog', backlog, 0, MAX_BACKLOG);
    const [fd, bound] = naming(ipName(address, port), () =>
      binding.listenTcp(address, port, backlog),
    );
    return new ListeningSocket(fd, ipName(address, bound), bound, null);
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
    const address = unixName(path);
    const fd = naming(address, () => binding.listenUnix(path, backlog));
    try {
      return new ListeningSocket(fd, address, null, new SocketFile(path));
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
    return !this.closed && this.#file?.remove() === true;
  }

  /** Closes this process's copy: the port is free when the last process has closed its own. */
  close(): void {
    if (this.closed) return;
    const fd = this.#fd;
    this.#fd = -1;
    binding.closeFd(fd);
  }
}
