/**
 * Values on their way between processes. Strings and bytes travel as they are, the rest as v8.serialize()
 * makes it; `kind` says which:
 *
 *   0 bytes (a Buffer)   1 string, UTF-8   2 v8.serialize()   3 undefined, no bytes
 *
 * A string with half of a surrogate pair has no UTF-8: it goes as the rest.
 */
import { DefaultDeserializer, DefaultSerializer } from 'node:v8';
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
 * @throws PreforkError ERR_INVALID_ARG_TYPE for functions, symbols and others that cannot be cloned. What
 * getters of `value` throw
 */
export function encodePayload(value: unknown): Payload {
  if (typeof value === 'string' && value.isWellFormed())
    return { kind: STRING, data: Buffer.from(value) };
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

/** V8 calls it, with `new` or without. */
function notCloneable(message: string): PreforkError {
  return new PreforkError('ERR_INVALID_ARG_TYPE', message);
}

class PayloadSerializer extends DefaultSerializer {
  _getSharedArrayBufferId(): never {
    throw notCloneable('a SharedArrayBuffer could not be cloned: other processes cannot share it');
  }
}
Object.defineProperty(PayloadSerializer.prototype, '_getDataCloneError', { value: notCloneable });

function serialize(value: unknown): Buffer {
  const serializer = new PayloadSerializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  return serializer.releaseBuffer();
}

/** @types/node does not know what V8 calls for views of ArrayBuffers. */
interface ViewReader {
  _readHostObject: (this: DefaultDeserializer) => NodeJS.ArrayBufferView;
}

const { _readHostObject: readView } = DefaultDeserializer.prototype as unknown as ViewReader;

/**
 * Node makes views of `data` itself, and its memory may hold other messages as well. A typed array gets
 * memory of its own, as by structured cloning: programs take its `buffer`. Of a Buffer nobody expects that.
 */
class PayloadDeserializer extends DefaultDeserializer {
  _readHostObject(): NodeJS.ArrayBufferView {
    const view = readView.call(this);
    if (Buffer.isBuffer(view)) return view;
    if (!(view instanceof DataView)) return view.slice();
    const { buffer, byteOffset, byteLength } = view;
    return new DataView(buffer.slice(byteOffset, byteOffset + byteLength));
  }
}

function deserializeChecked(data: Buffer): unknown {
  try {
    const deserializer = new PayloadDeserializer(data);
    deserializer.readHeader();
    return deserializer.readValue() as unknown;
  } catch (error) {
    throw new PreforkError('ERR_BAD_FRAME', 'a payload that cannot be read', { cause: error });
  }
}
