/**
 * What the processes of a server say to each other. A message has a type, a kind (of its payload), an id
 * and data; it travels as a packet of its own, or with others in one:
 *
 *   packet   flags: kind << 5 | type, tag: id, sender: address of the sender, data
 *   batch    flags: 0, and as data up to 64 of these, one after the other, all numbers little-endian:
 *
 *            0        1        2                 4          8             12
 *            | type   | kind   | 0               | id (u32) | length (u32)| data … |
 */
import { PreforkError } from '../../errors';

/** Reactor to event worker; the id is a session's. */
export const CONNECT = 1;
export const RECEIVE = 2;
export const CLOSE = 3;
export const BUFFER_FULL = 4;
export const BUFFER_EMPTY = 5;
/** A datagram. The id is the index of the port; the data: see datagram.ts. */
export const PACKET = 6;

/** Any process to the one that holds the connection; the id is the session's. */
export const SEND = 8;
export const END = 9;
export const PAUSE = 10;
export const RESUME = 11;

/** Any process but task workers to a task worker; the id is the task's. */
export const TASK = 16;
/** Back: a result by finish(), after which others may come. */
export const FINISH = 17;
/** Back: the handler has ended, and this is its result unless it has none. Settles the task. */
export const TASK_DONE = 18;
/** Back: the handler has failed. Settles the task. */
export const TASK_ERROR = 19;
/** Added to one of these: the data is a reference to the payload, which is in memory (payload-memory.ts). */
export const IN_MEMORY = 4;

/** To a task worker and back: none of this sender's tasks before it is queued any more. */
export const TASK_MARK = 25;

/** Between workers: sendMessage(). */
export const PIPE_MESSAGE = 24;

/** From the manager to user processes: logs are rotated. */
export const REOPEN_LOGS = 27;
/** To manager and master: requests of any process; the id is a worker's or a pid. */
export const CONTROL = 28;
/** From the manager to event workers and user processes: a worker process is gone. */
export const WORKER_DIED = 29;
/** From the manager: take over the slot's mailbox from the predecessor. The id is the pid it is for. */
export const TAKE_OVER = 30;

export const TYPE_BITS = 5;
export const TYPE_MASK = (1 << TYPE_BITS) - 1;
export const MAX_KIND = 7;
export const BATCH = 0;

export const ENTRY_BYTES = 12;
export const MAX_ENTRIES = 64;

export type MessageHandler = (
  type: number,
  kind: number,
  id: number,
  from: number,
  data: Buffer,
) => void;

export function putEntry(
  target: Buffer,
  at: number,
  type: number,
  kind: number,
  id: number,
  data: Uint8Array,
): number {
  target[at] = type;
  target[at + 1] = kind;
  target[at + 2] = target[at + 3] = 0;
  target.writeUInt32LE(id, at + 4);
  target.writeUInt32LE(data.length, at + 8);
  if (data.length > 0) target.set(data, at + ENTRY_BYTES);
  return at + ENTRY_BYTES + data.length;
}

/**
 * Hands out the messages of a batch. Their data are views of it.
 *
 * @returns how many
 * @throws PreforkError ERR_BAD_FRAME, before anything is handled
 */
export function readEntries(batch: Buffer, from: number, handler: MessageHandler): number {
  const count = countEntries(batch);
  for (let at = 0; at < batch.length;) {
    const end = at + ENTRY_BYTES + batch.readUInt32LE(at + 8);
    const data = batch.subarray(at + ENTRY_BYTES, end);
    handler(batch[at] as number, batch[at + 1] as number, batch.readUInt32LE(at + 4), from, data);
    at = end;
  }
  return count;
}

export function countEntries(batch: Buffer): number {
  let count = 0;
  let at = 0;
  while (at < batch.length) {
    if (at + ENTRY_BYTES > batch.length) throw badBatch('it ends within a header', at);
    const type = batch[at] as number;
    if (type === BATCH || type > TYPE_MASK) throw badBatch(`a message of type ${type}`, at);
    at += ENTRY_BYTES + batch.readUInt32LE(at + 8);
    count++;
  }
  if (at !== batch.length) throw badBatch('the last message is longer than the batch', at);
  return count;
}

function badBatch(what: string, at: number): PreforkError {
  return new PreforkError('ERR_BAD_FRAME', `a bad batch of messages was dropped: ${what} at ${at}`);
}
