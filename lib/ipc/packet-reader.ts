/**
 * The read end of a packet socket: takes whole messages, one or a batch with one call of the kernel.
 * Every frame is checked before it is trusted; a bad one is reported and the next is read.
 */
import { binding } from '../binding';
import { systemError } from '../errors';
import { checkInteger } from '../validate';
import { alignedBuffer } from './aligned-buffer';
import {
  badFrame,
  checkMemfd,
  decodeHeader,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  MEMFD,
  type FrameHeader,
} from './frame';
import { ownedCopy } from './owned-copy';
import { NO_FD, PacketEnd, type Packet } from './packet-end';
import { PacketSlab } from './packet-slab';
import { withFdToSpare } from './spare-fd';

const POLLIN = 1;
const POLLHUP = 16;

/** The frame had an fd, and this process no place for it. */
const FD_LOST = -3;

/** Frames that one call takes at most. */
export const MAX_BATCH = 64;

/** Where a frame of a batch stands. No power of two: their headers would compete for one cache set. */
const SLOT_BYTES = MAX_FRAME_BYTES + 320;

/** For each frame of a batch: its length, its fd. */
const results = new Int32Array(2 * MAX_BATCH);

/** Made at the first receive. Pages of it that are never used cost nothing. */
let room: { bytes: Buffer; view: DataView } | null = null;

/** Where packetTake() puts what does not go to the slab; packet.cc draws it. */
const HEADER_AT = 16;
const REST_AT = HEADER_AT + HEADER_BYTES;

function makeSingleRoom() {
  const bytes = alignedBuffer(REST_AT + MAX_FRAME_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { bytes, view, results: new Int32Array(bytes.buffer, bytes.byteOffset, 2) };
}

const single = makeSingleRoom();
const slab = new PacketSlab();

/** Of the message received last: the next is expected to be as long. */
let lastLength = 0;
const LARGEST_EXPECTED = 65_536;

function roomForBatch(): { bytes: Buffer; view: DataView } {
  if (room === null) {
    const bytes = alignedBuffer(MAX_BATCH * SLOT_BYTES);
    room = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset) };
  }
  return room;
}

