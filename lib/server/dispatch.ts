/**
 * Which event worker gets a packet.
 *
 *   1 round   the next one             4 IP    the client's address % workers
 *   2 fd      session id % workers     5 uid   the bound uid % workers, unbound: as 2
 *   3, 7 idle the next idle one; none: the next one
 *
 * In modes 2 and 4 all of a connection goes to one worker, so that its connect and close events are in
 * order with its data there.
 */
import { PreforkError } from '../errors';

/** Which event worker gets a packet: 1 round, 2 connection, 3 idle, 4 IP, 5 uid, 7 idle. */
export type DispatchMode = 1 | 2 | 3 | 4 | 5 | 7;
export const DISPATCH_MODES: readonly DispatchMode[] = [1, 2, 3, 4, 5, 7];

/** What is dispatched, as a {@link DispatchFunc} is told. */
export const DISPATCH_DATA = 0;
export const DISPATCH_CLOSE = 3;
export const DISPATCH_CONNECT = 4;
/** What a {@link DispatchFunc} is asked for: 0 data, 3 a close event, 4 a connect event. */
export type DispatchType = typeof DISPATCH_DATA | typeof DISPATCH_CLOSE | typeof DISPATCH_CONNECT;

/** Results of a dispatchFunc that are no worker. */
export const DISCARD = -1;
export const CLOSE = -2;
const FALL_BACK = -3;

/** A user's choice: a worker's id, -1 discards the packet, -2 closes the connection, -3 leaves it to dispatchMode. */
export type DispatchFunc<Server> = (
  server: Server,
  fd: number,
  type: DispatchType,
  data: Buffer | null,
) => number;

/** The same with its server bound. */
type Override = (fd: number, type: DispatchType, data: Buffer | null) => number;

/** The workers to choose from. */
export interface Workers {
  readonly workerNum: number;
  isIdle(workerId: number): boolean;
  /** Counts up by one, for all processes together; may wrap at 2^32. */
  nextRound(): number;
}

/** Where a packet comes from. */
export interface Source {
  /** The session id; for a datagram any number that is its sender's. */
  readonly fd: number;
  /** Null: not bound. */
  readonly uid: number | null;
  /** IPv4 or IPv6; anything else, as of a unix socket: mode 4 takes the fd. */
  readonly address: string;
}

/** Whether connect, close, bufferFull and bufferEmpty are delivered: elsewhere they could overtake the data. */
export function deliversConnectionEvents(mode: DispatchMode, enableUnsafeEvent = false): boolean {
  return enableUnsafeEvent || mode === 2 || mode === 4;
}

/**
 * The next idle worker, or the next one when none is. For task workers too.
 *
 * @param onAllBusy - is told when none was idle
 */
export function chooseIdle(workers: Workers, onAllBusy?: () => void): number {
  const { workerNum } = workers;
  let workerId = 0;
  // Once more than there are workers: when all are busy the next call starts one further.
  for (let tried = 0; tried <= workerNum; tried++) {
    workerId = modulo(workers.nextRound(), workerNum);
    if (workers.isIdle(workerId)) return workerId;
  }
  onAllBusy?.();
  return workerId;
}

export class Dispatcher {
  readonly #workers: Workers;
  readonly #mode: DispatchMode;
  readonly #override: Override | null;
  readonly #onAllBusy: (() => void) | undefined;

  constructor(
    workers: Workers,
    mode: DispatchMode,
    override: Override | null = null,
    onAllBusy?: () => void,
  ) {
    this.#workers = workers;
    this.#mode = mode;
    this.#override = override;
    this.#onAllBusy = onAllBusy;
  }

  /**
   * @param data - null for what is no data
   * @returns a worker's id, or DISCARD or CLOSE
   * @throws PreforkError ERR_OUT_OF_RANGE when the dispatchFunc returned none of these, and what it throws
   */
  choose(source: Source, type: DispatchType = DISPATCH_DATA, data: Buffer | null = null): number {
    if (this.#override === null) return this.#byMode(source);
    const choice = this.#override(source.fd, type, data);
    if (choice === FALL_BACK) return this.#byMode(source);
    const { workerNum } = this.#workers;
    if (!Number.isInteger(choice) || choice < CLOSE || choice >= workerNum) {
      throw new PreforkError(
        'ERR_OUT_OF_RANGE',
        `dispatchFunc must return a worker from 0 to ${workerNum - 1}, -1 to discard, -2 to close or ` +
          `-3 for dispatchMode, got ${String(choice)}`,
      );
    }
    return choice;
  }

  #byMode(source: Source): number {
    const { workerNum } = this.#workers;
    switch (this.#mode) {
      case 1:
        return modulo(this.#workers.nextRound(), workerNum);
      case 2:
        return modulo(source.fd, workerNum);
      case 3:
      case 7:
        return chooseIdle(this.#workers, this.#onAllBusy);
      case 4:
        return modulo(addressKey(source.address) ?? source.fd, workerNum);
      case 5:
        return modulo(source.uid ?? source.fd, workerNum);
    }
  }
}

/** Of a number that may be a wrapped one of 32 bits. */
function modulo(value: number, workerNum: number): number {
  return (value >>> 0) % workerNum;
}

const MAPPED_PREFIX = '::ffff:';
const DOT = 46;
const ZERO = 48;

/** The same number for the same client, in every process and run: IPv4 as it is, IPv6 as a hash; otherwise null. */
export function addressKey(address: string): number | null {
  if (!address.includes(':')) return ipv4Key(address);
  // A client of IPv4 on a socket of IPv6 is the same client.
  if (address.startsWith(MAPPED_PREFIX) && address.includes('.')) {
    return ipv4Key(address.slice(MAPPED_PREFIX.length));
  }
  const zone = address.indexOf('%');
  return fnv1a(zone < 0 ? address : address.slice(0, zone));
}

function ipv4Key(address: string): number | null {
  let [key, octet, octets] = [0, 0, 1];
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === DOT) [key, octet, octets] = [key * 256 + octet, 0, octets + 1];
    else if (code >= ZERO && code <= ZERO + 9) octet = octet * 10 + code - ZERO;
    else return null;
  }
  return octets === 4 ? key * 256 + octet : null;
}

/** The kernel's text of an IPv6 address is canonical.  See RFC 5952. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  // Its lowest bits mix least, and the remainder takes just these.
  return (hash ^ (hash >>> 15)) >>> 0;
}
