/**
 * Gives a child stdio of its own. A redirected child gets its end of the socketpair, at every level:
 *
 *   fds 0, 1, 2                  native code, programs started by exec, Node's own crash output
 *   process.stdin/stdout/stderr  fresh streams; the inherited ones belong to the parent's tty or pipe
 *   console                      caches the streams it writes to
 *
 * Output is written at once and blocks while the parent does not read, as Node's own does for files
 * and pipes: what was printed before a crash or an exit is never lost.
 */
import { Writable } from 'node:stream';
import { binding } from '../binding';
import { RedirectedInput } from './redirected-input';

class DirectOutput extends Writable {
  readonly fd: number;

  constructor(fd: number) {
    super({ decodeStrings: true, autoDestroy: false });
    this.fd = fd;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    try {
      binding.writeAll(this.fd, chunk);
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }
}

function replaceStream(name: 'stdin' | 'stdout' | 'stderr', make: () => unknown): void {
  let stream: unknown;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => (stream ??= make()),
  });
}

/** Gives the child a fresh stream on its stdout or stderr, in `process` and in `console`. */
export function replaceOutput(name: 'stdout' | 'stderr'): void {
  replaceStream(name, () => new DirectOutput(name === 'stdout' ? 1 : 2));
  Object.assign(console, { [`_${name}`]: process[name] });
}

/** In the child. `fd` is its end of the socketpair. */
export function redirectStdio(fd: number): void {
  for (const target of [0, 1, 2]) binding.dup2(fd, target);
  replaceStream('stdin', () => new RedirectedInput(0));
  replaceOutput('stdout');
  replaceOutput('stderr');
}
