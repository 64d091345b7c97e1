/**
 * Finds Node's queues of timers, immediates, ticks and unhandled rejections (step C3 of the recipe).
 *
 * Node has no public way to ask what is pending, and a forked child must drop what its parent has
 * pending. The closures of public functions hold the queues: an in-process inspector session reads
 * their scopes, once, before the first fork (about 8 ms). Things are only found this way; they are
 * acted upon through public functions where there are any.
 */
import * as crypto from 'node:crypto';
import { Session } from 'node:inspector';
import { PreforkError } from '../errors';

interface LinkedItem {
  _idleNext: LinkedItem | null;
}

export type TimerList = LinkedItem;
export type Immediate = LinkedItem;

export interface NodeInternals {
  timerListMap: Record<string, TimerList>;
  immediateQueue: { head: Immediate | null };
  immediateInfo: Uint32Array;
  timerInfo: Int32Array;
  toggleTimerRef: (on: boolean) => void;
  toggleImmediateRef: (on: boolean) => void;
  tickQueue: { shift(): unknown };
  tickInfo: Uint8Array;
  clearAsyncIdStack: () => void;
  /** Promises rejected without a handler that Node has not reported yet. */
  pendingRejections: { clear(): void };
  /** Random bytes fetched ahead for randomUUID() and randomInt(). */
  entropyCaches: Uint8Array[];
}

interface Property {
  name: string;
  value?: { objectId?: string; description?: string };
}

const SLOT = '__preforkScopeProbe';
const globals = globalThis as Record<string, unknown>;

/** Calls an inspector method; in-process sessions answer before post() returns. */
function ask(session: Session, method: string, params: object): Record<string, unknown> {
  let answer: Record<string, unknown> = {};
  session.post(method, params, (error: Error | null, result?: object) => {
    if (error !== null) throw unsupported(`${method}: ${error.message}`);
    answer = result as Record<string, unknown>;
  });
  return answer;
}

function unsupported(what: string): PreforkError {
  return new PreforkError(
    'ERR_UNSUPPORTED_NODE',
    `cannot fork safely on Node ${process.version}: ${what}. ` +
      'Supported are Node 20, 22, 24 and 26; report this with the version',
  );
}

function remoteIdOf(session: Session, value: unknown): string {
  globals[SLOT] = value;
  const { result } = ask(session, 'Runtime.evaluate', { expression: `globalThis.${SLOT}` }) as {
    result: { objectId: string };
  };
  return result.objectId;
}

function propertiesOf(session: Session, objectId: string): [Property[], Property[]] {
  const params = { objectId, ownProperties: true };
  const answer = ask(session, 'Runtime.getProperties', params);
  return [answer['result'] as Property[], (answer['internalProperties'] ?? []) as Property[]];
}

/** The variables among `wanted` that the closure of `closure` sees. */
function scopeVariables(
  session: Session,
  closure: unknown,
  wanted: readonly string[],
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const [, internal] = propertiesOf(session, remoteIdOf(session, closure));
  const scopes = internal.find(({ name }) => name === '[[Scopes]]')?.value?.objectId;
  if (scopes === undefined) throw unsupported('closures have no scopes');
  for (const scope of propertiesOf(session, scopes)[0]) {
    if (!/^\d+$/.test(scope.name) || scope.value?.objectId === undefined) continue;
    if (scope.value.description?.includes('Global') === true) continue;
    for (const { name, value } of propertiesOf(session, scope.value.objectId)[0]) {
      if (name in found || !wanted.includes(name) || value?.objectId === undefined) continue;
      ask(session, 'Runtime.callFunctionOn', {
        objectId: value.objectId,
        functionDeclaration: `function () { globalThis.${SLOT} = this; }`,
      });
      found[name] = globals[SLOT];
    }
  }
  return found;
}

/** The first of `names` that was found. */
function need(found: Record<string, unknown>, ...names: string[]): never {
  for (const name of names) if (found[name] !== undefined) return found[name] as never;
  throw unsupported(`its internal "${names.join('" or "')}" was not found`);
}

function find(session: Session): NodeInternals {
  const timers = scopeVariables(session, clearTimeout, ['timerListMap', 'require', 'binding']);
  const immediates = scopeVariables(session, clearImmediate, ['immediateQueue', 'immediateInfo']);
  // eslint-disable-next-line @typescript-eslint/unbound-method -- looked at, not called
  const ticks = scopeVariables(session, process.nextTick, ['queue', 'tickInfo']);
  const internalRequire: (id: string) => Record<string, unknown> = need(timers, 'require');
  const binding: Record<string, unknown> = need(timers, 'binding');
  const { processPromiseRejections } = internalRequire('internal/process/promises');
  const promises = scopeVariables(session, processPromiseRejections, [
    'pendingUnhandledRejections',
  ]);
  return {
    timerListMap: need(timers, 'timerListMap'),
    immediateQueue: need(immediates, 'immediateQueue'),
    immediateInfo: need(immediates, 'immediateInfo'),
    timerInfo: need(binding, 'timerInfo', 'timeoutInfo'),
    toggleTimerRef: need(binding, 'toggleTimerRef'),
    toggleImmediateRef: need(binding, 'toggleImmediateRef'),
    tickQueue: need(ticks, 'queue'),
    tickInfo: need(ticks, 'tickInfo'),
    clearAsyncIdStack: need(internalRequire('internal/async_hooks'), 'clearAsyncIdStack'),
    pendingRejections: need(promises, 'pendingUnhandledRejections'),
    entropyCaches: findEntropyCaches(session),
  };
}

/** Node makes the cache of UUIDs at the first one, and keeps both for ever. */
function findEntropyCaches(session: Session): Uint8Array[] {
  crypto.randomUUID();
  const random = scopeVariables(session, crypto.randomUUID, ['uuidData', 'randomCache']);
  return [need(random, 'uuidData'), need(random, 'randomCache')];
}

let internals: NodeInternals | undefined;

/** @throws PreforkError ERR_UNSUPPORTED_NODE when this Node keeps its queues elsewhere. */
export function nodeInternals(): NodeInternals {
  if (internals === undefined) {
    const session = new Session();
    session.connect();
    try {
      internals = find(session);
    } finally {
      session.disconnect();
      Reflect.deleteProperty(globals, SLOT);
    }
  }
  return internals;
}
