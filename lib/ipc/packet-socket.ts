/**
 * Whole messages from many processes to one reader, over one SOCK_SEQPACKET socketpair.
 *
 *   PacketWriter (any process) --+
 *   PacketWriter (any process) --+--> kernel: a queue of frames --> PacketReader (one process at a time)
 *   PacketWriter (any process) --+
 *
 * Made before the fork: every process then has both ends, and nothing closes them by itself. So the
 * successor of a dead reader takes what that one has left. A message is in the kernel as a whole or not at
 * all, and what it needs there goes with it, whoever is killed when.
 * See socketpair(2), unix(7); frame.ts for the format.
 */
import { binding } from '../binding';
import { checkInteger } from '../validate';
import { HEADER_BYTES, MAX_FRAME_BYTES } from './frame';
import { MemfdCount } from './memfd-count';
import { PacketReader } from './packet-reader';
import { PacketWriter } from './packet-writer';

export type { Packet, PacketMeta } from './packet-end';
export { PacketReader, PacketWriter };

const SOCK_SEQPACKET = 5;

/** Asked for; the kernel doubles it for its bookkeeping. It is also the default of net.core.wmem_max. */
const SOCKET_BUFFER_BYTES = 212_992;

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const LARGEST_MAX_BYTES = 0x7fffffff;

export class PacketPair {
  readonly writer: PacketWriter;
  readonly reader: PacketReader;

  /**
   * @param maxBytes - the longest message; default 64 MiB
   * @throws PreforkError ERR_OUT_OF_RANGE. EMFILE
   */
  constructor(maxBytes = DEFAULT_MAX_BYTES) {
    checkInteger('maxBytes', maxBytes, 1, LARGEST_MAX_BYTES);
    const [writeFd, readFd] = binding.socketPair(SOCK_SEQPACKET, SOCKET_BUFFER_BYTES);
    const frameBytes = Math.min(binding.messageLimit(writeFd), MAX_FRAME_BYTES);
    const inlineLimit = frameBytes - HEADER_BYTES;
    const memfds = new MemfdCount();
    this.writer = new PacketWriter(writeFd, maxBytes, inlineLimit, memfds);
    this.reader = new PacketReader(readFd, maxBytes, inlineLimit, memfds);
  }

  /** Closes both ends in this process. */
  close(): void {
    this.writer.close();
    this.reader.close();
  }
}
