// A native program behind a pipe: the child turns into `tail -f`, the parent reads its output.
//
//   node examples/tail.mjs
//
// Expected output:
//   tail: line 1
//   tail: line 2
//   tail: line 3
//   tail ended by signal 15

import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { Process } from 'prefork';

const LINES = 3;
const folder = mkdtempSync(join(tmpdir(), 'prefork-tail-'));
const log = join(folder, 'app.log');
writeFileSync(log, 'line 1\n');

// `true`: stdin, stdout and stderr of the child are its end of the pipe. exec() keeps them.
const tail = new Process((self) => self.exec('/usr/bin/tail', ['-n', '+1', '-f', log]), true);
tail.start();

// A Process can be iterated chunk by chunk; readline makes lines of the chunks.
let seen = 0;
for await (const line of createInterface({ input: Readable.from(tail) })) {
  console.log(`tail: ${line}`);
  if (++seen === LINES) Process.kill(tail.pid);
  else if (seen < LINES) appendFileSync(log, `line ${seen + 1}\n`);
}

const { signal } = await tail.exited;
console.log(`tail ended by signal ${signal}`);
rmSync(folder, { recursive: true });
