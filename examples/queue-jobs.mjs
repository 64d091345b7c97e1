// Jobs for four processes by one message queue: whoever is free takes the next job.
//
//   node examples/queue-jobs.mjs
//
// Expected output, the shares of the workers differ:
//   worker 1 did <n> jobs
//   worker 2 did <n> jobs
//   worker 3 did <n> jobs
//   worker 4 did <n> jobs
//   400 of 400 jobs done, sum of squares 21413400, right
//   queue freed: true

import { Process } from 'prefork';

const WORKERS = 4;
const JOBS = 400;
const END = 'end';
// A queue outlives its processes. With a key of its own, this run never meets the rest of another.
const key = process.pid;

function work(self) {
  let jobs = 0;
  let sum = 0;
  for (let job; (job = self.pop().toString()) !== END; jobs++) sum += Number(job) ** 2;
  self.write(JSON.stringify({ jobs, sum }));
}

const workers = Array.from({ length: WORKERS }, () => new Process(work));
for (const worker of workers) {
  worker.useQueue(key); // QUEUE_BALANCE: all who open this key compete for its messages
  worker.start();
}

// The queue holds some ten messages: pushAsync() waits for room without blocking the event loop.
const [queue] = workers;
for (let job = 1; job <= JOBS; job++) await queue.pushAsync(String(job));
for (let i = 0; i < WORKERS; i++) await queue.pushAsync(END);

let done = 0;
let total = 0;
for (const worker of workers) {
  const { jobs, sum } = JSON.parse(await worker.readAsync());
  console.log(`worker ${worker.id} did ${jobs} jobs`);
  done += jobs;
  total += sum;
}
const right = total === (JOBS * (JOBS + 1) * (2 * JOBS + 1)) / 6;
console.log(`${done} of ${JOBS} jobs done, sum of squares ${total}, ${right ? 'right' : 'wrong'}`);
console.log(`queue freed: ${queue.freeQueue()}`);
await Promise.all(workers.map((worker) => worker.exited));
