/**
 * Tasks from other programs, for taskIpcMode 2 and 3 with a messageQueueKey: what packTask() returns is to be
 * pushed into the queue of that key. Nobody gets their results.
 */
import { tmpdir } from 'node:os';
import { PreforkError } from '../../errors';
import { decodePayload, encodePayload } from '../../ipc/payload';
import { checkInteger, invalidType } from '../../validate';
import { TASK } from '../bus/message';
import { TaskFiles } from './task-files';
import {
  badPacket,
  decodeTaskPacket,
  encodeTaskPacket,
  HEADER_BYTES,
  NO_SENDER,
} from './task-packet';
import { KIND_MASK } from './task-message';

/** What queues of the kernel's default size take: /proc/sys/fs/mqueue/msgsize_default. */
const MESSAGE_BYTES = 8192;

/** Of `Server.packTask()` and `Server.unpackTask()`. */
export interface PackTaskOptions {
  /** The server's: needed for what is too large for the queue, which goes through a file. */
  messageQueueKey?: number;
  /** The server's. Default: os.tmpdir(). */
  taskTmpdir?: string;
  /** The longest message of the queue, in bytes. Default 8192. */
  messageSize?: number;
}

/**
 * A task as a message for the queue.
 *
 * @param data - anything that structured cloning takes
 * @throws PreforkError ERR_MESSAGE_TOO_BIG for large data without messageQueueKey; ERR_INVALID_ARG_TYPE for
 * what cannot be cloned
 */
export function packTask(data: unknown, options: PackTaskOptions = {}): Buffer {
  const { messageQueueKey = 0, taskTmpdir = tmpdir(), messageSize = MESSAGE_BYTES } = options;
  checkInteger('messageQueueKey', messageQueueKey, 0, 0xffffffff);
  const payload = encodePayload(data);
  const packet = { type: TASK, kind: payload.kind, from: NO_SENDER, id: 0, server: 0 };
  const bytes = HEADER_BYTES + payload.data.length;
  if (bytes <= messageSize) return encodeTaskPacket(packet, payload.data);
  if (messageQueueKey === 0) {
    throw new PreforkError(
      'ERR_MESSAGE_TOO_BIG',
      `a task of ${bytes} bytes, the limit of the queue is ${messageSize} bytes: ` +
        'larger ones go through a file, which needs the messageQueueKey of the server',
    );
  }
  return encodeTaskPacket(packet, new TaskFiles(taskTmpdir, messageQueueKey).write(payload.data));
}

/**
 * The data of a packed task. A file that it names is read and removed.
 *
 * @throws PreforkError ERR_BAD_PACKET
 */
export function unpackTask(packet: Uint8Array, options: PackTaskOptions = {}): unknown {
  if (!(packet instanceof Uint8Array)) throw invalidType('packet', 'a Uint8Array', packet);
  const { buffer, byteOffset, byteLength } = packet;
  const { kind, payload, file } = decodeTaskPacket(Buffer.from(buffer, byteOffset, byteLength));
  const { messageQueueKey = 0, taskTmpdir = tmpdir() } = options;
  const data = file === null ? payload : new TaskFiles(taskTmpdir, messageQueueKey).take(file);
  try {
    return decodePayload(kind & KIND_MASK, data);
  } catch (error) {
    throw badPacket((error as Error).message, { cause: error });
  }
}
