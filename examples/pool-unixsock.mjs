// A job pool whose master hands out the jobs: it sends each to a worker of its choice. Workers answer
// over the pipe of their Process. One of them is killed, and its successor goes on with its messages.
//
//   node examples/pool-unixsock.mjs
//
// Expected output:
//   worker 1 was killed; messages lost: 1
//   worker 0 found <n> primes
//   worker 1 found <n> primes
//   worker 2 found <n> primes
//   78498 primes below 1000000, right

import { ProcessPool } from 'prefork';

const WORKERS = 3;
const LIMIT = 1_000_000;
const STEP = 20_000;
const CRASH = 'crash';

function isPrime(n) {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return n > 1;
}

const pool = new ProcessPool(WORKERS, ProcessPool.IPC_UNIXSOCK);
pool.on('message', (_pool, data) => {
  if (String(data) === CRASH) process.kill(process.pid, 'SIGKILL');
  const from = Number(data);
  let primes = 0;
  for (let n = from; n < from + STEP; n++) if (isPrime(n)) primes++;
  pool.getProcess().write(String(primes));
});
pool.on('workerError', (_pool, id, { lostMessages }) => {
  console.log(`worker ${id} was killed; messages lost: ${lostMessages}`);
});

const finished = pool.start();
await pool.sendMessageAsync(CRASH, 1);
const shares = Array.from({ length: WORKERS }, () => ({ jobs: 0, primes: 0 }));
for (let from = 0, i = 0; from < LIMIT; from += STEP, i++) {
  const id = i % WORKERS;
  await pool.sendMessageAsync(String(from), id); // waits while the worker has enough to do
  shares[id].jobs++;
}

let total = 0;
for (const [id, share] of shares.entries()) {
  const worker = pool.getProcess(id);
  for (let i = 0; i < share.jobs; i++) share.primes += Number(await worker.readAsync());
  console.log(`worker ${id} found ${share.primes} primes`);
  total += share.primes;
}
console.log(`${total} primes below ${LIMIT}, ${total === 78498 ? 'right' : 'wrong'}`);
await pool.shutdown();
await finished;
