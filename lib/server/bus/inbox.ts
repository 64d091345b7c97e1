/**
 * One mailbox, as the process that serves it reads it. Messages are handled on the event loop; a caller
 * that blocks (taskwait) reads meanwhile, and what is not for it is handled later, in order.
 */
import { binding } from '../../binding';
import { PreforkError } from '../../errors';
import type { Packet, PacketReader } from '../../ipc/packet-socket';
import {
  BATCH,
  countEntries,
  readEntries,
  TYPE_BITS,
  TYPE_MASK,
  type MessageHandler,
} from './message';

const POLLIN = 1;
/** For want of fds nothing can be read: how soon it is tried again. */
const REST_MS = 20;
/** Packets that are handled before others have a turn. */
const PACKETS_PER_TURN = 64;

export interface InboxOptions {
  handler: MessageHandler;
  /** Around all that is handled in one turn. */
  onTurn?: { begin(): void; end(): void };
  /** Before a packet is taken, and after, with the number of its messages (0: there was none). */
  onTake?: { begin(): void; end(messages: number): void };
  /** After each packet. Without batches. */
  onHandled?: () => void;
  /** False: a killed process loses one packet at most. Default false. */
  inBatches?: boolean;
}

export class Inbox {
  readonly #reader: PacketReader;
  readonly #options: InboxOptions;
  /** Read by receiveOne() and still to be handled. */
  #deferred: Packet[] = [];
  #listening = false;
  #rest: NodeJS.Timeout | null = null;

  constructor(reader: PacketReader, options: InboxOptions) {
    this.#reader = reader;
    this.#options = options;
    reader.onBadFrame((error) => {
      process.emitWarning(error);
    });
  }

  start(): void {
    this.#listening = true;
    if (this.#rest === null) this.#watch();
  }

  /** Leaves what is in the mailbox there. */
  stop(): void {
    this.#listening = false;
    this.#reader.onReadable(null);
  }

  /** Whether it keeps the event loop running. */
  setRef(on: boolean): void {
    this.#reader.setRef(on);
  }

  /** Handles all there is, without waiting. */
  drain(): void {
    this.#listening = true;
    while (this.#turn() > 0);
  }

  /**
   * Blocks until a packet comes, and shows its messages to `handler`. Those that it does not take (false)
   * are handled on the event loop.
   *
   * @returns false when the time is over
   */
  receiveOne(
    timeoutMs: number,
    wanted: (...message: Parameters<MessageHandler>) => boolean,
  ): boolean {
    const packet = this.#reader.receive() ?? this.#waitForOne(timeoutMs);
    if (packet === null) return false;
    const { sender, tag, flags, data } = packet;
    const offer = (type: number, kind: number, id: number, from: number, part: Buffer): void => {
      if (wanted(type, kind, id, from, part)) return;
      this.#defer({ data: part, sender: from, tag: id, flags: (kind << TYPE_BITS) | type });
    };
    const type = flags & TYPE_MASK;
    if (type === BATCH) readEntries(data, sender, offer);
    else offer(type, flags >> TYPE_BITS, tag, sender, data);
    return true;
  }

  #watch(): void {
    this.#reader.onReadable(() => {
      this.#turn();
    });
  }

  /** The packet stays where it is, so that the watcher would call at once, and again and again. */
  #restAfter(error: Error): void {
    process.emitWarning(error);
    if (this.#rest !== null) return;
    this.#reader.onReadable(null);
    this.#rest = setTimeout(() => {
      this.#rest = null;
      if (this.#listening) this.#watch();
    }, REST_MS);
  }

  #defer(packet: Packet): void {
    if (this.#deferred.push(packet) > 1) return;
    setImmediate(() => {
      this.#turn();
    });
  }

  #waitForOne(timeoutMs: number): Packet | null {
    if (timeoutMs <= 0 || binding.pollFd(this.#reader.fd, POLLIN, timeoutMs) === 0) return null;
    return this.#reader.receive();
  }

  /** @returns packets handled */
  #turn(): number {
    const { onTurn } = this.#options;
    onTurn?.begin();
    try {
      return this.#handleDeferred() + this.#handleNew();
    } finally {
      onTurn?.end();
    }
  }

  #handleDeferred(): number {
    const deferred = this.#deferred;
    if (deferred.length === 0) return 0;
    this.#deferred = [];
    for (const packet of deferred) this.#handleChecked(packet);
    return deferred.length;
  }

  #handleNew(): number {
    if (this.#options.inBatches === true) {
      const packets = this.#receiveBatch();
      for (const packet of packets) this.#handleChecked(packet);
      return packets.length;
    }
    let handled = 0;
    while (this.#listening && handled < PACKETS_PER_TURN && this.#takeOne()) handled++;
    return handled;
  }

  #receiveBatch(): Packet[] {
    try {
      return this.#reader.receiveBatch(PACKETS_PER_TURN);
    } catch (error) {
      this.#restAfter(error as Error);
      return [];
    }
  }

  #takeOne(): boolean {
    const { onTake } = this.#options;
    onTake?.begin();
    let messages = 0;
    let packet: Packet | null = null;
    let wasBad = false;
    try {
      packet = this.#reader.receive();
      if (packet !== null) messages = messagesIn(packet);
    } catch (error) {
      wasBad = error instanceof PreforkError && error.code === 'ERR_BAD_FRAME';
      if (wasBad) process.emitWarning(error as Error);
      else this.#restAfter(error as Error);
    }
    onTake?.end(messages);
    if (packet !== null && messages > 0) this.#handle(packet);
    this.#options.onHandled?.();
    return packet !== null || wasBad;
  }

  #handleChecked(packet: Packet): void {
    try {
      messagesIn(packet);
    } catch (error) {
      process.emitWarning(error as Error);
      return;
    }
    this.#handle(packet);
  }

  #handle({ sender, tag, flags, data }: Packet): void {
    const { handler } = this.#options;
    const type = flags & TYPE_MASK;
    if (type === BATCH) readEntries(data, sender, handler);
    else handler(type, flags >> TYPE_BITS, tag, sender, data);
  }
}

/** @throws PreforkError ERR_BAD_FRAME */
function messagesIn({ flags, data }: Packet): number {
  return (flags & TYPE_MASK) === BATCH ? countEntries(data) : 1;
}
