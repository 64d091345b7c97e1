/** A client of a UDP port. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

interface Received {
  text: string;
  address: string;
  port: number;
}

const open = new Set<Socket>();

/** At the top of a describe. */
export function closeUdpClientsAfterEach(): void {
  afterEach(() => {
    for (const socket of open) socket.close();
    open.clear();
  });
}

/** Bound to a port of `host`. */
export async function udpClient(host: string): Promise<UdpClient> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  open.add(socket);
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  return new UdpClient(socket, host);
}

export class UdpClient {
  readonly port: number;
  readonly #socket: Socket;
  readonly #host: string;

  constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    this.port = socket.address().port;
  }

  send(text: string, port: number): void {
    this.#socket.send(text, port, this.#host);
  }

  /** The next datagram. */
  next(): Promise<Received> {
    return new Promise((resolve) => {
      this.#socket.once('message', (data, { address, port }) => {
        resolve({ text: data.toString('latin1'), address, port });
      });
    });
  }

  /** Sends and waits for the answer. What the server has noted before it is here, too. */
  async ask(text: string, port: number): Promise<string> {
    const answer = this.next();
    this.send(text, port);
    const received = await answer;
    await new Promise(setImmediate);
    return received.text;
  }
}
