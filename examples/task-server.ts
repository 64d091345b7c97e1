// The classic: event workers take what clients send and give it to task workers, which work in the background.
//
//   node -r ts-node/register examples/task-server.ts          PORT=0 for any free port
//   echo hello | nc 127.0.0.1 9502                            end it with Ctrl-C
//
// Expected output, for one line that one client sends:
//   listening on port <port>
//   worker <n>: "hello", given to a task worker as task <n>
//   task worker <n>: task <n> of worker <n>
//   worker <n>: task <n> is finished: Async -> OK
//   the server has ended

import { Server } from 'prefork';

const serv = new Server('127.0.0.1', Number(process.env['PORT'] ?? 9502));
serv.set({ workerNum: 2, taskWorkerNum: 4 });

serv.on('start', () => {
  console.log(`listening on port ${serv.port}`);
});

serv.on('receive', (_serv, fd, _reactorId, data) => {
  const taskId = serv.task('Async');
  const line = data.toString().trim();
  console.log(`worker ${serv.workerId}: "${line}", given to a task worker as task ${taskId}`);
  serv.send(fd, `task ${taskId} was submitted\n`);
});

serv.on('task', (_serv, taskId, srcWorkerId, data) => {
  console.log(`task worker ${serv.workerId}: task ${taskId} of worker ${srcWorkerId}`);
  serv.finish(`${data as string} -> OK`);
});

serv.on('finish', (_serv, taskId, data) => {
  console.log(`worker ${serv.workerId}: task ${taskId} is finished: ${data as string}`);
});

void serv.start().then(() => {
  console.log('the server has ended');
});
