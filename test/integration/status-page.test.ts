import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import type { Snapshot } from '../../lib/control/snapshot';
import { Browser, findBrowser } from '../fixtures/control/browser';
import { endObservedAfterEach, startObserved } from '../fixtures/control/observed';
import { parseMetrics } from '../fixtures/control/prometheus';
import { assertNothingLeaks, eventually } from '../support/leaks';

interface Answer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Without keep-alive: no connection is left. */
function ask(url: string, options: { method?: string; host?: string } = {}): Promise<Answer> {
  const { method = 'GET', host } = options;
  const headers = host === undefined ? {} : { host };
  return new Promise((resolve, reject) => {
    get(url, { agent: false, method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    }).once('error', reject);
  });
}

/** The first `count` events of a stream. */
function events(url: string, count: number): Promise<Snapshot[]> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        const found = [...text.matchAll(/^data: (.*)\n\n/gm)].map(([, data]) => data as string);
        if (found.length < count) return;
        request.destroy();
        resolve(found.map((data) => JSON.parse(data) as Snapshot));
      });
    }).once('error', reject);
  });
}

describe('status page', () => {
  assertNothingLeaks();
  endObservedAfterEach();

  const hashIn = (policy: string, text: string): boolean =>
    policy.includes(`'sha256-${createHash('sha256').update(text).digest('base64')}'`);

  it('is on loopback unless it is told otherwise', async () => {
    const observed = await startObserved('pool');
    expect(observed.url).to.match(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    await observed.stop();
    const open = await startObserved('pool', { statusPage: { port: 0, host: '0.0.0.0' } });
    expect(open.url).to.match(/^http:\/\/0\.0\.0\.0:\d+\/$/);
    await open.stop();
  });

  it('is one page with nothing from elsewhere, and a policy that says so', async () => {
    const observed = await startObserved('pool');
    const { status, headers, body } = await ask(observed.url);
    expect(status).to.equal(200);
    expect(headers['content-type']).to.equal('text/html; charset=utf-8');
    expect(headers).to.include({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
    expect(body.replaceAll('http://www.w3.org/2000/svg', '')).to.not.match(
      /https?:|src=|href=|@import/,
    );
    const policy = headers['content-security-policy'] as string;
    expect(policy).to.include("default-src 'none'").and.include("frame-ancestors 'none'");
    expect(policy).to.not.match(/unsafe|\*/);
    for (const name of ['style', 'script']) {
      const inline = new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(body)?.[1] as string;
      expect(hashIn(policy, inline), name).to.equal(true);
    }
    expect(body).to.not.match(/ style=| on\w+=/);
    await observed.stop();
  });

  it('answers what it has, and nothing else', async () => {
    const observed = await startObserved('server');
    const json = await ask(`${observed.url}status.json?x=1`);
    expect(json.headers['content-type']).to.equal('application/json');
    expect((JSON.parse(json.body) as Snapshot).master.pid).to.equal(observed.pid);
    const head = await ask(`${observed.url}metrics`, { method: 'HEAD' });
    expect(head).to.include({ status: 200, body: '' });
    expect((await ask(`${observed.url}etc/passwd`)).status).to.equal(404);
    const posted = await ask(observed.url, { method: 'POST' });
    expect(posted.status).to.equal(405);
    expect(posted.headers['allow']).to.equal('GET, HEAD');
    expect((await ask(`${observed.url}events`, { method: 'HEAD' })).status).to.equal(200);
    await observed.stop();
  });

  it('is not served under a name that anybody could have given it', async () => {
    const statusPage = { port: 0, allowedHosts: ['status.example'] };
    const observed = await startObserved('pool', { statusPage });
    const statusFor = async (host: string): Promise<number | undefined> =>
      (await ask(`${observed.url}status.json`, { host })).status;
    for (const host of ['localhost', 'localhost:1234', '127.0.0.1', '[::1]:80', 'Status.Example']) {
      expect(await statusFor(host), host).to.equal(200);
    }
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example']) {
      expect(await statusFor(host), host).to.equal(403);
    }
    await observed.stop();
  });

  it('streams snapshots, one a second', async () => {
    const observed = await startObserved('pool', { load: true });
    const [first, second, third] = await events(`${observed.url}events`, 3);
    expect((third as Snapshot).time - (first as Snapshot).time).to.be.within(1500, 6000);
    expect((second as Snapshot).total.requests).to.be.above((first as Snapshot).total.requests);
    await observed.stop();
  });

  it('takes 16 streams, and a reader that has gone makes room', async () => {
    const observed = await startObserved('pool');
    const open = Array.from({ length: 16 }, () => get(`${observed.url}events`, { agent: false }));
    await Promise.all(
      open.map((request) => new Promise((resolve) => request.once('response', resolve))),
    );
    expect((await ask(`${observed.url}events`)).status).to.equal(503);
    for (const request of open) request.on('error', () => undefined).destroy();
    // It answers for ever, unless there is no room.
    for (let full = true; full;) {
      full = await events(`${observed.url}events`, 1).then(
        () => false,
        () => true,
      );
    }
    await observed.stop();
  });

  describe('metrics', () => {
    it('of a pool are Prometheus text, each with help and type', async () => {
      const observed = await startObserved('pool');
      const { headers, body } = await ask(`${observed.url}metrics`);
      expect(headers['content-type']).to.equal('text/plain; version=0.0.4; charset=utf-8');
      const metrics = parseMetrics(body);
      expect(metrics.get('prefork_workers')?.samples).to.have.length(6);
      expect(metrics.get('prefork_worker_requests_total')?.type).to.equal('counter');
      expect(metrics.get('prefork_worker_requests_total')?.samples).to.deep.equal([
        { labels: { worker: '0', kind: 'worker' }, value: 0 },
        { labels: { worker: '1', kind: 'worker' }, value: 0 },
      ]);
      expect([...metrics.keys()].filter((name) => !name.startsWith('prefork_'))).to.deep.equal([]);
      expect(metrics.has('prefork_connections')).to.equal(false);
      await observed.stop();
    });

    it('of a server tell of connections and tasks as well', async () => {
      const observed = await startObserved('server');
      const metrics = parseMetrics((await ask(`${observed.url}metrics`)).body);
      const names = [
        'connections',
        'connections_accepted_total',
        'requests_total',
        'tasks_in_flight',
      ];
      for (const name of names) {
        expect(metrics.get(`prefork_${name}`)?.samples, name).to.deep.equal([
          { labels: {}, value: 0 },
        ]);
      }
      const [info] = metrics.get('prefork_info')?.samples ?? [];
      expect(info?.labels).to.include({ kind: 'server', mode: 'process' });
      await observed.stop();
    });
  });

  it('draws in a browser, which has nothing to complain of', async function () {
    const command = findBrowser();
    if (command === null) this.skip();
    this.timeout(60_000);
    const observed = await startObserved('server');
    const folder = mkdtempSync(join(tmpdir(), 'prefork-test-'));
    const browser = await Browser.open(command, folder, observed.url);
    const rows = "document.querySelectorAll('#rows tr').length";
    const drawn =
      "[...document.querySelectorAll('.chart path')].filter((path) => (path.getAttribute('d') || '').includes('L')).length";
    while ((await browser.evaluate<number>(drawn)) < 6) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await browser.evaluate<number>(rows)).to.equal(3);
    expect(await browser.evaluate<string>('document.title')).to.equal('server.js – prefork');
    const linkIs = async (text: string): Promise<void> => {
      const link = "document.getElementById('link').textContent";
      while ((await browser.evaluate<string>(link)) !== text) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await linkIs('live');
    observed.fixture.process.kill('SIGSTOP');
    await linkIs('no answer');
    observed.fixture.process.kill('SIGCONT');
    await linkIs('live');
    expect(browser.complaints).to.deep.equal([]);
    await observed.stop();
    await linkIs('no connection');
    await browser.close();
    await eventually(() => {
      rmSync(folder, { recursive: true, force: true });
    });
  });
});
