/**
 * A task on its way through a queue or a stream, where the bus does not say whose it is. All numbers are
 * little-endian:
 *
 *    0        1        2        3        4              8              12             16
 *   +--------+--------+--------+--------+--------------+--------------+--------------+-----------+
 *   | 'T'    | version| type   | kind   | sender (i32) | id (u32)     | server (u32) | payload … |
 *   +--------+--------+--------+--------+--------------+--------------+--------------+-----------+
 *
 *   type     16 a task, 25 a mark; | 128: the payload is in a file of taskTmpdir, and here are its length
 *            (u32) and its name
 *   kind     of the payload: 0 bytes, 1 string, 2 v8.serialize(), 3 undefined; | 4: for the finish event
 *   sender   the mailbox for the answers; -1: there is none, the task comes from another program
 *   server   drawn by each server: answers to a sender of another run would reach somebody else
 */
import { PreforkError } from '../../errors';
import type { Addresses } from '../bus/addresses';
import { TASK, TASK_MARK } from '../bus/message';
import { FOR_EVENT, KIND_MASK } from './task-message';

const MAGIC = 0x54;
const VERSION = 1;
export const HEADER_BYTES = 16;
const IN_FILE = 0x80;
const LENGTH_BYTES = 4;
export const NO_SENDER = -1;

export interface TaskPacket {
  type: number;
  kind: number;
  from: number;
  id: number;
  server: number;
}

/** Where a payload is that was too large for the queue. */
export interface PayloadFile {
  name: string;
  bytes: number;
}

export function encodeTaskPacket(packet: TaskPacket, payload: Uint8Array | PayloadFile): Buffer {
  const inFile = !(payload instanceof Uint8Array);
  const body = inFile ? encodeFile(payload) : payload;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  bytes[0] = MAGIC;
  bytes[1] = VERSION;
  bytes[2] = packet.type | (inFile ? IN_FILE : 0);
  bytes[3] = packet.kind;
  bytes.writeInt32LE(packet.from, 4);
  bytes.writeUInt32LE(packet.id, 8);
  bytes.writeUInt32LE(packet.server, 12);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** @throws PreforkError ERR_BAD_PACKET */
export function decodeTaskPacket(
  bytes: Buffer,
): TaskPacket & { payload: Buffer; file: PayloadFile | null } {
  if (bytes.length < HEADER_BYTES) throw badPacket(`${bytes.length} bytes`);
  if (bytes[0] !== MAGIC || bytes[1] !== VERSION) throw badPacket('no header of this version');
  const [first = 0, kind = 0] = bytes.subarray(2, 4);
  const type = first & ~IN_FILE;
  if (type !== TASK && type !== TASK_MARK) throw badPacket(`type ${first}`);
  if ((kind & ~(KIND_MASK | FOR_EVENT)) !== 0) throw badPacket(`kind ${kind}`);
  const from = bytes.readInt32LE(4);
  if (from < NO_SENDER) throw badPacket(`sender ${from}`);
  const payload = bytes.subarray(HEADER_BYTES);
  const file = (first & IN_FILE) === 0 ? null : decodeFile(payload);
  const [id, server] = [bytes.readUInt32LE(8), bytes.readUInt32LE(12)];
  return { type, kind, from, id, server, payload, file };
}

/** The mailbox for the answers to a packet, or NO_SENDER. */
export function senderOf({ from, server }: TaskPacket, ours: number, addresses: Addresses): number {
  const isOurs = server === ours && from < addresses.count && addresses.exists(from);
  return isOurs ? from : NO_SENDER;
}

function encodeFile({ name, bytes }: PayloadFile): Buffer {
  const body = Buffer.alloc(LENGTH_BYTES + Buffer.byteLength(name));
  body.writeUInt32LE(bytes);
  body.write(name, LENGTH_BYTES);
  return body;
}

function decodeFile(body: Buffer): PayloadFile {
  if (body.length <= LENGTH_BYTES) throw badPacket('the name of its file is missing');
  return { bytes: body.readUInt32LE(), name: body.toString('utf8', LENGTH_BYTES) };
}

export function badPacket(what: string, options?: ErrorOptions): PreforkError {
  return new PreforkError('ERR_BAD_PACKET', what, options);
}
