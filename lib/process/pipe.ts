/**
 * A Process's pipe, as one of the two sides sees it.
 *
 *   none -------------------------------------------- PIPE_TYPE_NONE: ERR_NO_PIPE
 *   idle --attach()--> open --release()--> ended      the child is gone, all it sent was read:
 *     ^                  | close()           | close()    reads are at the end, writes are EPIPE
 *     |                  v                   v
 *     ERR_NOT_STARTED  closed <--------------+        ERR_NO_PIPE
 *
 * Parent and child hold one end each: the other's copy is closed after the fork, so that each side
 * sees the end of the other.
 */
import { binding } from '../binding';
import { PreforkError, systemError } from '../errors';
import { UnixSocket, type SocketKind } from '../ipc/unix-socket';
import { onChildReset } from './child-reset';

export interface PipePair {
  parent: UnixSocket;
  child: UnixSocket;
}

/** Ends that this process holds as a parent. A child that kept them would hide their end from siblings. */
const parentEnds = new Set<UnixSocket>();

onChildReset(() => {
  for (const end of parentEnds) closeQuietly(end);
  parentEnds.clear();
});

/** Closes the end of a Process that was dropped without close(). */
const dropped = new FinalizationRegistry<UnixSocket>(closeQuietly);

function closeQuietly(end: UnixSocket): void {
  parentEnds.delete(end);
  if (!end.closed) end.close();
}

type State = 'none' | 'idle' | 'open' | 'ended' | 'closed';

export class ProcessPipe {
  readonly #kind: SocketKind | null;
  #state: State;
  #socket: UnixSocket | null = null;

  constructor(kind: SocketKind | null) {
    this.#kind = kind;
    this.#state = kind === null ? 'none' : 'idle';
  }

  /** This side's fd; null without an open pipe. */
  get fd(): number | null {
    return this.#socket?.fd ?? null;
  }

  /** A socketpair for the next child; null when this Process has no pipe. */
  makePair(): PipePair | null {
    if (this.#kind === null) return null;
    const [parent, child] = UnixSocket.pair(this.#kind);
    return { parent, child };
  }

  /** In the parent, after the fork. An earlier child's end is closed, with what was not read of it. */
  attachParentEnd(pair: PipePair): void {
    pair.child.close();
    this.#closeEnd();
    parentEnds.add(pair.parent);
    dropped.register(this, pair.parent, this);
    this.open(pair.parent);
  }

  /** In the child, with what makePair() gave. */
  enterChild(pair: PipePair | null): void {
    if (pair === null) return;
    dropped.unregister(this);
    pair.parent.close();
    this.open(pair.child);
  }

  /** The child has ended. Its end is let go at once, or as soon as everything it sent was read. */
  release(): void {
    if (this.#state === 'open' && this.socket().atEnd()) {
      this.socket().closeAtEnd();
      this.#closeEnd();
      this.#state = 'ended';
    }
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  close(): void {
    this.#closeEnd();
    this.#state = 'closed';
  }

  /** The open end. @throws PreforkError ERR_NO_PIPE, ERR_NOT_STARTED; EPIPE once it has ended */
  socket(): UnixSocket {
    if (this.#socket !== null) return this.#socket;
    switch (this.#state) {
      case 'none':
        throw new PreforkError('ERR_NO_PIPE', 'this Process was made with PIPE_TYPE_NONE');
      case 'idle':
        throw new PreforkError('ERR_NOT_STARTED', 'the pipe opens with start()');
      case 'ended':
        throw systemError('EPIPE', 'send', 'the child has ended');
      default:
        throw new PreforkError('ERR_NO_PIPE', 'the pipe is closed');
    }
  }

  /** A duplicate of the fd for somebody else to own. */
  duplicate(): number {
    return binding.dup(this.socket().fd);
  }

  get kind(): SocketKind | null {
    return this.#kind;
  }

  protected open(socket: UnixSocket): void {
    this.#socket = socket;
    this.#state = 'open';
  }

  #closeEnd(): void {
    if (this.#socket === null) return;
    dropped.unregister(this);
    closeQuietly(this.#socket);
    this.#socket = null;
  }
}
