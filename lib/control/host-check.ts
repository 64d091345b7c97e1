/**
 * Whether a request was meant for this page. A web site elsewhere can give its own name the address of
 * this machine (DNS rebinding) and have a browser send requests here; their Host header names the site.
 * Addresses cannot be rebound, so they are fine, and so is localhost.
 */
import { isIP } from 'node:net';

export function isHostAllowed(
  header: string | undefined,
  allowedHosts: readonly string[] = [],
): boolean {
  const name = hostOf(header);
  if (name === null) return false;
  return isIP(name) !== 0 || name === 'localhost' || allowedHosts.some((own) => same(own, name));
}

/** Without the port, which is another one behind a tunnel. Null: not a host. */
function hostOf(header: string | undefined): string | null {
  const found = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(header ?? '');
  const name = found?.[1] ?? found?.[2];
  return name === undefined ? null : name.toLowerCase();
}

function same(allowed: string, name: string): boolean {
  return allowed.toLowerCase() === name;
}
