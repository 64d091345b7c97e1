import { expect } from 'chai';
import {
  instancesOf,
  isEmpty,
  isReplaced,
  reconcile,
  type Action,
  type GroupState,
  type Instance,
  type Slot,
} from '../../../lib/pool/reconcile';

const NOW = 1000;

const instance = (pid: number, change: Partial<Instance> = {}): Instance => ({
  pid,
  generation: 0,
  stage: 'ready',
  startedAt: 0,
  killAt: Infinity,
  detached: false,
  ...change,
});

/** Slots by what runs in them: nothing, a current instance, or a whole slot. */
function group(
  contents: (Instance | null | Partial<Slot>)[],
  change: Partial<GroupState> = {},
): GroupState {
  const slots = contents.map((content, id): Slot => {
    const empty = { id, current: null, retired: [], startAt: 0 };
    if (content === null) return empty;
    return 'pid' in content ? { ...empty, current: content } : { ...empty, ...content };
  });
  const state = { slots, generation: 0, stopping: false, startFirst: false, reloadFailed: false };
  return { ...state, ...change };
}

/** An action as text: "start 0", "kill 12". */
function textOf(action: Action): string {
  return 'slot' in action
    ? `${action.kind} ${String(action.slot.id)}`
    : `${action.kind} ${String(action.instance.pid)}`;
}

const actions = (state: GroupState): string[] => reconcile(state, NOW).actions.map(textOf);
const wakeAt = (state: GroupState): number => reconcile(state, NOW).wakeAt;

describe('reconcile', () => {
  it('has nothing to do while all serve', () => {
    const state = group([instance(10), instance(11)]);
    expect(reconcile(state, NOW)).to.deep.equal({ actions: [], wakeAt: Infinity });
  });

  it('changes nothing itself', () => {
    const state = group([null, instance(11, { killAt: 5 }), instance(12)], { generation: 1 });
    const before = structuredClone(state);
    reconcile(state, NOW);
    expect(state).to.deep.equal(before);
  });

  describe('starting', () => {
    it('starts every worker that is missing, all in one decision', () => {
      expect(actions(group([null, instance(11), null]))).to.deep.equal(['start 0', 'start 2']);
    });

    it('waits for the backoff, and wakes when the first is over', () => {
      const state = group([{ startAt: NOW + 300 }, { startAt: NOW + 200 }, instance(12)]);
      expect(actions(state)).to.deep.equal([]);
      expect(wakeAt(state)).to.equal(NOW + 200);
    });

    it('starts at the very moment the backoff is over', () => {
      expect(actions(group([{ startAt: NOW }]))).to.deep.equal(['start 0']);
      expect(wakeAt(group([{ startAt: NOW }]))).to.equal(Infinity);
    });

    it('never starts a slot whose worker said "do not restart me", and never wakes for it', () => {
      const state = group([{ startAt: Infinity }, instance(11)]);
      expect(reconcile(state, NOW)).to.deep.equal({ actions: [], wakeAt: Infinity });
    });

    it('starts a successor while a detached predecessor lives on', () => {
      const state = group([{ retired: [instance(10, { detached: true })] }]);
      expect(actions(state)).to.deep.equal(['start 0']);
    });
  });

  describe('stopping', () => {
    it('terminates all at once: current, starting and retired ones', () => {
      const retired = [instance(9)];
      const state = group(
        [{ current: instance(10), retired }, instance(11, { stage: 'starting' })],
        {
          stopping: true,
        },
      );
      expect(actions(state)).to.deep.equal(['terminate 10', 'terminate 9', 'terminate 11']);
    });

    it('terminates nobody twice and leaves the detached alone', () => {
      const retired = [instance(9, { detached: true })];
      const state = group([{ current: instance(10, { stage: 'draining' }), retired }], {
        stopping: true,
      });
      expect(actions(state)).to.deep.equal([]);
    });

    it('starts nobody and replaces nobody any more', () => {
      const state = group([null, { startAt: NOW + 5 }], { stopping: true, generation: 1 });
      expect(reconcile(state, NOW)).to.deep.equal({ actions: [], wakeAt: Infinity });
    });
  });

  describe('killing', () => {
    it('kills those whose time is over, current and retired', () => {
      const late = { stage: 'draining', killAt: NOW } as const;
      const state = group([
        { current: instance(10, late), retired: [instance(9, late)] },
        instance(11, { ...late, killAt: NOW + 1 }),
      ]);
      expect(actions(state)).to.deep.equal(['kill 10', 'kill 9']);
    });

    it('wakes at the nearest deadline', () => {
      const draining = (pid: number, killAt: number): Instance =>
        instance(pid, { stage: 'draining', killAt });
      const state = group([draining(10, NOW + 70), draining(11, NOW + 50), { startAt: NOW + 60 }]);
      expect(wakeAt(state)).to.equal(NOW + 50);
    });

    it('kills also while stopping', () => {
      const state = group([instance(10, { stage: 'draining', killAt: NOW - 1 })], {
        stopping: true,
      });
      expect(actions(state)).to.deep.equal(['kill 10']);
    });

    it('with no deadline set nobody is killed', () => {
      expect(actions(group([instance(10, { stage: 'draining' })]))).to.deep.equal([]);
    });
  });

  describe('reload, stop first', () => {
    const reloading = (contents: Parameters<typeof group>[0]): GroupState =>
      group(contents, { generation: 1 });
    const fresh = (pid: number, change: Partial<Instance> = {}): Instance =>
      instance(pid, { generation: 1, ...change });

    it('terminates the first old one only', () => {
      const state = reloading([instance(10), instance(11), instance(12)]);
      expect(actions(state)).to.deep.equal(['terminate 10']);
    });

    it('goes to the next when the successor serves', () => {
      expect(actions(reloading([fresh(20), instance(11)]))).to.deep.equal(['terminate 11']);
    });

    it('waits while one drains, is missing, or starts', () => {
      const draining = instance(10, { stage: 'draining', killAt: NOW + 9 });
      expect(actions(reloading([draining, instance(11)]))).to.deep.equal([]);
      expect(actions(reloading([null, instance(11)]))).to.deep.equal(['start 0']);
      const starting = fresh(20, { stage: 'starting' });
      expect(actions(reloading([starting, instance(11)]))).to.deep.equal([]);
    });

    it('a successor that died and waits for its backoff stops nobody', () => {
      const state = reloading([{ startAt: NOW + 50 }, instance(11)]);
      expect(actions(state)).to.deep.equal(['terminate 11']);
    });

    it('after a failure those that run stay, and those that are missing are started', () => {
      const state = reloading([{ startAt: NOW + 50 }, instance(11), null]);
      state.reloadFailed = true;
      expect(actions(state)).to.deep.equal(['start 2']);
    });

    it('a slot that is never started again stops nobody', () => {
      const state = reloading([{ startAt: Infinity }, instance(11)]);
      expect(actions(state)).to.deep.equal(['terminate 11']);
    });

    it('a detached predecessor is not waited for', () => {
      const retired = [instance(9, { detached: true })];
      const state = reloading([{ current: fresh(20), retired }, instance(11)]);
      expect(actions(state)).to.deep.equal(['terminate 11']);
    });

    it('replaces a worker that is two generations behind once', () => {
      const state = group([instance(10), fresh(11)], { generation: 2 });
      expect(actions(state)).to.deep.equal(['terminate 10']);
    });
  });

  describe('reload, start first', () => {
    const reloading = (contents: Parameters<typeof group>[0]): GroupState =>
      group(contents, { generation: 1, startFirst: true });
    const fresh = (pid: number, change: Partial<Instance> = {}): Instance =>
      instance(pid, { generation: 1, ...change });

    it('starts the successor of the first old one, and terminates nobody yet', () => {
      expect(actions(reloading([instance(10), instance(11)]))).to.deep.equal(['succeed 0']);
    });

    it('keeps the old one while the successor starts', () => {
      const current = fresh(20, { stage: 'starting' });
      const state = reloading([{ current, retired: [instance(10)] }, instance(11)]);
      expect(actions(state)).to.deep.equal([]);
    });

    it('terminates the old one when the successor serves', () => {
      const state = reloading([{ current: fresh(20), retired: [instance(10)] }, instance(11)]);
      expect(actions(state)).to.deep.equal(['terminate 10']);
    });

    it('goes to the next slot when the old one is gone', () => {
      const retired = [instance(10, { stage: 'draining', killAt: NOW + 9 })];
      const leaving = reloading([{ current: fresh(20), retired }, instance(11)]);
      expect(actions(leaving)).to.deep.equal([]);
      expect(actions(reloading([fresh(20), instance(11)]))).to.deep.equal(['succeed 1']);
    });

    it('the successor dies: another is started, the old one serves on', () => {
      const state = reloading([{ retired: [instance(10)] }, instance(11)]);
      expect(actions(state)).to.deep.equal(['start 0']);
    });

    it('successors die young again and again: the old one serves through the backoff', () => {
      const state = reloading([{ retired: [instance(10)], startAt: NOW + 400 }]);
      expect(actions(state)).to.deep.equal([]);
      expect(wakeAt(state)).to.equal(NOW + 400);
    });
  });
});

