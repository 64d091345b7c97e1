/** Argument checks. Each throws a PreforkError that names the argument, the value and what is accepted. */
import { PreforkError } from './errors';

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' && value !== null) return Object.prototype.toString.call(value);
  return String(value);
}

export function invalidType(name: string, expected: string, value: unknown): PreforkError {
  return new PreforkError(
    'ERR_INVALID_ARG_TYPE',
    `${name} must be ${expected}, got ${describe(value)}`,
  );
}

/** Checks an integer between `min` and `max`, both included. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new PreforkError(
      'ERR_OUT_OF_RANGE',
      `${name} must be an integer from ${String(min)} to ${String(max)}, got ${String(value)}`,
    );
  }
  return value;
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value);
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidType(name, 'a string', value);
  return value;
}

export function checkObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(name, 'an object', value);
  }
  return value;
}

/** The `signal` of the options of a call that waits, if there is one. */
export function signalOf(options: { signal?: AbortSignal | undefined }): AbortSignal | undefined {
  checkObject('options', options);
  const signal: unknown = options.signal;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidType('signal', 'an AbortSignal', signal);
}

/** Bytes to send: a string as UTF-8, or a Uint8Array as it is. Empty data is refused. */
export function checkData(value: unknown): Buffer {
  const data = toBuffer(value);
  if (data.length === 0) throw new PreforkError('ERR_EMPTY_DATA', 'data must not be empty');
  return data;
}

function toBuffer(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  if (Buffer.isBuffer(value)) return value;
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  throw invalidType('data', 'a string, a Buffer or a Uint8Array', value);
}
