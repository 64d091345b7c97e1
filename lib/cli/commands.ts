/** The commands, without the terminal screen of `top`. */
import type { ReloadSummary, Snapshot, WorkerSnapshot } from '../control/snapshot';
import { listSockets } from '../control/socket-path';
import type { Arguments } from './args';
import { CommandError, ControlClient, GoneError } from './client';
import { History } from './history';
import { statusText, summaryLine } from './plain';
import { NONE_FOUND } from './target';
import { age } from './text';

const POLL_MS = 100;

export type Print = (text: string) => void;

export async function status(client: ControlClient, args: Arguments, print: Print): Promise<void> {
  const snapshot = await client.ask('status', {}, args.timeoutMs);
  print(args.json ? `${JSON.stringify(snapshot)}\n` : statusText(snapshot));
}

/** Until it ends, or `count` were printed. */
export async function lines(client: ControlClient, args: Arguments, print: Print): Promise<void> {
  // Asked first, because a watch that is not answered would be waited for without a word.
  await client.ask('status', {}, args.timeoutMs);
  const history = new History();
  let left = args.count;
  client.watch(args.intervalMs, (snapshot) => {
    // The first has no rates yet.
    const isComplete = args.json || history.now !== null;
    history.add(snapshot);
    if (left === 0 || !isComplete) return;
    print(`${args.json ? JSON.stringify(snapshot) : summaryLine(snapshot, history.rates)}\n`);
    if (--left === 0) client.close();
  });
  await client.closed;
  if (client.refusal !== null) throw client.refusal;
}

/** @param warn - of what cannot be listed */
export async function list(args: Arguments, print: Print, warn: Print): Promise<void> {
  const sockets = listSockets();
  // All at once, so that one which hangs does not keep the others waiting.
  const found = await Promise.all(sockets.map(({ path }) => tryStatus(path, args.timeoutMs)));
  const answered = found.flatMap((each) => (typeof each === 'string' ? [] : (each ?? [])));
  for (const snapshot of answered) {
    print(`${args.json ? JSON.stringify(snapshot) : listLine(snapshot)}\n`);
  }
  found.forEach((each, index) => {
    if (typeof each === 'string') warn(`process ${sockets[index]?.pid ?? 0}: ${each}`);
  });
  if (found.every((each) => each === null)) warn(NONE_FOUND);
}

/** A text: why not. Null: what had the socket has gone. */
async function tryStatus(path: string, limitMs: number): Promise<Snapshot | string | null> {
  let client: ControlClient | null = null;
  try {
    client = await ControlClient.open(path);
    return await client.ask('status', {}, limitMs);
  } catch (error) {
    return error instanceof GoneError ? null : (error as Error).message;
  } finally {
    client?.close();
  }
}

function listLine(now: Snapshot): string {
  const { master, kind, total, workers, script } = now;
  const up = age(now.time - now.startedAt).padStart(6);
  return `${String(master.pid).padStart(7)}  ${kind.padEnd(6)}  up ${up}  workers ${total.workers}/${workers.length}  ${script}`;
}

export async function stop(client: ControlClient, args: Arguments, print: Print): Promise<void> {
  const startedAt = Date.now();
  await client.ask('stop', {}, args.timeoutMs);
  const left = Math.max(0, args.timeoutMs - (Date.now() - startedAt));
  if (args.wait) await within(client.closed, left, `it has not ended after ${args.timeoutMs} ms`);
  if (args.json) print(`${JSON.stringify({ stopped: args.wait })}\n`);
  else print(args.wait ? 'stopped\n' : 'told to stop\n');
}

export async function reload(client: ControlClient, args: Arguments, print: Print): Promise<void> {
  const before = await client.ask('status', {}, args.timeoutMs);
  if (args.onlyTasks && before.kind === 'pool') {
    throw new CommandError('a pool has no task workers: leave out --tasks');
  }
  const asked = client.ask('reload', { onlyTasks: args.onlyTasks });
  if (!args.wait) {
    // In base mode and in a pool the answer comes at the end.
    await Promise.race([asked, client.ask('status')]);
    print(args.json ? `${JSON.stringify({ reloaded: false })}\n` : 'told to reload\n');
    return;
  }
  const startedAt = Date.now();
  const done = asked.then((summary) => summary ?? replaced(client, before, args, startedAt));
  const summary = await within(done, args.timeoutMs, notReloaded(args));
  print(args.json ? `${JSON.stringify(summary)}\n` : `${reloadText(summary)}\n`);
  if (summary.failed !== undefined) {
    throw new CommandError(`worker ${summary.failed} does not start: the others stay as they were`);
  }
}

function reloadText({ replaced, killed, durationMs, generation }: ReloadSummary): string {
  const violence = killed === 0 ? '' : `, ${killed} of them killed`;
  return `reloaded: ${replaced} workers replaced${violence}, generation ${generation}, ${durationMs} ms`;
}

/** In process mode nobody tells how it went: until none of the old processes serves any more. */
async function replaced(
  client: ControlClient,
  before: Snapshot,
  { onlyTasks, timeoutMs }: Arguments,
  startedAt: number,
): Promise<ReloadSummary> {
  const old = before.workers.filter(
    ({ kind }) => kind === 'task' || (kind === 'event' && !onlyTasks),
  );
  const end = startedAt + timeoutMs;
  while (Date.now() <= end) {
    const now = await client.ask('status');
    if (old.every((worker) => hasSuccessor(worker, now))) {
      const durationMs = Date.now() - startedAt;
      return { generation: now.generation, replaced: old.length, killed: 0, durationMs };
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new CommandError(notReloaded({ timeoutMs }));
}

function notReloaded({ timeoutMs }: Pick<Arguments, 'timeoutMs'>): string {
  return `the reload has not ended after ${timeoutMs} ms; it goes on`;
}

function hasSuccessor(old: WorkerSnapshot, { workers }: Snapshot): boolean {
  const now = workers.find(({ id }) => id === old.id);
  return now?.pid !== old.pid && (now?.stage === 'idle' || now?.stage === 'busy');
}

async function within<T>(promise: Promise<T>, ms: number, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new CommandError(otherwise));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