export class PacketReader extends PacketEnd {
  #ended = false;
  #report: (error: Error) => void = (error) => {
    process.emitWarning(error);
  };

  /** True when no process has the write end any more and all was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether nothing can be received at this moment. */
  get empty(): boolean {
    return (binding.pollFd(this.openFd(), POLLIN, 0) & POLLIN) === 0;
  }

  /**
   * Takes one message. Never blocks.
   *
   * @returns null when none is there
   * @throws PreforkError ERR_BAD_FRAME: one frame was dropped, the next call takes the next one;
   * ERR_NO_PIPE when closed. EMFILE when this process has no fd left: the message stays in the pipe
   */
  receive(): Packet | null {
    return withFdToSpare(this.#receiveOne);
  }

  readonly #receiveOne = (): Packet | null => {
    const fd = this.openFd();
    slab.makeRoom(lastLength);
    const { bytes, results: taken } = single;
    if (!binding.packetTake(fd, bytes, slab.bytes, slab.used, this.#mayBringFds())) return null;
    const frameBytes = taken[0] as number;
    if (frameBytes === 0 && this.#hungUp(fd)) {
      this.#noteEnd();
      return null;
    }
    return this.#unpackTaken(frameBytes, taken[1] as number);
  };

  /**
   * Takes all messages there are, up to `max` and 64. Never blocks. Bad frames go to
   * {@link onBadFrame}.
   *
   * @throws as {@link receive}, but for bad frames
   */
  receiveBatch(max = MAX_BATCH): Packet[] {
    checkInteger('max', max, 1, Number.MAX_SAFE_INTEGER);
    return withFdToSpare((isTight) => this.#receiveSome(isTight ? 1 : Math.min(max, MAX_BATCH)));
  }

  #receiveSome(most: number): Packet[] {
    const count = this.#receiveFrames(most);
    const packets: Packet[] = [];
    for (let i = 0; i < count; i++) {
      try {
        packets.push(this.#unpack(i));
      } catch (error) {
        // Later: a listener that throws must not cost the good ones of this batch.
        process.nextTick(this.#report, error);
      }
    }
    return packets;
  }

  /**
   * Who hears of the bad frames of a batch: PreforkErrors ERR_BAD_FRAME, and system errors of reading a
   * memfd. Until it is set they are process warnings.
   */
  onBadFrame(listener: (error: Error) => void): void {
    this.#report = listener;
  }

  /** Calls `listener` on the event loop whenever something can be received; null stops that. */
  onReadable(listener: (() => void) | null): void {
    if (listener === null) this.stopWatching();
    else this.watcher().onReadable(listener);
  }

  /** Resolves when something can be received; rejects with the reason of an aborted `signal`. */
  async readable(signal?: AbortSignal): Promise<void> {
    await this.watcher().readable(signal);
  }

  #receiveFrames(most: number): number {
    const fd = this.openFd();
    const { bytes } = roomForBatch();
    const args = [fd, bytes, SLOT_BYTES, most, results, this.#mayBringFds()] as const;
    let count = binding.packetReceive(...args);
    if (count === 0 || results[2 * count - 2] !== 0 || !this.#hungUp(fd)) return count;
    while (count > 0 && results[2 * count - 2] === 0) count--;
    this.#noteEnd();
    return count;
  }

  #mayBringFds(): boolean {
    return this.memfds === null || this.memfds.some;
  }

  /** An empty frame is received when no process has the write end any more, again and again. */
  #hungUp(fd: number): boolean {
    return (binding.pollFd(fd, 0, 0) & POLLHUP) !== 0;
  }

  /** At the end the fd is readable for ever: a lasting watch would spin. */
  #noteEnd(): void {
    this.#ended = true;
    this.stopWatching();
  }

  /** The frame that packetTake() has left in `single` and in the slab. */
  #unpackTaken(bytes: number, fd: number): Packet {
    try {
      const header = decodeHeader(single.view, HEADER_AT, bytes, this.inlineLimit, this.maxBytes);
      const { kind, length, sender, tag, flags } = header;
      const data = kind === MEMFD ? memfdContent(header, fd) : takenContent(header, fd);
      lastLength = Math.min(length, LARGEST_EXPECTED);
      return { data, sender, tag, flags };
    } finally {
      if (fd >= 0) this.#closeReceived(fd);
    }
  }

  #unpack(i: number): Packet {
    const fd = results[2 * i + 1] as number;
    try {
      const { bytes, view } = roomForBatch();
      const at = i * SLOT_BYTES;
      const frameBytes = results[2 * i] as number;
      const header = decodeHeader(view, at, frameBytes, this.inlineLimit, this.maxBytes);
      const { kind, sender, tag, flags } = header;
      const data =
        kind === MEMFD
          ? memfdContent(header, fd)
          : inlineContent(header, fd, bytes, at + HEADER_BYTES);
      return { data, sender, tag, flags };
    } finally {
      if (fd >= 0) this.#closeReceived(fd);
    }
  }

  #closeReceived(fd: number): void {
    binding.closeFd(fd);
    this.memfds?.add(-1);
  }
}

function refuseFd(fd: number): void {
  if (fd !== NO_FD) throw badFrame('an fd attached where none belongs');
}

function inlineContent({ length }: FrameHeader, fd: number, bytes: Buffer, at: number): Buffer {
  refuseFd(fd);
  return ownedCopy(bytes.subarray(at, at + length));
}

/** Most often it stands where it can stay; otherwise its end is in `single`. */
function takenContent({ length }: FrameHeader, fd: number): Buffer {
  refuseFd(fd);
  const { room, used } = slab;
  if (length <= room) return slab.claim(length);
  const data = Buffer.allocUnsafeSlow(length);
  slab.bytes.copy(data, 0, used);
  single.bytes.copy(data, room, REST_AT, REST_AT + length - room);
  return data;
}

function memfdContent(header: FrameHeader, fd: number): Buffer {
  const { length, sender, tag } = header;
  if (fd === FD_LOST) {
    const what = `message of ${String(length)} bytes, sender ${String(sender)}, tag ${String(tag)}`;
    throw systemError('EMFILE', 'recvmmsg', `a ${what}, was lost: the fd table is full`);
  }
  if (fd < 0) throw badFrame(fd === NO_FD ? 'the memfd is missing' : 'several fds attached');
  const [size, seals] = binding.memfdStat(fd);
  checkMemfd(length, size, seals);
  const data = alignedBuffer(length);
  const bytes = binding.memfdRead(fd, data);
  if (bytes !== length) throw badFrame(`a memfd ended after ${String(bytes)} bytes`);
  return data;
}
