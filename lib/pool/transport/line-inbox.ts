/**
 * The worker's end of a WorkerLine: messages of the ring and of the siblings' socket, by turns, and long
 * ones where the ring has a marker.
 */
import { binding } from '../../binding';
import { PacketSlab } from '../../ipc/packet-slab';
import type { Packet, PacketReader } from '../../ipc/packet-socket';
import type { SharedRing } from '../../ipc/shared-ring';
import type { MessageSource } from './pulled-messages';
import { DOORBELL, type WorkerLine } from './worker-line';

/** How often to look whether the old worker has stopped reading. */
const TAKE_OVER_MS = 2;

export class LineInbox implements MessageSource {
  readonly #line: WorkerLine;
  readonly #ring: SharedRing;
  readonly #siblings: PacketReader;
  readonly #id: number;
  readonly #tellRoom: () => void;
  readonly #slab = new PacketSlab();
  #listener: (() => void) | null = null;
  #takeOver: NodeJS.Timeout | null = null;
  #again: NodeJS.Immediate | null = null;
  /** Whether the siblings' socket may have something, in this turn. */
  #socketToo = true;
  #ringFirst = false;
  /** The serial of a long message whose marker is passed. */
  #expected = 0;

  /**
   * @param id - of this process as a reader of the ring, not 0
   * @param tellRoom - tells the master that its messages have room again
   */
  constructor(line: WorkerLine, id: number, tellRoom: () => void) {
    this.#line = line;
    this.#ring = line.ring;
    this.#siblings = line.siblings.reader;
    this.#id = id;
    this.#tellRoom = tellRoom;
  }

  get empty(): boolean {
    return this.#line.empty;
  }

  receive(): Buffer | null {
    const data = this.#next();
    if (data !== null && this.#ring.mustTellRoom()) this.#tellRoom();
    return data;
  }

  onReadable(listener: (() => void) | null): void {
    this.#listener = listener;
    if (listener === null) this.#rest();
    else if (this.#ring.claim(this.#id)) this.#watch();
    else this.#waitForPredecessor();
  }

  release(): void {
    this.onReadable(null);
    this.#ring.release(this.#id);
  }

  #waitForPredecessor(): void {
    this.#takeOver ??= setInterval(() => {
      if (!this.#ring.claim(this.#id)) return;
      this.#stopTakeOver();
      this.#watch();
    }, TAKE_OVER_MS);
  }

  #watch(): void {
    this.#siblings.onReadable(() => {
      this.#turn(true);
    });
    this.#sleep();
  }

  #rest(): void {
    this.#stopTakeOver();
    if (this.#again !== null) clearImmediate(this.#again);
    this.#again = null;
    this.#siblings.onReadable(null);
  }

  #stopTakeOver(): void {
    if (this.#takeOver !== null) clearInterval(this.#takeOver);
    this.#takeOver = null;
  }

  #turn(socketToo: boolean): void {
    this.#ring.setAsleep(false);
    this.#socketToo = socketToo;
    this.#listener?.();
    if (this.#listener !== null) this.#sleep();
  }

  /** Until a bell rings; or until the next turn of the loop, when the ring has something. */
  #sleep(): void {
    if (this.#again !== null) return;
    this.#ring.setAsleep(true);
    if (this.#ring.empty) return;
    this.#ring.setAsleep(false);
    this.#again = setImmediate(() => {
      this.#again = null;
      this.#turn(false);
    });
  }

  /** By turns, also where a turn of the loop takes one message only. */
  #next(): Buffer | null {
    if (!this.#socketToo) return this.#fromRing();
    this.#ringFirst = !this.#ringFirst;
    if (this.#ringFirst) return this.#fromRing() ?? this.#fromSocket();
    return this.#fromSocket() ?? this.#fromRing();
  }

  #fromSocket(): Buffer | null {
    while (this.#socketToo) {
      const packet = this.#siblings.receive();
      if (packet === null) this.#socketToo = false;
      else if (packet.flags !== DOORBELL) return packet.data;
    }
    return null;
  }

  #fromRing(): Buffer | null {
    for (;;) {
      if (this.#expected > 0) {
        const data = this.#receiveLong();
        if (data !== null) return data;
      }
      const data = this.#ring.take(this.#slab);
      if (data !== null) return data;
      const serial = this.#ring.marker;
      if (serial === 0) return null;
      // A message that cannot be received for want of an fd keeps its marker. No file: there may be a chroot.
      binding.closeFd(binding.dup(this.#line.long.reader.fd));
      this.#ring.passMarker();
      this.#expected = serial;
    }
  }

  /** What a worker had passed the marker of and was killed before it received it counts as lost already. */
  #receiveLong(): Buffer | null {
    for (;;) {
      const packet = this.#nextLong();
      if (packet !== null && packet.tag !== this.#expected) continue;
      this.#expected = 0;
      return packet === null ? null : packet.data;
    }
  }

  #nextLong(): Packet | null {
    try {
      return this.#line.long.reader.receive();
    } catch (error) {
      // For want of an fd: it is still there. All other failures have cost the message.
      if ((error as NodeJS.ErrnoException).syscall !== 'fcntl') this.#expected = 0;
      throw error;
    }
  }
}
