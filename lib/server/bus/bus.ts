/**
 * The bus of a server: a mailbox for every process (addresses.ts), which any of them may write to. Made in
 * the master before the first fork, so that all processes hold all ends.
 */
import { generation } from '../../ipc/generation';
import { PacketPair } from '../../ipc/packet-socket';
import { allOrNone } from '../../pool/all-or-none';
import type { Addresses } from './addresses';
import { Inbox, type InboxOptions } from './inbox';
import { Outbox } from './outbox';

/** The longest message: what one send() or task() may carry. */
const MAX_BYTES = 0x7fffffff;

const NO_DATA = Buffer.alloc(0);

export class Bus {
  readonly addresses: Addresses;
  readonly #pairs: (PacketPair | null)[];
  #outboxes = new Map<number, Outbox>();
  /** Outboxes with messages that wait for a flush. */
  #dirty: Outbox[] = [];
  #turns = 0;
  #flushQueued: NodeJS.Immediate | null = null;
  #onFlush: (() => void) | null = null;
  #address = -1;
  #generation = generation();
  readonly #drainListeners = new Map<number, () => void>();

  constructor(addresses: Addresses) {
    this.addresses = addresses;
    this.#pairs = allOrNone(
      addresses.count,
      (address) => (addresses.exists(address) ? new PacketPair(MAX_BYTES) : null),
      (pair) => pair?.close(),
    );
  }

  /** Says who this process is: to be called in each, first of all. Its parent's messages stay the parent's. */
  adopt(address: number): void {
    this.#address = address;
    this.#outboxes = new Map();
    this.#dirty = [];
    this.#turns = 0;
    this.#flushQueued = null;
    this.#onFlush = null;
    this.#drainListeners.clear();
    this.#generation = generation();
  }

  get address(): number {
    return this.#address;
  }

  inbox(address: number, options: InboxOptions): Inbox {
    return new Inbox(this.#pair(address).reader, options);
  }

  /** Leaves with the other messages of this turn: inside begin() and end() at its end, else soon. */
  post(to: number, type: number, id: number, data: Buffer = NO_DATA, kind = 0): void {
    const outbox = this.#outbox(to);
    if (!outbox.post(type, kind, id, data)) return;
    this.#dirty.push(outbox);
    if (this.#turns > 0 || this.#flushQueued !== null) return;
    this.#flushQueued = setImmediate(() => {
      this.flush();
    });
  }

  /** Leaves now. */
  send(to: number, type: number, id: number, data: Buffer = NO_DATA, kind = 0): void {
    this.#outbox(to).send(type, kind, id, data);
  }

  /** Leaves now, but blocks while the mailbox is full.  @returns false: the time is over, nothing was sent */
  sendWithin(
    to: number,
    type: number,
    id: number,
    data: Buffer,
    kind: number,
    timeoutMs: number,
  ): boolean {
    return this.#outbox(to).sendWithin(type, kind, id, data, timeoutMs);
  }

  begin(): void {
    this.#turns++;
  }

  end(): void {
    if (--this.#turns === 0) this.flush();
  }

  flush(): void {
    if (this.#generation !== generation()) this.adopt(this.#address);
    if (this.#flushQueued !== null) clearImmediate(this.#flushQueued);
    this.#flushQueued = null;
    if (this.#dirty.length > 0) for (const outbox of this.#dirty.splice(0)) outbox.flush();
    const listener = this.#onFlush;
    this.#onFlush = null;
    listener?.();
  }

  /** Calls `listener` after the next flush, or at once when none is due. There is one at a time. */
  afterFlush(listener: () => void): void {
    if (this.#turns === 0 && this.#flushQueued === null) listener();
    else this.#onFlush = listener;
  }

  /** Resolves when all that was flushed so far has left for a mailbox; null: it has. */
  whenLeft(to: number): Promise<void> | null {
    return this.#outboxes.get(to)?.whenLeft() ?? null;
  }

  /** Bytes for a mailbox that its pipe had no room for yet. */
  waitingBytes(to: number): number {
    return this.#outboxes.get(to)?.waitingBytes ?? 0;
  }

  /** The same, with the number of packets. */
  waitingFor(to: number): { waitingBytes: number; waitingPackets: number } {
    return this.#outboxes.get(to) ?? { waitingBytes: 0, waitingPackets: 0 };
  }

  /** Bytes that wait for room in any mailbox. */
  get allWaitingBytes(): number {
    let sum = 0;
    for (const outbox of this.#outboxes.values()) sum += outbox.waitingBytes;
    return sum;
  }

  /** Resolves when nothing waits for room in a mailbox. */
  async sent(to: number): Promise<void> {
    await this.#outboxes.get(to)?.sent();
  }

  /** The same for all mailboxes. */
  async allSent(): Promise<void> {
    await Promise.all([...this.#outboxes.values()].map((outbox) => outbox.sent()));
  }

  /** Calls `listener` whenever nothing waits any more for a mailbox that was full. */
  onDrain(to: number, listener: () => void): void {
    this.#drainListeners.set(to, listener);
  }

  /** What has not left is for nobody any more. */
  close(): void {
    if (this.#flushQueued !== null) clearImmediate(this.#flushQueued);
    this.#flushQueued = null;
    this.#dirty = [];
    for (const pair of this.#pairs) pair?.close();
  }

  #outbox(to: number): Outbox {
    // A child that the user has forked: what its parent has joined is the parent's to send.
    if (this.#generation !== generation()) this.adopt(this.#address);
    const known = this.#outboxes.get(to);
    if (known !== undefined) return known;
    const outbox = new Outbox(this.#pair(to).writer, this.#address, () => {
      this.#drainListeners.get(to)?.();
    });
    this.#outboxes.set(to, outbox);
    return outbox;
  }

  #pair(address: number): PacketPair {
    const pair = this.#pairs[address];
    if (pair === null || pair === undefined)
      throw new RangeError(`no mailbox has the address ${address}`);
    return pair;
  }
}
