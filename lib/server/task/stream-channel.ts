/**
 * taskIpcMode 4: tasks go over a listening unix socket, on which the task workers compete; each task has
 * a connection of its own. The socket is <taskTmpdir>/prefork.task.<pid of the master>.sock, mode 0600.
 *
 *   who submits   connects, sends one frame (length-frame.ts) with one packet (task-packet.ts)
 *   task worker   runs the task, answers over the bus, then sends one frame of one byte and closes
 *
 * A connection that ends without that byte has lost its task. Garbage closes its connection. The socket of a
 * server that was killed is removed by the next one that starts.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { binding } from '../../binding';
import { encodeFrame } from '../../ipc/length-frame';
import { ListeningSocket } from '../../ipc/listening-socket';
import { withHint, isSystemError } from '../../errors';
import type { Addresses } from '../bus/addresses';
import type { Bus } from '../bus/bus';
import type { ServerSettings } from '../settings';
import { StreamOutlet } from './stream-outlet';
import { StreamSource } from './stream-source';
import { PayloadMemory } from './payload-memory';
import { TaskBoard } from './task-board';
import type { TaskChannel, TaskIntake, TaskMessage } from './task-channel';
import { removeQuietly } from './task-files';
import { encodeTaskPacket } from './task-packet';

const SOCKET_NAME = /^prefork\.task\.(\d+)\.sock$/;

export class StreamChannel implements TaskChannel {
  readonly board: TaskBoard;
  readonly memory = new PayloadMemory();
  readonly targeted = false;
  readonly durable = false;
  readonly usesMailbox = false;
  readonly #addresses: Addresses;
  readonly #bus: Bus;
  readonly #listening: ListeningSocket;
  readonly #outlet: StreamOutlet;
  /** Says that a packet is of this run. */
  readonly #server = randomBytes(4).readUInt32LE();

  /** @param uid - who the workers run as, where this is root; null: as this process */
  constructor(
    { taskTmpdir }: Pick<ServerSettings, 'taskTmpdir'>,
    addresses: Addresses,
    bus: Bus,
    uid: number | null,
  ) {
    this.board = new TaskBoard(addresses.slots);
    this.#addresses = addresses;
    this.#bus = bus;
    const path = join(taskTmpdir, `prefork.task.${process.pid}.sock`);
    this.#listening = listenAt(path);
    removeStaleSockets(taskTmpdir);
    if (uid !== null && process.getuid?.() === 0) chownSync(path, uid, -1);
    this.#outlet = new StreamOutlet(path);
  }

  submit(_slot: number, message: TaskMessage): void {
    this.#outlet.send(message.id, this.#frame(message));
  }

  submitWithin(_slot: number, message: TaskMessage, timeoutMs: number): boolean {
    return this.#outlet.sendWithin(message.id, this.#frame(message), timeoutMs);
  }

  open(_workerId: number, intake: TaskIntake): StreamSource {
    return new StreamSource({
      listening: this.#listening,
      server: this.#server,
      addresses: this.#addresses,
      intake,
    });
  }

  onLost(listener: (taskId: number) => void): void {
    this.#outlet.onLost(listener);
  }

  findLost(): void {
    this.#outlet.findLost();
  }

  settled(taskId: number): void {
    this.#outlet.settled(taskId);
  }

  close(): void {
    this.#outlet.close();
    this.#listening.unlink();
    this.#listening.close();
  }

  #frame({ type, id, kind, data }: TaskMessage): Buffer {
    const packet = { type, kind, id, from: this.#bus.address, server: this.#server };
    return encodeFrame([encodeTaskPacket(packet, data)]);
  }
}

function listenAt(path: string): ListeningSocket {
  try {
    return ListeningSocket.unix(path);
  } catch (error) {
    throw isSystemError(error) ? withHint(error, 'the setting taskTmpdir') : error;
  }
}

function removeStaleSockets(folder: string): void {
  for (const name of namesIn(folder)) {
    const pid = SOCKET_NAME.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const path = join(folder, name);
    if (isDeserted(path)) removeQuietly(path);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // One may use a folder that one may not list.
  }
}

/** Nobody listens. Its pid says too little: the folder may be shared with a container, which has pids of its own. */
function isDeserted(path: string): boolean {
  try {
    const fd = binding.connectUnix(path);
    if (fd >= 0) binding.closeFd(fd);
    return false;
  } catch (error) {
    return isSystemError(error) && error.code === 'ECONNREFUSED';
  }
}