describe('isEmpty', () => {
  it('says that no process is left to wait for', () => {
    expect(isEmpty(group([null, { startAt: Infinity }]))).to.equal(true);
    expect(isEmpty(group([null, instance(11)]))).to.equal(false);
    expect(isEmpty(group([{ retired: [instance(9, { stage: 'draining' })] }]))).to.equal(false);
  });

  it('does not wait for the detached', () => {
    expect(isEmpty(group([{ retired: [instance(9, { detached: true })] }]))).to.equal(true);
  });
});

describe('isReplaced', () => {
  const fresh = instance(20, { generation: 1 });

  for (const [what, content, expected] of [
    ['an old one serves', instance(10), false],
    ['a new one serves', fresh, true],
    ['a new one starts', { ...fresh, stage: 'starting' }, false],
    ['a slot is empty', null, false],
    ['a slot waits for its backoff', { startAt: NOW + 1 }, true],
    ['a slot is never started again', { startAt: Infinity }, true],
    ['the old one is still leaving', { current: fresh, retired: [instance(10)] }, false],
    [
      'the old one has left by itself',
      { current: fresh, retired: [instance(10, { detached: true })] },
      true,
    ],
  ] as const) {
    it(`is ${String(expected)} while ${what}`, () => {
      const state = group([fresh, content as Instance], { generation: 1 });
      expect(isReplaced(state, NOW)).to.equal(expected);
    });
  }

  it('is false while the predecessor of a slot in backoff still serves', () => {
    const state = group([{ retired: [instance(10)], startAt: NOW + 400 }], { generation: 1 });
    expect(isReplaced(state, NOW)).to.equal(false);
  });
});

describe('instancesOf', () => {
  it('lists the current one first', () => {
    const slot = { id: 0, current: instance(2), retired: [instance(1)], startAt: 0 };
    expect(instancesOf(slot).map(({ pid }) => pid)).to.deep.equal([2, 1]);
    expect(instancesOf({ ...slot, current: null }).map(({ pid }) => pid)).to.deep.equal([1]);
  });
});
