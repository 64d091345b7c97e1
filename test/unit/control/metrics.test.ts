import { expect } from 'chai';
import { metricsText } from '../../../lib/control/metrics';
import { parseMetrics } from '../../fixtures/control/prometheus';
import { poolAt, serverAt, workerAt } from '../cli/snapshots';

describe('metrics', () => {
  it('are in seconds and bytes', () => {
    const worker = workerAt(3, { busyTimeMs: 1500, requests: 12, restarts: 2, uptimeMs: 500 });
    const metrics = parseMetrics(metricsText(poolAt(0, [worker])));
    const valueOf = (name: string) => metrics.get(`prefork_${name}`)?.samples[0];
    const labels = { worker: '3', kind: 'worker' };
    expect(valueOf('worker_busy_seconds_total')).to.deep.equal({ labels, value: 1.5 });
    expect(valueOf('worker_uptime_seconds')).to.deep.equal({ labels, value: 0.5 });
    expect(valueOf('worker_requests_total')).to.deep.equal({ labels, value: 12 });
    expect(valueOf('worker_restarts_total')).to.deep.equal({ labels, value: 2 });
    expect(valueOf('worker_proportional_memory_bytes')?.value).to.equal(12 * 1024 * 1024);
    expect(valueOf('start_time_seconds')?.value).to.equal(1_799_996_400);
  });

  it('count workers by kind and stage, those that are 0 as well', () => {
    const workers = [
      workerAt(0, { kind: 'event', stage: 'busy' }),
      workerAt(1, { kind: 'event', stage: 'none', pid: null }),
      workerAt(2, { kind: 'task' }),
    ];
    const metrics = parseMetrics(metricsText(serverAt(0, workers)));
    const found = metrics.get('prefork_workers')?.samples ?? [];
    expect(found).to.have.length(12);
    const counted = found.filter(({ value }) => value > 0);
    expect(
      counted.map(({ labels, value }) => [labels['kind'], labels['stage'], value]),
    ).to.deep.equal([
      ['event', 'none', 1],
      ['event', 'busy', 1],
      ['task', 'idle', 1],
    ]);
    const up = metrics.get('prefork_worker_up')?.samples.map(({ value }) => value);
    expect(up).to.deep.equal([1, 0, 1]);
  });

  it('tell of the manager, where there is one', () => {
    const rolesIn = (text: string) =>
      parseMetrics(text)
        .get('prefork_resident_memory_bytes')
        ?.samples.map(({ labels }) => labels['role']);
    expect(rolesIn(metricsText(poolAt(0, [])))).to.deep.equal(['master']);
    expect(rolesIn(metricsText(serverAt(0, [])))).to.deep.equal(['master', 'manager']);
  });

  it('escape what labels hold', () => {
    const text = metricsText(poolAt(0, [], { node: 'a"b\\c\nd' }));
    const [info] = parseMetrics(text).get('prefork_info')?.samples ?? [];
    expect(info?.labels['node']).to.equal('a\\"b\\\\c\\nd');
  });
});
