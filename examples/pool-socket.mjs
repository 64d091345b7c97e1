// A job pool behind a TCP port, for clients in any language: a request is a frame, its length in 4 bytes,
// the highest first, and its bytes; the reply is a frame too, and the worker then closes the connection.
//
//   node examples/pool-socket.mjs            three requests of its own, then it ends
//   node examples/pool-socket.mjs serve      until Ctrl-C; see pool-client.py and pool-client.c
//
// Expected output, without "serve":
//   serving on 127.0.0.1 port <n>
//   worker <id> says: 4 words, 17 letters
//   worker <id> says: 2 words, 14 letters
//   worker <id> says: 0 words, 0 letters
//   pool ended

import { connect } from 'node:net';
import { ProcessPool } from 'prefork';

const pool = new ProcessPool(4, ProcessPool.IPC_SOCKET);
pool.on('message', (_pool, data) => {
  const words = String(data).match(/\p{L}+/gu) ?? [];
  const letters = words.reduce((sum, { length }) => sum + length, 0);
  pool.write(`worker ${pool.workerId} says: `); // all pieces are one reply
  pool.write(`${words.length} words, ${letters} letters`);
});
pool.listen('127.0.0.1', 0);
console.log(`serving on 127.0.0.1 port ${pool.port}`);
const finished = pool.start();

async function request(text) {
  const body = Buffer.from(text);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  const socket = connect(pool.port, '127.0.0.1');
  socket.write(Buffer.concat([header, body]));
  const reply = Buffer.concat(await socket.toArray());
  return reply.subarray(4, 4 + reply.readUInt32BE());
}

if (process.argv[2] !== 'serve') {
  for (const text of ['four words were sent', 'prefork, workers!', '1234']) {
    console.log(String(await request(text)));
  }
  await pool.shutdown();
}
await finished;
console.log('pool ended');
