/**
 * The status page, on HTTP, read only:
 *
 *   /             one HTML page without anything from elsewhere
 *   /events       snapshots as server-sent events, one a second
 *   /status.json  one snapshot
 *   /metrics      Prometheus text format 0.0.4
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type * as Http from 'node:http';
import { isIPv6 } from 'node:net';
import { ListeningSocket } from '../ipc/listening-socket';
import { isHostAllowed } from './host-check';
import { Listener } from './listener';
import { METRICS_TYPE, metricsText } from './metrics';
import type { Observer } from './observer';
import type { StatusPageOptions } from './options';
import { PAGE, PAGE_POLICY } from './page';

const BACKLOG = 64;
const EVENT_INTERVAL_MS = 1000;
const MAX_STREAMS = 16;
const LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5000,
};
const MAX_CONNECTIONS = 64;

const COMMON_HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export class StatusPage {
  readonly url: string;
  readonly #listener: Listener;
  readonly #allowedHosts: readonly string[];
  readonly #streams = new Set<ServerResponse>();
  #server: Server | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, with the address */
  constructor({ port, host = '127.0.0.1', allowedHosts = [] }: StatusPageOptions) {
    const listening = ListeningSocket.tcp(host, port, BACKLOG);
    this.url = `http://${isIPv6(host) ? `[${host}]` : host}:${listening.port ?? port}/`;
    this.#allowedHosts = allowedHosts;
    this.#listener = new Listener(listening);
  }

  start(observer: Observer): void {
    this.#server = http().createServer(LIMITS, (request, response) => {
      this.#answer(observer, request, response).catch((error: unknown) => {
        failed(response, error as Error);
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#listener.start(this.#server);
  }

  close(): void {
    this.#stopTimer();
    for (const stream of this.#streams) stream.end();
    this.#listener.close();
  }

  async #answer(
    observer: Observer,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    for (const [name, value] of Object.entries(COMMON_HEADERS)) response.setHeader(name, value);
    if (!isHostAllowed(request.headers.host, this.#allowedHosts)) {
      const hint = 'add the name to statusPage.allowedHosts';
      send(response, 403, 'text/plain', `Not served under this Host: ${hint}.\n`);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      send(response, 405, 'text/plain', 'The status page is only read.\n');
    } else await this.#route(observer, request, response);
  }

  async #route(
    observer: Observer,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    switch (request.url?.split('?')[0]) {
      case '/':
        response.setHeader('Content-Security-Policy', PAGE_POLICY);
        send(response, 200, 'text/html; charset=utf-8', PAGE);
        return;
      case '/events':
        await this.#stream(observer, request, response);
        return;
      case '/status.json':
        send(response, 200, 'application/json', `${JSON.stringify(await observer.snapshot())}\n`);
        return;
      case '/metrics':
        send(response, 200, METRICS_TYPE, metricsText(await observer.snapshot()));
        return;
      default:
        send(response, 404, 'text/plain', 'There are /, /events, /status.json and /metrics.\n');
    }
  }

  async #stream(
    observer: Observer,
    { method }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (this.#streams.size >= MAX_STREAMS) {
      send(response, 503, 'text/plain', `There are at most ${MAX_STREAMS} event streams.\n`);
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    if (method === 'HEAD') {
      response.end();
      return;
    }
    this.#streams.add(response);
    response.once('close', () => {
      this.#streams.delete(response);
      if (this.#streams.size === 0) this.#stopTimer();
    });
    push(response, `retry: ${EVENT_INTERVAL_MS}\n${await eventOf(observer)}`);
    this.#timer ??= setInterval(() => {
      void this.#tell(observer);
    }, EVENT_INTERVAL_MS).unref();
  }

  /** A reader that is slow misses some. */
  async #tell(observer: Observer): Promise<void> {
    if (this.#streams.size === 0) this.#stopTimer();
    let event: string;
    try {
      event = await eventOf(observer);
    } catch {
      // It is about to end.
      return;
    }
    for (const stream of this.#streams) {
      if (stream.writableLength === 0) push(stream, event);
    }
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

async function eventOf(observer: Observer): Promise<string> {
  return `data: ${JSON.stringify(await observer.snapshot())}\n\n`;
}

function push(stream: ServerResponse, text: string): void {
  if (!stream.writableEnded && !stream.destroyed) stream.write(text);
}

/** What is observed must not be harmed by that. */
function failed(response: ServerResponse, error: Error): void {
  if (response.headersSent) response.destroy();
  else send(response, 500, 'text/plain', `${error.message}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** Loaded by those who want a page only. */
function http(): typeof Http {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- only when it is needed
  return require('node:http') as typeof Http;
}
