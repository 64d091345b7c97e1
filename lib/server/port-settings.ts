/**
 * The settings of one port: a server's other ports have its own, unless they were given some themselves.
 *
 *   PortOptions    what a user sets: checked one by one, at once
 *   PortSettings   all of them, defaults filled in, checked against each other: made at the start
 */
import type { FramingSettings } from './framing/framing';
import { LENGTH_FIELDS, type PackageLengthFunc, type PackageLengthType } from './framing/length';
import { bytes, callback, flag, integer, MAX_INTEGER, oneOf, outOfRange } from './setting-checks';
import type { Checks } from './setting-checks';

const MAX_PACKAGE_BYTES = 1024 * 1024 * 1024;
const MAX_EOF_BYTES = 8;
const MAX_LENGTH_OFFSET = 8152;

/** Settings of one port. Times are in ms. */
export interface PortOptions {
  /** Connections the kernel keeps until they are accepted, 0 to 65535; net.core.somaxconn bounds it. Default 512. */
  backlog?: number;
  /** Sends at once instead of joining small writes: TCP_NODELAY. Default true. */
  openTcpNodelay?: boolean;
  /** Bytes that may wait to be sent on one connection; 0: no limit. Default 8 MiB. */
  socketBufferSize?: number;
  /** `bufferFull` when so many bytes wait. Default 80 % of socketBufferSize. */
  bufferHighWatermark?: number;
  /** `bufferEmpty` when so few bytes wait again. Default 0. */
  bufferLowWatermark?: number;
  /** A connection that sent nothing for so long is closed, in ms; 0: never. Default: twice heartbeatCheckInterval. */
  heartbeatIdleTime?: number;
  /** How often idle connections are looked for, in ms; at most half of heartbeatIdleTime, which is the default. */
  heartbeatCheckInterval?: number;
  /** A packet ends when the bytes received so far end with packageEof. Default false. */
  openEofCheck?: boolean;
  /** A packet ends with every packageEof. Default false. */
  openEofSplit?: boolean;
  /** 1 to 8 bytes. Default CR LF CR LF. */
  packageEof?: string | Uint8Array;
  /** A packet tells its length. An eof setting comes first. Default false. */
  openLengthCheck?: boolean;
  /** The length as a letter of pack(). Default N: 32 bits, unsigned, big-endian. */
  packageLengthType?: PackageLengthType;
  /** Where the length is in the packet, 0 to 8152. Default 0. */
  packageLengthOffset?: number;
  /** Bytes of a packet that its length does not count. Default 4. */
  packageBodyOffset?: number;
  /** Tells the length in place of a field. */
  packageLengthFunc?: PackageLengthFunc;
  /** The longest packet, in bytes; a longer one closes its connection. Default 2 MiB, up to 1 GiB. */
  packageMaxLength?: number;
}

/** All settings of a port, as {@link PortOptions} has them, with their defaults. */
export interface PortSettings extends FramingSettings {
  backlog: number;
  openTcpNodelay: boolean;
  socketBufferSize: number;
  bufferHighWatermark: number;
  bufferLowWatermark: number;
  heartbeatIdleTime: number;
  /** 0 exactly when heartbeatIdleTime is. */
  heartbeatCheckInterval: number;
}

export const PORT_CHECKS: Checks<PortOptions> = {
  backlog: integer(0, 65535),
  openTcpNodelay: flag,
  socketBufferSize: integer(0),
  bufferHighWatermark: integer(1),
  bufferLowWatermark: integer(0),
  heartbeatIdleTime: integer(0),
  heartbeatCheckInterval: integer(0),
  openEofCheck: flag,
  openEofSplit: flag,
  packageEof: bytes(1, MAX_EOF_BYTES),
  openLengthCheck: flag,
  packageLengthType: oneOf(...Object.keys(LENGTH_FIELDS)),
  packageLengthOffset: integer(0, MAX_LENGTH_OFFSET),
  packageBodyOffset: integer(0, MAX_PACKAGE_BYTES),
  packageLengthFunc: callback,
  packageMaxLength: integer(1, MAX_PACKAGE_BYTES),
};

/** @throws PreforkError ERR_OUT_OF_RANGE naming settings that do not go together */
export function resolvePortSettings(options: PortOptions): PortSettings {
  return {
    backlog: options.backlog ?? 512,
    openTcpNodelay: options.openTcpNodelay ?? true,
    ...resolveBuffer(options),
    ...resolveHeartbeat(options),
    ...resolveFraming(options),
  };
}

type BufferNames = 'socketBufferSize' | 'bufferHighWatermark' | 'bufferLowWatermark';

function resolveBuffer(options: PortOptions): Pick<PortSettings, BufferNames> {
  const size = options.socketBufferSize ?? 8 * 1024 * 1024;
  const socketBufferSize = size === 0 ? MAX_INTEGER : size;
  const high = options.bufferHighWatermark ?? Math.max(1, Math.floor(socketBufferSize * 0.8));
  const low = options.bufferLowWatermark ?? 0;
  if (high > socketBufferSize) {
    throw outOfRange(`bufferHighWatermark ${high} is over socketBufferSize ${socketBufferSize}`);
  }
  if (low >= high) {
    throw outOfRange(`bufferLowWatermark ${low} must be less than bufferHighWatermark ${high}`);
  }
  return { socketBufferSize, bufferHighWatermark: high, bufferLowWatermark: low };
}

type HeartbeatNames = 'heartbeatIdleTime' | 'heartbeatCheckInterval';

/** Each from the other when only one is given; a check comes at least twice in the idle time. */
function resolveHeartbeat(options: PortOptions): Pick<PortSettings, HeartbeatNames> {
  const interval = options.heartbeatCheckInterval ?? 0;
  const idle = options.heartbeatIdleTime ?? 0;
  if (idle === 0) return { heartbeatIdleTime: interval * 2, heartbeatCheckInterval: interval };
  const half = Math.max(1, Math.floor(idle / 2));
  const checked = interval === 0 ? half : Math.min(interval, half);
  return { heartbeatIdleTime: idle, heartbeatCheckInterval: checked };
}

function resolveFraming(options: PortOptions): FramingSettings {
  const openEofSplit = options.openEofSplit ?? false;
  const openEofCheck = openEofSplit || (options.openEofCheck ?? false);
  const settings: FramingSettings = {
    openEofCheck,
    openEofSplit,
    packageEof: Buffer.from(options.packageEof ?? '\r\n\r\n'),
    openLengthCheck: !openEofCheck && (options.openLengthCheck ?? false),
    packageLengthType: options.packageLengthType ?? 'N',
    packageLengthOffset: options.packageLengthOffset ?? 0,
    packageBodyOffset: options.packageBodyOffset ?? 4,
    packageLengthFunc: options.packageLengthFunc ?? null,
    packageMaxLength: options.packageMaxLength ?? 2 * 1024 * 1024,
  };
  checkRoom(settings);
  return settings;
}

/** A packet of the smallest kind has to fit. */
function checkRoom(settings: FramingSettings): void {
  const { packageMaxLength, packageLengthType, packageLengthOffset, packageBodyOffset } = settings;
  let least = 0;
  if (settings.openEofCheck) least = settings.packageEof.length;
  else if (settings.openLengthCheck && settings.packageLengthFunc === null) {
    const headerBytes = packageLengthOffset + LENGTH_FIELDS[packageLengthType].bytes;
    least = Math.max(headerBytes, packageBodyOffset);
  }
  if (least > packageMaxLength) {
    throw outOfRange(
      `packageMaxLength is ${packageMaxLength}, even an empty packet has ${least} bytes`,
    );
  }
}
