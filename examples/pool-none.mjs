// A job pool that finds its jobs itself: four workers empty a folder, each takes the next file.
// A pool of IPC_NONE only keeps its workers alive; what they do is up to `workerStart`.
//
//   node examples/pool-none.mjs
//
// Expected output, the workers' lines in any order:
//   worker <id> crashed: job-30 is given back
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   60 of 60 jobs done

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProcessPool } from 'prefork';

const WORKERS = 4;
const JOBS = 60;
const CRASHES_ONCE = 'job-30';
const root = mkdtempSync(join(tmpdir(), 'pool-none-'));
const [waiting, taken, done] = ['waiting', 'taken', 'done'].map((name) => join(root, name));
for (const folder of [waiting, taken, done]) mkdirSync(folder);
for (let i = 1; i <= JOBS; i++) writeFileSync(join(waiting, `job-${i}`), '');

/** Renaming a file succeeds in one process only: so each job is taken once. */
function take(workerId) {
  for (const name of readdirSync(waiting)) {
    try {
      renameSync(join(waiting, name), join(taken, `${workerId} ${name}`));
      return name;
    } catch {
      // A sibling was faster.
    }
  }
  return null;
}

function finish(workerId, name) {
  renameSync(join(taken, `${workerId} ${name}`), join(done, name));
  if (readdirSync(done).length === JOBS) pool.shutdown(); // asks the master to
}

const pool = new ProcessPool(WORKERS, ProcessPool.IPC_NONE);
let jobs = 0; // of this worker: each has its own copy

pool.on('workerStart', async (_pool, id) => {
  while (pool.running) {
    const name = take(id);
    await sleep(2); // the job
    if (name === CRASHES_ONCE) process.exit(1);
    if (name === null) continue;
    jobs++;
    finish(id, name);
  }
});
pool.on('workerStop', (_pool, id) => console.log(`worker ${id} did ${jobs} jobs`));
pool.on('workerError', (_pool, id) => {
  for (const file of readdirSync(taken).filter((file) => file.startsWith(`${id} `))) {
    const name = file.slice(`${id} `.length);
    console.log(`worker ${id} crashed: ${name} is given back`);
    renameSync(join(taken, file), join(waiting, `${name}-again`));
  }
});

await pool.start();
console.log(`${readdirSync(done).length} of ${JOBS} jobs done`);
rmSync(root, { recursive: true });
