// A job pool fed by other programs: they write to a POSIX message queue, for which all workers compete.
// The other program is a Process here. Every language has mq_open(3) and mq_send(3); the queue's name is
// /prefork.<uid>.<key in hexadecimal>, its mode 0600.
//
//   node examples/pool-msgqueue.mjs
//
// Expected output, the shares differ:
//   worker 0 did <n> jobs
//   worker 1 did <n> jobs
//   worker 2 did <n> jobs
//   300 of 300 jobs done, sum of squares 9045050, right
//   queue freed: true

import { Process, ProcessPool } from 'prefork';

const WORKERS = 3;
const JOBS = 300;
// A queue outlives its processes. With a key of its own, this run never meets the rest of another.
const key = process.pid;

const pool = new ProcessPool(WORKERS, ProcessPool.IPC_MSGQUEUE, key);
pool.on('message', (_pool, data) => {
  pool.getProcess().write(String(Number(data) ** 2));
});

const producer = new Process(async (self) => {
  for (let job = 1; job <= JOBS; job++) await self.pushAsync(String(job));
});
producer.useQueue(key);
const finished = pool.start();
producer.start();

/** Collects a worker's results until all jobs of the pool are done. */
const results = { jobs: 0, sum: 0 };
const allDone = new AbortController();
async function collect(id) {
  const worker = pool.getProcess(id);
  let jobs = 0;
  try {
    for (; results.jobs < JOBS; jobs++) {
      const result = await worker.readAsync(undefined, { signal: allDone.signal });
      results.sum += Number(result);
      if (++results.jobs === JOBS) allDone.abort();
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
  return jobs;
}

const shares = await Promise.all(Array.from({ length: WORKERS }, (_, id) => collect(id)));
for (const [id, jobs] of shares.entries()) console.log(`worker ${id} did ${jobs} jobs`);
const right = results.sum === (JOBS * (JOBS + 1) * (2 * JOBS + 1)) / 6;
console.log(
  `${results.jobs} of ${JOBS} jobs done, sum of squares ${results.sum}, ${right ? 'right' : 'wrong'}`,
);
await producer.exited;
await pool.shutdown();
await finished;
console.log(`queue freed: ${producer.freeQueue()}`);
