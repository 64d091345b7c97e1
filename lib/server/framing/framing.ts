/**
 * Framing: takes the byte stream of one connection apart into packets.
 *
 *   chunks as they come in   | ab|cd\r\n\r\nef|\r\n\r\n |
 *   packets                      |  abcd\r\n\r\n  |  ef\r\n\r\n  |
 *
 * A port has one framing of these, by precedence: `openEofCheck` or `openEofSplit` (eof.ts), `openLengthCheck`
 * (length.ts), none: every chunk is a packet.
 */
import type { PreforkError } from '../../errors';
import { EofCheck, EofSplit } from './eof';
import { LengthCheck, type LengthSettings } from './length';

export interface Framing {
  /**
   * Takes the next bytes of the connection.
   *
   * @param chunk - may be used again once the packets of this call are done with: what is kept for later
   * is copied
   * @returns the packets that are whole now, in order. They are views: of `chunk` when it has all of a
   * packet, of memory of their own otherwise. Look at `failure` after dealing with them.
   */
  push(chunk: Buffer): readonly Buffer[];

  /** Why the connection has to be closed: where the next packet starts is unknown. Nothing comes afterwards. */
  readonly failure: PreforkError | null;

  /** Bytes held of a packet that is not whole. */
  readonly pendingBytes: number;
}

export interface FramingSettings extends LengthSettings {
  openEofCheck: boolean;
  openEofSplit: boolean;
  packageEof: Buffer;
  openLengthCheck: boolean;
}

/** Every chunk is a packet. */
class NoFraming implements Framing {
  readonly failure = null;
  readonly pendingBytes = 0;

  push(chunk: Buffer): readonly Buffer[] {
    return chunk.length === 0 ? [] : [chunk];
  }
}

/** What makes the framing of each connection of a port. */
export function framingFactory(settings: FramingSettings): () => Framing {
  const { packageEof, packageMaxLength } = settings;
  if (settings.openEofSplit) return () => new EofSplit(packageEof, packageMaxLength);
  if (settings.openEofCheck) return () => new EofCheck(packageEof, packageMaxLength);
  if (settings.openLengthCheck) return () => new LengthCheck(settings);
  const shared = new NoFraming();
  return () => shared;
}
