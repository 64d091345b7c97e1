/**
 * One port of a server: where clients connect, or datagrams arrive. Bound when it is made, in the process
 * that makes the server, and inherited by its workers.
 */
import { Callbacks, type Capitalized } from '../callbacks';
import { PreforkError } from '../errors';
import { binding } from '../binding';
import { DatagramSocket } from '../ipc/datagram-socket';
import { ListeningSocket } from '../ipc/listening-socket';
import { invalidType } from '../validate';
import { framingFactory, type Framing } from './framing/framing';
import { PORT_EVENTS, type PortEvents } from './events';
import { mergePortOptions } from './settings';
import { resolvePortSettings, type PortOptions, type PortSettings } from './port-settings';

export const SOCK_TYPES = ['tcp', 'tcp6', 'unix', 'udp', 'udp6', 'unix_dgram'] as const;
/** Streams: `tcp`, `tcp6`, `unix`; datagrams: `udp`, `udp6`, `unix_dgram`. */
export type SockType = (typeof SOCK_TYPES)[number];

const UNIX_PREFIX = 'unix:';

/** One port of a server: where clients connect, or datagrams arrive.  Swoole\Server\Port. */
export class ServerPort {
  /** What kind of socket it is. */
  readonly type: SockType;
  /** An address, or the path of a unix socket. */
  readonly host: string;
  /** The port, also when the kernel has chosen it; 0 of a unix socket. */
  readonly port: number;
  /** @internal */
  readonly stream: ListeningSocket | null;
  /** @internal */
  readonly datagram: DatagramSocket | null;
  readonly #callbacks = new Callbacks<PortEvents>('a port', PORT_EVENTS);
  readonly #isRunning: () => boolean;
  #options: PortOptions = {};
  #settings: PortSettings | null = null;
  #framing: (() => Framing) | null = null;

  /** @internal See Server.listen(). */
  constructor(host: string, port: number, type: SockType, isRunning: () => boolean) {
    if (!SOCK_TYPES.includes(type)) throw invalidType('sockType', SOCK_TYPES.join(', '), type);
    this.type = type;
    this.#isRunning = isRunning;
    this.stream = isStream(type) ? listen(type, host, port) : null;
    this.datagram = isStream(type) ? null : bind(type, host, port);
    this.host = host.startsWith(UNIX_PREFIX) ? host.slice(UNIX_PREFIX.length) : host;
    this.port = this.stream?.port ?? this.datagram?.port ?? 0;
  }

  /**
   * Settings of this port alone; what it does not name is the server's.
   *
   * @throws PreforkError ERR_UNKNOWN_OPTION, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_SERVER_RUNNING
   */
  set(options: PortOptions): this {
    this.#refuseWhileRunning('set()');
    this.#options = mergePortOptions(this.#options, options);
    return this;
  }

  /**
   * A callback for this port alone, in place of the server's.
   *
   * @throws PreforkError ERR_UNKNOWN_EVENT, ERR_INVALID_ARG_TYPE, ERR_SERVER_RUNNING
   */
  on<Name extends keyof PortEvents>(event: Name, callback: PortEvents[Name]): this;
  on<Name extends keyof Capitalized<PortEvents>>(
    event: Name,
    callback: Capitalized<PortEvents>[Name],
  ): this;
  on(event: string, callback: unknown): this {
    this.#refuseWhileRunning('on()');
    this.#callbacks.set(event, callback);
    return this;
  }

  /** @internal */
  callback<Name extends keyof PortEvents>(event: Name): PortEvents[Name] | undefined {
    return this.#callbacks.get(event);
  }

  /** What it was set to, defaults filled in; once the server runs. */
  get setting(): PortSettings {
    if (this.#settings === null) throw new PreforkError('ERR_NOT_STARTED', 'the server runs not');
    return this.#settings;
  }

  /** @internal At the start of the server. */
  resolve(inherited: PortOptions): void {
    this.#settings = resolvePortSettings({ ...inherited, ...this.#options });
    this.#framing = framingFactory(this.#settings);
    if (this.stream !== null) binding.setBacklog(this.stream.fd, this.#settings.backlog);
  }

  /** @internal */
  makeFraming(): Framing {
    if (this.#framing === null) throw new PreforkError('ERR_NOT_STARTED', 'the server runs not');
    return this.#framing();
  }

  /** @internal In a process that accepts nothing: the port is to be free as soon as those that do are gone. */
  closeListening(): void {
    this.stream?.close();
  }

  /** @internal At the end: the files of unix sockets go too. */
  close(): void {
    this.stream?.unlink();
    this.stream?.close();
    this.datagram?.unlink();
    this.datagram?.close();
  }

  #refuseWhileRunning(call: string): void {
    if (this.#isRunning()) {
      throw new PreforkError('ERR_SERVER_RUNNING', `${call} has to come before start()`);
    }
  }
}

export function isStream(type: SockType): boolean {
  return type === 'tcp' || type === 'tcp6' || type === 'unix';
}

function listen(type: SockType, host: string, port: number): ListeningSocket {
  if (type === 'unix' || host.startsWith(UNIX_PREFIX)) return ListeningSocket.unix(pathOf(host));
  return ListeningSocket.tcp(host, port);
}

function bind(type: SockType, host: string, port: number): DatagramSocket {
  if (type === 'unix_dgram') return DatagramSocket.unix(pathOf(host));
  return type === 'udp6' ? DatagramSocket.udp6(host, port) : DatagramSocket.udp(host, port);
}

function pathOf(host: string): string {
  return host.startsWith(UNIX_PREFIX) ? host.slice(UNIX_PREFIX.length) : host;
}
