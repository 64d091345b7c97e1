import { expect } from 'chai';
import sinon from 'sinon';
import type * as RandomState from '../../../lib/process/random-state';
import { fresh } from '../fake-kernel';

describe('random state', () => {
  let draws: number;
  let state: typeof RandomState;

  beforeEach(() => {
    draws = 0;
    sinon.replace(Math, 'random', () => {
      draws++;
      return 0.5;
    });
    state = fresh('process/random-state');
  });
  afterEach(() => {
    sinon.restore();
  });

  const places = (count: number): number[] =>
    Array.from({ length: count }, () => state.nextMathRandomPlace());

  it('gives 4,096 children in a row a place each, none of them that of the parent', () => {
    const all = places(4096);
    expect(new Set(all).size).to.equal(all.length);
    expect(Math.min(...all)).to.be.at.least(1);
  });

  it('moves the parent on past all those places before it gives them out again', () => {
    const given = places(4096);
    draws = 0;
    state.nextMathRandomPlace();
    expect(draws).to.be.at.least(Math.max(...given));
  });

  it('leaves Math.random of the parent alone at the forks in between', () => {
    state.nextMathRandomPlace();
    draws = 0;
    places(100);
    expect(draws).to.equal(0);
  });

  it('starts at another place in every process', () => {
    const starts = Array.from({ length: 5 }, () =>
      fresh<typeof RandomState>('process/random-state').nextMathRandomPlace(),
    );
    expect(new Set(starts).size).to.be.greaterThan(1);
  });

  for (const place of [1, 63, 64, 65, 1000]) {
    it(`a child discards ${String(place)} values of Math.random at place ${String(place)}`, () => {
      state.renewRandomState(place, []);
      expect(draws).to.equal(place);
    });
  }

  it('a child fills every cache of entropy anew', () => {
    const caches = [new Uint8Array(64), new Uint8Array(32)];
    state.renewRandomState(1, caches);
    for (const cache of caches) expect(cache.some((byte) => byte !== 0)).to.equal(true);
    expect(caches[0]?.subarray(0, 32)).to.not.deep.equal(caches[1]);
  });

  it("a child's own children do not repeat the places of its siblings", () => {
    const before = places(3);
    const sequences = new Set<string>();
    for (let child = 0; child < 5; child++) {
      state.renewRandomState(1, []);
      sequences.add(places(3).join());
    }
    sequences.delete(before.join());
    expect(sequences.size).to.be.greaterThan(1);
  });
});
