// A data set loaded once, before the forks, is shared by all children: copy-on-write memory.
//
// What a child only reads stays shared. The data sit in typed arrays, outside of the JavaScript heap:
// garbage collection marks and moves objects, and so would copy the pages they are in.
//
//   node examples/shared-data.mjs
//
// Expected output, a line for each child; PSS counts a shared page by its share, Private_Dirty what
// was really copied:
//   loaded 200 MB in <n> ms
//   child <id>: read 200 MB, sum right, PSS <n> MB, Private_Dirty <n> MB
//   parent and 8 children: PSS <n> MB in all; 8 copies would need 1600 MB

import { readFileSync } from 'node:fs';
import { Process } from 'prefork';

const MB = 1024 * 1024;
const SIZE_MB = 200;
const CHILDREN = 8;

const begin = performance.now();
const data = new Float64Array((SIZE_MB * MB) / 8).fill(0.5);
console.log(`loaded ${SIZE_MB} MB in ${Math.round(performance.now() - begin)} ms`);

/** The numbers of /proc/<pid>/smaps_rollup, in MB. */
function memoryOf(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)[1]) / 1024;
  return { pss: megabytes('Pss'), dirty: megabytes('Private_Dirty') };
}

function readAll(self) {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i];
  self.write(sum === data.length / 2 ? 'right' : 'wrong');
  self.read(); // Stays until the parent has measured all, and closes the pipe.
}

const children = Array.from({ length: CHILDREN }, () => new Process(readAll));
for (const child of children) child.start();
const answers = await Promise.all(children.map((child) => child.readAsync()));

let total = memoryOf('self').pss;
for (const [i, child] of children.entries()) {
  const { pss, dirty } = memoryOf(child.pid);
  total += pss;
  const memory = `PSS ${pss.toFixed(0)} MB, Private_Dirty ${dirty.toFixed(0)} MB`;
  console.log(`child ${child.id}: read ${SIZE_MB} MB, sum ${answers[i]}, ${memory}`);
}
console.log(
  `parent and ${CHILDREN} children: PSS ${total.toFixed(0)} MB in all; ` +
    `${CHILDREN} copies would need ${CHILDREN * SIZE_MB} MB`,
);
for (const child of children) child.close();
await Promise.all(children.map((child) => child.exited));
