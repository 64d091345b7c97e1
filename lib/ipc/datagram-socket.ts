/**
 * A datagram socket that several processes share: made once, before the forks, which inherit it. The
 * kernel gives each datagram to the one process that asks first.
 *
 *   master   DatagramSocket.udp(), .udp6() or .unix() .................. unlink(), close()
 *   workers    \-- fork --> onReadable(), then receive() until it gives null; send() the answer
 *
 * Every process owns its copy of the fd; the file of a unix socket belongs to the process that made it.
 * receive() takes one datagram per call: a process that is killed loses none that it has not handled.
 * See udp(7), ipv6(7), unix(7).
 */
import { isIPv4, isIPv6 } from 'node:net';
import { binding } from '../binding';
import { isSystemError, PreforkError, systemError, withHint } from '../errors';
import { checkData, checkString } from '../validate';
import { alignedBuffer } from './aligned-buffer';
import { OwnedFd } from './owned-fd';
import {
  checkPath,
  checkPort,
  ipName,
  naming,
  numericAddress,
  SocketFile,
  unixName,
} from './socket-address';

type Family = 'IPv4' | 'IPv6' | 'unix';

export interface Datagram {
  data: Buffer;
  /** The sender's. Of a unix socket its path; '' when it has none, and then there is no way back. */
  address: string;
  /** 0 of a unix socket. */
  port: number;
}

/** 65,535 bytes less the headers. */
const MOST_V4_BYTES = 65_507;
const MOST_V6_BYTES = 65_527;

/** No UDP datagram is longer. */
const UDP_ROOM = 65_536;

/** More than a sender's buffer holds by default, which is the limit of a unix socket's datagram. */
const UNIX_ROOM = 1024 * 1024;

const V4_MAPPED = '::ffff:';

/** In front of the name of a unix socket that has no file. */
const ABSTRACT = '\0';

/** What all sockets of this process receive into. */
const rooms = new Map<number, Buffer>();
const results = new Int32Array(2);

export class DatagramSocket extends OwnedFd {
  /** For people: `127.0.0.1:9502`, `[::1]:9502` or `unix:/path`. */
  readonly address: string;
  /** The port, also when the kernel has chosen it; null for a unix socket. */
  readonly port: number | null;
  readonly #family: Family;
  readonly #file: SocketFile | null;

  private constructor(fd: number, family: Family, address: string, bound: number | SocketFile) {
    super(fd);
    this.#family = family;
    this.address = address;
    this.port = typeof bound === 'number' ? bound : null;
    this.#file = typeof bound === 'number' ? null : bound;
  }

  /**
   * Binds a UDP port.
   *
   * @param host - an IPv4 or IPv6 address, or `localhost`, which is 127.0.0.1; names are not looked up
   * @param port - 0: one that the kernel chooses
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  static udp(host: string, port: number): DatagramSocket {
    return DatagramSocket.#bindUdp(numericAddress(host), port);
  }

  /**
   * Binds a UDP port of an IPv6 address; `localhost` is ::1. `::` takes IPv4 as well, from senders whose
   * addresses are told as ::ffff:1.2.3.4.
   *
   * @throws as {@link udp}
   */
  static udp6(host: string, port: number): DatagramSocket {
    const address = numericAddress(host, '::1');
    if (isIPv6(address)) return DatagramSocket.#bindUdp(address, port);
    throw new PreforkError('ERR_OUT_OF_RANGE', `host must be an IPv6 address, got "${host}"`);
  }

  /**
   * Binds a unix socket whose file only this user may send to (mode 0600). The file of a socket that no
   * process has open any more is replaced.
   *
   * @param path - 107 bytes at most
   * @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; EADDRINUSE when it is in use or no
   * socket; ENOENT, EACCES
   */
  static unix(path: string): DatagramSocket {
    const address = unixName(checkPath(path));
    const fd = naming(address, () => binding.unixDatagramBind(path));
    try {
      return new DatagramSocket(fd, 'unix', address, new SocketFile(path));
    } catch (error) {
      binding.closeFd(fd);
      throw error;
    }
  }

