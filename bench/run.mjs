// npm run bench                     every question in bench/*.ts
// npm run bench -- start pipe       only these
//   --quick        fewer rounds: a look, not a measurement
//   --json FILE    the numbers, for a program

import { createRequire } from 'node:module';

// Measured code runs in processes of its own, as plain JavaScript: ts-node is loaded only here.
const require = createRequire(import.meta.url);
require('ts-node/register/transpile-only');
const { main } = require('./support/cli.ts');

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
