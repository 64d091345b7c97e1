// Starts several children, then reaps them all, in the order in which they end.
//
//   node examples/reaping-loop.mjs
//
// Expected output, the five "reaped" lines in any order:
//   started 5 children
//   reaped <pid>: code 0
//   reaped <pid>: code 1
//   reaped <pid>: code 2
//   reaped <pid>: code 3
//   reaped <pid>: killed by signal 9
//   nothing is left

import { Process } from 'prefork';

const COUNT = 5;

for (let n = 0; n < COUNT; n++) {
  const child = new Process((self) => {
    if (n === COUNT - 1) Process.kill(self.pid, 'SIGKILL');
    self.exit(n);
  });
  child.start();
}
console.log(`started ${COUNT} children`);

// wait() blocks until the next child ends; null: there is none left.
let status;
while ((status = Process.wait())) {
  const how = status.signal === 0 ? `code ${status.code}` : `killed by signal ${status.signal}`;
  console.log(`reaped ${status.pid}: ${how}`);
}
console.log('nothing is left');
