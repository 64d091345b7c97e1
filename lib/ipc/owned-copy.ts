/**
 * Copies of received data that callbacks may keep. What is read into is used again, and a small part of a
 * batch would keep all of it.
 */
import { PacketSlab } from './packet-slab';

/** Below this Node's own pool serves, above 64 KiB each copy has memory of its own. */
const LEAST_IN_SLAB = 2048;
const MOST_IN_SLAB = 65_536;

const slab = new PacketSlab();

export function ownedCopy(data: Buffer): Buffer {
  const { length } = data;
  if (length < LEAST_IN_SLAB || length > MOST_IN_SLAB) return Buffer.from(data);
  slab.makeRoom(length);
  const copy = slab.claim(length);
  data.copy(copy);
  return copy;
}

/** The same for a view of a batch: as it is when it is most of that. */
export function ownedPart(data: Buffer): Buffer {
  return data.length * 2 < data.buffer.byteLength && data.length < 4096 ? Buffer.from(data) : data;
}
