// A pool of one's own: keeps workers alive, restarts those that crash, ends gracefully on SIGTERM.
//
//   node examples/custom-pool.mjs         stop it with Ctrl-C, or kill -TERM <master pid>
//
// Expected output, lines of different workers in any order; "worker 1 started" comes twice:
//   master <pid>
//   worker <id> started as <pid>
//   worker 1 (<pid>) ended, code 1 signal 0: restart
//   stopping
//   worker <id> finished its job
//   worker <id> (<pid>) ended, code 0 signal 0
//   pool ended

import { setTimeout as sleep } from 'node:timers/promises';
import { Process } from 'prefork';

const WORKERS = 3;
const JOB_MS = 50;
const RESTART_DELAY_MS = 100; // a worker that crashes at once must not become a storm of forks
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'];

async function work(id, life) {
  let stopping = false;
  for (const signal of STOP_SIGNALS) Process.signal(signal, () => (stopping = true));
  console.log(`worker ${id} started as ${process.pid}`);
  while (!stopping) {
    await sleep(JOB_MS); // the job
    if (id === 1 && life === 1) process.exit(1); // the crash
  }
  console.log(`worker ${id} finished its job`);
}

const running = new Map();

function start(id, life = 1) {
  const child = new Process(() => work(id, life), false, Process.PIPE_TYPE_NONE);
  running.set(child.start(), { id, life });
}

let stopping = false;
function stop() {
  if (!stopping) console.log('stopping');
  stopping = true;
  for (const pid of running.keys()) Process.kill(pid, 'SIGTERM');
}

console.log(`master ${process.pid}`);
for (const signal of STOP_SIGNALS) Process.signal(signal, stop);
for (let id = 1; id <= WORKERS; id++) start(id);
for (let ended; (ended = await Process.waitAsync()) !== null;) {
  const { id, life } = running.get(ended.pid);
  running.delete(ended.pid);
  const how = `code ${ended.code} signal ${ended.signal}`;
  console.log(`worker ${id} (${ended.pid}) ended, ${how}${stopping ? '' : ': restart'}`);
  if (!stopping) await sleep(RESTART_DELAY_MS);
  if (!stopping) start(id, life + 1);
}
console.log('pool ended');
