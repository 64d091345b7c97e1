// A captured closure runs in a real child: no script path, no serialization of what it uses.
//
//   node examples/closure.mjs
//
// Expected output:
//   child <pid> of <parent pid>: hello world, 3 words known
//   parent: the child's changes stay in the child, count is 0
//   parent: child ended with code 7

import { Process } from 'prefork';

const greet = (name) => `hello ${name}`;
const words = new Map([
  ['one', 1],
  ['two', 2],
  ['three', 3],
]);
let count = 0;

const child = new Process((self) => {
  count = words.size;
  const text = `${greet('world')}, ${count} words known`;
  console.log(`child ${self.pid} of ${process.ppid}: ${text}`);
  self.exit(7);
});

child.start();
const { code } = await child.exited;
console.log(`parent: the child's changes stay in the child, count is ${count}`);
console.log(`parent: child ended with code ${code}`);
