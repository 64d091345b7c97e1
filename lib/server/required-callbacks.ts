/** What a server cannot run without. */
import { PreforkError } from '../errors';
import type { ServerCallbacks } from './events';
import { isStream, type ServerPort } from './port';

/** @throws PreforkError ERR_SERVER_NO_CALLBACK naming the callback and the port */
export function checkServerCallbacks(
  ports: readonly ServerPort[],
  callbacks: ServerCallbacks,
  taskWorkerNum: number,
): void {
  for (const port of ports) {
    const event = isStream(port.type) ? 'receive' : 'packet';
    if (port.callback(event) !== undefined || callbacks.has(event)) continue;
    throw missing(`${event} callback`, `port ${port.host}:${port.port} (${port.type})`);
  }
  if (taskWorkerNum > 0 && !callbacks.has('task')) {
    throw missing('task callback', `taskWorkerNum ${taskWorkerNum}`);
  }
}

function missing(what: string, why: string): PreforkError {
  return new PreforkError('ERR_SERVER_NO_CALLBACK', `a ${what} is needed for ${why}`);
}
