import type { Socket } from 'node:net';
import {
  MessageSocket,
  Process,
  type DaemonOptions,
  type ExitStatus,
  type PipeType,
  type QueueStatus,
  type Signal,
} from 'prefork';
import { equal } from './assert';

export async function children(): Promise<void> {
  const child = new Process((self) => {
    equal<typeof self, Process>(true);
    self.exit(0);
  });
  new Process(async () => Promise.resolve(), true, Process.PIPE_TYPE_STREAM);
  equal<ReturnType<typeof child.start>, number>(true);
  equal<typeof child.pid, number | null>(true);
  equal<ReturnType<typeof child.exit>, never>(true);
  equal<ReturnType<typeof child.exec>, never>(true);
  equal<typeof child.exited, Promise<ExitStatus>>(true);
  const { pid, code, signal } = await child.exited;
  equal<[typeof pid, typeof code, typeof signal], [number, number, number]>(true);
  equal<ReturnType<typeof Process.wait>, ExitStatus | null>(true);
  const next = await Process.waitAsync({ signal: AbortSignal.timeout(1) });
  equal<typeof next, ExitStatus | null>(true);
  // @ts-expect-error a path is no closure
  new Process('./worker.js');
  // @ts-expect-error there is no such pipe
  new Process(() => undefined, false, 3);
  // @ts-expect-error the status cannot be known yet
  void child.exited.code;
}

export async function pipes(child: Process): Promise<void> {
  equal<ReturnType<typeof child.read>, Buffer | null>(true);
  equal<ReturnType<typeof child.readAsync>, Promise<Buffer>>(true);
  for await (const chunk of child) equal<typeof chunk, Buffer>(true);
  child.write('text');
  child.write(new Uint8Array(1));
  equal<ReturnType<typeof child.exportSocket>, Socket | MessageSocket>(true);
  // @ts-expect-error values have to be made bytes first
  child.write({ some: 'value' });
  // @ts-expect-error null at the end of the time
  child.read().length;
  equal<PipeType, 0 | 1 | 2>(true);
}

export function messages(socket: MessageSocket): void {
  socket.on('message', (data) => equal<typeof data, Buffer>(true));
  socket.on('error', (error) => equal<typeof error, Error>(true));
  socket.on('close', () => undefined);
  // @ts-expect-error it has no argument
  socket.on('drain', (data: Buffer) => data.length);
}

export function queues(child: Process): void {
  child.useQueue(1, Process.QUEUE_BALANCE | Process.IPC_NOWAIT, 5);
  equal<ReturnType<typeof child.pop>, Buffer | null>(true);
  equal<ReturnType<typeof child.push>, boolean>(true);
  equal<ReturnType<typeof child.popAsync>, Promise<Buffer>>(true);
  equal<ReturnType<typeof child.statQueue>, QueueStatus>(true);
  equal<QueueStatus['messageSize'], number>(true);
}

export function signals(name: Signal): void {
  Process.signal('SIGTERM', (signo) => equal<typeof signo, number>(true));
  Process.signal(34, null);
  Process.signal(name, Process.SIG_IGN);
  equal<ReturnType<typeof Process.kill>, boolean>(true);
  // @ts-expect-error there is no such signal
  Process.signal('SIGNONE', null);
  // @ts-expect-error only SIG_IGN is a symbol with a meaning
  Process.signal('SIGTERM', Symbol('SIG_IGN'));
}

export function others(options: DaemonOptions): void {
  Process.daemon(options);
  Process.setAffinity([0] as const);
  equal<ReturnType<typeof Process.getAffinity>, number[]>(true);
  Process.foreignThreads('error');
  // @ts-expect-error not a reaction
  Process.foreignThreads('throw');
  // @ts-expect-error cannot be changed
  Process.PIPE_TYPE_NONE = 1;
}
