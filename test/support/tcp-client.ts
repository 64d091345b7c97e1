/** A client of a stream socket that reads as many bytes as a test expects. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** How a connection ended, seen from the client. */
export type ClientEnd = 'end' | 'reset';

export class TcpClient {
  readonly socket: Socket;
  /** Resolves when the server has ended the connection. */
  readonly ended: Promise<ClientEnd>;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #over: ClientEnd | null = null;
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#changed();
    });
    this.ended = new Promise((resolve) => {
      const over = (how: ClientEnd): void => {
        this.#over ??= how;
        resolve(this.#over);
        this.#changed();
      };
      socket.once('end', () => {
        over('end');
      });
      socket.on('error', () => {
        over('reset');
      });
      socket.once('close', () => {
        over('reset');
      });
    });
  }

  /** @param halfOpen - it goes on when the server has ended its side */
  static open(options: NetConnectOpts, halfOpen = true): Promise<TcpClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...options, allowHalfOpen: halfOpen });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new TcpClient(socket));
      });
    });
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Says that it sends no more; it still reads. */
  end(data: string | Uint8Array = ''): void {
    this.socket.end(data);
  }

  /** @returns exactly `length` bytes. What the server has noted before it sent them is here, too. */
  async read(length: number): Promise<Buffer> {
    await this.#until(() => this.#bytes >= length, `${String(length)} bytes`);
    // Its pipe became readable before this socket, but may be read after it in this turn.
    await new Promise(setImmediate);
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#bytes = all.length - length;
    return all.subarray(0, length);
  }

  /** The same as text. */
  async readText(length: number): Promise<string> {
    return (await this.read(length)).toString('latin1');
  }

  /** Sends and waits for an answer of the same length. */
  async ask(data: string): Promise<string> {
    this.write(data);
    return this.readText(data.length);
  }

  /** All until the server ends the connection. */
  async readAll(): Promise<Buffer> {
    await this.ended;
    return this.read(this.#bytes);
  }

  /** Bytes that wait to be read here. */
  get waiting(): number {
    return this.#bytes;
  }

  get isOver(): boolean {
    return this.#over !== null;
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Cuts the connection by RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    while (!condition()) {
      if (this.#over !== null) {
        const got = Buffer.concat(this.#chunks).toString('latin1').slice(0, 200);
        throw new Error(`${this.#over} before ${what} came: ${JSON.stringify(got)}`);
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}
