// `npm run demo`: what the library does, in six short scenes with measured times.
//
//   npm run demo          or, when everything is built: node examples/demo.mjs
//
// Expected output, with numbers of your machine:
//   1. A closure runs in a real child process
//      parent <pid>: an index of 50000 users, built in <n> ms
//      child <pid>, child of <pid>: the captured index says user-4242 is 42 years old
//      from start() to the closure's first line: <n> ms (median of 9)
//      an empty `node`, that knows nothing of the index: <n> ms
//   2. The output of a child comes through its pipe
//      console.log: "hello from <pid>"
//      a native program, by exec: "now a shell, still <pid>"
//   3. A message queue distributes jobs over 4 workers
//      one process: <n> primes in <n> ms
//      4 workers on <n> CPUs: <n> primes in <n> ms, jobs done by each: <n>, <n>, <n>, <n>
//   4. Children are reaped as they end
//      <pid>: code 0
//      <pid>: code 1
//      <pid>: code 2
//      <pid>: killed by signal 9
//   5. Memory is shared until it is written
//      parent: 100 MB of data
//      4 children have read all of it, in <n> ms; copied for one: <n> MB
//      all 5 processes together: <n> MB; 5 copies of the data alone: 500 MB
//   6. A server gives work to task workers (examples/task-server.ts)
//      client: connected to port <n>, sends "hello"
//      server: worker <n>: "hello", given to a task worker as task <n>
//      server: task worker <n>: task <n> of worker <n>
//      client: task <n> was submitted
//      server: worker <n>: task <n> is finished: Async -> OK
//      server: the server has ended
//   Done in <n> ms, nothing is left behind.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Process } from 'prefork';

const say = (text) => console.log(`   ${text}`);
const ms = (from) => `${(performance.now() - from).toFixed(1)} ms`;
const begin = performance.now();

await closure();
await redirection();
await jobs();
reaping();
await sharedMemory();
await taskServer();
console.log(`Done in ${ms(begin)}, nothing is left behind.`);

async function closure() {
  console.log('1. A closure runs in a real child process');
  const built = performance.now();
  const users = new Map();
  for (let i = 0; i < 50_000; i++) users.set(`user-${i}`, { age: i % 70 });
  say(`parent ${process.pid}: an index of ${users.size} users, built in ${ms(built)}`);

  const child = new Process((self) => {
    const { age } = users.get('user-4242');
    const who = `child ${process.pid}, child of ${process.ppid}`;
    self.write(`${who}: the captured index says user-4242 is ${age} years old`);
  });
  child.start();
  say(String(await child.readAsync()));
  await child.exited;

  const times = [];
  for (let i = 0; i < 9; i++) times.push(await timeToFirstLine());
  const median = times.sort((a, b) => a - b)[4].toFixed(1);
  const spawned = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  say(`from start() to the closure's first line: ${median} ms (median of 9)`);
  say(`an empty \`node\`, that knows nothing of the index: ${ms(spawned)}`);
}

/** In ms. The monotonic clock is the same in every process. */
async function timeToFirstLine() {
  const child = new Process((self) => self.write(String(process.hrtime.bigint())));
  const started = process.hrtime.bigint();
  child.start();
  const arrived = BigInt(await child.readAsync());
  await child.exited;
  return Number(arrived - started) / 1e6;
}

async function redirection() {
  console.log('2. The output of a child comes through its pipe');
  const script = new Process(() => console.log(`hello from ${process.pid}`), true);
  say(`console.log: "${await outputOf(script)}"`);
  const shell = new Process((self) => {
    self.exec('/bin/sh', ['-c', 'echo "now a shell, still $$"']);
  }, true);
  say(`a native program, by exec: "${await outputOf(shell)}"`);
}

async function outputOf(child) {
  child.start();
  let output = '';
  for await (const chunk of child) output += chunk;
  await child.exited;
  return output.trim();
}

async function jobs() {
  console.log('3. A message queue distributes jobs over 4 workers');
  const ranges = Array.from({ length: 40 }, (_, i) => i * 20_000);
  const alone = performance.now();
  const expected = ranges.reduce((sum, from) => sum + primesFrom(from), 0);
  say(`one process: ${expected} primes in ${ms(alone)}`);

  const together = performance.now();
  const workers = Array.from({ length: 4 }, () => new Process(work));
  for (const worker of workers) {
    worker.useQueue(process.pid);
    worker.start();
  }
  const [queue] = workers;
  for (const from of ranges) await queue.pushAsync(String(from));
  for (const worker of workers) await worker.pushAsync('end');
  const results = [];
  for (const worker of workers) results.push(JSON.parse(await worker.readAsync()));
  const primes = results.reduce((sum, result) => sum + result.primes, 0);
  const shares = results.map((result) => result.jobs).join(', ');
  const cpus = availableParallelism();
  say(
    `4 workers on ${cpus} CPUs: ${primes} primes in ${ms(together)}, jobs done by each: ${shares}`,
  );
  queue.freeQueue();
  await Promise.all(workers.map((worker) => worker.exited));
  if (primes !== expected) throw new Error('the workers have counted wrong');
}

