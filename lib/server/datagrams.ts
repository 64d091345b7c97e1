/**
 * The datagram ports of a server, in the process that reads them: in process mode the master, in base mode
 * each event worker. On the bus a datagram is
 *
 *   | port of the sender (u16, little-endian) | length of its address (u16) | address, UTF-8 | data … |
 */
import { isIP, isIPv4 } from 'node:net';
import { PreforkError } from '../errors';
import type { DatagramSocket } from '../ipc/datagram-socket';
import { checkInteger } from '../validate';
import type { ServerContext } from './context';
import type { ServerPort, SockType } from './port';

const HEADER_BYTES = 4;

export interface Datagram {
  address: string;
  port: number;
  data: Buffer;
}

export function encodeDatagram({ address, port, data }: Datagram): Buffer {
  const length = Buffer.byteLength(address);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + length + data.length);
  bytes.writeUInt16LE(port, 0);
  bytes.writeUInt16LE(length, 2);
  bytes.write(address, HEADER_BYTES);
  data.copy(bytes, HEADER_BYTES + length);
  return bytes;
}

/** @throws PreforkError ERR_BAD_FRAME */
export function decodeDatagram(bytes: Buffer): Datagram {
  const start = bytes.length < HEADER_BYTES ? Infinity : HEADER_BYTES + bytes.readUInt16LE(2);
  if (start > bytes.length) throw new PreforkError('ERR_BAD_FRAME', 'a datagram that is too short');
  const address = bytes.toString('utf8', HEADER_BYTES, start);
  return { address, port: bytes.readUInt16LE(0), data: Buffer.from(bytes.subarray(start)) };
}

/**
 * What sends to an address.
 *
 * @param place - of the port in `ports`; -1: the first that fits the address
 * @throws PreforkError ERR_OUT_OF_RANGE when there is none
 */
export function datagramSocketFor(
  ports: readonly ServerPort[],
  address: string,
  place: number,
): DatagramSocket {
  checkInteger('serverSocket', place, -1, ports.length - 1);
  const port = place >= 0 ? ports[place] : firstThatFits(ports, address);
  if (port !== undefined && port.datagram !== null) return port.datagram;
  throw new PreforkError('ERR_OUT_OF_RANGE', `no datagram port of this server fits ${address}`);
}

function firstThatFits(ports: readonly ServerPort[], address: string): ServerPort | undefined {
  const types: SockType[] =
    isIP(address) === 0 ? ['unix_dgram'] : isIPv4(address) ? ['udp', 'udp6'] : ['udp6'];
  const byType = types.map((type) => ports.find((port) => port.type === type));
  return byType.find((port) => port !== undefined);
}

/** How many datagrams of one port are read before others have a turn. */
const PER_TURN = 64;

export class DatagramPorts {
  readonly #context: ServerContext;
  readonly #onDatagram: (port: number, data: Buffer, address: string, from: number) => void;

  constructor(
    context: ServerContext,
    onDatagram: (port: number, data: Buffer, address: string, from: number) => void,
  ) {
    this.#context = context;
    this.#onDatagram = onDatagram;
  }

  start(): void {
    this.#context.ports.forEach(({ datagram }, index) => {
      datagram?.onReadable(() => {
        this.#read(index);
      });
    });
  }

  stop(): void {
    for (const { datagram } of this.#context.ports) datagram?.onReadable(null);
  }

  #read(index: number): void {
    const socket = this.#context.ports[index]?.datagram;
    const { bus } = this.#context;
    bus.begin();
    for (let count = 0; count < PER_TURN; count++) {
      const datagram = socket?.receive() ?? null;
      if (datagram === null) break;
      this.#onDatagram(index, datagram.data, datagram.address, datagram.port);
    }
    bus.end();
  }
}
