/**
 * The read end of a packet socket: takes whole messages, one or a batch with one call of the kernel.
 * Every frame is checked before it is trusted; a bad one is reported and the next is read.
 */
import { binding } from '../binding';
import { systemError } from '../errors';
import { checkInteger } from '../validate';
import {
  badFrame,
  checkMemfd,
  decodeHeader,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  MEMFD,
  type FrameHeader,
} from './frame';
import { NO_FD, PacketEnd, type Packet } from './packet-end';

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

function roomForBatch(): { bytes: Buffer; view: DataView } {
  if (room === null) {
    const bytes = Buffer.allocUnsafeSlow(MAX_BATCH * SLOT_BYTES);
    room = { bytes, view: new DataView(bytes.buffer) };
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

  /**
   * Takes one message. Never blocks.
   *
   * @returns null when none is there
   * @throws PreforkError ERR_BAD_FRAME: one frame was dropped, the next call takes the next one;
   * ERR_NO_PIPE when closed. EMFILE when this process has no fd left: the message stays in the pipe
   */
  receive(): Packet | null {
    return this.#receiveFrames(1) === 0 ? null : this.#unpack(0);
  }

  /**
   * Takes all messages there are, up to `max` and 64. Never blocks. Bad frames go to
   * {@link onBadFrame}.
   *
   * @throws as {@link receive}, but for bad frames
   */
  receiveBatch(max = MAX_BATCH): Packet[] {
    checkInteger('max', max, 1, Number.MAX_SAFE_INTEGER);
    const count = this.#receiveFrames(Math.min(max, MAX_BATCH));
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
    let count = binding.packetReceive(fd, bytes, SLOT_BYTES, most, results);
    if (count === 0 || results[2 * count - 2] !== 0) return count;
    if ((binding.pollFd(fd, 0, 0) & POLLHUP) === 0) return count;
    while (count > 0 && results[2 * count - 2] === 0) count--;
    this.#noteEnd();
    return count;
  }

  /** At the end the fd is readable for ever: a lasting watch would spin. */
  #noteEnd(): void {
    this.#ended = true;
    this.stopWatching();
  }

  #unpack(i: number): Packet {
    const fd = results[2 * i + 1] as number;
    try {
      const { bytes, view } = roomForBatch();
      const at = i * SLOT_BYTES;
      const length = results[2 * i] as number;
      const header = decodeHeader(view, at, length, this.inlineLimit, this.maxBytes);
      const body = at + HEADER_BYTES;
      const data =
        header.kind === MEMFD ? memfdContent(header, fd) : inlineContent(header, fd, bytes, body);
      return { data, sender: header.sender, tag: header.tag, flags: header.flags };
    } finally {
      if (fd >= 0) binding.closeFd(fd);
    }
  }
}

function inlineContent({ length }: FrameHeader, fd: number, bytes: Buffer, at: number): Buffer {
  if (fd !== NO_FD) throw badFrame('an fd attached where none belongs');
  const data = Buffer.allocUnsafe(length);
  bytes.copy(data, 0, at, at + length);
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
  const data = Buffer.allocUnsafeSlow(length);
  const bytes = binding.memfdRead(fd, data);
  if (bytes !== length) throw badFrame(`a memfd ended after ${String(bytes)} bytes`);
  return data;
}
