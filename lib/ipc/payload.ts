/**
 * Values on their way between processes. Strings and bytes travel as they are, the rest as v8.serialize()
 * makes it; `kind` says which:
 *
 *   0 bytes (a Buffer)   1 string, UTF-8   2 v8.serialize()   3 undefined, no bytes
 */
import { deserialize, serialize } from 'node:v8';
import { PreforkError } from '../errors';

export const BYTES = 0;
export const STRING = 1;
export const SERIALIZED = 2;
export const NOTHING = 3;

export interface Payload {
  kind: number;
  data: Buffer;
}

const EMPTY = Buffer.alloc(0);

/**
 * @param value - anything that structured cloning takes. A Buffer arrives as a Buffer; it is not copied
 * here: leave it as it is until it was sent
 * @throws what v8.serialize() throws, an Error for functions and symbols
 */
export function encodePayload(value: unknown): Payload {
  if (typeof value === 'string') return { kind: STRING, data: Buffer.from(value) };
  if (Buffer.isBuffer(value)) return { kind: BYTES, data: value };
  if (value === undefined) return { kind: NOTHING, data: EMPTY };
  return { kind: SERIALIZED, data: serialize(value) };
}

/** @throws PreforkError ERR_BAD_FRAME when `data` is not what `kind` says */
export function decodePayload(kind: number, data: Buffer): unknown {
  switch (kind) {
    case BYTES:
      return data;
    case STRING:
      return data.toString();
    case SERIALIZED:
      return deserializeChecked(data);
    case NOTHING:
      return undefined;
    default:
      throw new PreforkError('ERR_BAD_FRAME', `a payload of an unknown kind: ${kind}`);
  }
}

function deserializeChecked(data: Buffer): unknown {
  try {
    return deserialize(data) as unknown;
  } catch (error) {
    throw new PreforkError('ERR_BAD_FRAME', 'a payload that cannot be read', { cause: error });
  }
}
