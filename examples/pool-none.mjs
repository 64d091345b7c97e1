// A job pool that finds its jobs itself: four workers empty a folder, each takes the next file.
// A pool of IPC_NONE only keeps its workers alive; what they do is up to `workerStart`.
//
//   node examples/pool-none.mjs
//
// Expected output, the workers' lines in any order:
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   worker <id> did <n> jobs
//   worker <id> crashed and was replaced
//   60 of 60 jobs done

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProcessPool } from 'prefork';

const WORKERS = 4;
const JOBS = 60;
const BAD_JOB = 'job-30';
const folder = mkdtempSync(join(tmpdir(), 'pool-none-'));
const [waiting, done] = ['waiting', 'done'].map((name) => join(folder, name));
mkdirSync(waiting);
mkdirSync(done);
for (let i = 1; i <= JOBS; i++) writeFileSync(join(waiting, `job-${i}`), '');

/** Renaming a file succeeds in one process only: so each job is done once. */
function take() {
  for (const name of readdirSync(waiting)) {
    try {
      renameSync(join(waiting, name), join(done, name));
      return name;
    } catch {
      // A sibling was faster.
    }
  }
  return null;
}

const pool = new ProcessPool(WORKERS, ProcessPool.IPC_NONE);
pool.on('workerError', (_pool, id) => console.log(`worker ${id} crashed and was replaced`));
pool.on('workerStart', async (_pool, id) => {
  let jobs = 0;
  for (let job; pool.running && (job = take()) !== null; jobs++) {
    if (job === BAD_JOB) process.exit(1);
    await new Promise((resolve) => setTimeout(resolve, 2)); // the job
  }
  console.log(`worker ${id} did ${jobs} jobs`);
  // A worker that ends is started again: this one waits until the pool ends.
  if (pool.running) pool.shutdown();
  while (pool.running) await new Promise((resolve) => setTimeout(resolve, 2));
});

await pool.start();
console.log(`${readdirSync(done).length} of ${JOBS} jobs done`);
rmSync(folder, { recursive: true });
