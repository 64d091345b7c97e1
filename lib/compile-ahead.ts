/**
 * V8 compiles a function when it is called first. What only children call would be compiled in each of them,
 * into memory of their own: so all of it is compiled here, when its file is loaded, and children share it.
 */
import { setFlagsFromString } from 'node:v8';

// Node's modules bring compiled code along, which V8 refuses while its flags are others. So they come first.
import 'node:crypto';
import 'node:diagnostics_channel';
import 'node:inspector';
import 'node:net';
import 'node:os';
import 'node:perf_hooks';
import 'node:stream/promises';
import 'node:timers/promises';
import 'node:worker_threads';

const isLazy = !process.execArgv.some((flag) => /^--no[-_]?lazy$/.test(flag));

/** @param load - requires files of this package */
export function compiledAhead<Module>(load: () => Module): Module {
  if (!isLazy) return load();
  setFlagsFromString('--no-lazy');
  try {
    return load();
  } finally {
    setFlagsFromString('--lazy');
  }
}