  static #bindUdp(address: string, port: number): DatagramSocket {
    checkPort(port);
    const [fd, bound] = naming(ipName(address, port), () => binding.udpBind(address, port));
    const family = isIPv6(address) ? 'IPv6' : 'IPv4';
    return new DatagramSocket(fd, family, ipName(address, bound), bound);
  }

  /**
   * The next datagram, or null when there is none. It may be empty.
   *
   * @throws PreforkError ERR_MESSAGE_TOO_BIG: a unix datagram of more than 1 MiB; it is lost
   */
  receive(): Datagram | null {
    const fd = this.openFd();
    const room = roomOf(this.#family === 'unix' ? UNIX_ROOM : UDP_ROOM);
    const address = binding.datagramReceive(fd, room, results);
    if (address === undefined) return null;
    const length = results[0] as number;
    const port = results[1] as number;
    if (length > room.length) throw tooLongToReceive(length, room.length, address);
    return { data: Buffer.from(room.subarray(0, length)), address, port };
  }

  /**
   * Sends one datagram. UDP promises nothing: true says that this machine has taken it.
   *
   * @param address - an IP address as {@link receive} tells it, or the path of a unix socket
   * @param port - of UDP only
   * @returns false when there is no room for it: of a unix socket at the receiver, which no
   * writable event tells
   * @throws PreforkError ERR_MESSAGE_TOO_BIG, ERR_EMPTY_DATA, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE;
   * ENETUNREACH, EACCES and others of sendto(2); of a unix socket ECONNREFUSED, ENOENT
   */
  send(data: string | Uint8Array, address: string, port = 0): boolean {
    const bytes = checkData(data);
    const fd = this.openFd();
    const peer = this.#family === 'unix' ? checkPeerPath(address) : this.#peerAddress(address);
    if (this.#family !== 'unix') checkPort(port, 1);
    try {
      return this.#family === 'unix'
        ? binding.unixDatagramSend(fd, bytes, peer)
        : binding.udpSend(fd, bytes, peer, port);
    } catch (error) {
      throw this.#explained(error, bytes.length, peer);
    }
  }

  /** Calls `listener` whenever there may be a datagram for this process; null stops that. */
  onReadable(listener: (() => void) | null): void {
    this.watcher().onReadable(listener);
  }

  /**
   * Removes the file of a unix socket, if this process has made it and it is still the same file. Before
   * {@link close}.
   *
   * @returns whether it was removed
   */
  unlink(): boolean {
    return !this.closed && this.#file?.remove() === true;
  }

  protected override closedError(): Error {
    return systemError('EBADF', 'datagram', `the socket ${this.address} is closed`);
  }

  /** An IPv6 socket reaches IPv4 by mapped addresses. */
  #peerAddress(address: string): string {
    checkString('address', address);
    if (isIPv4(address)) return this.#family === 'IPv6' ? V4_MAPPED + address : address;
    if (isIPv6(address) && this.#family === 'IPv6') return address;
    throw new PreforkError(
      'ERR_OUT_OF_RANGE',
      `address must be an ${this.#family} address as this socket's (${this.address}), ` +
        `got ${JSON.stringify(address)}`,
    );
  }

  #explained(error: unknown, bytes: number, peer: string): unknown {
    if (!isSystemError(error)) return error;
    if (error.code !== 'EMSGSIZE') return withHint(error, `to ${JSON.stringify(peer)}`);
    return new PreforkError(
      'ERR_MESSAGE_TOO_BIG',
      `a datagram of ${bytes} bytes does not fit: at most ${this.#longestTo(peer)}`,
    );
  }

  #longestTo(peer: string): string {
    if (this.#family === 'unix') {
      return `${binding.messageLimit(this.fd)} bytes, by the socket's send buffer (SO_SNDBUF)`;
    }
    if (this.#family === 'IPv4' || peer.toLowerCase().startsWith(V4_MAPPED)) {
      return `${MOST_V4_BYTES} bytes over IPv4`;
    }
    return `${MOST_V6_BYTES} bytes over IPv6`;
  }
}

function roomOf(bytes: number): Buffer {
  let room = rooms.get(bytes);
  // Pages that no datagram has reached yet take no memory.
  if (room === undefined) rooms.set(bytes, (room = alignedBuffer(bytes)));
  return room;
}

/** A path, or the name of a socket without a file as {@link DatagramSocket.receive} tells it. */
function checkPeerPath(address: string): string {
  if (checkString('address', address).startsWith(ABSTRACT)) {
    checkPath(address.slice(ABSTRACT.length));
    return address;
  }
  return checkPath(address);
}

function tooLongToReceive(length: number, room: number, sender: string): PreforkError {
  return new PreforkError(
    'ERR_MESSAGE_TOO_BIG',
    `a datagram of ${length} bytes from ${JSON.stringify(sender)} is lost: ` +
      `at most ${room} bytes are received`,
  );
}
