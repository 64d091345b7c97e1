import { framingFactory, type Framing } from '../../../../lib/server/framing/framing';
import { resolvePortSettings, type PortOptions } from '../../../../lib/server/port-settings';

export function framing(options: PortOptions): Framing {
  return framingFactory(resolvePortSettings(options))();
}

/** Pushes all chunks; the packets as strings, each character a byte. */
export function packetsOf(splitter: Framing, ...chunks: readonly (string | Buffer)[]): string[] {
  return chunks.flatMap((chunk) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : Buffer.from(chunk);
    const packets = splitter.push(bytes).map((packet) => packet.toString('latin1'));
    // As when the memory of a read is used again.
    bytes.fill('!');
    return packets;
  });
}

/** All ways to cut `text` in up to three chunks. */
export function* cuts(text: string): Generator<string[]> {
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      yield [text.slice(0, first), text.slice(first, second), text.slice(second)];
    }
  }
}

export function byteByByte(text: string): string[] {
  return Array.from(text);
}

/** Pushes `bytes` one at a time from the same memory; ms it took, and the packets. */
export function dribble(splitter: Framing, bytes: Buffer): { elapsed: number; packets: Buffer[] } {
  const chunk = Buffer.alloc(1);
  const packets: Buffer[] = [];
  const start = process.cpuUsage();
  for (const byte of bytes) {
    chunk[0] = byte;
    const whole = splitter.push(chunk);
    if (whole.length > 0) packets.push(...whole.map((packet) => Buffer.from(packet)));
  }
  const { user, system } = process.cpuUsage(start);
  return { elapsed: (user + system) / 1000, packets };
}
