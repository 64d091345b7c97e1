/**
 * Lets others look at a running pool or server, and the `prefork` command steer it:
 *
 *   prefork top, status, reload …  -- unix socket --\
 *                                                    master: Control -> ControlSource (pool or server)
 *   browser, Prometheus  -- http, read only --------/
 *
 * All of it lives in the master. It is bound before the first fork, so that a failure is start()'s, and
 * served from then on; children close what they inherit.
 */
import { ControlSocket } from './control-socket';
import { Observer } from './observer';
import type { ControlOptions } from './options';
import type { ControlSource } from './source';
import { StatusPage } from './status-page';

export class Control {
  readonly #socket: ControlSocket | null;
  readonly #page: StatusPage | null;
  #closed = false;

  private constructor(socket: ControlSocket | null, page: StatusPage | null) {
    this.#socket = socket;
    this.#page = page;
  }

  /** Binds. Null: nothing of it is wanted. @throws EADDRINUSE, EACCES and others; nothing is left open */
  static open({ controlSocket = false, statusPage }: ControlOptions): Control | null {
    if (controlSocket === false && statusPage === undefined) return null;
    const page = statusPage === undefined ? null : new StatusPage(statusPage);
    try {
      const socket = controlSocket === false ? null : new ControlSocket(controlSocket);
      return new Control(socket, page);
    } catch (error) {
      page?.close();
      throw error;
    }
  }

  /** The status page's address; null: there is none. */
  get statusUrl(): string | null {
    return this.#page?.url ?? null;
  }

  start(source: ControlSource): void {
    if (this.#closed) return;
    const endpoints = { controlSocket: this.#socket?.path ?? null, statusPage: this.statusUrl };
    const observer = new Observer(source, endpoints);
    this.#socket?.start(source, observer);
    this.#page?.start(observer);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.close();
    this.#page?.close();
  }
}
