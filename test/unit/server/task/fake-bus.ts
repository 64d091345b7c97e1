/** A bus in one process: mailboxes are arrays, and a message is handled when a test says so. */
import type { Addresses } from '../../../../lib/server/bus/addresses';
import type { Bus } from '../../../../lib/server/bus/bus';
import type { Inbox, InboxOptions } from '../../../../lib/server/bus/inbox';
import type { MessageHandler } from '../../../../lib/server/bus/message';

export interface Message {
  type: number;
  kind: number;
  id: number;
  from: number;
  data: Buffer;
}

type Wanted = (...message: Parameters<MessageHandler>) => boolean;

/** What the receiveOne() of a blocking caller finds: called when the mailbox is empty, before the time is over. */
export type WhileBlocked = (waitedMs: number) => void;

export class FakeNetwork {
  readonly mailboxes = new Map<number, Message[]>();
  /** Mailboxes without room. */
  readonly full = new Set<number>();
  whileBlocked: WhileBlocked = () => undefined;
  readonly #addresses: Addresses;

  constructor(addresses: Addresses) {
    this.#addresses = addresses;
  }

  mailbox(address: number): Message[] {
    const known = this.mailboxes.get(address);
    if (known !== undefined) return known;
    const made: Message[] = [];
    this.mailboxes.set(address, made);
    return made;
  }

  /** Of the process that has adopted `address`. */
  bus(address: number): FakeBus {
    return new FakeBus(this, address, this.#addresses);
  }
}

export class FakeBus {
  readonly address: number;
  readonly addresses: Addresses;
  readonly #network: FakeNetwork;
  readonly #waiting: [to: number, message: Message][] = [];
  #whenSent: (() => void)[] = [];

  constructor(network: FakeNetwork, address: number, addresses: Addresses) {
    this.#network = network;
    this.address = address;
    this.addresses = addresses;
  }

  get real(): Bus {
    return this as unknown as Bus;
  }

  send(to: number, type: number, id: number, data: Buffer = Buffer.alloc(0), kind = 0): void {
    const message = { type, kind, id, from: this.address, data };
    if (this.#network.full.has(to)) this.#waiting.push([to, message]);
    else this.#network.mailbox(to).push(message);
  }

  sendWithin(to: number, type: number, id: number, data: Buffer, kind: number): boolean {
    if (this.#network.full.has(to)) return false;
    this.send(to, type, id, data, kind);
    return true;
  }

  flush(): void {
    // Nothing is joined here.
  }

  waitingBytes(to: number): number {
    const own = this.#waiting.filter(([address]) => address === to);
    return own.reduce((sum, [, { data }]) => sum + data.length + 1, 0);
  }

  waitingFor(to: number): { waitingBytes: number; waitingPackets: number } {
    const { length } = this.#waiting.filter(([address]) => address === to);
    return { waitingBytes: this.waitingBytes(to), waitingPackets: length };
  }

  get allWaitingBytes(): number {
    return this.#waiting.length;
  }

  allSent(): Promise<void> {
    return new Promise((resolve) => this.#whenSent.push(resolve));
  }

  /** There is room again. */
  release(): void {
    this.#network.full.clear();
    for (const [to, message] of this.#waiting.splice(0)) this.#network.mailbox(to).push(message);
    for (const resolve of this.#whenSent.splice(0)) resolve();
  }

  /** All it has made. */
  readonly inboxes: FakeInbox[] = [];

  inbox(address: number, options: InboxOptions): Inbox {
    const inbox = new FakeInbox(this.#network, address, options);
    this.inboxes.push(inbox);
    return inbox as unknown as Inbox;
  }
}

export class FakeInbox {
  listening = false;
  readonly #network: FakeNetwork;
  readonly #mailbox: Message[];
  readonly #options: InboxOptions;
  #deferred: Message[] = [];

  constructor(network: FakeNetwork, address: number, options: InboxOptions) {
    this.#network = network;
    this.#mailbox = network.mailbox(address);
    this.#options = options;
  }

  start(): void {
    this.listening = true;
  }

  stop(): void {
    this.listening = false;
  }

  /** Handles what is there, as long as it listens. */
  drain(): void {
    for (const message of this.#deferred.splice(0)) this.#handle(message);
    while (this.listening && this.#takeOne());
  }

  drainIfListening(): void {
    if (this.listening) this.drain();
  }

  receiveOne(timeoutMs: number, wanted: Wanted): boolean {
    if (this.#mailbox.length === 0 && timeoutMs > 0) this.#network.whileBlocked(timeoutMs);
    const message = this.#mailbox.shift();
    if (message === undefined) return false;
    const { type, kind, id, from, data } = message;
    if (!wanted(type, kind, id, from, data)) this.#deferred.push(message);
    return true;
  }

  #takeOne(): boolean {
    const { onTake } = this.#options;
    onTake?.begin();
    const message = this.#mailbox.shift();
    onTake?.end(message === undefined ? 0 : 1);
    if (message !== undefined) this.#handle(message);
    return message !== undefined;
  }

  #handle({ type, kind, id, from, data }: Message): void {
    this.#options.handler(type, kind, id, from, data);
  }
}
