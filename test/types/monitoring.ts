import {
  ProcessPool,
  Server,
  type DiagnosticMessages,
  type Snapshot,
  type StatusPageOptions,
  type TaskMessage,
  type WorkerSnapshot,
} from 'prefork';
import { equal } from './assert';

export function options(pool: ProcessPool, server: Server): void {
  const page: StatusPageOptions = { port: 0 };
  pool.set({ controlSocket: true, statusPage: page });
  server.set({ controlSocket: '/run/app.sock', statusPage: { port: 9100, host: '0.0.0.0' } });
  equal<typeof pool.statusUrl, string | null>(true);
  equal<typeof server.statusUrl, string | null>(true);
  // @ts-expect-error a port is needed
  pool.set({ statusPage: {} });
  // @ts-expect-error neither a boolean nor a path
  server.set({ controlSocket: 1 });
}

export function snapshot(now: Snapshot): void {
  equal<typeof now.version, 1>(true);
  equal<typeof now.kind, 'pool' | 'server'>(true);
  equal<typeof now.workers, WorkerSnapshot[]>(true);
  // @ts-expect-error a pool has none
  Number(now.tasks.inFlight);
}

export function messages(of: DiagnosticMessages): void {
  equal<(typeof of)['prefork.task'], TaskMessage>(true);
  equal<keyof DiagnosticMessages, `prefork.${'fork' | 'exit' | 'respawn' | 'reload' | 'task'}`>(
    true,
  );
}
