/** Prometheus text format 0.0.4. A worker's counters begin anew when it is replaced, as rate() expects. */
import type { Snapshot, SnapshotStage, WorkerSnapshot } from './snapshot';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Record<string, string | number>;
type Sample = readonly [labels: Labels, value: number];

const STAGES: readonly SnapshotStage[] = [
  'none',
  'starting',
  'idle',
  'busy',
  'draining',
  'detached',
];

export function metricsText(snapshot: Snapshot): string {
  const families = [
    ...processMetrics(snapshot),
    ...workerMetrics(snapshot),
    ...serverMetrics(snapshot),
  ];
  return families.join('');
}

function processMetrics(snapshot: Snapshot): string[] {
  const { master, manager, kind, mode, node, startedAt, generation, total } = snapshot;
  const own: [string, { rssBytes: number; pssBytes: number }][] = [['master', master]];
  if (manager !== null) own.push(['manager', manager]);
  const memory = (field: 'rssBytes' | 'pssBytes'): Sample[] =>
    own.map(([role, process]) => [{ role }, process[field]]);
  return [
    gauge('info', 'What runs.', [[{ kind, mode: mode ?? '', node, master_pid: master.pid }, 1]]),
    gauge('start_time_seconds', 'When it was started.', [[{}, startedAt / 1000]]),
    gauge('generation', 'Reloads so far.', [[{}, generation]]),
    counter('master_busy_seconds_total', "Time the master's event loop was busy.", [
      [{}, master.busyTimeMs / 1000],
    ]),
    gauge('resident_memory_bytes', 'Memory of master and manager.', memory('rssBytes')),
    gauge('proportional_memory_bytes', 'The same, shared pages in parts.', memory('pssBytes')),
    gauge('queued', 'Messages, packets and tasks that wait for a worker.', [[{}, total.queued]]),
  ];
}

type WorkerMetric = [name: string, help: string, value: (worker: WorkerSnapshot) => number];

const WORKER_COUNTERS: readonly WorkerMetric[] = [
  ['worker_requests_total', 'Callbacks that have ended.', ({ requests }) => requests],
  ['worker_restarts_total', 'Processes started after the first.', ({ restarts }) => restarts],
  ['worker_busy_seconds_total', 'Time with a callback running.', (w) => w.busyTimeMs / 1000],
];

const WORKER_GAUGES: readonly WorkerMetric[] = [
  ['worker_up', 'Whether the worker has a process.', ({ pid }) => (pid === null ? 0 : 1)],
  ['worker_running', 'Callbacks that run.', ({ running }) => running],
  ['worker_queued', 'Sent to the worker and not taken.', ({ queued }) => queued],
  ['worker_uptime_seconds', 'Age of its process.', ({ uptimeMs }) => uptimeMs / 1000],
  ['worker_resident_memory_bytes', 'Memory, all of it.', ({ rssBytes }) => rssBytes],
  ['worker_proportional_memory_bytes', 'Memory, shared pages in parts.', (w) => w.pssBytes],
];

function workerMetrics({ workers }: Snapshot): string[] {
  const samples = (value: WorkerMetric[2]): Sample[] =>
    workers.map((worker) => [{ worker: worker.id, kind: worker.kind }, value(worker)]);
  return [
    gauge('workers', 'Workers by kind and stage.', countStages(workers)),
    ...WORKER_COUNTERS.map(([name, help, value]) => counter(name, help, samples(value))),
    ...WORKER_GAUGES.map(([name, help, value]) => gauge(name, help, samples(value))),
  ];
}

function countStages(workers: readonly WorkerSnapshot[]): Sample[] {
  const kinds = [...new Set(workers.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const ofKind = workers.filter((worker) => worker.kind === kind);
    return STAGES.map((stage): Sample => [
      { kind, stage },
      ofKind.filter((worker) => worker.stage === stage).length,
    ]);
  });
}

function serverMetrics({ connections, requests, tasks }: Snapshot): string[] {
  const found: string[] = [];
  const one = (value: number): Sample[] => [[{}, value]];
  if (connections !== null) {
    const { open, accepted, closed, refused } = connections;
    found.push(
      gauge('connections', 'Connections that are open.', one(open)),
      counter('connections_accepted_total', 'Connections accepted.', one(accepted)),
      counter('connections_closed_total', 'Connections closed.', one(closed)),
      counter('connections_refused_total', 'Connections over maxConnection.', one(refused)),
    );
  }
  if (requests !== null) {
    const { dispatched, received, answered } = requests;
    found.push(
      counter('requests_dispatched_total', 'Packets given to event workers.', one(dispatched)),
      counter('requests_total', 'Packets received.', one(received)),
      counter('responses_total', 'Answers sent.', one(answered)),
    );
  }
  if (tasks !== null) {
    found.push(
      counter('tasks_total', 'Tasks submitted.', one(tasks.submitted)),
      gauge('tasks_in_flight', 'Tasks not settled.', one(tasks.inFlight)),
    );
  }
  return found;
}

function gauge(name: string, help: string, samples: readonly Sample[]): string {
  return family(name, 'gauge', help, samples);
}

function counter(name: string, help: string, samples: readonly Sample[]): string {
  return family(name, 'counter', help, samples);
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const full = `prefork_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labelText(labels)} ${String(value)}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(String(value))}"`,
  );
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
