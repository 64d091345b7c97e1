/**
 * What is spoken on the control socket: JSON objects, one a line.
 *
 *   client -> {"id":1,"op":"status"}             master -> {"id":1,"ok":true,"result":{…}}
 *             {"id":2,"op":"stopWorker",…}                 {"id":2,"ok":false,"error":{"code","message"}}
 *             {"id":3,"op":"watch","intervalMs":1000}      {"id":3,"ok":true,"result":{…}} again and again
 *
 * The command uses this file as well, so it does not load the addon.
 */
import type { ReloadSummary, Snapshot } from './snapshot';

/** What a client asks. */
export type ControlRequest =
  | { id: number; op: 'status' | 'stop' | 'slowLog' }
  | { id: number; op: 'reload'; onlyTasks: boolean }
  | { id: number; op: 'stopWorker'; workerId: number }
  | { id: number; op: 'watch'; intervalMs: number };

export type ControlOp = ControlRequest['op'];

export interface ControlResults {
  status: Snapshot;
  watch: Snapshot;
  /** What was done; null where it was only asked for, and goes on. */
  reload: ReloadSummary | null;
  /** It has begun to end; the connection closes when it has. */
  stop: null;
  stopWorker: null;
  slowLog: string;
}

export type ControlErrorCode =
  | 'ERR_BAD_REQUEST'
  | 'ERR_UNKNOWN_OP'
  | 'ERR_LINE_TOO_LONG'
  | 'ERR_TOO_MANY_CLIENTS'
  | 'ERR_NO_SLOW_LOG'
  | 'ERR_FAILED';

export type ControlResponse =
  | { id: number | null; ok: true; result: unknown }
  | { id: number | null; ok: false; error: { code: string; message: string } };

/** A request cannot be carried out. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: string;

  constructor(code: ControlErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export const MAX_REQUEST_BYTES = 64 * 1024;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 60_000;
const DEFAULT_INTERVAL_MS = 1000;
const OPS: readonly string[] = [
  'status',
  'reload',
  'stop',
  'stopWorker',
  'slowLog',
  'watch',
] satisfies ControlOp[];

type Fields = Record<string, unknown>;

/** The id of a request that may be wrong otherwise; null: it has none. */
export function idOf(request: unknown): number | null {
  const id = isObject(request) ? request['id'] : undefined;
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : null;
}

/** @throws ControlError ERR_BAD_REQUEST */
export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new ControlError('ERR_BAD_REQUEST', 'a request is one JSON object in one line');
  }
}

/** @throws ControlError ERR_BAD_REQUEST, ERR_UNKNOWN_OP */
export function checkRequest(value: unknown): ControlRequest {
  const id = idOf(value);
  if (id === null || !isObject(value)) {
    throw bad('a request is an object with an integer "id"');
  }
  const op = value['op'];
  if (typeof op !== 'string' || !OPS.includes(op)) {
    throw new ControlError(
      'ERR_UNKNOWN_OP',
      `there is no op "${String(op).slice(0, 40)}"; there are ${OPS.join(', ')}`,
    );
  }
  return withArguments(id, op as ControlOp, value);
}

function withArguments(id: number, op: ControlOp, fields: Fields): ControlRequest {
  switch (op) {
    case 'reload':
      return { id, op, onlyTasks: flagOf(fields, 'onlyTasks') };
    case 'stopWorker':
      return { id, op, workerId: integerOf(fields, 'workerId', 0, 65535) };
    case 'watch': {
      const [min, max] = [MIN_INTERVAL_MS, MAX_INTERVAL_MS];
      const intervalMs = integerOf(fields, 'intervalMs', min, max, DEFAULT_INTERVAL_MS);
      return { id, op, intervalMs };
    }
    default:
      return { id, op };
  }
}

function flagOf(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value !== 'boolean') throw bad(`"${name}" must be a boolean`);
  return value;
}

function integerOf(
  fields: Fields,
  name: string,
  min: number,
  max: number,
  otherwise?: number,
): number {
  const value = fields[name] ?? otherwise;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw bad(`"${name}" must be an integer from ${min} to ${max}`);
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(message: string): ControlError {
  return new ControlError('ERR_BAD_REQUEST', message);
}