function work(self) {
  let count = 0;
  let primes = 0;
  for (let job; (job = self.pop().toString()) !== 'end'; count++) primes += primesFrom(Number(job));
  self.write(JSON.stringify({ jobs: count, primes }));
}

function primesFrom(from) {
  let count = 0;
  for (let n = from; n < from + 20_000; n++) {
    let divisor = 2;
    while (divisor * divisor <= n && n % divisor !== 0) divisor++;
    if (n > 1 && divisor * divisor > n) count++;
  }
  return count;
}

function reaping() {
  console.log('4. Children are reaped as they end');
  const endings = [0, 1, 2, 'SIGKILL'];
  for (const ending of endings) {
    const child = new Process((self) => {
      if (typeof ending === 'number') self.exit(ending);
      Process.kill(self.pid, ending);
    });
    child.start();
  }
  let status;
  while ((status = Process.wait())) {
    const { pid, code, signal } = status;
    say(`${pid}: ${signal === 0 ? `code ${code}` : `killed by signal ${signal}`}`);
  }
}

async function sharedMemory() {
  console.log('5. Memory is shared until it is written');
  // Outside of the JavaScript heap, so that garbage collection does not touch it.
  const data = new Float64Array((100 * 1024 * 1024) / 8).fill(0.5);
  say(`parent: ${data.byteLength / 1024 / 1024} MB of data`);
  const read = performance.now();
  const children = Array.from({ length: 4 }, () => new Process((self) => sumUp(self, data)));
  for (const child of children) child.start();
  const sums = await Promise.all(children.map((child) => child.readAsync()));
  if (sums.some((sum) => Number(sum) !== data.length / 2)) throw new Error('wrong sum');
  const took = ms(read);

  const all = [process.pid, ...children.map((child) => child.pid)];
  const pss = all.reduce((sum, pid) => sum + megabytes(pid, 'Pss'), 0);
  const copied = megabytes(children[0].pid, 'Private_Dirty');
  say(`4 children have read all of it, in ${took}; copied for one: ${copied.toFixed(1)} MB`);
  say(`all 5 processes together: ${pss.toFixed(0)} MB; 5 copies of the data alone: 500 MB`);
  for (const child of children) child.close();
  await Promise.all(children.map((child) => child.exited));
}

function sumUp(self, data) {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i];
  self.write(String(sum));
  self.read(); // Stays until the parent has measured it, and closes the pipe.
}

/** A number of /proc/<pid>/smaps_rollup. PSS counts a shared page by its share. */
function megabytes(pid, name) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)[1]) / 1024;
}

async function taskServer() {
  console.log('6. A server gives work to task workers (examples/task-server.ts)');
  const script = fileURLToPath(new URL('task-server.ts', import.meta.url));
  const server = spawn(process.execPath, ['-r', 'ts-node/register', script], {
    // ts-node would leave its cache in the temporary folder.
    env: { ...process.env, PORT: '0', DISABLE_V8_COMPILE_CACHE: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
  const port = Number(/port (\d+)/.exec((await lines.next()).value)[1]);

  const client = connect(port, '127.0.0.1');
  await once(client, 'connect');
  say(`client: connected to port ${port}, sends "hello"`);
  client.write('hello\n');
  const [answer] = await once(client, 'data');
  const seen = [];
  while (seen.length < 3) seen.push((await lines.next()).value);
  // Two processes print at a time.
  const [given, done, finished] = ['given', 'of worker', 'finished'].map((word) =>
    seen.find((line) => line.includes(word)),
  );
  say(`server: ${given}`);
  say(`server: ${done}`);
  say(`client: ${String(answer).trim()}`);
  say(`server: ${finished}`);
  client.end();
  server.kill('SIGTERM');
  say(`server: ${(await lines.next()).value}`);
  const [code] = await once(server, 'exit');
  if (code !== 0) throw new Error(`the server has ended with code ${code}`);
}
