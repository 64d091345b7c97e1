// One at a time in a checkout. The lock is a name in the kernel (an abstract unix socket), which goes with
// the process that holds it, however that ends: there is no file to be left behind.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const RETRY_MS = 50;

function nameOf(folder) {
  const { dev, ino } = fs.statSync(folder);
  const hash = createHash('sha256').update(`${dev} ${ino}`).digest('hex').slice(0, 32);
  return `\0prefork-${hash}`;
}

/** undefined: another process holds the name. */
function tryToBind(name) {
  return new Promise((resolve, reject) => {
    // Nobody is meant to connect.
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', (error) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}

/** Runs `action` while no other process runs one for the same folder. */
export async function withLock(folder, action) {
  const name = nameOf(folder);
  let server = await tryToBind(name);
  if (server === undefined) console.error(`Another process builds in ${folder}: waiting for it`);
  while (server === undefined) {
    await sleep(RETRY_MS);
    server = await tryToBind(name);
  }
  try {
    return await action();
  } finally {
    server.close();
  }
}
