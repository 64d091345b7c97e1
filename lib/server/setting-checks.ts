/** Checks of single settings: each gives the value back as it is kept, or throws what is wrong with it. */
import { PreforkError } from '../errors';
import { nearest } from '../nearest';
import { checkInteger, checkString, invalidType } from '../validate';

export const MAX_INTEGER = 0x7fffffff;

export type Check = (name: string, value: unknown) => unknown;
export type Checks<Options> = Record<keyof Options & string, Check>;

export const integer =
  (min: number, max = MAX_INTEGER): Check =>
  (name, value) =>
    checkInteger(name, value, min, max);

/** Of numbers or strings. */
export const oneOf =
  (...accepted: readonly (number | string)[]): Check =>
  (name, value) => {
    if (typeof value !== typeof accepted[0]) throw invalidType(name, list(accepted), value);
    if (accepted.includes(value as number | string)) return value;
    throw outOfRange(`${name} must be ${list(accepted)}, got ${String(value)}`);
  };

export const flag: Check = (name, value) => {
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value);
  return value;
};

export const callback: Check = (name, value) => {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value);
  return value;
};

export const path: Check = (name, value) => {
  const text = checkString(name, value);
  if (text === '') throw outOfRange(`${name} must not be empty`);
  if (text.includes('\0')) throw outOfRange(`${name} must not contain a zero byte`);
  return text;
};

/** Of a user or group; 2^32 - 1 means "none" to the kernel. */
export const identity: Check = (name, value) => {
  if (typeof value === 'number') return checkInteger(name, value, 0, 0xfffffffe);
  if (typeof value !== 'string') throw invalidType(name, 'a name or a number', value);
  if (value === '') throw outOfRange(`${name} must not be empty`);
  return value;
};

export const bytes =
  (min: number, max: number): Check =>
  (name, value) => {
    const data = typeof value === 'string' ? Buffer.from(value) : value;
    if (!(data instanceof Uint8Array)) {
      throw invalidType(name, 'a string, a Buffer or a Uint8Array', value);
    }
    if (data.length < min || data.length > max) {
      throw outOfRange(`${name} must be ${min} to ${max} bytes long, got ${data.length}`);
    }
    return Buffer.from(data);
  };

export function outOfRange(message: string): PreforkError {
  return new PreforkError('ERR_OUT_OF_RANGE', message);
}

/**
 * Adds `options` to those set before; undefined ones stay as they are.
 *
 * @param elsewhere - settings that exist, but not in this place, and the place they belong to
 * @throws PreforkError ERR_UNKNOWN_OPTION with the nearest name, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function merge<Options extends object>(
  previous: Options,
  options: Options,
  checks: Checks<Options>,
  elsewhere?: { known: object; place: string },
): Options {
  if (typeof options !== 'object' || (options as unknown) === null || Array.isArray(options)) {
    throw invalidType('settings', 'an object', options);
  }
  const merged = { ...previous } as Record<string, unknown>;
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) throw unknownSetting(name, checks, elsewhere);
    if (value !== undefined) merged[name] = checks[name as keyof Options & string](name, value);
  }
  return merged as Options;
}

function unknownSetting(
  name: string,
  checks: object,
  elsewhere?: { known: object; place: string },
): PreforkError {
  const text =
    elsewhere !== undefined && Object.hasOwn(elsewhere.known, name)
      ? `"${name}" is a setting of ${elsewhere.place}`
      : `there is no setting "${name}"; the nearest is "${nearest(name, Object.keys(checks))}"`;
  return new PreforkError('ERR_UNKNOWN_OPTION', text);
}

function list(accepted: readonly (number | string)[]): string {
  const texts = accepted.map((value) => (typeof value === 'string' ? `'${value}'` : String(value)));
  return `${texts.slice(0, -1).join(', ')} or ${texts.at(-1) ?? ''}`;
}
