/**
 * What one process has to send to one mailbox. Small messages are joined and leave together:
 *
 *   post() -> joined -- flush() or 64 messages or 32 KB --> packet -> kernel
 *   send() -> (joined first) ------------------------------> packet -> kernel
 *                              while the pipe is full: wait in the writer, in order
 */
import type { PacketMeta, PacketWriter } from '../../ipc/packet-socket';
import { BATCH, ENTRY_BYTES, MAX_ENTRIES, putEntry, TYPE_BITS } from './message';

const BATCH_BYTES = 32 * 1024;
/** From here on a copy costs more than a packet of its own. */
const LONGEST_JOINED = 8 * 1024;

export class Outbox {
  readonly #writer: PacketWriter;
  readonly #from: number;
  readonly #onDrain: () => void;
  #batch: Buffer | null = null;
  #used = 0;
  #entries = 0;
  #waitingBytes = 0;
  #waitingPackets = 0;
  /** What was put before the current one is counted as waiting no more. */
  #epoch = 0;
  #whenSent: (() => void)[] = [];
  /** Of the last that waits: they leave in order. */
  #leaving: Promise<void> | null = null;

  /** @param onDrain - called when nothing waits any more */
  constructor(writer: PacketWriter, from: number, onDrain: () => void) {
    this.#writer = writer;
    this.#from = from;
    this.#onDrain = onDrain;
  }

  /** Bytes that the pipe had no room for yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** The packets that these are in. */
  get waitingPackets(): number {
    return this.#waitingPackets;
  }

  /** With the next flush(), or sooner.  @returns whether it is the first that waits for that */
  post(type: number, kind: number, id: number, data: Buffer): boolean {
    if (data.length > LONGEST_JOINED) {
      this.send(type, kind, id, data);
      return false;
    }
    if (this.#used + ENTRY_BYTES + data.length > BATCH_BYTES) this.flush();
    this.#batch ??= Buffer.allocUnsafeSlow(BATCH_BYTES);
    this.#used = putEntry(this.#batch, this.#used, type, kind, id, data);
    if (++this.#entries === MAX_ENTRIES) this.flush();
    return this.#entries === 1;
  }

  /** Now. What was posted before goes first. */
  send(type: number, kind: number, id: number, data: Buffer): void {
    this.flush();
    const packet = this.#packet(type, kind, id, data);
    this.#put(packet.data, packet.meta);
  }

  /** Now, but blocks while the pipe is full.  @returns false: the time is over, nothing was sent */
  sendWithin(type: number, kind: number, id: number, data: Buffer, timeoutMs: number): boolean {
    this.flush();
    const packet = this.#packet(type, kind, id, data);
    if (!this.#writer.send(packet.data, packet.meta, timeoutMs)) return false;
    this.#noteAllLeft();
    return true;
  }

  /** What waited has left before: its promises settle later, and a caller that goes on blocking counts on it now. */
  #noteAllLeft(): void {
    if (this.#waitingBytes === 0) return;
    this.#waitingBytes = this.#waitingPackets = 0;
    this.#epoch++;
    this.#drained();
  }

  #packet(
    type: number,
    kind: number,
    id: number,
    data: Buffer,
  ): { data: Buffer; meta: PacketMeta } {
    if (data.length > 0) {
      return { data, meta: { sender: this.#from, tag: id, flags: (kind << TYPE_BITS) | type } };
    }
    const entry = Buffer.allocUnsafe(ENTRY_BYTES);
    putEntry(entry, 0, type, kind, id, data);
    return { data: entry, meta: { sender: this.#from, tag: 0, flags: BATCH } };
  }

  flush(): void {
    if (this.#used === 0 || this.#batch === null) return;
    const joined = this.#batch.subarray(0, this.#used);
    this.#used = this.#entries = 0;
    this.#put(joined, { sender: this.#from, tag: 0, flags: BATCH });
  }

  /** Resolves when all that was flushed so far has left; null: it has. */
  whenLeft(): Promise<void> | null {
    return this.#waitingBytes === 0 ? null : this.#leaving;
  }

  /** Resolves when nothing waits for room. */
  async sent(): Promise<void> {
    if (this.#waitingBytes === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenSent.push(resolve);
    });
  }

  #noteLeft(bytes: number): void {
    this.#waitingBytes -= bytes;
    this.#waitingPackets--;
    if (this.#waitingBytes === 0) this.#drained();
  }

  #drained(): void {
    for (const resolve of this.#whenSent.splice(0)) resolve();
    this.#onDrain();
  }

  #put(data: Buffer, meta: PacketMeta): void {
    let isSent: boolean;
    try {
      isSent = this.#writer.send(data, meta, 0);
    } catch (error) {
      // One that was posted has no caller to tell, and others wait behind it.
      if (meta.flags !== BATCH) throw error;
      warnOfLoss(error as Error);
      return;
    }
    if (!isSent) this.#leaving = this.#putLater(data, meta);
  }

  /** The caller may use its buffer again at once. */
  async #putLater(data: Buffer, meta: PacketMeta): Promise<void> {
    this.#waitingBytes += data.length;
    this.#waitingPackets++;
    const epoch = this.#epoch;
    try {
      await this.#writer.sendAsync(Buffer.from(data), meta);
    } catch (error) {
      warnOfLoss(error as Error);
    } finally {
      if (epoch === this.#epoch) this.#noteLeft(data.length);
    }
  }
}

function warnOfLoss(error: Error): void {
  process.emitWarning(`messages were lost: ${error.message}`, {
    type: 'PreforkWarning',
    code: 'PREFORK_MESSAGE_LOST',
  });
}
