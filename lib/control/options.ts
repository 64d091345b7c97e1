/** The options of a pool and of a server that make them observable. */
import { PreforkError } from '../errors';
import { checkPath, checkPort, numericAddress } from '../ipc/socket-address';
import { checkString, invalidType } from '../validate';

export interface StatusPageOptions {
  /** 0: one that the kernel chooses, see `statusUrl`. */
  port: number;
  /** An address. Default 127.0.0.1; on another one everybody who reaches it can read the page. */
  host?: string;
  /** Names by which the page may be asked for, besides addresses and `localhost`. */
  allowedHosts?: readonly string[];
}

export interface ControlOptions {
  /** A unix socket for the `prefork` command: true: where the command looks for it; or its path. Default: none. */
  controlSocket?: boolean | string;
  /** A page with live charts, and Prometheus metrics at /metrics. Default: none. */
  statusPage?: StatusPageOptions;
}

const LOOPBACK = '127.0.0.1';
const PAGE_NAMES = ['port', 'host', 'allowedHosts'];

export function checkControlSocket(name: string, value: unknown): boolean | string {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') throw invalidType(name, 'a boolean or a path', value);
  return checkPath(value);
}

/** @throws PreforkError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_UNKNOWN_OPTION */
export function checkStatusPage(name: string, value: unknown): Required<StatusPageOptions> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(name, 'an object with a port', value);
  }
  for (const key of Object.keys(value)) {
    if (PAGE_NAMES.includes(key)) continue;
    const known = PAGE_NAMES.join(', ');
    throw new PreforkError('ERR_UNKNOWN_OPTION', `${name} has no "${key}"; it has ${known}`);
  }
  const { port, host = LOOPBACK, allowedHosts = [] } = value as Partial<StatusPageOptions>;
  if (!Array.isArray(allowedHosts)) {
    throw invalidType(`${name}.allowedHosts`, 'an array of names', allowedHosts);
  }
  return {
    port: checkPort(port as number),
    host: numericAddress(host, LOOPBACK),
    allowedHosts: allowedHosts.map((allowed) => checkString(`${name}.allowedHosts`, allowed)),
  };
}
