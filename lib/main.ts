/**
 * What `require('prefork')` gives: the values of ./index, each loaded when it is first asked for. A script
 * that only starts processes has no use for the pool and the server, which are most of the files.
 */
import type * as CompileAhead from './compile-ahead';
import type * as Index from './index';

type Name = keyof typeof Index;

/* eslint-disable @typescript-eslint/no-require-imports, @typescript-eslint/no-unsafe-return --
   an import would load all of them at once */
// Written out, because bundlers and tracers follow only these.
const loaders: Record<Name, () => unknown> = {
  MessageSocket: () => require('./ipc/message-socket'),
  PreforkError: () => require('./errors'),
  Process: () => ahead(() => require('./process/process')),
  ProcessPool: () => ahead(() => require('./pool/process-pool')),
  Server: () => ahead(() => require('./server/server')),
};

function ahead(load: () => unknown): unknown {
  return (require('./compile-ahead') as typeof CompileAhead).compiledAhead(load);
}
/* eslint-enable @typescript-eslint/no-require-imports, @typescript-eslint/no-unsafe-return */

/* eslint-disable @typescript-eslint/no-unsafe-member-access -- `exports` has no type */
// Node finds the names that an ES module can import from this file in assignments of this form.
exports.MessageSocket = exports.PreforkError = exports.Process = undefined;
exports.ProcessPool = exports.Server = undefined;
/* eslint-enable @typescript-eslint/no-unsafe-member-access */

function load(name: Name): unknown {
  const value = (loaders[name]() as typeof Index)[name];
  Object.defineProperty(exports, name, { enumerable: true, value });
  return value;
}

for (const name of Object.keys(loaders) as Name[]) {
  Object.defineProperty(exports, name, { enumerable: true, get: () => load(name) });
}
