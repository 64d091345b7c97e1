/**
 * IPC_UNIXSOCK: how messages reach the workers of one id. The master's own travel in shared memory, all
 * others in sockets:
 *
 *   master ── up to 16 KB ──> ring ───────────────┐
 *     └────── longer ───────> socket `long`       ├──> inbox of the worker ──> `message`
 *             and a marker in the ring            │
 *   sibling ────────────────> socket `siblings` ──┘
 *
 * The ring holds the order of the master's messages; a marker says that it is a long one's turn. What waits
 * in ring and sockets survives a worker. Only the reader of the ring reads the sockets too, so that old and
 * new worker never read at a time: when the old one has stopped, the new one takes over.
 */
import { PreforkError } from '../../errors';
import { generation } from '../../ipc/generation';
import { PacketPair } from '../../ipc/packet-socket';
import { RING_MESSAGE_BYTES, SharedRing } from '../../ipc/shared-ring';

/** Says nothing but "look into the ring". */
export const DOORBELL = 1;
const DOORBELL_DATA = Buffer.from([0]);

const LAST_SERIAL = 0x7fffffff;

interface Waiting {
  data: Buffer;
  signal: AbortSignal | undefined;
  resolve: () => void;
  reject: (error: Error) => void;
}

export class WorkerLine {
  readonly ring = new SharedRing();
  readonly long: PacketPair;
  readonly siblings: PacketPair;
  readonly #generation = generation();
  readonly #waiting: Waiting[] = [];
  readonly #maxBytes: number;
  #serial = 0;
  /** A long message waits for its socket. */
  #sendingLong = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.long = new PacketPair(maxBytes);
    try {
      this.siblings = new PacketPair(maxBytes);
    } catch (error) {
      this.long.close();
      throw error;
    }
  }

  /** Whether no message waits. */
  get empty(): boolean {
    return this.ring.empty && this.siblings.reader.empty;
  }

  /** @returns false when there was no room; the master does not wait, whatever `timeoutMs` says */
  send(data: Buffer, timeoutMs: number): boolean {
    if (!this.#isMine()) return this.siblings.writer.send(data, undefined, timeoutMs);
    this.#check(data);
    this.pump();
    return this.#waiting.length === 0 && this.#put(data);
  }

  /** @returns null: it was sent at once */
  sendAsync(data: Buffer, signal?: AbortSignal): Promise<void> | null {
    signal?.throwIfAborted();
    if (!this.#isMine()) return this.#sendToSibling(data, signal);
    this.#check(data);
    if (this.#waiting.length === 0 && this.#put(data)) return null;
    return new Promise((resolve, reject) => {
      this.#enqueue({ data, signal, resolve, reject });
      this.pump();
    });
  }

  /** In the master: there may be room again. */
  pump(): void {
    while (!this.#sendingLong && this.#waiting.length > 0) {
      const first = this.#waiting[0] as Waiting;
      if (first.data.length > RING_MESSAGE_BYTES) {
        this.#sendLong(first);
        return;
      }
      if (!this.#putOrWait(first.data)) return;
      this.#waiting.shift();
      first.resolve();
    }
  }

  /** In the master, when a worker has ended. What it has left is for another one that lives. */
  readerEnded(id: number): void {
    this.ring.release(id);
    this.pump();
  }

  /** A full socket wakes its reader as well. Without memory for a bell, the next message tries again. */
  #ringBell(): void {
    try {
      this.siblings.writer.send(DOORBELL_DATA, { flags: DOORBELL }, 0);
    } catch {
      this.ring.setAsleep(true);
    }
  }

  close(): void {
    this.long.close();
    this.siblings.close();
    if (!this.#isMine()) return;
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new PreforkError('ERR_NO_PIPE', 'the pool was stopped before the message was sent'));
    }
  }

  #isMine(): boolean {
    return this.#generation === generation();
  }

  #check({ length }: Buffer): void {
    if (length <= this.#maxBytes) return;
    throw new PreforkError(
      'ERR_MESSAGE_TOO_BIG',
      `a message of ${String(length)} bytes, the limit (maxPackageSize) is ${String(this.#maxBytes)}`,
    );
  }

  #sendToSibling(data: Buffer, signal?: AbortSignal): Promise<void> | null {
    const { writer } = this.siblings;
    if (writer.waiting === 0 && writer.send(data, undefined, 0)) return null;
    return writer.sendAsync(data, undefined, signal);
  }

  #put(data: Buffer): boolean {
    if (data.length > RING_MESSAGE_BYTES) return this.#putLong(data);
    if (!this.ring.put(data)) return false;
    if (this.ring.mustWake()) this.#ringBell();
    return true;
  }

  /** The flag first: whoever makes room from then on tells. */
  #putOrWait(data: Buffer): boolean {
    if (this.#put(data)) return true;
    this.ring.setWaiting(true);
    if (!this.#put(data)) return false;
    this.ring.setWaiting(false);
    return true;
  }

  /** The message first: a marker stands only for what is there. */
  #putLong(data: Buffer): boolean {
    if (this.ring.full) return false;
    const serial = this.#nextSerial();
    if (!this.long.writer.send(data, { tag: serial }, 0)) return false;
    this.#mark(serial);
    return true;
  }

  #nextSerial(): number {
    this.#serial = this.#serial === LAST_SERIAL ? 1 : this.#serial + 1;
    return this.#serial;
  }

  #mark(serial: number): void {
    this.ring.putMarker(serial);
    if (this.ring.mustWake()) this.#ringBell();
  }

  /** Nothing else is put meanwhile, so that the marker keeps its room. */
  #sendLong(first: Waiting): void {
    this.ring.setWaiting(true);
    if (this.ring.full) return;
    this.ring.setWaiting(false);
    this.#sendingLong = true;
    const serial = this.#nextSerial();
    const settle = (): void => {
      this.#sendingLong = false;
      this.#waiting.shift();
    };
    this.long.writer.sendAsync(first.data, { tag: serial }, first.signal).then(
      () => {
        settle();
        this.#mark(serial);
        first.resolve();
        this.pump();
      },
      (error: unknown) => {
        settle();
        first.reject(error as Error);
        this.pump();
      },
    );
  }

  #enqueue(entry: Waiting): void {
    const { signal, resolve, reject } = entry;
    const forget = (): void => signal?.removeEventListener('abort', abort);
    const abort = (): void => {
      const place = this.#waiting.indexOf(entry);
      // The first may be on its way: its own sending hears of the signal, too.
      if (place < 0 || (place === 0 && this.#sendingLong)) return;
      this.#waiting.splice(place, 1);
      reject(signal?.reason as Error);
      this.pump();
    };
    signal?.addEventListener('abort', abort, { once: true });
    entry.resolve = () => {
      forget();
      resolve();
    };
    entry.reject = (error) => {
      forget();
      reject(error);
    };
    this.#waiting.push(entry);
  }
}
